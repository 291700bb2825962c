package mappingdb

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// batch merges messages in memory: everything that they could meet is loaded with
// a few statements, then each message is checked against it and against those
// before it, and what changed is written with a few statements more.
type batch struct {
	store *Store
	// exact: what a message says must be what is known of it.
	exact bool
	// give: an event without a place gets the next one.
	give bool

	groups  map[mapping.GroupKey]*groupState
	names   map[mapping.GroupKey]string // of further groups
	rooms   map[id.RoomID]*roomState
	rows    map[rowKey]*messageRow
	events  map[string]*messageRow
	msgIDs  map[string]*messageRow
	places  map[placeKey]*messageRow
	anchors map[string]anchorRow

	fresh []*messageRow            // to insert
	dirty map[rowKey]*messageRow   // to update
	gone  []string                 // events whose anchors have become messages
	kept  []string                 // same, but the anchor is the only place they have
	isNew map[*messageRow]struct{} // those in fresh
}

type groupState struct {
	groupID string
	roomID  id.RoomID
	last    receipts.MsgSeq
	added   int64
	changed bool
}

type roomState struct {
	roomRow
	id      id.RoomID
	changed bool
}

type placeKey struct {
	room int64
	pos  receipts.Pos
}

// load reads everything that ms could meet.
func (b *batch) load(ctx context.Context, ms []mapping.Message) error {
	b.rows, b.events, b.msgIDs = make(map[rowKey]*messageRow, len(ms)), make(map[string]*messageRow, len(ms)), make(map[string]*messageRow, len(ms))
	b.places, b.anchors = make(map[placeKey]*messageRow, len(ms)), make(map[string]anchorRow)
	b.dirty, b.isNew = make(map[rowKey]*messageRow), make(map[*messageRow]struct{}, len(ms))
	if err := b.loadGroups(ctx, ms); err != nil {
		return err
	} else if err = b.loadRooms(ctx, ms); err != nil {
		return err
	}
	seqs := make(map[mapping.GroupKey][]receipts.MsgSeq)
	var events, msgIDs [][]byte
	for _, m := range ms {
		seqs[m.Group] = append(seqs[m.Group], m.Seq)
		if m.EventID != "" {
			events = append(events, packEvent(m.EventID))
		}
		if m.MsgID != "" {
			msgIDs = append(msgIDs, packMsgID(m.MsgID))
		}
	}
	for group, list := range seqs {
		if err := rowsWhere(ctx, b.store, `WHERE group_key = $1 AND seq`, args{group}, list, b.known); err != nil {
			return err
		}
	}
	if err := rowsWhere(ctx, b.store, `WHERE event_id`, nil, events, b.known); err != nil {
		return err
	} else if err = rowsWhere(ctx, b.store, `WHERE msg_id`, nil, msgIDs, b.known); err != nil {
		return err
	} else if err = b.loadAnchors(ctx, events); err != nil {
		return err
	}
	if err := b.loadPlaces(ctx, ms); err != nil {
		return err
	}
	return b.loadNames(ctx)
}

// loadNames reads the names of other groups that stand in the way of ours.
func (b *batch) loadNames(ctx context.Context) error {
	var others []mapping.GroupKey
	for key := range b.rows {
		if b.groups[key.group] == nil {
			others = append(others, key.group)
		}
	}
	b.names = make(map[mapping.GroupKey]string)
	for _, key := range unique(others) {
		g, err := b.store.GroupByKey(ctx, key)
		if err != nil {
			return err
		}
		b.names[key] = g.GroupID
	}
	return nil
}

// known enters a row that is stored.
func (b *batch) known(r messageRow) {
	if _, ok := b.rows[r.rowKey]; !ok {
		b.enter(&r)
	}
}

func (b *batch) enter(r *messageRow) {
	b.rows[r.rowKey] = r
	if r.event != "" {
		b.events[r.event] = r
	}
	if r.msgID != "" {
		b.msgIDs[r.msgID] = r
	}
	if r.pos != 0 {
		b.places[placeKey{r.room, r.pos}] = r
	}
}

func (b *batch) loadGroups(ctx context.Context, ms []mapping.Message) error {
	b.groups = make(map[mapping.GroupKey]*groupState)
	for _, m := range ms {
		b.groups[m.Group] = nil
	}
	lock := b.store.forUpdate
	if lock != "" {
		lock = " ORDER BY g.group_key" + lock + " OF g"
	}
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(b.groups)), maxIn) {
		var a args
		rows, err := b.store.db.Query(ctx, `SELECT g.group_key, g.group_id, g.last_seq, r.room_id FROM tim_group g LEFT JOIN tim_room r ON r.room_key = g.room_key WHERE `+in(b.store, &a, `g.group_key`, chunk)+lock, a...)
		err = each(rows, err, func(row dbutil.Scannable) error {
			var key mapping.GroupKey
			var room sql.NullString
			g := &groupState{}
			err := row.Scan(&key, &g.groupID, &g.last, &room)
			g.roomID = id.RoomID(room.String)
			b.groups[key] = g
			return err
		})
		if err != nil {
			return fmt.Errorf("failed to get groups: %w", err)
		}
	}
	return nil
}

func (b *batch) loadRooms(ctx context.Context, ms []mapping.Message) error {
	b.rooms = make(map[id.RoomID]*roomState)
	for _, m := range ms {
		if m.EventID == "" {
			continue
		} else if m.RoomID != "" {
			b.rooms[m.RoomID] = nil
		} else if g := b.groups[m.Group]; g != nil && g.roomID != "" {
			b.rooms[g.roomID] = nil
		}
	}
	// In one order for everybody, so that two transactions never wait for each other.
	for _, roomID := range slices.Sorted(maps.Keys(b.rooms)) {
		row, err := b.store.lockRoom(ctx, roomID)
		if err != nil {
			return err
		}
		b.rooms[roomID] = &roomState{roomRow: row, id: roomID}
	}
	return nil
}

func (b *batch) loadAnchors(ctx context.Context, events [][]byte) error {
	for chunk := range slices.Chunk(events, maxIn) {
		var a args
		rows, err := b.store.db.Query(ctx, `SELECT event_id, room_key, pos, thread, borrowed FROM tim_anchor WHERE `+in(b.store, &a, `event_id`, chunk), a...)
		err = each(rows, err, func(row dbutil.Scannable) error {
			var r anchorRow
			err := row.Scan(&r.event, &r.room, &r.pos, &r.thread, &r.borrowed)
			b.anchors[string(r.event)] = r
			return err
		})
		if err != nil {
			return fmt.Errorf("failed to get anchors: %w", err)
		}
	}
	return nil
}

// loadPlaces reads who has the places that ms could be given.
func (b *batch) loadPlaces(ctx context.Context, ms []mapping.Message) error {
	want := make(map[int64][]receipts.Pos)
	for _, m := range ms {
		room := b.roomOf(m)
		if m.EventID == "" || room == nil {
			continue
		}
		pos := m.Pos
		if anchor, ok := b.anchors[string(packEvent(m.EventID))]; ok && pos == 0 {
			pos = anchor.pos
		}
		// Above the head nobody has a place.
		if pos != 0 && pos <= room.last {
			want[room.key] = append(want[room.key], pos)
		}
	}
	for room, list := range want {
		if err := rowsWhere(ctx, b.store, `WHERE room_key = $1 AND pos`, args{room}, list, b.known); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) roomOf(m mapping.Message) *roomState {
	if m.RoomID != "" {
		return b.rooms[m.RoomID]
	} else if g := b.groups[m.Group]; g != nil {
		return b.rooms[g.roomID]
	}
	return nil
}

// write stores what merge changed.
func (b *batch) write(ctx context.Context) error {
	if err := b.store.insertRows(ctx, b.fresh); err != nil {
		return err
	}
	for _, r := range b.dirty {
		if err := b.store.updateRow(ctx, r); err != nil {
			return err
		}
	}
	if err := b.eachAnchor(ctx, `DELETE FROM tim_anchor WHERE event_id`, b.gone); err != nil {
		return err
	} else if err = b.eachAnchor(ctx, `UPDATE tim_anchor SET gap_ms = NULL WHERE event_id`, b.kept); err != nil {
		return err
	}
	for key, g := range b.groups {
		if !g.changed {
			continue
		}
		if _, err := b.store.db.Exec(ctx, `UPDATE tim_group SET last_seq = $2, messages = messages + $3 WHERE group_key = $1`, key, g.last, g.added); err != nil {
			return fmt.Errorf("failed to update group: %w", err)
		}
	}
	for _, r := range b.rooms {
		if !r.changed {
			continue
		}
		if _, err := b.store.db.Exec(ctx, `UPDATE tim_room SET last_pos = $2 WHERE room_key = $1`, r.key, r.last); err != nil {
			return fmt.Errorf("failed to update room: %w", err)
		}
	}
	return nil
}

func (b *batch) eachAnchor(ctx context.Context, query string, events []string) error {
	for chunk := range slices.Chunk(events, maxIn) {
		var a args
		packed := make([][]byte, len(chunk))
		for i, ev := range chunk {
			packed[i] = []byte(ev)
		}
		if _, err := b.store.db.Exec(ctx, in(b.store, &a, query, packed), a...); err != nil {
			return fmt.Errorf("failed to update anchors: %w", err)
		}
	}
	return nil
}
