package mappingdb

import (
	"database/sql"
	"fmt"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// merge adds what m says to what is known, or says what stands in the way.
func (b *batch) merge(m mapping.Message) (changed bool, err error) {
	key := rowKey{m.Group, m.Seq}
	g := b.groups[m.Group]
	if g == nil {
		return false, fmt.Errorf("group of message %d %w", m.Seq, mapping.ErrNotFound)
	}
	old := b.rows[key]
	next := messageRow{rowKey: key}
	if old != nil {
		next = *old
	}
	if m.EventID != "" {
		if err = b.mergeEvent(m, &next); err != nil {
			return false, err
		}
	}
	if m.MsgID != "" {
		msgID := string(packMsgID(m.MsgID))
		if next.msgID != "" && next.msgID != msgID {
			return false, b.conflict(key, "msgID "+quote(unpackMsgID([]byte(next.msgID))))
		} else if holder := b.msgIDs[msgID]; holder != nil && holder.rowKey != key {
			return false, &mapping.ConflictError{What: "msgID", Key: quote(m.MsgID), Holder: b.nameOf(holder.rowKey)}
		}
		next.msgID = msgID
	}
	if err = b.mergeRest(m, &next); err != nil {
		return false, err
	}
	if old != nil && *old == next {
		return false, nil
	}
	b.change(old, next, g)
	return true, nil
}

// change enters next in place of old.
func (b *batch) change(old *messageRow, next messageRow, g *groupState) {
	if old == nil {
		old = &messageRow{}
		b.fresh = append(b.fresh, old)
		b.isNew[old] = struct{}{}
		g.added++
		g.changed = true
	} else if _, ok := b.isNew[old]; !ok {
		b.dirty[next.rowKey] = old
	}
	if next.seq > g.last {
		g.last, g.changed = next.seq, true
	}
	*old = next
	b.enter(old)
}

func (b *batch) mergeEvent(m mapping.Message, next *messageRow) error {
	event := string(packEvent(m.EventID))
	if next.event != "" && next.event != event {
		return b.conflict(next.rowKey, "event "+unpackEvent([]byte(next.event)))
	} else if holder := b.events[event]; holder != nil && holder.rowKey != next.rowKey {
		return &mapping.ConflictError{What: "event", Key: m.EventID, Holder: b.nameOf(holder.rowKey)}
	}
	room := b.roomOf(m)
	if room == nil && next.event != "" {
		return nil // known in a room that the group has left; nothing is said about rooms
	} else if room == nil {
		return fmt.Errorf("%w message: group %s has no room and none is given for event %s", mapping.ErrInvalid, quote(b.groups[m.Group].groupID), m.EventID)
	}
	anchor, anchored := b.anchors[event]
	switch {
	case next.event != "" && next.room != room.key && m.RoomID == "":
		return nil // as above
	case next.event != "" && next.room != room.key, anchored && anchor.room != room.key:
		return &mapping.ConflictError{What: "event", Key: m.EventID, Holder: "in another room than " + room.id.String()}
	}
	if next.event == "" && m.Thread == "" && anchored {
		next.thread = string(anchor.thread)
	}
	next.event, next.room = event, room.key
	if err := b.mergePlace(m, next, room, anchor, anchored); err != nil {
		return err
	}
	if next.pos > room.last {
		room.last, room.changed = next.pos, true
	}
	return nil
}

// mergePlace finds the place of a message: the one it has, the one given, that of
// its anchor. A borrowed anchor is only where the event stands; the message has no
// place of its own then.
func (b *batch) mergePlace(m mapping.Message, next *messageRow, room *roomState, anchor anchorRow, anchored bool) error {
	pos := m.Pos
	switch {
	case next.pos != 0 && (pos == 0 || pos == next.pos):
		return nil
	case next.pos != 0:
		return &mapping.ConflictError{What: "event", Key: m.EventID, Holder: fmt.Sprintf("at place %d of room %s", next.pos, room.id)}
	case anchored && !anchor.borrowed && pos != 0 && pos != anchor.pos:
		return &mapping.ConflictError{What: "event", Key: m.EventID, Holder: fmt.Sprintf("at place %d of room %s", anchor.pos, room.id)}
	case anchored && anchor.borrowed && (pos == 0 || pos == anchor.pos):
		b.kept = append(b.kept, next.event)
		return nil
	case anchored && pos == 0:
		pos = anchor.pos
	case pos == 0 && b.give:
		pos = room.last + 1
	case pos == 0:
		return nil // it comes when the event is appended
	}
	if holder := b.places[placeKey{room.key, pos}]; holder != nil {
		return &mapping.ConflictError{What: "place", Key: fmt.Sprintf("%d of room %s", pos, room.id), Holder: "that of event " + unpackEvent([]byte(holder.event))}
	}
	if anchored {
		b.gone = append(b.gone, next.event)
	}
	next.pos = pos
	return nil
}

// mergeRest adds what needs no other row. The first that is said stays; import
// wants what is said to be what is known.
func (b *batch) mergeRest(m mapping.Message, next *messageRow) error {
	said := messageRow{thread: string(packEvent(m.Thread)), sender: m.Sender, atMS: millis(m.At)}
	said.random = sql.NullInt64{Int64: int64(m.Random), Valid: m.HasRandom}
	differs := ""
	if next.thread == "" {
		next.thread = said.thread
	} else if said.thread != "" && said.thread != next.thread {
		differs = "thread"
	}
	if next.sender == 0 {
		next.sender = said.sender
	} else if said.sender != 0 && said.sender != next.sender {
		differs = "sender"
	}
	if !next.random.Valid {
		next.random = said.random
	} else if said.random.Valid && said.random != next.random {
		differs = "random"
	}
	if !next.atMS.Valid {
		next.atMS = said.atMS
	} else if said.atMS.Valid && said.atMS != next.atMS {
		differs = "time"
	}
	if b.exact && differs != "" {
		return b.conflict(next.rowKey, "known with another "+differs)
	}
	next.flags = mergeFlags(next.flags, packFlags(m.Message))
	return nil
}

func (b *batch) conflict(key rowKey, holder string) error {
	return &mapping.ConflictError{What: "message", Key: fmt.Sprintf("%d of group %s", key.seq, quote(b.groups[key.group].groupID)), Holder: holder}
}

// nameOf names a message for people.
func (b *batch) nameOf(key rowKey) string {
	groupID := b.names[key.group]
	if g := b.groups[key.group]; g != nil {
		groupID = g.groupID
	}
	return fmt.Sprintf("message %d of group %s", key.seq, quote(groupID))
}

// wantsOf reads receipts.Wants from stored flags.
func wantsOf(flags int64) receipts.Wants { return receipts.Wants(flags & flagWants) }
