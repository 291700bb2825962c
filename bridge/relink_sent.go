package bridge

import (
	"context"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// sentBeforeUnlinking hears of an event in a room that is no group's. It may be a message that was on its way there when its group was
// unlinked: then it waits to be sent again once the group has a room, and a homeserver that was started again meanwhile does not know the
// repeat any more. It is in the room, like those before it, and need not be sent.
func (s *session) sentBeforeUnlinking(ctx context.Context, ev *matrix.Event) error {
	stamp, stamped, err := mapping.ParseStamp(ev.Content)
	if err != nil || !stamped || ev.IsState() {
		return nil // whoever wrote it, it is not of ours
	}
	g, err := s.b.maps.GroupByID(ctx, stamp.GroupID)
	if isNotFound(err) {
		return nil
	} else if err != nil {
		return err
	}
	if left, err := s.leftRoom(ctx, &g); err != nil || left != ev.RoomID {
		return err
	}
	// Nobody is made known by what he writes where no group is.
	senders, err := s.b.maps.UsersByMXID(ctx, []id.UserID{ev.Sender})
	if err != nil {
		return err
	}
	m, ours, err := s.ownSend(ctx, &g, ev, stamp, senders[ev.Sender])
	switch {
	case err != nil || !ours || m.EventID == ev.ID.String():
		return err
	case m.EventID != "" && m.RoomID == ev.RoomID:
		return s.secondEventLeft(ctx, &g, ev, m.Sender)
	case m.EventID != "":
		return nil // it is in another room
	}
	if err = s.b.maps.PlaceMessage(ctx, g.Key, m.Seq, ev.RoomID, ev.ID, 0); err != nil {
		if refusedForGood(err) {
			zerolog.Ctx(ctx).Error().Err(err).Str("group_id", g.GroupID).Stringer("event_id", ev.ID).Msg("Ignoring event of a message that stands in the way of another")
			return nil
		}
		return err
	}
	s.work = true // the sender's next one may go
	return s.b.own.DropMessage(ctx, g.Key, m.Seq)
}

// secondEventLeft is secondEvent in a room that is no group's any more. A ghost that has to come back for it goes again: roomTask waits
// until it is done.
func (s *session) secondEventLeft(ctx context.Context, g *mapping.Group, ev *matrix.Event, sender mapping.UserKey) error {
	u, err := s.personOf(ctx, sender)
	if err != nil {
		return err
	}
	if err = s.secondEvent(ctx, g, ev, u); err != nil || u.Kind != receipts.KindGhost {
		return err
	}
	return s.roomTask(ctx, ev.RoomID, u.Key)
}
