package receiptsdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// MaxParked is how many receipts are parked for one user in one room. When one
// more comes, one goes: of those of the same thread, as far as that is told, all
// but the newest before any newest, and the oldest first. The newest of each thread
// is what stands by /sync, so what goes has mostly been replaced by it; and pushed
// receipts, which do not tell their thread, take no place away from those that do.
const MaxParked = 64

// Parked is a Matrix receipt whose event is not known yet. It waits for the event.
type Parked struct {
	RoomID, UserID, EventID string
	// ThreadID is the receipt's thread_id. HasThread tells a receipt that had one.
	ThreadID  string
	HasThread bool
	// Since is when it came, to the millisecond, rounded down; it comes back in UTC.
	Since time.Time
}

const parkedColumns = "room_id, user_id, event_id, thread_id, has_thread, since_ms"

// Park keeps receipts. One that is parked already stays as it is, with its first
// Since. There are never more than [MaxParked] of one user in one room.
func (s *Store) Park(ctx context.Context, ps ...Parked) error {
	if len(ps) == 0 {
		return nil
	}
	err := s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		type owner struct{ room, user string }
		owners := make(map[owner]struct{})
		for chunk := range slices.Chunk(ps, maxParams/6) {
			args := make([]any, 0, len(chunk)*6)
			for _, p := range chunk {
				args = append(args, p.RoomID, p.UserID, p.EventID, p.ThreadID, p.HasThread, p.Since.UnixMilli())
				owners[owner{p.RoomID, p.UserID}] = struct{}{}
			}
			_, err := s.db.Exec(ctx, "INSERT INTO tim_parked ("+parkedColumns+") VALUES "+
				placeholders(len(chunk), 6, 0)+" ON CONFLICT DO NOTHING", args...)
			if err != nil {
				return err
			}
		}
		for o := range owners {
			_, err := s.db.Exec(ctx, `DELETE FROM tim_parked WHERE room_id=$1 AND user_id=$2
				AND (event_id, thread_id, has_thread) IN (
					SELECT event_id, thread_id, has_thread FROM (
						SELECT event_id, thread_id, has_thread, since_ms,
							ROW_NUMBER() OVER (PARTITION BY thread_id, has_thread ORDER BY since_ms DESC, event_id) AS age
						FROM tim_parked WHERE room_id=$1 AND user_id=$2
					) AS aged
					ORDER BY age > 1, since_ms DESC, age, event_id, thread_id, has_thread LIMIT 1000000 OFFSET $3)`, o.room, o.user, MaxParked)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("failed to park receipts: %w", err)
	}
	return nil
}

// ParkedFor returns the receipts that wait for one of the given events, the
// oldest first for each event.
func (s *Store) ParkedFor(ctx context.Context, eventIDs []string) ([]Parked, error) {
	var found []Parked
	sorted := slices.Compact(slices.Sorted(slices.Values(eventIDs)))
	for chunk := range slices.Chunk(sorted, maxParams) {
		condition, args := in(s, nil, chunk)
		ps, err := s.parked(ctx, "event_id"+condition+" ORDER BY event_id, since_ms, room_id, user_id", args...)
		if err != nil {
			return nil, err
		}
		found = append(found, ps...)
	}
	return found, nil
}

// ParkedOlder returns at most limit receipts that came before the given time, the
// oldest first.
func (s *Store) ParkedOlder(ctx context.Context, before time.Time, limit int) ([]Parked, error) {
	return s.parked(ctx, "since_ms<$1 ORDER BY since_ms, room_id, user_id, event_id LIMIT $2", before.UnixMilli(), max(limit, 0))
}

// Unpark removes parked receipts; Since does not matter, and those that are not
// there neither.
func (s *Store) Unpark(ctx context.Context, ps ...Parked) error {
	for chunk := range slices.Chunk(ps, maxParams/5) {
		args := make([]any, 0, len(chunk)*5)
		var where strings.Builder
		for i, p := range chunk {
			if i > 0 {
				where.WriteString(" OR ")
			}
			n := i * 5
			fmt.Fprintf(&where, "(room_id=$%d AND user_id=$%d AND event_id=$%d AND thread_id=$%d AND has_thread=$%d)", n+1, n+2, n+3, n+4, n+5)
			args = append(args, p.RoomID, p.UserID, p.EventID, p.ThreadID, p.HasThread)
		}
		_, err := s.db.Exec(ctx, "DELETE FROM tim_parked WHERE "+where.String(), args...)
		if err != nil {
			return fmt.Errorf("failed to remove parked receipts: %w", err)
		}
	}
	return nil
}

// DropParked removes the receipts that came before the given time and returns how
// many there were.
func (s *Store) DropParked(ctx context.Context, before time.Time) (int, error) {
	result, err := s.db.Exec(ctx, "DELETE FROM tim_parked WHERE since_ms<$1", before.UnixMilli())
	if err != nil {
		return 0, fmt.Errorf("failed to drop old parked receipts: %w", err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("failed to count dropped parked receipts: %w", err)
	}
	return int(n), nil
}

func (s *Store) parked(ctx context.Context, where string, args ...any) (ps []Parked, err error) {
	defer func() {
		if err != nil {
			ps, err = nil, fmt.Errorf("failed to read parked receipts: %w", err)
		}
	}()
	found, err := s.db.Query(ctx, "SELECT "+parkedColumns+" FROM tim_parked WHERE "+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for found.Next() {
		var p Parked
		var since int64
		if err = found.Scan(&p.RoomID, &p.UserID, &p.EventID, &p.ThreadID, &p.HasThread, &since); err != nil {
			return nil, err
		}
		p.Since = time.UnixMilli(since).UTC()
		ps = append(ps, p)
	}
	return ps, found.Err()
}
