package mappingdb

import (
	"context"
	"fmt"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// PutMessages makes messages known, or adds to what is known of them. Group and
// Seq are a message's identity and always given; anything else may come later, in
// any order:
//
//   - EventID, MsgID, Thread, Sender, Random, At: the first that is said stays.
//   - Wants, Recalled, OnlineOnly: only ever added. Of two words about Wants, yes
//     stays: whatever the order, the outcome is the same.
//   - RoomID is the room of the event, the group's room now if empty. It counts only
//     together with an EventID.
//   - Pos is the place that Append gave the event; if 0, PutMessages looks for it. An
//     event that has none yet gets it when it is appended.
//
// It says for each message whether that changed anything. A mapping.ConflictError
// says what stands in the way: the message is already another event or msgID, the
// event or msgID is already another message, the event is in another room or place,
// or the place is taken. mapping.ErrNotFound means an unknown group,
// mapping.ErrInvalid a malformed message. On an error nothing is changed, and a
// surrounding transaction can go on.
func (s *Store) PutMessages(ctx context.Context, ms []mapping.Message) (changed []bool, err error) {
	if len(ms) == 0 {
		return nil, nil
	}
	err = s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		var errs map[int]error
		changed, errs, err = s.put(ctx, ms, nil)
		for i := range ms {
			if err == nil {
				err = errs[i]
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("failed to put messages: %w", err)
	}
	return changed, nil
}

// PlaceMessage says which event a known message is: one of our own sends has come
// back. pos is the place of the event, 0 if the store shall look for it. Errors are
// those of PutMessages; mapping.ErrNotFound if there is no such message.
func (s *Store) PlaceMessage(ctx context.Context, group mapping.GroupKey, seq receipts.MsgSeq, roomID id.RoomID, eventID id.EventID, pos receipts.Pos) error {
	m := mapping.Message{Group: group, RoomID: roomID}
	m.Seq, m.EventID, m.Pos = seq, eventID.String(), pos
	return s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		found := false
		err := rowsWhere(ctx, s, `WHERE group_key = $1 AND seq`, args{group}, []receipts.MsgSeq{seq}, func(messageRow) { found = true })
		if err == nil && !found {
			err = fmt.Errorf("message %w", mapping.ErrNotFound)
		}
		if err != nil {
			return err
		}
		_, err = s.PutMessages(ctx, []mapping.Message{m})
		return err
	})
}

// put merges messages into the store, all or nothing. Those that are refused are
// returned by index. give is for import, nil otherwise: what is said must be what is
// known then, and where give says so an event without a place is given the next one.
func (s *Store) put(ctx context.Context, ms []mapping.Message, give func(i int) bool) (changed []bool, errs map[int]error, err error) {
	errs = make(map[int]error)
	good := make([]mapping.Message, 0, len(ms))
	for i, m := range ms {
		if errs[i] = checkMessage(m); errs[i] == nil {
			delete(errs, i)
			good = append(good, m)
		}
	}
	b := &batch{store: s, exact: give != nil}
	if err = b.load(ctx, good); err != nil {
		return nil, nil, err
	}
	changed = make([]bool, len(ms))
	for i, m := range ms {
		if errs[i] != nil {
			continue
		}
		b.give = give != nil && give(i)
		if changed[i], err = b.merge(m); err != nil {
			errs[i] = err
		}
	}
	if len(errs) > 0 {
		return nil, errs, nil
	}
	return changed, nil, b.write(ctx)
}

// maxSeq is the largest number that the column holds.
const maxSeq = 1<<63 - 1

func checkMessage(m mapping.Message) error {
	switch {
	case m.Group <= 0:
		return fmt.Errorf("%w message: it has no group", mapping.ErrInvalid)
	case m.Seq == 0 || m.Seq > maxSeq:
		return fmt.Errorf("%w message: seq %d, it must be from 1 to %d", mapping.ErrInvalid, m.Seq, uint64(maxSeq))
	case m.Pos < 0:
		return fmt.Errorf("%w message: place %d", mapping.ErrInvalid, m.Pos)
	case m.Pos > 0 && m.EventID == "":
		return fmt.Errorf("%w message: it has a place but no event", mapping.ErrInvalid)
	case m.Wants > receipts.WantsNo:
		return fmt.Errorf("%w message: wants %d", mapping.ErrInvalid, m.Wants)
	}
	if m.EventID != "" {
		if err := mapping.ValidateEventID(id.EventID(m.EventID)); err != nil {
			return err
		}
	}
	if m.RoomID != "" {
		if err := mapping.ValidateRoomID(m.RoomID); err != nil {
			return err
		}
	}
	if m.Thread != "" {
		if err := mapping.ValidateEventID(id.EventID(m.Thread)); err != nil {
			return err
		}
	}
	if m.MsgID != "" {
		return mapping.ValidateMsgID(m.MsgID)
	}
	return nil
}
