package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/mapping"
)

// roomEvents takes events of one room in the order of the homeserver. Events that have been taken before change nothing.
func (s *session) roomEvents(ctx context.Context, events []matrix.Event) error {
	room := events[0].RoomID
	g, err := s.groupOfRoom(ctx, room)
	if err != nil {
		return err
	} else if g == nil {
		return s.unmappedRoom(ctx, events)
	}
	known, err := s.b.maps.Places(ctx, eventIDs(events))
	if err != nil {
		return err
	}
	threads := make(map[id.EventID]string)
	list := make([]mapping.NewEvent, len(events))
	for i, ev := range events {
		thread, err := s.threadOf(ctx, &ev, threads, known)
		if err != nil {
			return err
		}
		threads[ev.ID] = thread
		list[i] = s.newEvent(g, &ev, thread)
	}
	places, err := s.b.maps.Append(ctx, room, list)
	if err != nil {
		return err
	}
	redacted, err := s.redactedEarly(ctx, room, events)
	if err != nil {
		return err
	}
	var fresh []id.EventID
	for i, place := range places {
		ev := events[i]
		ev.Redacted = ev.Redacted || redacted[ev.ID]
		if place.RoomID != room {
			zerolog.Ctx(ctx).Warn().Stringer("event_id", ev.ID).Stringer("room_id", room).Msg("Ignoring event whose ID is known from another room")
			continue
		} else if place.Known {
			continue
		}
		fresh = append(fresh, ev.ID)
		if before := known[ev.ID]; before.Known && before.Pos == 0 {
			err = s.messagePlaced(ctx, g, &ev) // a message without a place until now
		} else {
			err = s.roomEvent(ctx, g, &ev, place)
		}
		if refusedForGood(err) {
			zerolog.Ctx(ctx).Error().Err(err).Str("group_id", g.GroupID).Stringer("event_id", ev.ID).Msg("Ignoring event that cannot be taken")
		} else if err != nil {
			return fmt.Errorf("failed to take event %s: %w", ev.ID, err)
		}
		if s.groups[g.Key] != g {
			break // the group has moved on: what follows belongs to nobody
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	return s.parkedFor(ctx, fresh)
}

func (s *session) newEvent(g *mapping.Group, ev *matrix.Event, thread string) mapping.NewEvent {
	return mapping.NewEvent{EventID: ev.ID, Thread: thread, At: s.now, Gap: g.SeqSource != mapping.SeqSourceOwn && s.b.isMessage(ev)}
}

// roomRuns splits events into the longest runs of one room.
func roomRuns(events []matrix.Event) iter.Seq[[]matrix.Event] {
	return func(yield func([]matrix.Event) bool) {
		for start, i := 0, 1; i <= len(events); i++ {
			if i < len(events) && events[i].RoomID == events[start].RoomID {
				continue
			}
			if !yield(events[start:i]) {
				return
			}
			start = i
		}
	}
}

// threadOf finds the thread that an event belongs to: its own, or that of the message it reacts to or edits.
func (s *session) threadOf(ctx context.Context, ev *matrix.Event, batch map[id.EventID]string, known map[id.EventID]mapping.Place) (string, error) {
	if ev.ThreadRoot != "" || ev.RelatesTo == "" {
		return ev.ThreadRoot, nil
	}
	if thread, ok := batch[ev.RelatesTo]; ok {
		return thread, nil
	}
	if place, ok := known[ev.ID]; ok {
		return place.Thread, nil
	}
	target, err := s.b.maps.Places(ctx, []id.EventID{ev.RelatesTo})
	if err != nil {
		return "", err
	}
	return target[ev.RelatesTo].Thread, nil
}

func eventIDs(events []matrix.Event) []id.EventID {
	ids := make([]id.EventID, len(events))
	for i, ev := range events {
		ids[i] = ev.ID
	}
	return ids
}

// unmappedRoom is for rooms that are no group's: the bot accepts invitations, and its own probe is noted. Of the rest only
// what was on its way there when a group was unlinked is kept.
func (s *session) unmappedRoom(ctx context.Context, events []matrix.Event) error {
	for _, ev := range events {
		switch {
		case ev.Type == probeEventType && ev.Sender == s.b.bot():
			if err := s.b.own.SetValue(ctx, bridgedb.KeyProbeEvent, ev.ID.String()); err != nil {
				return err
			}
		case ev.Type == "m.room.member" && ev.StateKey != nil && *ev.StateKey == s.b.bot().String() && membershipOf(&ev) == "invite":
			room := ev.RoomID
			s.after = append(s.after, func() { s.b.acceptInvite(room) })
		case s.b.isCommand(&ev):
			s.command(&ev)
		default:
			if err := s.sentBeforeUnlinking(ctx, &ev); err != nil {
				return fmt.Errorf("failed to take event %s: %w", ev.ID, err)
			}
		}
	}
	return nil
}

func membershipOf(ev *matrix.Event) string {
	var content struct {
		Membership string `json:"membership"`
	}
	if json.Unmarshal(ev.Content, &content) != nil {
		return ""
	}
	return content.Membership
}

// roomEvent takes one event of a group's room, at its place.
func (s *session) roomEvent(ctx context.Context, g *mapping.Group, ev *matrix.Event, place mapping.Place) error {
	if ev.IsState() {
		s.b.hs.UpdateState(ctx, *ev)
	}
	switch {
	case ev.Type == "m.room.member" && ev.StateKey != nil:
		return s.memberEvent(ctx, g, ev, place.Pos)
	case ev.Type == "m.room.tombstone" && ev.StateKey != nil && *ev.StateKey == "":
		return s.tombstone(ctx, g, ev)
	case ev.Type == "m.room.power_levels" && ev.StateKey != nil && *ev.StateKey == "":
		s.work = true // the bot may have got the right to invite
		return s.b.own.ReleaseRoomTasks(ctx, ev.RoomID, s.now)
	case ev.Type == redactionType && ev.StateKey == nil && ev.Redacts != "":
		return s.redaction(ctx, g, ev, place.Pos)
	case s.b.isCommand(ev):
		s.command(ev)
	case s.b.isMessage(ev):
		return s.messageEvent(ctx, g, ev, place)
	case ev.StateKey == nil && ev.RelType == "m.replace" && ev.RelatesTo != "":
		return s.editAtTencent(ctx, g, ev, place.Pos)
	}
	return nil
}

// isMessage tells whether an event is something that is read and gets a number: not what we say ourselves, nor what is said to us.
func (b *Bridge) isMessage(ev *matrix.Event) bool {
	return !ev.IsState() && mapping.Countable(ev.Type, ev.Content) && !b.ownBot(ev.Sender) && !b.isCommand(ev)
}

// command has the bot do what it was told, after the commit.
func (s *session) command(ev *matrix.Event) {
	told := *ev
	s.after = append(s.after, func() { s.b.command(told) })
}
