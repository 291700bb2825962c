package database

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/bridge/config"
)

func settings(uri string) config.Database {
	return config.Database{Type: config.DatabaseSQLite, URI: config.Secret(uri), MaxOpenConns: 4, MaxIdleConns: 4}
}

func mustOpen(t *testing.T, uri string) *dbutil.Database {
	t.Helper()
	db, err := Open(context.Background(), settings(uri))
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestOpenDecidesTheSettings(t *testing.T) {
	dir := t.TempDir()
	uris := map[string]string{
		"plain path":    dir + "/plain.db",
		"file uri":      "file:" + dir + "/uri.db",
		"mautrix habit": "file:" + dir + "/mautrix.db?_txlock=immediate",
		"unsafe wishes": "file:" + dir + "/unsafe.db?_synchronous=OFF&_journal_mode=DELETE&_foreign_keys=0&_pragma=synchronous(0)&_pragma=journal_mode(OFF)",
		"odd name":      dir + "/50% of #1 & more.db",
	}
	for name, uri := range uris {
		t.Run(name, func(t *testing.T) {
			db := mustOpen(t, uri)
			conns := make([]dbutil.Rows, 0, 4)
			for range 4 { // every connection of the pool, held open at the same time
				rows, err := db.Query(context.Background(),
					"SELECT j.journal_mode, s.synchronous, f.foreign_keys, b.timeout FROM pragma_journal_mode j, pragma_synchronous s, pragma_foreign_keys f, pragma_busy_timeout b")
				require.NoError(t, err)
				conns = append(conns, rows)
			}
			for _, rows := range conns {
				var journal string
				var synchronous, foreignKeys, busy int
				require.True(t, rows.Next())
				require.NoError(t, rows.Scan(&journal, &synchronous, &foreignKeys, &busy))
				require.NoError(t, rows.Close())
				require.Equal(t, []any{"wal", 2, 1, 10000}, []any{journal, synchronous, foreignKeys, busy})
			}
		})
	}
	info, err := os.Stat(filepath.Join(dir, "50% of #1 & more.db"))
	require.NoError(t, err, "the file has the name that was given")
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
}

func TestOpenTakesOperatorsPragmas(t *testing.T) {
	db := mustOpen(t, "file:"+t.TempDir()+"/a.db?_pragma=cache_size(-1234)")
	var size int
	require.NoError(t, db.QueryRow(context.Background(), "PRAGMA cache_size").Scan(&size))
	require.Equal(t, -1234, size)
}

// Two transactions that read before they write are the classic deadlock of
// SQLite's deferred transactions; with immediate ones none of them may fail.
func TestConcurrentTransactionsDoNotFail(t *testing.T) {
	ctx := context.Background()
	db := mustOpen(t, t.TempDir()+"/a.db")
	_, err := db.Exec(ctx, "CREATE TABLE counter (n INTEGER NOT NULL)")
	require.NoError(t, err)
	_, err = db.Exec(ctx, "INSERT INTO counter VALUES (0)")
	require.NoError(t, err)
	const workers, rounds = 8, 20
	var group sync.WaitGroup
	errs := make(chan error, workers*rounds)
	for range workers {
		group.Go(func() {
			for range rounds {
				errs <- db.DoTxn(ctx, nil, func(ctx context.Context) error {
					var n int
					if err := db.QueryRow(ctx, "SELECT n FROM counter").Scan(&n); err != nil {
						return err
					}
					_, err := db.Exec(ctx, "UPDATE counter SET n=$1", n+1)
					return err
				})
			}
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	var n int
	require.NoError(t, db.QueryRow(ctx, "SELECT n FROM counter").Scan(&n))
	require.Equal(t, workers*rounds, n)
}

func TestOneOwnerAtATime(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/a.db"
	db := mustOpen(t, path)
	_, err := Open(context.Background(), settings("file:"+path))
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, fmt.Sprintf("process %d", os.Getpid()))

	require.NoError(t, os.Symlink(path, dir+"/other-name.db"))
	_, err = Open(context.Background(), settings(dir+"/other-name.db"))
	require.ErrorIs(t, err, ErrLocked, "another name of the same file")

	require.NoError(t, db.Close())
	db = mustOpen(t, path)
	require.NoError(t, db.Close())
}

func TestFailedOpenReleasesTheLock(t *testing.T) {
	path := t.TempDir() + "/a.db"
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("not a database "), 100), 0o600))
	_, err := Open(context.Background(), settings(path))
	require.ErrorIs(t, err, ErrDamaged)
	require.NoError(t, os.Remove(path))
	mustOpen(t, path)
}

func TestOpenReadOnly(t *testing.T) {
	ctx := context.Background()
	path := t.TempDir() + "/a.db"
	_, err := OpenReadOnly(ctx, settings(path))
	require.ErrorIs(t, err, ErrNotFound)
	require.NoFileExists(t, path)

	owner := mustOpen(t, path)
	_, err = owner.Exec(ctx, "CREATE TABLE t (n INTEGER)")
	require.NoError(t, err)
	for _, running := range []bool{true, false} {
		t.Run(fmt.Sprintf("running=%v", running), func(t *testing.T) {
			if !running {
				require.NoError(t, owner.Close())
			}
			reader, err := OpenReadOnly(ctx, settings(path))
			require.NoError(t, err)
			defer reader.Close()
			var count int
			require.NoError(t, reader.QueryRow(ctx, "SELECT COUNT(*) FROM t").Scan(&count))
			_, err = reader.Exec(ctx, "INSERT INTO t VALUES (1)")
			require.Error(t, err)
		})
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/text.db", []byte(strings.Repeat("hello ", 1000)), 0o600))
	require.NoError(t, os.WriteFile(dir+"/file", nil, 0o600))
	cases := map[string]struct {
		cfg  config.Database
		is   error
		says []string
	}{
		"mysql":          {config.Database{Type: "mysql", URI: "mysql://x:hunter2@y/z"}, ErrUnsupported, []string{"database.type", "sqlite3-fk-wal", "postgres"}},
		"no type":        {config.Database{URI: "a.db"}, ErrUnsupported, []string{"database.type"}},
		"no uri":         {settings(""), nil, []string{"database.uri", "names no file"}},
		"memory":         {settings(":memory:"), nil, []string{"forgets everything"}},
		"memory uri":     {settings("file::memory:?cache=shared"), nil, []string{"forgets everything"}},
		"memory mode":    {settings("file:x?mode=memory"), nil, []string{"mode=memory"}},
		"other host":     {settings("file://server/x.db"), nil, []string{"another machine"}},
		"bad escape":     {settings("file:50%.db"), nil, []string{"%25"}},
		"unknown option": {settings("file:x.db?immutable=1"), nil, []string{"immutable", "remove it"}},
		"sql in pragma":  {settings("file:x.db?_pragma=cache_size(1)%3BATTACH+'y'+AS+z"), nil, []string{"more than one statement"}},
		"no folder":      {settings(dir + "/missing/x.db"), nil, []string{dir + "/missing is missing"}},
		"folder is file": {settings(dir + "/file/x.db"), nil, []string{"not a folder"}},
		"is folder":      {settings(dir), nil, []string{"it is a folder"}},
		"not a database": {settings(dir + "/text.db"), ErrDamaged, []string{dir + "/text.db", "restore a backup"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			db, err := Open(context.Background(), tc.cfg)
			if err == nil {
				_ = db.Close()
			}
			require.Error(t, err)
			if tc.is != nil {
				require.ErrorIs(t, err, tc.is)
			}
			for _, text := range tc.says {
				require.ErrorContains(t, err, text)
			}
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestExplainPermission(t *testing.T) {
	for _, cause := range []error{fs.ErrPermission, syscall.EACCES, syscall.EROFS} {
		err := explain("open", "/x.db", &fs.PathError{Op: "open", Path: "/x.db", Err: cause})
		require.ErrorContains(t, err, "cannot be written")
		require.ErrorIs(t, err, cause)
	}
}

func TestOpenWithoutPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere; TestExplainPermission covers the text")
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o500))
	_, err := Open(context.Background(), settings(dir+"/x.db"))
	require.ErrorIs(t, err, fs.ErrPermission)
	require.ErrorContains(t, err, "cannot be written")
}

func TestSlowQueriesAreLoggedWithoutArguments(t *testing.T) {
	var out bytes.Buffer
	log := zerolog.New(&out)
	l := slowLog{fallback: &log}
	l.QueryTiming(context.Background(), "Exec", "SELECT\n 1", []any{"secret text"}, 1, slowQuery-1, nil)
	require.Empty(t, out.String())
	l.QueryTiming(context.Background(), "Exec", "SELECT\n 1", []any{"secret text"}, 1, 2*time.Second, nil)
	require.Contains(t, out.String(), `"query":"SELECT 1"`)
	require.NotContains(t, out.String(), "secret text")
}

// FuzzParseURI reads any database.uri: what is taken names a file by an absolute path, and never one in memory.
func FuzzParseURI(f *testing.F) {
	for _, uri := range []string{"timbridge.db", "file:timbridge.db", "file:///x/y.db?_txlock=immediate", "file://localhost/x", "file://host/x", "file:%zz", ":memory:", "file::memory:?cache=shared", "file:x?mode=memory", "x\x00y", "file:a?_pragma=cache_size(-20000)", "?", "file:?a=b"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		at, err := parseURI(uri)
		if err != nil {
			return
		}
		require.True(t, filepath.IsAbs(at.path), at.path)
		require.NotContains(t, at.path, "\x00")
	})
}
