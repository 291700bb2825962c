package mappingdb_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	_ "modernc.org/sqlite"

	"github.com/timbridge/timbridge/internal/postgres"
	"github.com/timbridge/timbridge/mapping/mappingtest"
)

// server is the PostgreSQL of these tests.
var server postgres.Lazy

func TestMain(m *testing.M) { os.Exit(server.Main(m)) }

// openSQLite opens an empty SQLite database, as the bridge opens its own but for
// synchronous: nothing here is about surviving a power cut.
func openSQLite(t testing.TB) *dbutil.Database {
	uri := "file:" + filepath.Join(t.TempDir(), "test.db") +
		"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=foreign_keys(1)&_pragma=busy_timeout(10000)&_txlock=immediate"
	raw, err := sql.Open("sqlite", uri)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, raw.Close()) })
	db, err := dbutil.NewWithDB(raw, "sqlite")
	require.NoError(t, err)
	return db
}

func TestSQLite(t *testing.T) {
	mappingtest.Run(t, func(t *testing.T) *dbutil.Database { return openSQLite(t) })
}

func TestPostgreSQL(t *testing.T) {
	mappingtest.Run(t, func(t *testing.T) *dbutil.Database { return server.Open(t) })
}
