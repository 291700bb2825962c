package main

import (
	"database/sql"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"
)

// change changes a database as its operator might.
func change(t *testing.T, dir, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "timbridge.db")+"?_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), query)
	require.NoError(t, err)
}

func (b *runningBridge) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, b.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, exitOK, b.waitExit(t), b.output)
}

func TestDeepCheck(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "config.yaml", testConfig)
	got := call(t, dir, nil, "check", "--deep")
	require.Equal(t, exitCheck, got.code)
	require.Contains(t, got.stdout, "there is no database yet")
	write(t, dir, "in.ndjson", `{"type":"group","group_id":"team","room_id":"!team:a.test","seq_source":"own"}`+"\n")
	require.Equal(t, exitOK, call(t, dir, nil, "import", "in.ndjson").code)
	got = call(t, dir, nil, "check", "--deep")
	require.Equal(t, exitCheck, got.code)
	require.Contains(t, got.stdout, "start timbridge once")

	b := startBridge(t, dir)
	got = call(t, dir, nil, "check", "--deep")
	require.Equal(t, exitOK, got.code, "beside a running one: %s%s", got.stdout, got.stderr)
	require.Contains(t, got.stdout, "ok    sqlite       pages, indexes and references are sound\n")
	require.Contains(t, got.stdout, "ok    groups       1 looked at\n")
	b.stop(t)
	got = call(t, dir, nil, "--deep", "check")
	require.Equal(t, exitOK, got.code, got.stdout)

	change(t, dir, "UPDATE tim_group SET messages=3; INSERT INTO tim_reader VALUES (1, 1, x'0102', NULL, NULL, 0, 0, 0, 0, 0, 0, NULL, 0, NULL, 0)")
	got = call(t, dir, nil, "check", "--deep")
	require.Equal(t, exitCheck, got.code, got.stdout)
	require.Contains(t, got.stdout, "FAIL  groups       group team: it counts 3 messages and has 0\n")
	require.Contains(t, got.stdout, "FAIL  readers      group team, user number 1: the row is damaged and left alone")
	require.Contains(t, got.stdout, "ok    messages     0 looked at\n")
	require.NotContains(t, got.stdout+got.stderr, testSecret)

	got = call(t, dir, nil, "export", "--deep")
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.stderr, "--deep belongs to check")
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	dir := t.TempDir()
	startBridge(t, dir).stop(t)
	write(t, dir, "in.ndjson", "")
	for _, table := range []string{"timbridge_mapping_version", "timbridge_receipts_version", "timbridge_bridge_version", "mx_version"} {
		t.Run(table, func(t *testing.T) {
			change(t, dir, "CREATE TABLE IF NOT EXISTS kept AS SELECT * FROM "+table+" WHERE false; DELETE FROM kept; INSERT INTO kept SELECT * FROM "+table+"; UPDATE "+table+" SET version=99, compat=98")
			for _, args := range [][]string{{"-n"}, {"import", "in.ndjson"}, {"export"}} {
				got := call(t, dir, nil, args...)
				require.Equal(t, exitStart, got.code, "%v: %s%s", args, got.stdout, got.stderr)
				require.Contains(t, got.stderr, "a newer timbridge has written this database", args)
				require.Contains(t, got.stderr, table, args)
				require.Contains(t, got.stderr, "of version 99, usable from version 98 on", args)
			}
			for _, args := range [][]string{{"check"}, {"check", "--deep"}} {
				got := call(t, dir, nil, args...)
				require.Equal(t, exitCheck, got.code, args)
				require.Contains(t, got.stdout, "a newer timbridge has written this database", args)
			}
			got := call(t, dir, nil, "export", "--ignore-unsupported-database")
			require.Equal(t, exitOK, got.code, got.stderr)
			change(t, dir, "DELETE FROM "+table+"; INSERT INTO "+table+" SELECT * FROM kept; DROP TABLE kept")
		})
	}
	change(t, dir, "UPDATE timbridge_receipts_version SET version=99, compat=98")
	b := startBridge(t, dir, "--ignore-unsupported-database")
	require.Contains(t, b.output.String(), "Database schema is newer than this version knows, continuing")
	b.stop(t)
}
