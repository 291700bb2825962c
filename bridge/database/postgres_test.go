package database

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/internal/postgres"
)

// server serves the tests of this package; each has a database of its own.
var testServer postgres.Lazy

func TestMain(m *testing.M) { os.Exit(testServer.Main(m)) }

func serverSettings(uri string) config.Database {
	return config.Database{Type: config.DatabasePostgres, URI: config.Secret(uri), MaxOpenConns: 4, MaxIdleConns: 4}
}

func mustOpenServer(t *testing.T, uri string) *dbutil.Database {
	t.Helper()
	db, err := Open(t.Context(), serverSettings(uri))
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestServerCommitsAreKeptWhateverIsSet(t *testing.T) {
	uri := testServer.Database(t)
	admin, err := pgx.Connect(t.Context(), uri)
	require.NoError(t, err)
	defer admin.Close(context.Background())
	for set, want := range map[string]string{"off": "on", "local": "on", "remote_write": "on", "on": "on", "remote_apply": "remote_apply"} {
		_, err = admin.Exec(t.Context(), "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = "+set+"', current_database()); END$$")
		require.NoError(t, err)
		db := mustOpenServer(t, uri)
		conns := make([]dbutil.Rows, 4) // every connection of the pool, held open at the same time
		for i := range conns {
			conns[i], err = db.Query(t.Context(), "SELECT current_setting('synchronous_commit'), current_setting('transaction_isolation')")
			require.NoError(t, err)
		}
		for _, rows := range conns {
			var commit, isolation string
			require.True(t, rows.Next())
			require.NoError(t, rows.Scan(&commit, &isolation))
			require.NoError(t, rows.Close())
			require.Equal(t, []string{want, "read committed"}, []string{commit, isolation})
		}
		require.NoError(t, db.Close())
	}
}

func TestServerHasOneOwnerAtATime(t *testing.T) {
	uri := testServer.Database(t)
	db := mustOpenServer(t, uri)
	_, err := Open(t.Context(), serverSettings(uri))
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, fmt.Sprintf("process %d on ", os.Getpid()))
	require.NotContains(t, err.Error(), postgres.Password)
	other := mustOpenServer(t, testServer.Database(t))
	require.NoError(t, other.Close())
	require.NoError(t, db.Close())
	require.NoError(t, mustOpenServer(t, uri).Close())
}

func TestServerOpenedReadOnly(t *testing.T) {
	ctx, uri := t.Context(), testServer.Database(t)
	owner := mustOpenServer(t, uri)
	_, err := owner.Exec(ctx, "CREATE TABLE t (n INTEGER)")
	require.NoError(t, err)
	reader, err := OpenReadOnly(ctx, serverSettings(uri))
	require.NoError(t, err)
	defer reader.Close()
	var n int
	require.NoError(t, reader.QueryRow(ctx, "SELECT COUNT(*) FROM t").Scan(&n))
	_, err = reader.Exec(ctx, "INSERT INTO t VALUES (1)")
	require.Error(t, err)
}

// TestLostLockStopsEverything ends the session with the lock alone, and has another take the lock meanwhile.
func TestLostLockStopsEverything(t *testing.T) {
	ctx, uri := t.Context(), testServer.Database(t)
	db := mustOpenServer(t, uri)
	admin, err := pgx.Connect(ctx, uri)
	require.NoError(t, err)
	defer admin.Close(context.Background())
	// Whoever waits gets the lock in the moment in which the session ends.
	taken := make(chan error, 1)
	thief, err := pgx.Connect(ctx, uri)
	require.NoError(t, err)
	defer thief.Close(context.Background())
	go func() {
		_, err := thief.Exec(ctx, "SELECT pg_advisory_lock($1, hashtext(current_schema()))", lockClass)
		taken <- err
	}()
	require.Eventually(t, func() bool {
		var waiting bool
		require.NoError(t, admin.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)").Scan(&waiting))
		return waiting
	}, 10*time.Second, 5*time.Millisecond)
	_, err = admin.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
	require.NoError(t, err)
	require.NoError(t, <-taken)
	require.Eventually(t, func() bool {
		_, err = db.Exec(ctx, "SELECT 1")
		return errors.Is(err, ErrLockLost)
	}, 10*time.Second, 5*time.Millisecond, "no connection is used any more")
	require.Eventually(t, func() bool {
		_, err = db.Exec(ctx, "SELECT 1")
		return errors.Is(err, ErrLocked)
	}, 10*time.Second, 5*time.Millisecond, "and the reason is said")
	require.True(t, Unreachable(err))
	require.NoError(t, thief.Close(ctx))
	require.Eventually(t, func() bool {
		_, err = db.Exec(ctx, "SELECT 1")
		return err == nil
	}, 10*time.Second, 5*time.Millisecond, "the lock is taken again")
}

func TestServerThatRestarts(t *testing.T) {
	s := postgres.Own(t, postgres.Options{})
	var out bytes.Buffer
	log := zerolog.New(zerolog.SyncWriter(&out))
	ctx := log.WithContext(t.Context())
	uri, err := s.Create(ctx, "own")
	require.NoError(t, err)
	db, err := Open(ctx, serverSettings(uri))
	require.NoError(t, err)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		require.NoError(t, s.Shut(sig))
		require.Eventually(t, func() bool {
			_, err = db.Exec(ctx, "SELECT 1")
			return err != nil
		}, 10*time.Second, 5*time.Millisecond)
		require.True(t, Unreachable(err), "%v", err)
		require.NotContains(t, err.Error(), postgres.Password)
		_, err = Open(ctx, serverSettings(uri))
		require.ErrorContains(t, err, "is it running")
		require.NotContains(t, err.Error(), postgres.Password)
		require.NoError(t, s.Run(ctx))
		require.Eventually(t, func() bool {
			_, err = db.Exec(ctx, "SELECT 1")
			return err == nil
		}, 10*time.Second, 5*time.Millisecond)
	}
	require.NoError(t, db.Close())
	require.NotContains(t, out.String(), postgres.Password)
	require.Contains(t, out.String(), "The lock on the database is taken again")
}

func TestServerTakesAnyText(t *testing.T) {
	ctx := t.Context()
	db := mustOpenServer(t, testServer.Database(t))
	_, err := db.Exec(ctx, "CREATE TABLE t (s TEXT NOT NULL)")
	require.NoError(t, err)
	type named string
	for in, want := range map[string]string{"a\x00b": "a\uFFFDb", "a\xffb": "a\uFFFDb", "": "", "é": "é"} {
		_, err = db.Exec(ctx, "INSERT INTO t (s) VALUES ($1)", in)
		require.NoError(t, err)
		var got string
		require.NoError(t, db.QueryRow(ctx, "SELECT s FROM t WHERE s=$1", named(in)).Scan(&got))
		require.Equal(t, want, got)
	}
}

func TestServerURIsThatWillNotDo(t *testing.T) {
	const secret = "hunter2"
	for uri, says := range map[string]string{
		"file:x.db":                                                                  "does not begin with postgres://",
		"postgres://x:" + secret + "/2@y/z":                                          "write %40 for @",
		"postgres://x:" + secret + "?@y/z":                                           "write %40 for @",
		"postgres://x:12/" + secret + "@y/z":                                         "write %40 for @",
		"postgres://x:%zz" + secret + "@y/z":                                         "write %40 for @",
		"postgres://x:" + secret + "@y:port/z":                                       "write %40 for @",
		"postgres://x:" + secret + "@y/z?sslmode=no":                                 "sslmode",
		"postgres://x:" + secret + "@y/z?sslmode=verify-full&sslrootcert=/" + secret: "xxxxx",
		"postgres://x:" + secret + "@y/z?synchronous_commit=off":                     "synchronous_commit is timbridge's",
		"postgres://x:" + secret + "@/z?host=/nowhere":                               "cannot be reached",
		"postgres://x:" + secret + "@127.0.0.1:1/z?password=" + secret + "3":         "cannot be reached",
	} {
		_, err := Open(t.Context(), serverSettings(uri))
		require.ErrorContains(t, err, says, uri)
		require.NotContains(t, err.Error(), secret, uri)
	}
	uri := testServer.Database(t)
	_, err := Open(t.Context(), serverSettings(uri+"&dbname=nothing"))
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, "createdb")
}

// FuzzParseServer: whatever the URI, what is said of it holds nothing of the password.
func FuzzParseServer(f *testing.F) {
	for _, uri := range []string{"postgres://u:SECRETSECRET@h/d", "postgres://u:SECRETSECRET/@h/d", "postgres://u:1/SECRETSECRET@h/d?x=y", "postgresql://u:%zzSECRETSECRET@h", "postgres://:SECRETSECRET@/d?host=/x&port=x"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if s, err := parseServer(uri); err != nil {
			require.NotContains(t, err.Error(), "SECRETSECRET")
		} else {
			require.NotEmpty(t, s.config.Database)
		}
	})
}
