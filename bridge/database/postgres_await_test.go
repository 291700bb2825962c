package database

import (
	"bytes"
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/internal/postgres"
)

// lines is a log that may be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(data)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func TestAwaitServerThatIsNotThereYet(t *testing.T) {
	s := postgres.Own(t, postgres.Options{})
	uri, err := s.Create(t.Context(), "late")
	require.NoError(t, err)
	cfg := serverSettings(uri)
	cfg.StartWait = time.Minute
	var log lines
	ctx := zerolog.New(&log).WithContext(t.Context())
	require.NoError(t, Await(ctx, cfg))
	require.Empty(t, log.String(), "it was not waited for")

	require.NoError(t, s.Shut(syscall.SIGQUIT))
	done := make(chan error, 1)
	go func() { done <- Await(ctx, cfg) }()
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "Waiting for the database server") }, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, s.Run(t.Context()))
	require.NoError(t, <-done)
	require.Contains(t, log.String(), "The database server is there")
	require.NotContains(t, log.String(), postgres.Password)

	// What waiting cannot cure is said at once.
	nothing := cfg
	nothing.URI += "&dbname=nothing"
	require.ErrorIs(t, Await(ctx, nothing), ErrNotFound)
	nothing.Type = config.DatabaseSQLite
	require.NoError(t, Await(ctx, nothing))
}

// TestAwaitServerThatStarts: one that recovers from a crash is there, and refuses everybody.
func TestAwaitServerThatStarts(t *testing.T) {
	folder := t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(folder, ".s.PGSQL.5432"))
	require.NoError(t, err)
	var asked atomic.Int64
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			asked.Add(1)
			backend := pgproto3.NewBackend(conn, conn)
			if _, err = backend.ReceiveStartupMessage(); err == nil {
				backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "57P03", Message: "the database system is starting up"})
				_ = backend.Flush()
			}
			_ = conn.Close()
		}
	})
	defer tasks.Wait()
	defer listener.Close()
	cfg := serverSettings("postgres://timbridge@/timbridge?host=" + folder)
	for wait, more := range map[time.Duration]int64{0: 1, time.Second: 2} {
		before := asked.Load()
		cfg.StartWait = wait
		err = Await(t.Context(), cfg)
		require.ErrorContains(t, err, "the server is starting, or stopping")
		require.True(t, Unreachable(err))
		require.GreaterOrEqual(t, asked.Load()-before, more)
	}

	cfg.StartWait = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	before := asked.Load()
	go func() { done <- Await(ctx, cfg) }()
	require.Eventually(t, func() bool { return asked.Load() > before }, 10*time.Second, 10*time.Millisecond)
	cancel()
	require.Error(t, <-done, "and who is told to end ends")
}
