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

// Pause says that Tencent takes no receipts of a group for now.
type Pause struct {
	Group receipts.GroupKey
	Code  receipts.Code // why
	Since time.Time
	Until time.Time // when it is tried again
}

// PauseOf returns whether a group is paused.
func (s *Store) PauseOf(ctx context.Context, group receipts.GroupKey) (p Pause, ok bool, err error) {
	var since, until int64
	p.Group = group
	err = s.db.QueryRow(ctx, "SELECT code, since, until FROM tim_pause WHERE group_key=$1", group).Scan(&p.Code, &since, &until)
	if errors.Is(err, sql.ErrNoRows) {
		return Pause{}, false, nil
	} else if err != nil {
		return Pause{}, false, fmt.Errorf("failed to read pause of group: %w", err)
	}
	p.Since, p.Until = time.UnixMilli(since), time.UnixMilli(until)
	return p, true, nil
}

// PutPause pauses a group, or moves the next try; the first Since stays.
func (s *Store) PutPause(ctx context.Context, p Pause) error {
	_, err := s.db.Exec(ctx, `INSERT INTO tim_pause (group_key, code, since, until) VALUES ($1, $2, $3, $4)
		ON CONFLICT (group_key) DO UPDATE SET code=excluded.code, until=excluded.until`, p.Group, p.Code, p.Since.UnixMilli(), p.Until.UnixMilli())
	if err != nil {
		return fmt.Errorf("failed to pause group: %w", err)
	}
	return nil
}

// DropPause ends a pause.
func (s *Store) DropPause(ctx context.Context, group receipts.GroupKey) error {
	if _, err := s.db.Exec(ctx, "DELETE FROM tim_pause WHERE group_key=$1", group); err != nil {
		return fmt.Errorf("failed to end pause of group: %w", err)
	}
	return nil
}

// SetPrivate says whether a user's receipts shall not cross.
func (s *Store) SetPrivate(ctx context.Context, user receipts.UserKey, private bool) error {
	query := "DELETE FROM tim_private WHERE user_key=$1"
	if private {
		query = "INSERT INTO tim_private (user_key) VALUES ($1) ON CONFLICT (user_key) DO NOTHING"
	}
	if _, err := s.db.Exec(ctx, query, user); err != nil {
		return fmt.Errorf("failed to write a user's wish about receipts: %w", err)
	}
	return nil
}

// Private lists the users whose receipts shall not cross.
func (s *Store) Private(ctx context.Context) ([]receipts.UserKey, error) {
	list, err := dbutil.ConvertRowFn[receipts.UserKey](dbutil.ScanSingleColumn[receipts.UserKey]).NewRowIter(s.db.Query(ctx,
		"SELECT user_key FROM tim_private ORDER BY user_key")).AsList()
	if err != nil {
		return nil, fmt.Errorf("failed to read users' wishes about receipts: %w", err)
	}
	return list, nil
}
