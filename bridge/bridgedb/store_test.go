package bridgedb_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/database"
	"github.com/timbridge/timbridge/internal/postgres"
	"github.com/timbridge/timbridge/receipts"
)

// server is the PostgreSQL of these tests.
var server postgres.Lazy

func TestMain(m *testing.M) { os.Exit(server.Main(m)) }

func open(t *testing.T) (context.Context, *bridgedb.Store) {
	ctx := zerolog.Nop().WithContext(t.Context())
	cfg := config.Database{Type: config.DatabaseSQLite, URI: config.Secret(filepath.Join(t.TempDir(), "own.db")), MaxOpenConns: 1}
	if strings.HasPrefix(t.Name(), "TestPostgreSQL/") {
		cfg.Type, cfg.URI = config.DatabasePostgres, config.Secret(server.Database(t))
	}
	db, err := database.Open(ctx, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s := bridgedb.New(db)
	require.NoError(t, s.Upgrade(ctx))
	require.NoError(t, s.Upgrade(ctx), "again")
	return ctx, s
}

// start is a time that the database keeps exactly.
func start() time.Time { return time.UnixMilli(1_727_580_296_000) }

func TestValues(t *testing.T) {
	ctx, s := open(t)
	value, err := s.Value(ctx, bridgedb.KeyCursor)
	require.NoError(t, err)
	require.Empty(t, value)
	require.NoError(t, s.SetValue(ctx, bridgedb.KeyCursor, "1"))
	require.NoError(t, s.SetValue(ctx, bridgedb.KeyCursor, "2"))
	value, err = s.Value(ctx, bridgedb.KeyCursor)
	require.NoError(t, err)
	require.Equal(t, "2", value)
}

func TestOutboxKeepsEachSendersOrder(t *testing.T) {
	ctx, s := open(t)
	put := func(txn string, user int64, seq int, due time.Duration) bridgedb.Outgoing {
		o := bridgedb.Outgoing{TxnID: txn, Group: 1, User: receipts.UserKey(user), Seq: receipts.MsgSeq(seq), RoomID: "!a:b", Content: "{}", SentAt: start(), Due: start().Add(due)}
		require.NoError(t, s.PutOutgoing(ctx, o))
		return o
	}
	first := put("a1", 1, 1, time.Hour) // put off after an error
	put("a2", 1, 2, 0)
	other := put("b3", 2, 3, 0)
	require.NoError(t, s.PutOutgoing(ctx, other), "the same again is no second one")

	due, err := s.DueOutgoing(ctx, start(), 10)
	require.NoError(t, err)
	require.Equal(t, []bridgedb.Outgoing{other}, due, "a2 waits for a1")
	next, ok, err := s.NextOutgoing(ctx)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, start(), next)

	require.NoError(t, s.DropOutgoing(ctx, "b3"))
	next, _, err = s.NextOutgoing(ctx)
	require.NoError(t, err)
	require.Equal(t, first.Due, next, "not that of a2, which must wait")
	require.NoError(t, s.DelayOutgoing(ctx, "a1", start(), 1))
	due, err = s.DueOutgoing(ctx, start(), 10)
	require.NoError(t, err)
	require.Len(t, due, 1)
	require.Equal(t, 1, due[0].Attempts)

	require.NoError(t, s.MoveOutgoing(ctx, 1, "!new:b"))
	due, err = s.DueOutgoing(ctx, start(), 10)
	require.NoError(t, err)
	require.EqualValues(t, "!new:b", due[0].RoomID)
}

func TestRoomTaskAskedForAgainIsNotDropped(t *testing.T) {
	ctx, s := open(t)
	task := bridgedb.RoomTask{RoomID: "!a:b", User: 1, Due: start()}
	require.NoError(t, s.PutRoomTask(ctx, task))
	again := task
	again.Due = start().Add(time.Second)
	require.NoError(t, s.PutRoomTask(ctx, again))
	require.NoError(t, s.DropRoomTask(ctx, task), "the look that began before the second asking")
	due, err := s.DueRoomTasks(ctx, start().Add(time.Minute), 10)
	require.NoError(t, err)
	require.Equal(t, []bridgedb.RoomTask{again}, due)
	require.NoError(t, s.DelayRoomTask(ctx, again, start().Add(time.Hour), 1))
	next, ok, err := s.NextRoomTask(ctx)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, start().Add(time.Hour), next)
	_, tasks, err := s.Pending(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, tasks)
}

func TestFeed(t *testing.T) {
	ctx, s := open(t)
	for i := range int64(5) {
		require.NoError(t, s.PutFeed(ctx, bridgedb.FeedEntry{Cursor: i + 1, Group: 1, Seq: receipts.MsgSeq(int(i) + 1), At: start().Add(time.Duration(i) * time.Hour), Body: "{}"}))
	}
	list, err := s.Feed(ctx, 1, 2, 2)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.EqualValues(t, 3, list[0].Cursor)
	other, err := s.Feed(ctx, 2, 0, 10)
	require.NoError(t, err)
	require.Empty(t, other)
	dropped, err := s.DropFeed(ctx, start().Add(2*time.Hour))
	require.NoError(t, err)
	require.EqualValues(t, 2, dropped)
	dropped, err = s.DropFeed(ctx, start())
	require.NoError(t, err)
	require.Zero(t, dropped)
}

// TestOutgoingName: the name that a sender had stays with what was waiting then, and the first of several, as it may have gone out so.
func TestOutgoingName(t *testing.T) {
	ctx, s := open(t)
	put := func(txnID string, user int64, redacts id.EventID) {
		require.NoError(t, s.PutOutgoing(ctx, bridgedb.Outgoing{TxnID: txnID, Group: 1, User: receipts.UserKey(user), Seq: 1, RoomID: "!room", Redacts: redacts, Content: "{}"}))
	}
	name := func(txnID string) id.UserID {
		name, err := s.OutgoingName(ctx, txnID)
		require.NoError(t, err)
		return name
	}
	put("waiting", 7, "")
	put("another's", 8, "")
	put("redaction", 7, "$event")
	require.NoError(t, s.NameOutgoing(ctx, 7, "@ghost:a.test"))
	put("later", 7, "")
	require.NoError(t, s.NameOutgoing(ctx, 7, "@ann:a.test"))
	for txnID, want := range map[string]id.UserID{"waiting": "@ghost:a.test", "later": "@ann:a.test", "another's": "", "redaction": "", "unknown": ""} {
		require.Equal(t, want, name(txnID), txnID)
	}
}
