package matrix

import (
	"context"
	"database/sql"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"
	"maunium.net/go/mautrix/sqlstatestore"
	_ "modernc.org/sqlite"
)

func TestUpdateState(t *testing.T) {
	raw, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "state.db")+"?_pragma=foreign_keys(1)&_txlock=immediate")
	require.NoError(t, err)
	raw.SetMaxOpenConns(1)
	t.Cleanup(func() { require.NoError(t, raw.Close()) })
	db, err := dbutil.NewWithDB(raw, "sqlite")
	require.NoError(t, err)
	store := sqlstatestore.NewSQLStateStore(db, dbutil.NoopLogger, false)
	require.NoError(t, store.Upgrade(background))
	reg, err := NewRegistration(RegistrationConfig{Domain: "x", BotLocalpart: "tim", GhostPrefix: "tim_"})
	require.NoError(t, err)
	a, err := New(Config{Registration: reg, HomeserverURL: "http://x", Domain: "x", BotLocalpart: "tim", GhostPrefix: "tim_"}, store, nil, zerolog.Nop())
	require.NoError(t, err)

	member := func(user, content string) Event {
		return Event{ID: "$e", RoomID: "!r:x", Sender: "@a:x", Type: "m.room.member", StateKey: &user, Content: json.RawMessage(content)}
	}
	carl := id.UserID("@tim_carl:x")
	a.UpdateState(background, member(string(carl), `{"membership":"join","displayname":"a\u0000b"}`))
	require.True(t, a.IsInRoom(background, carl, "!r:x"))
	for _, passedOver := range []Event{
		member(string(carl), `{"membership":"flown"}`),
		member(string(carl), `{"membership":7}`),
		member(string(carl), `{"MEMBERSHIP":"leave"}`),
		member(string(carl), `[]`),
		member("carl", `{"membership":"leave"}`),
		{RoomID: "!r:x", Type: "m.room.member", Content: json.RawMessage(`{"membership":"leave"}`)},
	} {
		a.UpdateState(background, passedOver)
		require.True(t, a.IsInRoom(background, carl, "!r:x"), string(passedOver.Content))
	}

	// What is written belongs to the caller's transaction.
	err = db.DoTxn(background, nil, func(ctx context.Context) error {
		a.UpdateState(ctx, member(string(carl), `{"membership":"leave"}`))
		require.False(t, a.IsInRoom(ctx, carl, "!r:x"))
		return errDisk
	})
	require.ErrorIs(t, err, errDisk)
	require.True(t, a.IsInRoom(background, carl, "!r:x"), "rolled back")
	a.UpdateState(background, member(string(carl), `{"membership":"ban"}`))
	require.False(t, a.IsInRoom(background, carl, "!r:x"))

	key := ""
	levels := func(content string) Event {
		return Event{ID: "$l", RoomID: "!r:x", Sender: "@a:x", Type: "m.room.power_levels", StateKey: &key, Content: json.RawMessage(content)}
	}
	a.UpdateState(background, levels(`{"users":{"@a:x":100},"invite":50}`))
	a.UpdateState(background, levels(`{"users":{"@a:x":7,"@b\u0000:x":7}}`))
	a.UpdateState(background, levels(`{"users":"all"}`))
	level, err := store.GetPowerLevel(background, "!r:x", "@a:x")
	require.NoError(t, err)
	require.Equal(t, 100, level)
	a.UpdateState(background, Event{ID: "$x", RoomID: "!r:x", Type: "com.example", StateKey: &key, Content: json.RawMessage(`{}`)})
}
