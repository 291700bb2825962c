package bridge

import (
	"context"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// redactedEarly finds those of the events whose redaction has come before them, or comes with them: Dendrite 0.15.2 hands events over
// in another order after a restart.
func (s *session) redactedEarly(ctx context.Context, room id.RoomID, events []matrix.Event) (map[id.EventID]bool, error) {
	list, err := s.b.own.EarlyRedactions(ctx, room, eventIDs(events))
	if err != nil {
		return nil, err
	}
	redacted := make(map[id.EventID]bool)
	for _, ev := range list {
		redacted[ev] = true
	}
	for _, ev := range events {
		if ev.Type == redactionType && ev.StateKey == nil && ev.Redacts != "" {
			redacted[ev.Redacts] = true
		}
	}
	return redacted, nil
}

const redactionType = "m.room.redaction"

// redactions takes redactions of which /sync tells. It is ahead of the transactions, which tell of them again or (Dendrite 0.15.2) do
// not: so they get no place in the room's order here, where what was written before them may still be missing.
func (s *session) redactions(ctx context.Context, list []matrix.Event) error {
	for _, ev := range list {
		g, err := s.groupOfRoom(ctx, ev.RoomID)
		if err != nil {
			return err
		} else if g == nil || ev.Redacts == "" {
			continue
		}
		head, err := s.b.maps.Head(ctx, g.RoomID)
		if err == nil {
			err = s.redaction(ctx, g, &ev, head+1) // it comes after what it redacts
		}
		if refusedForGood(err) {
			zerolog.Ctx(ctx).Error().Err(err).Str("group_id", g.GroupID).Stringer("event_id", ev.ID).Msg("Ignoring redaction that cannot be taken")
		} else if err != nil {
			return err
		}
	}
	return nil
}

// redaction marks a message as recalled: it asks for no receipt any more.
func (s *session) redaction(ctx context.Context, g *mapping.Group, ev *matrix.Event, pos receipts.Pos) error {
	places, err := s.b.maps.Places(ctx, []id.EventID{ev.Redacts})
	if err != nil {
		return err
	}
	target, ok := places[ev.Redacts]
	if !ok {
		return s.b.own.PutEarlyRedaction(ctx, ev.RoomID, ev.Redacts, s.now)
	} else if target.RoomID != ev.RoomID {
		return nil // the homeserver would not have applied it
	}
	_, changed, err := s.b.maps.SetRecalled(ctx, ev.Redacts)
	if isNotFound(err) {
		return s.recallAtTencent(ctx, g, ev, pos) // a reaction, say, or what Tencent does not have yet
	} else if err != nil || !changed {
		return err
	}
	if err = s.recallAtTencent(ctx, g, ev, pos); err != nil {
		return err
	}
	delete(s.windows, g.Key)
	return s.lookAgain(ctx, g.Key)
}

// lookAgain asks for a look at every reader's marker: something that held a frontier back may be gone.
func (s *session) lookAgain(ctx context.Context, group mapping.GroupKey) error {
	keys, err := s.readersOf(ctx, group)
	if err != nil {
		return err
	}
	if err = s.loadReaders(ctx, group, keys); err != nil {
		return err
	}
	for _, key := range keys {
		if s.users[key].Kind != receipts.KindAccount {
			s.due(s.rows[reader{group, key}])
		}
	}
	return nil
}
