package mappingdb_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"github.com/timbridge/timbridge/mapping/mappingtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
