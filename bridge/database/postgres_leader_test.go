package database

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/bridge/config"
)

func TestLeadership(t *testing.T) {
	cfg := serverSettings(testServer.Database(t))
	open := func() *Leadership {
		l, err := OpenLeadership(t.Context(), cfg)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, l.Close()) })
		return l
	}
	a, b := open(), open()
	now, err := b.Look(t.Context())
	require.NoError(t, err)
	require.Equal(t, Leader{}, now, "nobody has worked yet")
	still, err := b.Beat(t.Context(), "b")
	require.NoError(t, err)
	require.False(t, still)

	db := mustOpenServer(t, string(cfg.URI))
	require.NoError(t, a.Take(t.Context(), "a", "http://a"))
	now, err = b.Look(t.Context())
	require.NoError(t, err)
	require.True(t, now.Locked)
	require.Equal(t, "a", now.Owner)
	require.Equal(t, "http://a", now.Address)
	require.False(t, now.Seen.IsZero())
	still, err = a.Beat(t.Context(), "a")
	require.NoError(t, err)
	require.True(t, still)
	later, err := b.Look(t.Context())
	require.NoError(t, err)
	require.True(t, later.Seen.After(now.Seen))

	_, err = Open(t.Context(), cfg)
	require.ErrorIs(t, err, ErrLocked)
	var other *dbutil.Database
	for err = ErrLocked; errors.Is(err, ErrLocked); { // one that is awake tries for the lock again, too
		now, err = b.Look(t.Context())
		require.NoError(t, err)
		require.NoError(t, b.Depose(t.Context(), now.Session))
		other, err = Open(t.Context(), cfg)
	}
	require.NoError(t, err)
	// Who has looked before that, and thinks so only now, ends nobody: two that stand by see the same silence.
	held, err := a.Look(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, now.Session, held.Session)
	require.NoError(t, a.Depose(t.Context(), now.Session))
	require.Never(t, func() bool {
		after, err := a.Look(t.Context())
		return err != nil || after.Session != held.Session
	}, 200*time.Millisecond, 20*time.Millisecond)
	require.NoError(t, b.Take(t.Context(), "b", "http://b"))
	still, err = a.Beat(t.Context(), "a")
	require.NoError(t, err)
	require.False(t, still, "it learns that it leads no more")
	require.Eventually(t, func() bool { return db.RawDB.PingContext(t.Context()) != nil }, 10*time.Second, 10*time.Millisecond, "it reads and writes nothing")
	require.NoError(t, other.Close())

	cfg.Type = config.DatabaseSQLite
	_, err = OpenLeadership(t.Context(), cfg)
	require.ErrorIs(t, err, ErrUnsupported)
}

// TestADeposedLeaderHoldsNothing: one that sleeps in the middle of a transaction keeps no rows from who comes next, and what it has not
// committed is not there.
func TestADeposedLeaderHoldsNothing(t *testing.T) {
	uri := testServer.Database(t)
	asleep := mustOpenServer(t, uri+"&application_name=asleep")
	_, err := asleep.Exec(t.Context(), "CREATE TABLE t (n INTEGER)")
	require.NoError(t, err)
	_, err = asleep.Exec(t.Context(), "INSERT INTO t VALUES (1)")
	require.NoError(t, err)
	tx, err := asleep.RawDB.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.Exec("UPDATE t SET n = 2")
	require.NoError(t, err)

	l, err := OpenLeadership(t.Context(), serverSettings(uri))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	now, err := l.Look(t.Context())
	require.NoError(t, err)
	require.True(t, now.Locked)
	require.NoError(t, l.Depose(t.Context(), now.Session))
	next, err := pgx.Connect(t.Context(), uri)
	require.NoError(t, err)
	defer next.Close(context.Background())
	_, err = next.Exec(t.Context(), "SET lock_timeout = '20s'")
	require.NoError(t, err)
	_, err = next.Exec(t.Context(), "UPDATE t SET n = n + 10")
	require.NoError(t, err, "the row is free")
	require.Error(t, tx.Commit())
	var n int
	require.NoError(t, next.QueryRow(t.Context(), "SELECT n FROM t").Scan(&n))
	require.Equal(t, 11, n)
}
