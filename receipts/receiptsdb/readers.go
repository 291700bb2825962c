package receiptsdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/timbridge/timbridge/receipts"
)

// Readers returns the rows of the given users in a group. A user without one gets
// an empty row, so the map has every user asked for.
func (s *Store) Readers(ctx context.Context, group receipts.GroupKey, users []receipts.UserKey) (map[receipts.UserKey]Row, error) {
	found := make(map[receipts.UserKey]Row, len(users))
	sorted := slices.Compact(slices.Sorted(slices.Values(users)))
	for chunk := range slices.Chunk(sorted, maxParams-1) {
		for _, user := range chunk {
			found[user] = Row{Group: group, User: user}
		}
		condition, args := in(s, []any{int64(group)}, chunk)
		err := s.each(ctx, func(row Row) { found[row.User] = row },
			"SELECT "+columns+" FROM tim_reader WHERE group_key=$1 AND user_key"+condition, args...)
		if err != nil {
			return nil, fmt.Errorf("failed to read readers of group %d: %w", group, err)
		}
	}
	return found, nil
}

// AllReaders returns the rows of all readers of a group that have one, by user.
func (s *Store) AllReaders(ctx context.Context, group receipts.GroupKey) ([]Row, error) {
	rows, err := s.list(ctx, "SELECT "+columns+" FROM tim_reader WHERE group_key=$1 ORDER BY user_key", int64(group))
	if err != nil {
		return nil, fmt.Errorf("failed to read readers of group %d: %w", group, err)
	}
	return rows, nil
}

// ReadersClaiming returns the readers of a group, by user, for whom something at
// pos is news: those with a claim at or above it and those whose frontier has
// passed it. Whether a claim covers pos is for receipts.Claims.Covers to say.
func (s *Store) ReadersClaiming(ctx context.Context, group receipts.GroupKey, pos receipts.Pos) ([]Row, error) {
	rows, err := s.list(ctx, "SELECT "+columns+
		" FROM tim_reader WHERE group_key=$1 AND (claim_max>=$2 OR frontier>=$2) ORDER BY user_key", int64(group), int64(pos))
	if err != nil {
		return nil, fmt.Errorf("failed to read claiming readers of group %d: %w", group, err)
	}
	return rows, nil
}

// upsert is what stands after VALUES (…): every column that values does not have
// in the key.
const (
	insert = "INSERT INTO tim_reader (group_key, user_key, read_set, tencent_set, claims, claim_max," +
		" latest, frontier, solid, shown, sent, due, attempts, ack_due, ack_attempts) VALUES "
	upsert = " ON CONFLICT (group_key, user_key) DO UPDATE SET read_set=excluded.read_set, tencent_set=excluded.tencent_set," +
		" claims=excluded.claims, claim_max=excluded.claim_max, latest=excluded.latest, frontier=excluded.frontier," +
		" solid=excluded.solid, shown=excluded.shown, sent=excluded.sent, due=excluded.due, attempts=excluded.attempts," +
		" ack_due=excluded.ack_due, ack_attempts=excluded.ack_attempts"
)

// Save writes rows, new ones and known ones, in the order of (group, user), so
// that two who save the same rows do not wait for each other crosswise. It writes
// all or, on an error, nothing. The same reader twice is an error.
func (s *Store) Save(ctx context.Context, rows []Row) error {
	if len(rows) == 0 {
		return nil
	}
	sorted := make([]*Row, len(rows))
	for i := range rows {
		sorted[i] = &rows[i]
	}
	slices.SortFunc(sorted, func(a, b *Row) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.User, b.User))
	})
	for i := 1; i < len(sorted); i++ {
		if a, b := sorted[i-1], sorted[i]; a.Group == b.Group && a.User == b.User {
			return fmt.Errorf("failed to save readers: %w", &RowError{a.Group, a.User, errors.New("given twice")})
		}
	}
	write := func(ctx context.Context) error {
		for chunk := range slices.Chunk(sorted, maxParams/rowWidth) {
			args := make([]any, 0, len(chunk)*rowWidth)
			var err error
			for _, row := range chunk {
				if args, err = row.values(args); err != nil {
					return err
				}
			}
			if _, err = s.db.Exec(ctx, insert+placeholders(len(chunk), rowWidth, 0)+upsert, args...); err != nil {
				return err
			}
		}
		return nil
	}
	var err error
	if len(sorted) <= maxParams/rowWidth {
		err = write(ctx) // one statement is a transaction by itself
	} else {
		err = s.db.DoTxn(ctx, nil, write)
	}
	if err != nil {
		return fmt.Errorf("failed to save %d readers: %w", len(rows), err)
	}
	return nil
}

// Due returns at most limit rows that are due at now, the longest due first.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) ([]Row, error) {
	return s.dueBy(ctx, "due", now, limit)
}

// DueAcks is Due for what Tencent Cloud has yet to be told.
func (s *Store) DueAcks(ctx context.Context, now time.Time, limit int) ([]Row, error) {
	return s.dueBy(ctx, "ack_due", now, limit)
}

func (s *Store) dueBy(ctx context.Context, column string, now time.Time, limit int) ([]Row, error) {
	rows, err := s.list(ctx, "SELECT "+columns+" FROM tim_reader WHERE "+column+"<=$1 ORDER BY "+column+", group_key, user_key LIMIT $2",
		now.UnixMilli(), max(limit, 0))
	if err != nil {
		return nil, fmt.Errorf("failed to read due readers: %w", err)
	}
	return rows, nil
}

// Release makes everything that is due later due now: what the process before us had under way, or put off, is looked at again. What was
// parked by a clock that was ahead has come now. Call it where it does no harm that something is listed as due while it is under way.
func (s *Store) Release(ctx context.Context, now time.Time) error {
	for _, column := range []string{"due", "ack_due"} {
		if _, err := s.db.Exec(ctx, "UPDATE tim_reader SET "+column+"=$1 WHERE "+column+">$1", now.UnixMilli()); err != nil {
			return fmt.Errorf("failed to release readers: %w", err)
		}
	}
	if _, err := s.db.Exec(ctx, "UPDATE tim_parked SET since_ms=$1 WHERE since_ms>$1", now.UnixMilli()); err != nil {
		return fmt.Errorf("failed to release parked receipts: %w", err)
	}
	return nil
}

// Shelve makes that a row is not due any more, whether it can be read or not. A
// damaged one would be listed first for ever, in front of those that are sound.
func (s *Store) Shelve(ctx context.Context, group receipts.GroupKey, user receipts.UserKey) error {
	_, err := s.db.Exec(ctx, "UPDATE tim_reader SET due=NULL, ack_due=NULL WHERE group_key=$1 AND user_key=$2", int64(group), int64(user))
	if err != nil {
		return fmt.Errorf("failed to put reader aside: %w", err)
	}
	return nil
}

// ReleaseAcks makes all readers of a group due of whom Tencent Cloud does not have everything: what stood in the way may be gone.
func (s *Store) ReleaseAcks(ctx context.Context, group receipts.GroupKey, now time.Time) error {
	_, err := s.db.Exec(ctx, "UPDATE tim_reader SET ack_due=$2 WHERE group_key=$1 AND tencent_set IS NOT NULL", int64(group), now.UnixMilli())
	if err != nil {
		return fmt.Errorf("failed to release readers of group %d: %w", group, err)
	}
	return nil
}

// NextDue returns when the first row is due, which may be past, and false if none
// ever is.
func (s *Store) NextDue(ctx context.Context) (time.Time, bool, error) {
	return s.nextBy(ctx, "due")
}

// NextAck is NextDue for what Tencent Cloud has yet to be told.
func (s *Store) NextAck(ctx context.Context) (time.Time, bool, error) {
	return s.nextBy(ctx, "ack_due")
}

func (s *Store) nextBy(ctx context.Context, column string) (time.Time, bool, error) {
	var due *int64
	if err := s.db.QueryRow(ctx, "SELECT min("+column+") FROM tim_reader WHERE "+column+" IS NOT NULL").Scan(&due); err != nil {
		return time.Time{}, false, fmt.Errorf("failed to read next due time: %w", err)
	}
	return fromMillis(due), due != nil, nil
}

// Pending returns how much is on its way to Matrix and to Tencent Cloud: due by soon, or put off after a try. The rest waits for
// time to pass.
func (s *Store) Pending(ctx context.Context, soon time.Time) (int, error) {
	var markers, acks int
	err := s.db.QueryRow(ctx, "SELECT (SELECT count(*) FROM tim_reader WHERE due IS NOT NULL AND (due<=$1 OR attempts>0)),"+
		" (SELECT count(*) FROM tim_reader WHERE ack_due IS NOT NULL AND (ack_due<=$1 OR ack_attempts>0))", soon.UnixMilli()).Scan(&markers, &acks)
	if err != nil {
		return 0, fmt.Errorf("failed to count due readers: %w", err)
	}
	return markers + acks, nil
}

// ResetRoom forgets everything about places in a room for all readers of a group,
// because the group is leaving the room: claims, markers and frontier, and what
// was due for Matrix. What has been read, and what Tencent has of it, stays.
func (s *Store) ResetRoom(ctx context.Context, group receipts.GroupKey) error {
	_, err := s.db.Exec(ctx, "UPDATE tim_reader SET claims=NULL, claim_max=0, latest=0, frontier=0, solid=0, shown=0, sent=0,"+
		" due=NULL, attempts=0 WHERE group_key=$1", int64(group))
	if err != nil {
		return fmt.Errorf("failed to reset room of readers of group %d: %w", group, err)
	}
	return nil
}

func (s *Store) list(ctx context.Context, query string, args ...any) (rows []Row, err error) {
	err = s.each(ctx, func(row Row) { rows = append(rows, row) }, query, args...)
	return rows, err
}

// each calls fn with each row that a query finds, damaged ones too.
func (s *Store) each(ctx context.Context, fn func(Row), query string, args ...any) (err error) {
	found, err := s.db.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	var t scratch
	for found.Next() {
		row, err := t.scan(found)
		if err != nil {
			return err
		}
		fn(row)
	}
	return found.Err()
}
