package bridgedb

import (
	"context"
	"fmt"
	"time"

	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/receipts"
)

// FeedEntry is a new message, kept for some days for apps that were away.
type FeedEntry struct {
	Cursor int64
	Group  receipts.GroupKey
	Seq    receipts.MsgSeq
	At     time.Time
	Body   string // JSON as the app gets it
}

func scanFeedEntry(row dbutil.Scannable) (e FeedEntry, err error) {
	var at int64
	err = row.Scan(&e.Cursor, &e.Group, &e.Seq, &at, &e.Body)
	e.At = time.UnixMilli(at)
	return e, err
}

// PutFeed adds a new message. The cursor must be higher than every one before.
func (s *Store) PutFeed(ctx context.Context, e FeedEntry) error {
	_, err := s.db.Exec(ctx, "INSERT INTO tim_feed (cursor, group_key, seq, at, body) VALUES ($1, $2, $3, $4, $5)",
		e.Cursor, e.Group, e.Seq, e.At.UnixMilli(), e.Body)
	if err != nil {
		return fmt.Errorf("failed to insert new message: %w", err)
	}
	return nil
}

// Feed lists a group's new messages after the cursor, in order.
func (s *Store) Feed(ctx context.Context, group receipts.GroupKey, after int64, limit int) ([]FeedEntry, error) {
	list, err := dbutil.ConvertRowFn[FeedEntry](scanFeedEntry).NewRowIter(s.db.Query(ctx,
		"SELECT cursor, group_key, seq, at, body FROM tim_feed WHERE group_key=$1 AND cursor>$2 ORDER BY cursor LIMIT $3", group, after, limit)).AsList()
	if err != nil {
		return nil, fmt.Errorf("failed to list new messages: %w", err)
	}
	return list, nil
}

// DropFeed forgets messages older than before and returns the highest cursor dropped (0 for none).
func (s *Store) DropFeed(ctx context.Context, before time.Time) (int64, error) {
	var highest *int64
	if err := s.db.QueryRow(ctx, "SELECT MAX(cursor) FROM tim_feed WHERE at<$1", before.UnixMilli()).Scan(&highest); err != nil {
		return 0, fmt.Errorf("failed to find old messages: %w", err)
	} else if highest == nil {
		return 0, nil
	}
	if _, err := s.db.Exec(ctx, "DELETE FROM tim_feed WHERE at<$1", before.UnixMilli()); err != nil {
		return 0, fmt.Errorf("failed to drop old messages: %w", err)
	}
	return *highest, nil
}
