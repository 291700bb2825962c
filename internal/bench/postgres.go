package main

import (
	"context"
	"errors"
	"strconv"

	"github.com/timbridge/timbridge/internal/postgres"
)

// startPostgres starts the server on which every line that has a database in it is measured once more, if there is one on this
// machine. Its data is in the system's folder for temporary files, and durable there.
func (s *suite) startPostgres(ctx context.Context) (err error) {
	if !s.onServer {
		return nil
	}
	s.postgres, err = postgres.Start(ctx, postgres.Options{Durable: true})
	if errors.Is(err, postgres.ErrMissing) {
		s.postgres = nil
		s.say("LEFT OUT: the lines on PostgreSQL: %v", err)
		return nil
	}
	return err
}

// onPostgres measures with an empty database, and not at all where there is none.
func (s *suite) onPostgres(ctx context.Context, measure func(uri string) error) error {
	if s.postgres == nil {
		return nil
	}
	s.databases++
	uri, err := s.postgres.Create(ctx, "bench"+strconv.Itoa(s.databases))
	if err != nil {
		return err
	}
	return measure(uri)
}
