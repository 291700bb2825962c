package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
)

// Conflicted tells that a transaction was undone only because it met another one (a serialization failure or a deadlock on
// PostgreSQL): the same again, from its beginning, can succeed. 25P02 is what follows when whoever met it did not say so: mautrix's
// state store only logs it.
func Conflicted(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && slices.Contains([]string{"40001", "40P01", "25P02"}, refused.Code)
}

// Unreachable tells that it is the PostgreSQL server or the way to it that failed, whatever was asked of it: it is down, starting,
// out of connections or memory or disk, or the connection was lost. It passes; until then anything else fails in the same way.
func Unreachable(err error) bool {
	var (
		refused *pgconn.PgError
		connect *pgconn.ConnectError
		network net.Error
	)
	switch {
	case err == nil:
		return false
	case errors.As(err, &refused):
		switch refused.Code[:min(2, len(refused.Code))] {
		case "08", "53", "57", "58": // connection, resources, operator intervention, system
			return true
		}
		return false
	case errors.As(err, &connect), errors.As(err, &network), errors.Is(err, ErrLockLost), errors.Is(err, pgconn.ErrConnClosed):
		return true
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, io.EOF) || errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err)
}
