package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/database"
)

// records is an import file of one group, two users and count messages.
func records(count int) string {
	var b strings.Builder
	b.WriteString(`{"type":"group","group_id":"g1","room_id":"!r:matrix.test","seq_source":"own"}
{"type":"user","user_id":"alice","mxid":"@tim_alice:matrix.test","kind":"ghost"}
{"type":"user","user_id":"bob","mxid":"@tim_bob:matrix.test","kind":"ghost"}
{"type":"member","group_id":"g1","user_id":"alice"}
{"type":"member","group_id":"g1","user_id":"bob"}
`)
	for seq := 1; seq <= count; seq++ {
		fmt.Fprintf(&b, `{"type":"message","group_id":"g1","seq":%d,"event_id":"$e%d","msg_id":"144115-1727580296-%d","sender":"alice","wants":"yes","at":1727580296000}`+"\n", seq, seq, seq)
	}
	return b.String()
}

func TestImportAndExport(t *testing.T) {
	const messages = 2500 // several batches, the last one not full
	dir := t.TempDir()
	write(t, dir, "config.yaml", testConfig)
	write(t, dir, "in.ndjson", records(messages))
	got := call(t, dir, nil, "export")
	require.Equal(t, exitDatabase, got.code)
	require.Contains(t, got.stderr, "there is no database yet")

	got = call(t, dir, nil, "import", "in.ndjson")
	require.Equal(t, exitOK, got.code, got.stderr)
	require.Equal(t, "Imported 2505 lines, 2505 of them new.\n", got.stdout)
	require.Contains(t, got.stderr, "Importing: 100%")
	got = call(t, dir, nil, "import", "in.ndjson")
	require.Equal(t, "Imported 2505 lines, 0 of them new.\n", got.stdout)

	got = call(t, dir, nil, "export", "out.ndjson")
	require.Equal(t, exitOK, got.code, got.stderr)
	require.Equal(t, "Exported 2505 records to out.ndjson.\n", got.stdout)
	exported := read(t, dir, "out.ndjson")
	require.Equal(t, messages, strings.Count(exported, `"type":"message"`))

	other := t.TempDir()
	write(t, other, "config.yaml", testConfig)
	got = call(t, other, nil, "import", filepath.Join(dir, "out.ndjson"))
	require.Equal(t, exitOK, got.code, got.stderr)
	for _, args := range [][]string{{"export"}, {"export", "-"}} {
		got = call(t, other, nil, args...)
		require.Equal(t, exitOK, got.code, got.stderr)
		require.Equal(t, exported, got.stdout, "in and out again, equal")
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		require.NotContains(t, entry.Name(), ".timbridge-export", "a temporary file left behind")
	}
}

func TestImportNamesBadLines(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "config.yaml", testConfig)
	write(t, dir, "in.ndjson", records(10)+"{\"type\":\"massage\"}\nnot json\n")
	got := call(t, dir, nil, "import", "in.ndjson")
	require.Equal(t, exitData, got.code)
	require.Contains(t, got.stderr, "2 bad lines")
	require.Contains(t, got.stderr, "line 16: ")
	require.Contains(t, got.stderr, `unknown type "massage"`)
	require.Contains(t, got.stderr, "line 17: ")
	require.Contains(t, got.stderr, "the first 0 lines are stored")

	for name, args := range map[string][]string{"missing": {"import", "nowhere"}, "folder": {"import", "."}} {
		got = call(t, dir, nil, args...)
		require.Equal(t, exitUsage, got.code, name)
		require.Contains(t, got.stderr, args[1], name)
	}
	got = call(t, dir, nil, "export", "missing/out.ndjson")
	require.Equal(t, exitData, got.code)
	require.Contains(t, got.stderr, "missing")
}

// An import that is interrupted keeps what it has stored, and goes on when it
// is called again.
func TestInterruptedImportGoesOn(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "config.yaml", testConfig)
	all := records(3000)
	cut := strings.Index(all, `{"type":"message","group_id":"g1","seq":2001,`) // after some of the third batch
	cmd := exec.Command(binary, "import", "-")
	output := &syncBuffer{}
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, []string{}, output, output
	input, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	_, err = io.WriteString(input, all[:cut])
	require.NoError(t, err)
	require.Eventually(t, func() bool { return countMessages(t, dir) > 0 }, patience, 20*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	// The signal is seen between two lines; empty ones are skipped.
	require.Eventually(t, func() bool {
		_, err := io.WriteString(input, "\n")
		return err != nil // it has ended
	}, patience, 10*time.Millisecond)
	var exit *exec.ExitError
	require.True(t, errors.As(cmd.Wait(), &exit), output)
	require.Equal(t, exitData, exit.ExitCode(), output)
	require.Contains(t, output.String(), "import interrupted; the first ")

	stored := countMessages(t, dir)
	require.Less(t, stored, 3000)
	write(t, dir, "in.ndjson", all)
	got := call(t, dir, nil, "import", "in.ndjson")
	require.Equal(t, exitOK, got.code, got.stderr)
	require.Equal(t, 3000, countMessages(t, dir))
}

// countMessages looks into the database; 0 if there is none yet.
func countMessages(t *testing.T, dir string) int {
	t.Helper()
	cfg := config.Database{Type: config.DatabaseSQLite, URI: config.Secret(filepath.Join(dir, "timbridge.db")), MaxOpenConns: 1}
	db, err := database.OpenReadOnly(context.Background(), cfg)
	if err != nil {
		return 0
	}
	defer db.Close()
	var count int
	if db.QueryRow(context.Background(), "SELECT COUNT(*) FROM tim_message").Scan(&count) != nil {
		return 0
	}
	return count
}
