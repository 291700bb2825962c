package bridgedb

import (
	"context"
	"fmt"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// HasOutgoing tells whether something of a user's waits to be sent to a room.
func (s *Store) HasOutgoing(ctx context.Context, room id.RoomID, user mapping.UserKey) (has bool, err error) {
	err = s.db.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM tim_outbox WHERE room_id=$1 AND user_key=$2)", room, user).Scan(&has)
	if err != nil {
		return false, fmt.Errorf("failed to look for outgoing messages of user: %w", err)
	}
	return has, nil
}

// HasEarlierEdit tells whether an edit of an event is on its way to Tencent that was made at a lower place than pos.
func (s *Store) HasEarlierEdit(ctx context.Context, target id.EventID, pos receipts.Pos) (has bool, err error) {
	err = s.db.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM tim_relay WHERE kind=$1 AND target=$2 AND pos<$3)", string(RelayEdit), target, pos).Scan(&has)
	if err != nil {
		return false, fmt.Errorf("failed to look for earlier edits: %w", err)
	}
	return has, nil
}
