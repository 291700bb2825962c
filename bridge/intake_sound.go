package bridge

import (
	"context"
	"errors"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/mapping"
)

// This file keeps out what can never be stored. A transaction that fails is sent again for ever, and everything behind it waits, so
// one odd event of one member, or one receipt of a remote server, must not fail it. IDs are chosen by remote servers and thread roots
// by whoever writes an event: neither has to be what the mapping takes for an ID.

// soundEvents returns the events that can be stored. A relation to nonsense is none.
func soundEvents(ctx context.Context, events []matrix.Event) []matrix.Event {
	sound := make([]matrix.Event, 0, len(events))
	for _, ev := range events {
		err := errors.Join(mapping.ValidateEventID(ev.ID), mapping.ValidateRoomID(ev.RoomID), mapping.ValidateMXID(ev.Sender))
		if err == nil && ev.Type == "m.room.member" && ev.StateKey != nil {
			err = mapping.ValidateMXID(id.UserID(*ev.StateKey))
		}
		if err != nil {
			zerolog.Ctx(ctx).Warn().Err(err).Str("type", ev.Type).Msg("Ignoring event with an ID that is none")
			continue
		}
		if mapping.ValidateEventID(ev.RelatesTo) != nil {
			ev.RelType, ev.RelatesTo, ev.ThreadRoot = "", "", ""
		}
		if mapping.ValidateEventID(ev.Redacts) != nil {
			ev.Redacts = ""
		}
		sound = append(sound, ev)
	}
	return sound
}

// soundReceipts returns the receipts that can be stored.
func soundReceipts(ctx context.Context, rs []matrix.Receipt) []matrix.Receipt {
	sound := make([]matrix.Receipt, 0, len(rs))
	for _, r := range rs {
		err := errors.Join(mapping.ValidateEventID(r.EventID), mapping.ValidateRoomID(r.RoomID), mapping.ValidateMXID(r.UserID))
		if err == nil && r.ThreadID != "" && r.ThreadID != "main" {
			err = mapping.ValidateEventID(id.EventID(r.ThreadID))
		}
		if err != nil {
			zerolog.Ctx(ctx).Warn().Err(err).Msg("Ignoring receipt with an ID that is none")
			continue
		}
		sound = append(sound, r)
	}
	return sound
}

// refusedForGood tells that trying again can never help: the store refused what an input says, before it wrote anything of it.
func refusedForGood(err error) bool {
	return isConflict(err) || isNotFound(err) || errors.Is(err, mapping.ErrInvalid)
}
