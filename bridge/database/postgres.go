package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/bridge/config"
)

// openServer connects to a PostgreSQL database: as its one writer, or to look into it.
func openServer(ctx context.Context, cfg config.Database, readOnly bool) (*dbutil.Database, error) {
	s, err := parseServer(string(cfg.URI))
	if err != nil {
		return nil, fmt.Errorf("failed to open database: database.uri will not do: %w", err)
	}
	var lock *keeper
	if readOnly {
		s = s.readOnly()
	} else if lock, err = takeServerLock(ctx, s); err != nil {
		return nil, explainServer(s, err)
	}
	db, err := s.pool(ctx, cfg, lock)
	if err != nil {
		return nil, explainServer(s, err)
	}
	return db, nil
}

// pool makes the pool of connections. The lock, if any, is given back when the pool is closed, or at once if there is an error.
func (s server) pool(ctx context.Context, cfg config.Database, lock *keeper) (*dbutil.Database, error) {
	options := []stdlib.OptionOpenDB{stdlib.OptionAfterConnect(prepareSession)}
	var closer io.Closer
	if lock != nil {
		closer = lock
		options = append(options,
			stdlib.OptionBeforeConnect(func(context.Context, *pgx.ConnConfig) error { return lock.held() }),
			stdlib.OptionResetSession(func(context.Context, *pgx.Conn) error {
				if lock.held() != nil {
					return driver.ErrBadConn // the pool asks for a new connection and is told why there is none
				}
				return nil
			}))
	}
	raw := sql.OpenDB(closingConnector{Connector: textConnector{stdlib.GetConnector(*s.config, options...)}, closer: closer})
	setPool(raw, cfg)
	var safe bool
	err := raw.QueryRowContext(ctx, "SELECT current_setting('fsync')::boolean AND current_setting('full_page_writes')::boolean").Scan(&safe)
	var db *dbutil.Database
	if err == nil {
		db, err = dbutil.NewWithDB(raw, "postgres")
	}
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	db.Log = slowLog{fallback: zerolog.Ctx(ctx)}
	if !safe {
		zerolog.Ctx(ctx).Warn().Msg("The PostgreSQL server runs with fsync or full_page_writes off: a power cut there may lose what was acknowledged")
	}
	return db, nil
}

// explainServer turns the errors that an operator can do something about into words.
func explainServer(s server, err error) error {
	var refused *pgconn.PgError
	switch {
	case errors.Is(err, ErrLocked):
	case errors.As(err, &refused):
		switch refused.Code {
		case "3D000":
			err = fmt.Errorf("%w: make it with createdb, or correct database.uri (%w)", ErrNotFound, err)
		case "28P01", "28000":
			err = fmt.Errorf("the server does not let us in: correct user and password in database.uri, or the server's pg_hba.conf (%w)", err)
		case "42501":
			err = fmt.Errorf("this user lacks the right: make it the database's owner (%w)", err)
		case "53300":
			err = fmt.Errorf("the server has no connection left: raise its max_connections, or lower database.max_open_conns (%w)", err)
		case "53100":
			err = fmt.Errorf("the server's disk is full: make room (%w)", err)
		case "57P03":
			err = fmt.Errorf("the server is starting, or stopping, and takes nobody in: try again when it is up (%w)", err)
		}
	default:
		err = fmt.Errorf("the server cannot be reached: is it running, and is database.uri right? (%w)", err)
	}
	return fmt.Errorf("failed to open database %s: %w", s.name, err)
}
