package bridgedb

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"

	"go.mau.fi/util/dbutil"
)

//go:embed *.sql
var upgrades embed.FS

// Store is the bridge's own tables. It is safe for concurrent use; within a transaction (dbutil's DoTxn) it joins the one
// that the context carries.
type Store struct {
	db *dbutil.Database
}

// New returns a store on db, with a version table of its own so that a host bridge can share its database.
func New(db *dbutil.Database) *Store {
	return &Store{db: db.Child("timbridge_bridge_version", dbutil.BuildUpgradeTable().WithFS(upgrades).Finish(), nil)}
}

// Upgrade brings the tables to the newest version. It refuses a database that a newer timbridge has written.
func (s *Store) Upgrade(ctx context.Context) error {
	if err := s.db.Upgrade(ctx); err != nil {
		return fmt.Errorf("failed to upgrade bridge tables: %w", err)
	}
	return nil
}

// Schema is the database with the version table and the upgrades of this package's tables,
// for who has to compare versions before anything is upgraded.
func (s *Store) Schema() *dbutil.Database { return s.db }

// The names under which values are kept in the state table.
const (
	KeySyncToken   = "sync_token"   // where the bot's /sync goes on
	KeyCursor      = "cursor"       // the last cursor given to a callback or new message
	KeyCursorFloor = "cursor_floor" // cursors at or below it have been dropped
	KeyBackend     = "backend"      // up to which cursor the app's backend has been told
	KeyCaughtUp    = "caught_up_"   // and a group's key: up to which seq its history has been looked through
	KeyProfile     = "profile_"     // and a ghost's key: the profile at Tencent that it was last given, as JSON
	KeyShown       = "shown_"       // and a group's key: what the room that it had last shows of its readers, as JSON
	KeyWebhook     = "webhook"      // when the last webhook of a linked group came, in ms; behind by a minute at most
	KeyTried       = "tried"        // when it was last tried whether the database can be written, in ms
	KeyCommit      = "commit"       // the mark of the last commit, on PostgreSQL
	KeyImported    = "imported"     // "yes" while an import has not been gone through
	KeyProbeRoom   = "probe_room"   // the bot's own room for `timbridge check`
	KeyProbeEvent  = "probe_event"  // the last probe event that came back in a transaction
	KeyProbePushed = "probe_pushed" // the last probe event whose receipt was pushed
)

// Value reads the value kept under key; "" if there is none.
func (s *Store) Value(ctx context.Context, key string) (string, error) {
	var value string
	err := s.db.QueryRow(ctx, "SELECT value FROM tim_state WHERE key=$1", key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	} else if err != nil {
		return "", fmt.Errorf("failed to read state %s: %w", key, err)
	}
	return value, nil
}

// SetValue keeps value under key.
func (s *Store) SetValue(ctx context.Context, key, value string) error {
	_, err := s.db.Exec(ctx, "INSERT INTO tim_state (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value=excluded.value", key, value)
	if err != nil {
		return fmt.Errorf("failed to write state %s: %w", key, err)
	}
	return nil
}

// DropValue forgets the value kept under key.
func (s *Store) DropValue(ctx context.Context, key string) error {
	if _, err := s.db.Exec(ctx, "DELETE FROM tim_state WHERE key=$1", key); err != nil {
		return fmt.Errorf("failed to delete state %s: %w", key, err)
	}
	return nil
}
