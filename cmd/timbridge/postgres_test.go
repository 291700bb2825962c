package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/database"
	"github.com/timbridge/timbridge/internal/postgres"
)

// server is the PostgreSQL of these tests.
var server postgres.Lazy

// onServer is the environment that puts the database onto a PostgreSQL server.
func onServer(uri string) []string {
	return []string{"TIMBRIDGE_DATABASE__TYPE=postgres", "TIMBRIDGE_DATABASE__URI=" + uri}
}

func TestPostgreSQLImportAndExport(t *testing.T) {
	environ := onServer(server.Database(t))
	dir := t.TempDir()
	write(t, dir, "config.yaml", testTokens+testConfig)
	write(t, dir, "in.ndjson", records(1200))
	got := call(t, dir, environ, "import", "in.ndjson")
	require.Equal(t, exitOK, got.code, got.stderr)
	require.Equal(t, "Imported 1205 lines, 1205 of them new.\n", got.stdout)
	got = call(t, dir, environ, "import", "in.ndjson")
	require.Equal(t, "Imported 1205 lines, 0 of them new.\n", got.stdout)
	got = call(t, dir, environ, "export", "out.ndjson")
	require.Equal(t, "Exported 1205 records to out.ndjson.\n", got.stdout)

	// The same as SQLite exports, to the letter.
	require.Equal(t, exitOK, call(t, dir, nil, "import", "out.ndjson").code)
	require.Equal(t, exitOK, call(t, dir, nil, "export", "again.ndjson").code)
	require.Equal(t, read(t, dir, "out.ndjson"), read(t, dir, "again.ndjson"))

	got = call(t, dir, environ, "check")
	require.Equal(t, exitCheck, got.code)
	require.Contains(t, got.stdout, "ok    database     opened and up to date")
	require.Contains(t, got.stdout, "FAIL  homeserver")
	got = call(t, dir, environ, "check", "--deep")
	require.Equal(t, exitOK, got.code, got.stdout)
	require.Contains(t, got.stdout, "ok    postgres")
	require.NotContains(t, got.stdout+got.stderr, postgres.Password)
}

func TestPostgreSQLThatWillNotDo(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "config.yaml", testTokens+testConfig)
	for uri, says := range map[string]string{
		"postgres://x:" + testSecret + "@127.0.0.1:1/y":     "is it running",
		"postgres://x:" + testSecret + "/z@127.0.0.1:1/y":   "write %40 for @",
		server.Database(t) + "&dbname=nothing":              "make it with createdb",
		"file:" + testSecret:                                "is not that of a PostgreSQL server",
		"postgres://x@127.0.0.1:1/y?password=" + testSecret: "is it running",
	} {
		for _, command := range [][]string{nil, {"check"}, {"check", "--deep"}, {"export"}, {"move-database", "--from", "file:" + filepath.Join(dir, "config.yaml")}} {
			got := call(t, dir, append(onServer(uri), "TIMBRIDGE_DATABASE__START_WAIT=0s"), command...)
			require.NotEqual(t, exitOK, got.code, command)
			require.NotContains(t, got.stdout+got.stderr, testSecret, command)
			require.NotContains(t, got.stdout+got.stderr, postgres.Password, command)
			if len(command) < 3 {
				require.Contains(t, got.stdout+got.stderr, says, command)
			}
		}
	}
}

func TestMoveDatabase(t *testing.T) {
	environ := onServer(server.Database(t))
	dir := t.TempDir()
	write(t, dir, "config.yaml", testTokens+testConfig)
	write(t, dir, "in.ndjson", records(1200))
	require.Equal(t, exitOK, call(t, dir, nil, "import", "in.ndjson").code)
	for name, tc := range map[string]struct {
		environ []string
		args    []string
		code    int
		says    string
	}{
		"no from":     {environ, nil, exitUsage, "--from file:timbridge.db"},
		"no file":     {environ, []string{"--from", "file:nothing.db"}, exitDatabase, "there is no database yet"},
		"no database": {environ, []string{"--from", "file:in.ndjson"}, exitDamagedDatabase, "not a SQLite database"},
		"to SQLite":   {nil, []string{"--from", "file:timbridge.db"}, exitInvalidConfig, "still says database.type: sqlite3-fk-wal"},
		"stray flag":  {environ, nil, exitUsage, "usage"},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t, dir, tc.environ, append([]string{"move-database"}, tc.args...)...)
			require.Equal(t, tc.code, got.code, got.stderr)
			require.Contains(t, got.stderr, tc.says)
			require.NoFileExists(t, filepath.Join(dir, "nothing.db"))
		})
	}
	running, err := database.Open(t.Context(), config.Database{Type: config.DatabaseSQLite, URI: config.Secret(filepath.Join(dir, "timbridge.db"))})
	require.NoError(t, err)
	got := call(t, dir, environ, "move-database", "--from", "file:timbridge.db")
	require.Equal(t, exitDatabase, got.code)
	require.Contains(t, got.stderr, "another timbridge is running")
	require.NoError(t, running.Close())

	got = call(t, dir, environ, "move-database", "--from", "file:timbridge.db")
	require.Equal(t, exitOK, got.code, got.stderr)
	require.Contains(t, got.stdout, "counted them on both sides")
	require.Regexp(t, `tim_message +1200 rows`, got.stdout)
	require.Contains(t, got.stderr, "Moving: 100%")
	require.Equal(t, exitOK, call(t, dir, environ, "check", "--deep").code)
	require.Equal(t, call(t, dir, nil, "export").stdout, call(t, dir, environ, "export").stdout)
	got = call(t, dir, environ, "move-database", "--from", "file:timbridge.db")
	require.Equal(t, exitData, got.code)
	require.Contains(t, got.stderr, "the new database is not empty")
}
