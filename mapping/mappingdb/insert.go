package mappingdb

import (
	"context"
	"fmt"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// Insert gives an event that has none the place right before another event of its
// room, as the homeserver says where it stands and has not handed it over: it gets
// that event's place, and all from there on are one higher, those at which members
// joined and left and at which the group was linked too. Who keeps places elsewhere
// has to move them as well. It returns the event's place. It is an error if the
// event has one, or is known from another room.
func (s *Store) Insert(ctx context.Context, roomID id.RoomID, ev mapping.NewEvent, before receipts.Pos) (place mapping.Place, err error) {
	if err = mapping.ValidateEventID(ev.EventID); err != nil {
		return place, err
	}
	err = s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		room, err := s.lockRoom(ctx, roomID)
		if err != nil {
			return err
		}
		places, err := s.Places(ctx, []id.EventID{ev.EventID})
		if err != nil {
			return err
		} else if !needsPlace(places, ev.EventID, roomID) || before < 1 || before > room.last {
			return fmt.Errorf("%w place %d for event %s", mapping.ErrInvalid, before, ev.EventID)
		}
		for _, query := range []string{
			// Below zero first: no two may have the same place in between.
			`UPDATE tim_message SET pos = -pos - 1 WHERE room_key = $1 AND pos >= $2`,
			`UPDATE tim_message SET pos = -pos WHERE room_key = $1 AND pos < 0 AND pos + $2 < 0`,
			`UPDATE tim_anchor SET pos = pos + 1 WHERE room_key = $1 AND pos >= $2`,
			`UPDATE tim_group SET linked_pos = linked_pos + 1 WHERE room_key = $1 AND linked_pos >= $2`,
			`UPDATE tim_member SET joined_pos = joined_pos + 1 WHERE group_key IN (SELECT group_key FROM tim_group WHERE room_key = $1) AND joined_pos >= $2`,
			`UPDATE tim_member SET left_pos = left_pos + 1 WHERE group_key IN (SELECT group_key FROM tim_group WHERE room_key = $1) AND left_pos >= $2`,
		} {
			if _, err = s.db.Exec(ctx, query, room.key, before); err != nil {
				return err
			}
		}
		last := room.last
		room.last = before - 1
		if err = s.placeNext(ctx, roomID, &room, []mapping.NewEvent{ev}, places); err != nil {
			return err
		}
		place, room.last = places[ev.EventID], last+1
		return s.saveRoom(ctx, room)
	})
	if err != nil {
		return place, fmt.Errorf("failed to insert event: %w", err)
	}
	return place, nil
}
