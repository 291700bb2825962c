package bridgedb

import (
	"context"
	"fmt"
	"time"
)

// releaseWithin is the time over which what has failed before is spread when it is released. Of many at the very same time the first
// could only be found by sorting them all.
const releaseWithin = 3 * time.Second

// Release makes everything due that is due later: what the process before us had under way, at once; what was put off after an attempt,
// within 3 s. Call it where it does no harm that something is listed as due while it is under way.
func (s *Store) Release(ctx context.Context, now time.Time) error {
	for _, table := range []string{"tim_outbox", "tim_room_task", "tim_relay", "tim_join"} {
		_, err := s.db.Exec(ctx, "UPDATE "+table+" SET due=$1 + CASE WHEN attempts > 0 THEN due % $2 ELSE 0 END WHERE due > $1",
			now.UnixMilli(), releaseWithin.Milliseconds())
		if err != nil {
			return fmt.Errorf("failed to release %s: %w", table, err)
		}
	}
	return nil
}
