package bridgedb

import (
	"context"
	"fmt"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
)

// HasOutgoing tells whether something of a user's waits to be sent to a room.
func (s *Store) HasOutgoing(ctx context.Context, room id.RoomID, user mapping.UserKey) (has bool, err error) {
	err = s.db.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM tim_outbox WHERE room_id=$1 AND user_key=$2)", room, user).Scan(&has)
	if err != nil {
		return false, fmt.Errorf("failed to look for outgoing messages of user: %w", err)
	}
	return has, nil
}
