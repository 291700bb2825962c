package bridge

import (
	"context"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/database"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

// TestNobodyWritesBeneathAnUpgrade: a newer timbridge takes over from one that does not know of it yet, and upgrades the tables. What the
// older one is about to commit would be in its older form.
func TestNobodyWritesBeneathAnUpgrade(t *testing.T) {
	t.Parallel()
	cfg := config.Database{Type: config.DatabasePostgres, URI: config.Secret(server.Database(t)), MaxOpenConns: 8, MaxIdleConns: 8}
	h := newHouse(t, matrixtest.Synapse(), func(c *config.Config) { c.Database = cfg })
	h.spoilt = true
	h.room("team", h.hs.User("ann"), "alice")
	h.settled()

	db := dbOf(t, h.db)
	newer, err := New(h.cfg, db, zerolog.Nop())
	require.NoError(t, err)
	part := newer.own.Schema()
	known := len(part.UpgradeTable)
	upgraded := false
	part.UpgradeTable = append(part.UpgradeTable, dbutil.WrapUpgrade(known, known+1, 0, "what the next version needs", dbutil.TxnModeOn, func(context.Context, *dbutil.Database) error {
		upgraded = true
		err := h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error { return h.b.own.SetValue(ctx, "x", "in the older form") })
		require.ErrorIs(t, err, errTakenOver)
		return nil
	}))
	require.NoError(t, newer.prepare(h.ctx))
	require.True(t, upgraded)
	value, err := newer.own.Value(h.ctx, "x")
	require.NoError(t, err)
	require.Empty(t, value)
	require.ErrorIs(t, h.b.prepare(h.ctx), database.ErrNewer, "and the older one does not begin again")
}

// dbOf is the same database for another timbridge, as if it had taken the lock away.
func dbOf(t *testing.T, db *dbutil.Database) *dbutil.Database {
	other, err := dbutil.NewWithDB(db.RawDB, "postgres")
	require.NoError(t, err)
	return other
}
