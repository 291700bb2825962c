package bridgedb

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"
)

// maxIn is how many keys one look-up takes.
const maxIn = 500

// PutEarlyRedaction keeps that an event of the room is redacted which is not known yet.
func (s *Store) PutEarlyRedaction(ctx context.Context, room id.RoomID, event id.EventID, at time.Time) error {
	_, err := s.db.Exec(ctx, "INSERT INTO tim_early_redaction (event_id, room_id, at) VALUES ($1, $2, $3) ON CONFLICT (event_id) DO NOTHING",
		event, room, at.UnixMilli())
	if err != nil {
		return fmt.Errorf("failed to insert early redaction: %w", err)
	}
	return nil
}

// EarlyRedactions returns those of the events whose redaction came first, in the same room.
func (s *Store) EarlyRedactions(ctx context.Context, room id.RoomID, events []id.EventID) ([]id.EventID, error) {
	var all []id.EventID
	for chunk := range slices.Chunk(events, maxIn) {
		args := []any{room}
		var in strings.Builder
		for i, ev := range chunk {
			if i > 0 {
				in.WriteByte(',')
			}
			args = append(args, ev)
			in.WriteString("$" + strconv.Itoa(len(args)))
		}
		list, err := dbutil.ConvertRowFn[id.EventID](dbutil.ScanSingleColumn[id.EventID]).NewRowIter(s.db.Query(ctx,
			"SELECT event_id FROM tim_early_redaction WHERE room_id=$1 AND event_id IN ("+in.String()+")", args...)).AsList()
		if err != nil {
			return nil, fmt.Errorf("failed to look up early redactions: %w", err)
		}
		all = append(all, list...)
	}
	return all, nil
}

// DropEarlyRedactions forgets those that came before the given time.
func (s *Store) DropEarlyRedactions(ctx context.Context, before time.Time) error {
	if _, err := s.db.Exec(ctx, "DELETE FROM tim_early_redaction WHERE at<$1", before.UnixMilli()); err != nil {
		return fmt.Errorf("failed to drop early redactions: %w", err)
	}
	return nil
}
