package receiptsdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/timbridge/timbridge/receipts"
)

// Callback says that the counts of a message have changed and its sender is to be
// told. There is one for each message at most: the counts are computed when it is
// told, so the latest change is all that matters.
type Callback struct {
	// User is the sender of the message.
	User  receipts.UserKey
	Group receipts.GroupKey
	Seq   receipts.MsgSeq
	// Cursor is the place in the order of all changes; it should be of this
	// callback alone.
	Cursor int64
	// At is when it changed, to the millisecond, rounded down; it comes back in UTC.
	At time.Time
}

// PutCallbacks keeps callbacks. One for the same message is replaced if its
// Cursor is lower; a cursor never moves down.
func (s *Store) PutCallbacks(ctx context.Context, cs []Callback) error {
	if len(cs) == 0 {
		return nil
	}
	sorted := slices.Clone(cs)
	slices.SortFunc(sorted, func(a, b Callback) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Seq, b.Seq), cmp.Compare(b.Cursor, a.Cursor))
	})
	sorted = slices.CompactFunc(sorted, func(a, b Callback) bool {
		return a.User == b.User && a.Group == b.Group && a.Seq == b.Seq // the first has the highest cursor
	})
	err := s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		for chunk := range slices.Chunk(sorted, maxParams/5) {
			args := make([]any, 0, len(chunk)*5)
			for _, c := range chunk {
				if c.Seq > math.MaxInt64 {
					return fmt.Errorf("message %d of group %d is out of range", c.Seq, c.Group)
				}
				args = append(args, int64(c.User), int64(c.Group), int64(c.Seq), c.Cursor, c.At.UnixMilli())
			}
			_, err := s.db.Exec(ctx, "INSERT INTO tim_callback (user_key, group_key, seq, cursor, at_ms) VALUES "+
				placeholders(len(chunk), 5, 0)+" ON CONFLICT (user_key, group_key, seq) DO UPDATE"+
				" SET cursor=excluded.cursor, at_ms=excluded.at_ms WHERE excluded.cursor>tim_callback.cursor", args...)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("failed to keep callbacks: %w", err)
	}
	return nil
}

// Callbacks returns at most limit callbacks of a user with a cursor above after,
// in order of Cursor.
func (s *Store) Callbacks(ctx context.Context, user receipts.UserKey, after int64, limit int) ([]Callback, error) {
	return s.callbacks(ctx, " WHERE user_key=$3 AND cursor>$1 ORDER BY cursor, group_key, seq LIMIT $2", after, max(limit, 0), int64(user))
}

// AllCallbacks returns at most limit callbacks of all users with a cursor above
// after, in order of Cursor.
func (s *Store) AllCallbacks(ctx context.Context, after int64, limit int) ([]Callback, error) {
	return s.callbacks(ctx, " WHERE cursor>$1 ORDER BY cursor LIMIT $2", after, max(limit, 0))
}

func (s *Store) callbacks(ctx context.Context, where string, args ...any) (cs []Callback, err error) {
	defer func() {
		if err != nil {
			cs, err = nil, fmt.Errorf("failed to read callbacks: %w", err)
		}
	}()
	found, err := s.db.Query(ctx, "SELECT user_key, group_key, seq, cursor, at_ms FROM tim_callback"+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for found.Next() {
		var c Callback
		var at int64
		if err = found.Scan(&c.User, &c.Group, &c.Seq, &c.Cursor, &at); err != nil {
			return nil, err
		}
		c.At = time.UnixMilli(at).UTC()
		cs = append(cs, c)
	}
	return cs, found.Err()
}

// DropCallbacks removes the callbacks of changes before the given time, and returns the highest cursor among them (0 for none).
func (s *Store) DropCallbacks(ctx context.Context, before time.Time) (highest int64, err error) {
	var dropped *int64
	if err = s.db.QueryRow(ctx, "SELECT max(cursor) FROM tim_callback WHERE at_ms<$1", before.UnixMilli()).Scan(&dropped); err != nil {
		return 0, fmt.Errorf("failed to find old callbacks: %w", err)
	} else if dropped == nil {
		return 0, nil
	}
	if _, err = s.db.Exec(ctx, "DELETE FROM tim_callback WHERE at_ms<$1", before.UnixMilli()); err != nil {
		return 0, fmt.Errorf("failed to drop old callbacks: %w", err)
	}
	return *dropped, nil
}
