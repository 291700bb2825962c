package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/timbridge/timbridge/bridge/config"
)

// Leader is the one of several timbridges that works on a database.
type Leader struct {
	Owner   string // tells processes apart; "" if nobody has worked yet
	Address string // where the others reach it
	// Seen is when it gave its last sign of life, by the server's clock.
	Seen time.Time
	// Locked tells that somebody holds the lock on the database, and Session by which of the server's sessions.
	Locked  bool
	Session int
}

// Leadership is the row that says who works on a PostgreSQL database. It decides nothing: whoever holds the lock works, see [Open], and
// whose commits find the mark of another has been replaced. It tells the others where to pass requests on, and when to end a session
// that holds the lock and does nothing.
//
// The table is no part of the versioned schema, so that processes of different versions understand it. It is safe for concurrent use.
type Leadership struct {
	db *sql.DB
}

// leaderTable must never change in a way that an older timbridge does not understand.
const leaderTable = `CREATE TABLE IF NOT EXISTS timbridge_replica (
	id      INTEGER PRIMARY KEY CHECK (id = 1),
	owner   TEXT NOT NULL,
	address TEXT NOT NULL,
	seen    TIMESTAMPTZ NOT NULL
)`

// OpenLeadership connects to the database and makes the table if there is none. It takes no lock.
func OpenLeadership(ctx context.Context, cfg config.Database) (*Leadership, error) {
	if cfg.Type != config.DatabasePostgres {
		return nil, fmt.Errorf("failed to look for other replicas: %w: they need PostgreSQL", ErrUnsupported)
	}
	s, err := parseServer(string(cfg.URI))
	if err != nil {
		return nil, fmt.Errorf("failed to look for other replicas: database.uri will not do: %w", err)
	}
	db := sql.OpenDB(stdlib.GetConnector(*s.config))
	db.SetMaxOpenConns(2)
	db.SetMaxIdleConns(1)
	var there bool
	err = db.QueryRowContext(ctx, `SELECT to_regclass('timbridge_replica') IS NOT NULL`).Scan(&there)
	if err == nil && !there {
		// Two that begin at once may both want to make it, and one is refused.
		if _, err = db.ExecContext(ctx, leaderTable); err != nil {
			_, err = db.ExecContext(ctx, leaderTable)
		}
	}
	if err != nil {
		_ = db.Close()
		return nil, explainServer(s, err)
	}
	return &Leadership{db: db}, nil
}

// Look says who works.
func (l *Leadership) Look(ctx context.Context) (leader Leader, err error) {
	if err = l.db.QueryRowContext(ctx, `SELECT coalesce((SELECT min(pid) `+lockHolders+`), 0)`, lockClass).Scan(&leader.Session); err != nil {
		return leader, fmt.Errorf("failed to look for the lock on the database: %w", err)
	}
	leader.Locked = leader.Session != 0
	err = l.db.QueryRowContext(ctx, `SELECT owner, address, seen FROM timbridge_replica`).Scan(&leader.Owner, &leader.Address, &leader.Seen)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return leader, fmt.Errorf("failed to look for the leader: %w", err)
	}
	return leader, nil
}

// Take says that owner works from now on. It must hold the lock.
func (l *Leadership) Take(ctx context.Context, owner, address string) error {
	_, err := l.db.ExecContext(ctx, `INSERT INTO timbridge_replica (id, owner, address, seen) VALUES (1, $1, $2, clock_timestamp())
		ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, address = excluded.address, seen = excluded.seen`, owner, address)
	if err != nil {
		return fmt.Errorf("failed to take the lead: %w", err)
	}
	return nil
}

// Beat says that owner is there. It is false if another has taken the lead.
func (l *Leadership) Beat(ctx context.Context, owner string) (still bool, err error) {
	result, err := l.db.ExecContext(ctx, `UPDATE timbridge_replica SET seen = clock_timestamp() WHERE owner = $1`, owner)
	if err != nil {
		return true, fmt.Errorf("failed to tell other replicas that this one is there: %w", err)
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// deposed picks the session that holds the lock, and the others of the same process: one that sleeps in the middle of a transaction would
// keep its rows from who comes next until the server ends it. Processes are told apart by the name of their sessions; where an operator
// has given all the same one, that is ours too, and only the session with the lock ends.
// $2 is the session that held the lock when it was looked at: one that another replica has just begun with is none to end.
const deposed = `WITH holder AS MATERIALIZED (SELECT pid ` + lockHolders + ` AND pid = $2)
	SELECT pg_terminate_backend(pid) FROM pg_stat_activity
	WHERE pid IN (SELECT pid FROM holder)
		OR datname = current_database() AND usename = current_user AND application_name <> current_setting('application_name')
			AND application_name IN (SELECT application_name FROM pg_stat_activity WHERE pid IN (SELECT pid FROM holder))`

// Depose ends the sessions of the process that holds the lock by this session, so that it can be taken; if it has the lock no more, nothing
// happens. A process whose lock that was can write no more once another has claimed the database.
func (l *Leadership) Depose(ctx context.Context, session int) error {
	if _, err := l.db.ExecContext(ctx, deposed, lockClass, session); err != nil {
		return fmt.Errorf("failed to end the sessions of a silent leader: %w", err)
	}
	return nil
}

// Close ends the connections.
func (l *Leadership) Close() error { return l.db.Close() }
