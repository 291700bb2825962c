package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"go.uber.org/goleak"
)

// TB is what this package uses of testing.TB. (Declared here, so that programs that run a server do not carry package testing.)
type TB interface {
	require.TestingT
	Helper()
	Cleanup(func())
	Context() context.Context
	Failed() bool
	Skip(args ...any)
}

// Lazy is a server that the first test that wants a database starts. The zero value is ready. It is safe for concurrent use.
type Lazy struct {
	Options

	once   sync.Once
	server *Server
	err    error

	mu   sync.Mutex
	made int
	free []string // databases that are empty again: making one takes the server far longer than emptying it
}

// Database gives a test an empty database and returns its URI; who still works on it when the test ends is thrown out. Where there
// is no PostgreSQL the test is skipped.
func (l *Lazy) Database(t TB) string {
	t.Helper()
	l.once.Do(func() { l.server, l.err = Start(context.Background(), l.Options) })
	if errors.Is(l.err, ErrMissing) {
		t.Skip(ErrMissing.Error())
	}
	require.NoError(t, l.err)
	name, err := l.take()
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			return // something may still hold it
		}
		require.NoError(t, l.server.empty(context.Background(), name))
		l.mu.Lock()
		defer l.mu.Unlock()
		l.free = append(l.free, name)
	})
	return l.server.URI(name)
}

func (l *Lazy) take() (string, error) {
	l.mu.Lock()
	if n := len(l.free); n > 0 {
		name := l.free[n-1]
		l.free = l.free[:n-1]
		l.mu.Unlock()
		return name, nil
	}
	l.made++
	name := fmt.Sprint("test", l.made)
	l.mu.Unlock()
	_, err := l.server.Create(context.Background(), name)
	return name, err
}

// Open opens an empty database for a test, which closes it when it ends. Its sessions are as PostgreSQL makes them.
func (l *Lazy) Open(t TB) *dbutil.Database {
	t.Helper()
	raw, err := sql.Open("pgx", l.Database(t))
	require.NoError(t, err)
	db, err := dbutil.NewWithDB(raw, "postgres")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// Own starts a server for one test that wants to break it.
func Own(t TB, opts Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), opts)
	if errors.Is(err, ErrMissing) {
		t.Skip(ErrMissing.Error())
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop()) })
	return s
}

// Main runs the tests of a package, looks for goroutines that they left, and stops the server. It returns the exit code.
func (l *Lazy) Main(m interface{ Run() int }) int {
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "goleak: Errors on successful test run:", err)
			code = 1
		}
	}
	if err := l.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// Close stops the server, if there is one. [Lazy.Main] does it.
func (l *Lazy) Close() error {
	if l.server == nil {
		return nil
	}
	return l.server.Stop()
}
