package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/database"
)

// diskCommits makes n durable commits, one after the other, of one small row each, with the settings that timbridge has. The times are
// sorted. It is in SQLite, or in a PostgreSQL.
func (s *suite) diskCommits(ctx context.Context, n int, uri string) (r loadResult, err error) {
	ctx = zerolog.Nop().WithContext(ctx)
	where := config.Database{Type: config.DatabasePostgres, URI: config.Secret(uri), MaxOpenConns: 1, MaxIdleConns: 1}
	if uri == "" {
		where.Type, where.URI = config.DatabaseSQLite, config.Secret(filepath.Join(s.dir, "disk.db"))
	}
	db, err := database.Open(ctx, where)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err = db.Exec(ctx, "CREATE TABLE IF NOT EXISTS one (n INTEGER PRIMARY KEY, v TEXT)"); err != nil {
		return r, fmt.Errorf("failed to make table: %w", err)
	}
	row := strings.Repeat("x", 100)
	var last int
	if err = db.QueryRow(ctx, "SELECT COALESCE(MAX(n), 0) FROM one").Scan(&last); err != nil {
		return r, fmt.Errorf("failed to read table: %w", err)
	}
	began := time.Now()
	for i := range n {
		start := time.Now()
		if _, err = db.Exec(ctx, "INSERT INTO one (n, v) VALUES ($1, $2)", last+i+1, row); err != nil {
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
	rates, worst, err := s.manyCommits(ctx, "")
	if err != nil {
		return err
	}
	s.add(Line{Name: "disk: durable commits, one after the other", Unit: "1/s", Ceiling: []Value{value("", rates...)}})
	s.add(Line{Name: "disk: durable commit, p99", Unit: "ms", Ceiling: []Value{value("", worst...)}})
	return s.onPostgres(ctx, func(uri string) error {
		if rates, worst, err = s.manyCommits(ctx, uri); err != nil {
			return err
		}
		s.add(Line{Name: "PostgreSQL: durable commits, one after the other", Unit: "1/s", Ceiling: []Value{value("", rates...)}})
		s.add(Line{Name: "PostgreSQL: durable commit, p99", Unit: "ms", Ceiling: []Value{value("", worst...)}})
		return nil
	})
}

func (s *suite) manyCommits(ctx context.Context, uri string) (rates, p99 []float64, err error) {
	for range s.runs {
		r, err := s.diskCommits(ctx, diskCommitCount, uri)
		if err != nil {
			return nil, nil, err
		}
		rates, p99 = append(rates, r.rate()), append(p99, r.at(0.99))
	}
	return rates, p99, nil
}
