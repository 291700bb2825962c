package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/database"
)

// diskCommits makes n durable commits, one after the other, of one small row each, with the settings that timbridge has. The times are
// sorted.
func (s *suite) diskCommits(ctx context.Context, n int) (r loadResult, err error) {
	ctx = zerolog.Nop().WithContext(ctx)
	db, err := database.Open(ctx, config.Database{
		Type: config.DatabaseSQLite, URI: config.Secret(filepath.Join(s.dir, "disk.db")), MaxOpenConns: 1, MaxIdleConns: 1,
	})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err = db.Exec(ctx, "CREATE TABLE IF NOT EXISTS one (n INTEGER PRIMARY KEY, v BLOB)"); err != nil {
		return r, fmt.Errorf("failed to make table: %w", err)
	}
	row := bytes.Repeat([]byte{1}, 100)
	began := time.Now()
	for range n {
		start := time.Now()
		if _, err = db.Exec(ctx, "INSERT INTO one (v) VALUES ($1)", row); err != nil {
			return r, fmt.Errorf("failed to commit: %w", err)
		}
		r.times = append(r.times, time.Since(start))
	}
	r.took = time.Since(began)
	slices.Sort(r.times)
	return r, nil
}

// diskCommitCount is how many commits one look at the disk is.
const diskCommitCount = 1000

// measureDisk gives the figures that others are compared with.
func measureDisk(ctx context.Context, s *suite) error {
	var rates, worst []float64
	for range s.runs {
		r, err := s.diskCommits(ctx, diskCommitCount)
		if err != nil {
			return err
		}
		rates, worst = append(rates, r.rate()), append(worst, r.at(0.99))
	}
	s.add(Line{Name: "disk: durable commits, one after the other", Unit: "1/s", Ceiling: []Value{value("", rates...)}})
	s.add(Line{Name: "disk: durable commit, p99", Unit: "ms", Ceiling: []Value{value("", worst...)}})
	return nil
}
