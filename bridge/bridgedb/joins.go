package bridgedb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/receipts"
)

// Join is the place of a Matrix user's account in a Tencent group: whether he should be a member and whether he is.
type Join struct {
	Group          receipts.GroupKey
	User           receipts.UserKey
	Wanted, Joined bool
	Due            time.Time // the zero time: nothing has to be done
	Attempts       int
}

const joinColumns = "group_key, user_key, wanted, joined, due, attempts"

func scanJoin(row dbutil.Scannable) (j Join, err error) {
	var due *int64
	err = row.Scan(&j.Group, &j.User, &j.Wanted, &j.Joined, &due, &j.Attempts)
	if due != nil {
		j.Due = time.UnixMilli(*due)
	}
	return j, err
}

// JoinOf returns the place of an account in a group; the zero value for one that never had any.
func (s *Store) JoinOf(ctx context.Context, group receipts.GroupKey, user receipts.UserKey) (Join, error) {
	j, err := scanJoin(s.db.QueryRow(ctx, "SELECT "+joinColumns+" FROM tim_join WHERE group_key=$1 AND user_key=$2", group, user))
	if errors.Is(err, sql.ErrNoRows) {
		return Join{Group: group, User: user}, nil
	} else if err != nil {
		return j, fmt.Errorf("failed to read place in group: %w", err)
	}
	return j, nil
}

// JoinsOf lists the accounts that have, or should have, a place in a group.
func (s *Store) JoinsOf(ctx context.Context, group receipts.GroupKey) ([]Join, error) {
	return s.joins(ctx, "FROM tim_join WHERE group_key=$1 ORDER BY user_key", group)
}

// DueJoins lists what is due by now, the longest due first, of each group at most perGroup: a large one keeps no other waiting.
func (s *Store) DueJoins(ctx context.Context, now time.Time, perGroup, limit int) ([]Join, error) {
	return s.joins(ctx, `FROM (
		SELECT *, ROW_NUMBER() OVER (PARTITION BY group_key ORDER BY due, user_key) AS place FROM tim_join WHERE due <= $1
	) AS first WHERE place <= $2 ORDER BY due, group_key, user_key LIMIT $3`, now.UnixMilli(), perGroup, limit)
}

func (s *Store) joins(ctx context.Context, from string, args ...any) ([]Join, error) {
	list, err := dbutil.ConvertRowFn[Join](scanJoin).NewRowIter(s.db.Query(ctx, "SELECT "+joinColumns+" "+from, args...)).AsList()
	if err != nil {
		return nil, fmt.Errorf("failed to list places in groups: %w", err)
	}
	return list, nil
}

// NextJoin is when the next one is due; ok is false when there is none.
func (s *Store) NextJoin(ctx context.Context) (next time.Time, ok bool, err error) {
	return s.nextDue(ctx, "SELECT MIN(due) FROM tim_join WHERE due IS NOT NULL")
}

// PutJoin writes a place as it is now; one that is neither wanted nor taken is none.
func (s *Store) PutJoin(ctx context.Context, j Join) error {
	if !j.Wanted && !j.Joined {
		if _, err := s.db.Exec(ctx, "DELETE FROM tim_join WHERE group_key=$1 AND user_key=$2", j.Group, j.User); err != nil {
			return fmt.Errorf("failed to drop place in group: %w", err)
		}
		return nil
	}
	var due *int64
	if !j.Due.IsZero() {
		ms := j.Due.UnixMilli()
		due = &ms
	}
	_, err := s.db.Exec(ctx, "INSERT INTO tim_join ("+joinColumns+`) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (group_key, user_key) DO UPDATE SET wanted=excluded.wanted, joined=excluded.joined, due=excluded.due, attempts=excluded.attempts`,
		j.Group, j.User, j.Wanted, j.Joined, due, j.Attempts)
	if err != nil {
		return fmt.Errorf("failed to write place in group: %w", err)
	}
	return nil
}

// ReleaseJoins makes what is due later in a group due now, in all groups if it is 0.
func (s *Store) ReleaseJoins(ctx context.Context, group receipts.GroupKey, now time.Time) error {
	_, err := s.db.Exec(ctx, "UPDATE tim_join SET due=$2 WHERE (group_key=$1 OR $1=0) AND due>$2", group, now.UnixMilli())
	if err != nil {
		return fmt.Errorf("failed to release places in group: %w", err)
	}
	return nil
}
