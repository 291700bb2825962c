package movedb_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/bridge"
	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/database"
	"github.com/timbridge/timbridge/bridge/deepcheck"
	"github.com/timbridge/timbridge/bridge/movedb"
	"github.com/timbridge/timbridge/internal/postgres"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/mapping/mappingdb"
)

// server is the PostgreSQL of these tests.
var server postgres.Lazy

func TestMain(m *testing.M) { os.Exit(server.Main(m)) }

func open(t testing.TB, cfg config.Database) *dbutil.Database {
	t.Helper()
	cfg.MaxOpenConns, cfg.MaxIdleConns = 2, 2
	db, err := database.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// stored is a database with rows in every table: those with which package bridge tests its upgrades.
func stored(t testing.TB) *dbutil.Database {
	t.Helper()
	files, err := filepath.Glob("../testdata/schema/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	script, err := os.ReadFile(slices.Max(files))
	require.NoError(t, err)
	db := open(t, config.Database{Type: config.DatabaseSQLite, URI: config.Secret(filepath.Join(t.TempDir(), "old.db"))})
	_, err = db.RawDB.ExecContext(t.Context(), "PRAGMA foreign_keys=0; BEGIN;\n"+string(script)+"\nCOMMIT; PRAGMA foreign_keys=1")
	require.NoError(t, err)
	require.NoError(t, bridge.UpgradeSchema(t.Context(), db))
	return db
}

func newServer(t testing.TB) *dbutil.Database {
	t.Helper()
	db := open(t, config.Database{Type: config.DatabasePostgres, URI: config.Secret(server.Database(t))})
	require.NoError(t, bridge.UpgradeSchema(t.Context(), db))
	return db
}

// rows is a table as text, whatever order and types its rows have.
func rows(t testing.TB, db *dbutil.Database, table string, columns []string) (out []string) {
	t.Helper()
	found, err := db.Query(t.Context(), "SELECT "+strings.Join(columns, ", ")+" FROM "+table)
	require.NoError(t, err)
	defer found.Close()
	for found.Next() {
		values, targets := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		require.NoError(t, found.Scan(targets...))
		var line strings.Builder
		for _, v := range values {
			switch v := v.(type) {
			case bool:
				fmt.Fprintf(&line, "%d|", map[bool]int{true: 1}[v])
			case []byte:
				if bytes.HasPrefix(v, []byte("{")) {
					fmt.Fprintf(&line, "%s|", v) // jsonb
					continue
				}
				fmt.Fprintf(&line, "%x|", v)
			default:
				fmt.Fprintf(&line, "%v|", v)
			}
		}
		out = append(out, line.String())
	}
	require.NoError(t, found.Err())
	slices.Sort(out)
	return out
}

func columnsOf(t testing.TB, db *dbutil.Database, table string) []string {
	t.Helper()
	list, err := dbutil.ConvertRowFn[string](dbutil.ScanSingleColumn[string]).NewRowIter(
		db.Query(t.Context(), "SELECT name FROM pragma_table_info($1)", table)).AsList()
	require.NoError(t, err)
	return list
}

func TestEverythingIsMoved(t *testing.T) {
	from, to := stored(t), newServer(t)
	odd := "a\tb\\c\nd\re \\N \\. é\x00"
	_, err := from.Exec(t.Context(), "INSERT INTO tim_state (key, value) VALUES ('odd', $1)", odd)
	require.NoError(t, err)
	_, err = from.Exec(t.Context(), `INSERT INTO mx_room_state (room_id, power_levels) VALUES ('!team:a.test', '{"users": {"@ann:a.test": 100}}')`)
	require.NoError(t, err)
	var last [2]int64
	moved, err := movedb.Run(t.Context(), from, to, func(done, total int64) { last = [2]int64{done, total} })
	require.NoError(t, err)
	require.Greater(t, last[0], int64(40))
	require.Equal(t, last[1], last[0])
	require.Greater(t, len(moved), 20)
	for _, table := range moved {
		columns := columnsOf(t, from, table.Name)
		want := rows(t, from, table.Name, columns)
		for i := range want {
			want[i] = strings.ReplaceAll(want[i], "\x00", "\uFFFD")
		}
		require.Equal(t, want, rows(t, to, table.Name, columns), table.Name)
		require.Len(t, want, int(table.Rows))
	}
	// What was sound is sound, and new keys are new.
	options := deepcheck.Options{Now: time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC), GapAfter: 10 * time.Minute, HoleAfter: 7 * 24 * time.Hour, Window: 100}
	problems, err := deepcheck.Run(t.Context(), to, options, func(f deepcheck.Finding) { require.Empty(t, f.Problem) })
	require.NoError(t, err)
	require.Zero(t, problems)
	u, err := mappingdb.New(to).EnsureUser(t.Context(), mapping.User{UserID: "new", MXID: "@tim_new:a.test"})
	require.NoError(t, err)
	require.EqualValues(t, 6, u.Key)

	_, err = movedb.Run(t.Context(), from, to, nil)
	require.ErrorIs(t, err, movedb.ErrNotEmpty)
	_, err = movedb.Run(t.Context(), to, from, nil)
	require.ErrorContains(t, err, "from SQLite to PostgreSQL")
}

// TestMovedAsAWholeOrNotAtAll: whatever stops it, nothing is there.
func TestMovedAsAWholeOrNotAtAll(t *testing.T) {
	empty := func(to *dbutil.Database) {
		t.Helper()
		for _, table := range []string{"tim_room", "tim_state", "mx_registrations"} {
			var n int
			require.NoError(t, to.QueryRow(context.Background(), "SELECT COUNT(*) FROM "+table).Scan(&n))
			require.Zero(t, n, table)
		}
	}
	from, to := stored(t), newServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := movedb.Run(ctx, from, to, func(_, _ int64) { cancel() })
	require.Error(t, err)
	empty(to)
	_, err = from.Exec(t.Context(), "CREATE TABLE tim_zzz (n INTEGER)")
	require.NoError(t, err)
	_, err = movedb.Run(t.Context(), from, to, nil)
	require.ErrorContains(t, err, "tim_zzz has other columns")
	empty(to)
	_, err = from.Exec(t.Context(), "DROP TABLE tim_zzz")
	require.NoError(t, err)
	_, err = from.Exec(t.Context(), "UPDATE tim_reader SET latest = 'x' WHERE user_key = 2")
	require.NoError(t, err)
	_, err = movedb.Run(t.Context(), from, to, nil)
	require.ErrorContains(t, err, "failed to copy tim_reader")
	empty(to)
}
