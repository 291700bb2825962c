package bridgedb

import (
	"context"
	"fmt"
)

// Mark reads the mark of the last commit. It waits for a transaction that is changing it; PostgreSQL only.
func (s *Store) Mark(ctx context.Context) (mark string, err error) {
	if err = s.db.QueryRow(ctx, "SELECT value FROM tim_state WHERE key=$1 FOR UPDATE", KeyCommit).Scan(&mark); err != nil {
		return "", fmt.Errorf("failed to read mark of last commit: %w", err)
	}
	return mark, nil
}

// MoveMark changes the mark of the last commit, if it is the one given.
func (s *Store) MoveMark(ctx context.Context, from, to string) (moved bool, err error) {
	result, err := s.db.Exec(ctx, "UPDATE tim_state SET value=$3 WHERE key=$1 AND value=$2", KeyCommit, from, to)
	if err != nil {
		return false, fmt.Errorf("failed to mark commit: %w", err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("failed to mark commit: %w", err)
	}
	return n == 1, nil
}
