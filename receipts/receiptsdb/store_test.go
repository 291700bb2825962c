package receiptsdb_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	_ "modernc.org/sqlite"

	"github.com/timbridge/timbridge/internal/postgres"
	"github.com/timbridge/timbridge/receipts/receiptstest"
)

// server is the PostgreSQL of these tests.
var server postgres.Lazy

func TestMain(m *testing.M) { os.Exit(server.Main(m)) }

// openSQLite opens a database in a file of its own, as durable as the product's.
func openSQLite(t testing.TB) *dbutil.Database {
	t.Helper()
	raw, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "receipts.db")+
		"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=busy_timeout(10000)&_txlock=immediate")
	require.NoError(t, err)
	db, err := dbutil.NewWithDB(raw, "sqlite")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func TestSQLite(t *testing.T) {
	receiptstest.Run(t, func(t *testing.T) *dbutil.Database { return openSQLite(t) })
}

func TestPostgreSQL(t *testing.T) {
	receiptstest.Run(t, func(t *testing.T) *dbutil.Database { return server.Open(t) })
}
