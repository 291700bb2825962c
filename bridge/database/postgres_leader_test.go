package database

import (
	"errors"
	"testing"
	"time"

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
		require.NoError(t, b.Depose(t.Context()))
		other, err = Open(t.Context(), cfg)
	}
	require.NoError(t, err)
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
