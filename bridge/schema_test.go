package bridge

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/database"
	"github.com/timbridge/timbridge/bridge/deepcheck"
)

// The dumps in testdata/schema are databases as earlier versions wrote them, one for each combination of versions that the
// four parts of the database (mapping, receipts, bridge, mautrix's state store) were released in.
//
// When an upgrade is added to one of them, the tests here fail and say so. Then run
//
//	TIMBRIDGE_WRITE_SCHEMA=1 go test ./bridge -run TestUpgradeFromEverySchema
//
// and add the new file; the old ones stay as they are, for ever. If the stores keep something new, put it into seed and view
// (schemaseed_test.go): what upgrades make of old rows must equal what seed writes today, so give seed values that an old
// version could have had, or the upgrade's default.
//
// While replicas are upgraded one after the other, older programs are refused on the newer tables. A revision that they can still work on
// (it adds an index, a table, a column with a default that they need not know of) says so in its first line:
// "-- v2 -> v3 (compatible with v2+): ...".

const dumps = "testdata/schema"

// openBridge is a bridge on a database of its own that has not been started.
func openBridge(t testing.TB, path string) *Bridge {
	t.Helper()
	cfg, err := config.Default()
	require.NoError(t, err)
	cfg.Homeserver.Address, cfg.Homeserver.Domain = "http://127.0.0.1:1", "a.test"
	cfg.AppService.ASToken, cfg.AppService.HSToken = "as-token", "hs-token"
	cfg.Tencent.SDKAppID, cfg.Tencent.SecretKey = testAppID, "secret"
	cfg.Database = testDatabase(path)
	db, err := database.Open(t.Context(), cfg.Database)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	b, err := New(cfg, db, zerolog.Nop())
	require.NoError(t, err)
	return b
}

// seeded is one with the tables of this version and a few rows in all of them.
func seeded(t testing.TB) *Bridge {
	t.Helper()
	b := openBridge(t, filepath.Join(t.TempDir(), "seeded.db"))
	require.NoError(t, b.prepare(t.Context()))
	seed(t, t.Context(), b)
	return b
}

// versionName names the versions of a database's parts.
func versionName(t testing.TB, db *dbutil.Database) string {
	t.Helper()
	var parts []string
	for i, part := range schemas(db) {
		version, _, err := database.Version(t.Context(), part)
		require.NoError(t, err)
		parts = append(parts, fmt.Sprint([]string{"mapping", "receipts", "bridge", "state"}[i], version))
	}
	return strings.Join(parts, "-")
}

// dump writes a database as SQL, one statement a line or so.
func dump(t testing.TB, ctx context.Context, db *dbutil.Database) string {
	t.Helper()
	var out strings.Builder
	column := func(query string, args ...any) (list []string) {
		rows, err := db.Query(ctx, query, args...)
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var s string
			require.NoError(t, rows.Scan(&s))
			list = append(list, s)
		}
		require.NoError(t, rows.Err())
		return list
	}
	for _, sql := range column("SELECT sql FROM sqlite_schema WHERE type='table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY rowid") {
		fmt.Fprintln(&out, sql+";")
	}
	for _, table := range column("SELECT name FROM sqlite_schema WHERE type='table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY rowid") {
		columns := column("SELECT name FROM pragma_table_info($1)", table)
		for _, row := range column(`SELECT quote("` + strings.Join(columns, `") || ', ' || quote("`) + `") FROM ` + table + ` ORDER BY 1`) {
			fmt.Fprintf(&out, "INSERT INTO %s (%s) VALUES (%s);\n", table, strings.Join(columns, ", "), row)
		}
	}
	for _, sql := range column("SELECT sql FROM sqlite_schema WHERE type='index' AND sql IS NOT NULL ORDER BY rowid") {
		fmt.Fprintln(&out, sql+";")
	}
	return out.String()
}

// load makes a database of a dump.
func load(t testing.TB, b *Bridge, sql string) {
	t.Helper()
	_, err := b.db.RawDB.ExecContext(t.Context(), "PRAGMA foreign_keys=0; BEGIN;\n"+sql+"\nCOMMIT; PRAGMA foreign_keys=1")
	require.NoError(t, err)
}

// shape is what tables and indexes a database has: upgrades must lead to the same as a fresh start.
func shape(t testing.TB, db *dbutil.Database) (lines []string) {
	t.Helper()
	for _, query := range []string{
		`SELECT m.name || ' ' || c.name || ' ' || lower(c.type) || ' ' || c."notnull" || ' ' || coalesce(c.dflt_value, '-') || ' ' || c.pk FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type='table' ORDER BY 1`,
		`SELECT m.name || ' index ' || i."unique" || ' ' || i.partial || ' ' || (SELECT group_concat(x.name) FROM pragma_index_info(i.name) x) FROM sqlite_schema m, pragma_index_list(m.name) i WHERE m.type='table' ORDER BY 1`,
	} {
		rows, err := db.Query(t.Context(), query)
		require.NoError(t, err)
		for rows.Next() {
			var line string
			require.NoError(t, rows.Scan(&line))
			lines = append(lines, line)
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
	}
	return lines
}

func requireSound(t testing.TB, b *Bridge) {
	t.Helper()
	opts, err := DeepOptions(b.cfg)
	require.NoError(t, err)
	opts.Now = seedTime()
	problems, err := deepcheck.Run(t.Context(), b.db, opts, func(f deepcheck.Finding) {
		if f.Problem != "" {
			t.Log(f.Part, f.Problem)
		}
	})
	require.NoError(t, err)
	require.Zero(t, problems)
}

func TestUpgradeFromEverySchema(t *testing.T) {
	t.Parallel()
	fresh := seeded(t)
	requireSound(t, fresh)
	for _, table := range []string{"group", "room", "user", "member", "message", "anchor", "reader", "parked", "callback", "state", "outbox", "room_task", "feed", "early_redaction", "relay", "join", "pause", "private"} {
		var n int
		require.NoError(t, fresh.db.QueryRow(t.Context(), "SELECT COUNT(*) FROM tim_"+table).Scan(&n))
		require.NotZero(t, n, "seed leaves tim_%s empty", table)
	}
	newest := filepath.Join(dumps, versionName(t, fresh.db)+".sql")
	if os.Getenv("TIMBRIDGE_WRITE_SCHEMA") != "" {
		require.NoError(t, os.MkdirAll(dumps, 0o755))
		require.NoError(t, os.WriteFile(newest, []byte(dump(t, t.Context(), fresh.db)), 0o644))
	}
	require.FileExists(t, newest, "a new schema: see the top of this file")
	files, err := filepath.Glob(filepath.Join(dumps, "*.sql"))
	require.NoError(t, err)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			sql, err := os.ReadFile(file)
			require.NoError(t, err)
			b := openBridge(t, filepath.Join(t.TempDir(), "old.db"))
			load(t, b, string(sql))
			require.Equal(t, strings.TrimSuffix(filepath.Base(file), ".sql"), versionName(t, b.db))
			require.NoError(t, b.prepare(t.Context()))
			require.Equal(t, versionName(t, fresh.db), versionName(t, b.db))
			require.Equal(t, shape(t, fresh.db), shape(t, b.db), "another schema than that of a fresh start")
			require.Equal(t, view(t, t.Context(), fresh), view(t, t.Context(), b))
			requireSound(t, b)
			require.NoError(t, b.prepare(t.Context()), "again")
		})
	}
}

// TestNewerSchemaIsRefused: whichever part is newer, none is changed.
func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	sql, err := os.ReadFile(filepath.Join(dumps, versionName(t, seeded(t).db)+".sql"))
	require.NoError(t, err)
	names := []string{"mapping", "receipts", "bridge", "state"}
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			b := openBridge(t, filepath.Join(t.TempDir(), "newer.db"))
			load(t, b, string(sql))
			part := schemas(b.db)[i]
			exec := func(query string, args ...any) {
				_, err := b.db.Exec(t.Context(), query, args...)
				require.NoError(t, err)
			}
			// The other parts are as old as can be: one that could be upgraded must not be.
			for k, other := range schemas(b.db) {
				if k != i {
					exec("DELETE FROM " + other.VersionTable)
				}
			}
			exec("UPDATE "+part.VersionTable+" SET version=$1, compat=$1", len(part.UpgradeTable)+1)
			before := dump(t, t.Context(), b.db)
			err := b.prepare(t.Context())
			require.ErrorIs(t, err, database.ErrNewer)
			require.ErrorIs(t, err, dbutil.ErrUnsupportedDatabaseVersion)
			require.ErrorContains(t, err, part.VersionTable)
			require.ErrorContains(t, err, "a newer timbridge")
			require.Equal(t, before, dump(t, t.Context(), b.db))
			require.ErrorIs(t, CheckCurrent(t.Context(), b.db), database.ErrNewer)

			b.db.IgnoreUnsupportedDatabase = true
			require.NoError(t, CheckSchema(t.Context(), b.db))
			b.db.IgnoreUnsupportedDatabase = false

			// A version that says that this program may work on it is no reason to refuse.
			exec("UPDATE "+part.VersionTable+" SET compat=$1", len(part.UpgradeTable))
			require.NoError(t, CheckSchema(t.Context(), b.db))
		})
	}
}

func TestCheckCurrentAsksForTables(t *testing.T) {
	t.Parallel()
	b := openBridge(t, filepath.Join(t.TempDir(), "empty.db"))
	require.NoError(t, CheckSchema(t.Context(), b.db))
	require.ErrorContains(t, CheckCurrent(t.Context(), b.db), "start timbridge once")
	before := dump(t, t.Context(), b.db)
	require.Empty(t, before, "looking makes no tables")
	require.NoError(t, b.prepare(t.Context()))
	require.NoError(t, CheckCurrent(t.Context(), b.db))
}
