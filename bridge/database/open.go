package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/timbridge/timbridge/bridge/config"
)

// What can be wrong with a database.
var (
	// ErrLocked: another timbridge is running on the same database.
	ErrLocked = errors.New("another timbridge is running on this database: stop it first")
	// ErrDamaged: the file is no SQLite database, or a broken one.
	ErrDamaged = errors.New("the file is not a SQLite database, or is damaged")
	// ErrNotFound: there is no database yet ([OpenReadOnly] makes none).
	ErrNotFound = errors.New("there is no database yet")
	// ErrUnsupported: the configured type of database is none that is known.
	ErrUnsupported = errors.New("this type of database is not supported")
)

// Open opens the database for the one process that may write to it; of SQLite it
// makes the file (readable by its owner only) if there is none. Committed means
// committed: SQLite's transactions are immediate and synchronous=FULL, and
// PostgreSQL's synchronous_commit is on.
//
// The lock against a second process is released by the database's Close. On
// PostgreSQL it can be lost with its connection; until it is taken again,
// whatever is asked of the database is [ErrLockLost].
// Errors say what is wrong with which file; test them with [ErrLocked],
// [ErrDamaged] and [ErrUnsupported]. Slow queries go to the logger of ctx,
// without their arguments. The result is safe for concurrent use.
func Open(ctx context.Context, cfg config.Database) (*dbutil.Database, error) {
	if cfg.Type == config.DatabasePostgres {
		return openServer(ctx, cfg, false)
	}
	loc, err := locate(cfg)
	if err != nil {
		return nil, err
	}
	if err = makeFile(loc.path); err != nil {
		return nil, err
	}
	lock, err := takeLock(loc.path)
	if err != nil {
		return nil, explain("open", loc.path, err)
	}
	return open(ctx, loc, false, cfg, lock)
}

// OpenReadOnly opens an existing database to look into it, also while a
// timbridge runs on it. Writing fails. Without a database it is [ErrNotFound].
func OpenReadOnly(ctx context.Context, cfg config.Database) (*dbutil.Database, error) {
	if cfg.Type == config.DatabasePostgres {
		return openServer(ctx, cfg, true)
	}
	loc, err := locate(cfg)
	if err != nil {
		return nil, err
	}
	if _, err = os.Stat(loc.path); errors.Is(err, fs.ErrNotExist) {
		return nil, explain("open", loc.path, ErrNotFound)
	}
	return open(ctx, loc, true, cfg, nil)
}

func locate(cfg config.Database) (location, error) {
	switch cfg.Type {
	case config.DatabaseSQLite, config.DatabaseSQLite3:
	default:
		return location{}, fmt.Errorf("failed to open database: %w: database.type is %q, use %s or %s", ErrUnsupported, cfg.Type, config.DatabaseSQLite, config.DatabasePostgres)
	}
	loc, err := parseURI(string(cfg.URI))
	if err != nil {
		return location{}, fmt.Errorf("failed to open database: database.uri will not do: %w", err)
	}
	return loc, nil
}

// makeFile sees to it that the file is there and may be written, so that what
// is wrong comes as the system's own error and not as SQLite's "unable to open".
func makeFile(path string) error {
	folder, err := os.Stat(filepath.Dir(path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("failed to open database %s: the folder %s is missing: make it, or correct database.uri", path, filepath.Dir(path))
	case err == nil && !folder.IsDir():
		return fmt.Errorf("failed to open database %s: %s is not a folder: correct database.uri", path, filepath.Dir(path))
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fmt.Errorf("failed to open database %s: it is a folder: name a file in it in database.uri", path)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return explain("open", path, err)
	}
	return file.Close()
}

// open connects and makes sure that the file is what it should be. The closer,
// if any, is closed together with the database, or at once if there is an error.
func open(ctx context.Context, loc location, readOnly bool, cfg config.Database, closer io.Closer) (*dbutil.Database, error) {
	base, err := sqlite.NewConnector(loc.dsn(readOnly))
	if err != nil {
		_ = closingConnector{closer: closer}.Close()
		return nil, explain("open", loc.path, err)
	}
	raw := sql.OpenDB(closingConnector{Connector: keepingConnector{base}, closer: closer})
	setPool(raw, cfg)
	var tables int
	// Opening reads nothing; this reads the first page and the schema.
	if err = raw.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_schema").Scan(&tables); err != nil {
		_ = raw.Close()
		return nil, explain("open", loc.path, err)
	}
	db, err := dbutil.NewWithDB(raw, "sqlite")
	if err != nil {
		_ = raw.Close()
		return nil, explain("open", loc.path, err)
	}
	db.Log = slowLog{fallback: zerolog.Ctx(ctx)}
	return db, nil
}

func setPool(raw *sql.DB, cfg config.Database) {
	raw.SetMaxOpenConns(max(cfg.MaxOpenConns, 1))
	raw.SetMaxIdleConns(max(cfg.MaxIdleConns, 0))
	raw.SetConnMaxIdleTime(cfg.MaxConnIdleTime)
	raw.SetConnMaxLifetime(cfg.MaxConnLifetime)
}

// closingConnector closes something together with the pool; see [sql.DB.Close].
type closingConnector struct {
	driver.Connector
	closer io.Closer
}

// Close implements io.Closer.
func (c closingConnector) Close() error {
	if c.closer == nil {
		return nil
	}
	return c.closer.Close()
}

// explain turns the errors that an operator can do something about into words.
func explain(verb, path string, err error) error {
	var sqliteErr *sqlite.Error
	switch {
	case errors.As(err, &sqliteErr):
		switch sqliteErr.Code() & 0xff { // the low byte is the primary code
		case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
			err = fmt.Errorf("%w: correct database.uri, or restore a backup (%w)", ErrDamaged, err)
		case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
			err = fmt.Errorf("it, or its folder, cannot be written: give timbridge's user the right to (%w)", err)
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			err = fmt.Errorf("another program is holding it: close that (%w)", err)
		case sqlite3.SQLITE_FULL:
			err = fmt.Errorf("the disk is full: make room (%w)", err)
		}
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		err = fmt.Errorf("it, or its folder, cannot be written: give timbridge's user the right to (%w)", err)
	}
	return fmt.Errorf("failed to %s database %s: %w", verb, path, err)
}
