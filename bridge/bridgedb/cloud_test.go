package bridgedb_test

import (
	"context"
	"fmt"
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
	"github.com/timbridge/timbridge/receipts"
)

func relay(event string, user receipts.UserKey, pos receipts.Pos) bridgedb.Relay {
	return bridgedb.Relay{EventID: id.EventID("$" + event), Group: 1, User: user, Pos: pos, Kind: bridgedb.RelaySend, Type: "m.room.message", Content: "{}", At: start(), Due: start()}
}

func TestRelaysKeepEachSendersOrder(t *testing.T) {
	ctx, s := open(t)
	first, second, other := relay("a1", 1, 1), relay("a2", 1, 2), relay("b3", 2, 3)
	edit := relay("a4", 1, 4)
	edit.Kind, edit.Target = bridgedb.RelayEdit, "$a1"
	for _, r := range []bridgedb.Relay{second, first, other, edit, first} {
		require.NoError(t, s.PutRelay(ctx, r), "the same again is no second one")
	}
	due := func() (events []string) {
		list, err := s.DueRelays(ctx, start(), 10)
		require.NoError(t, err)
		for _, r := range list {
			events = append(events, r.EventID.String())
		}
		return events
	}
	require.Equal(t, []string{"$a1", "$b3"}, due())
	first.Parts, first.Part, first.Random, first.Tried, first.Due, first.Attempts = "[]", 2, 1<<32-1, true, start().Add(time.Minute), 3
	require.NoError(t, s.SaveRelay(ctx, first))
	got, ok, err := s.RelayOf(ctx, "$a1")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, first, got)
	require.Equal(t, []string{"$b3"}, due(), "the others of this sender wait")
	next, ok, err := s.NextRelay(ctx)
	require.NoError(t, err)
	require.True(t, ok)
	require.True(t, next.Equal(start()))
	require.NoError(t, s.DropRelay(ctx, "$b3"))
	next, _, err = s.NextRelay(ctx)
	require.NoError(t, err)
	require.True(t, next.Equal(first.Due), "and not the waiting ones behind it")
	first.Due = start()
	require.NoError(t, s.SaveRelay(ctx, first))
	require.Equal(t, []string{"$a1"}, due())
	require.NoError(t, s.DropRelay(ctx, "$a1"))
	require.NoError(t, s.SaveRelay(ctx, first), "one that is gone stays so")
	require.Equal(t, []string{"$a2"}, due())
	got, _, err = s.RelayOf(ctx, "$a4")
	require.NoError(t, err)
	require.Equal(t, edit, got)
}

func TestRelayByRandom(t *testing.T) {
	ctx, s := open(t)
	r := relay("a", 1, 1)
	r.Random = 7
	require.NoError(t, s.PutRelay(ctx, r))
	_, ok, err := s.RelayByRandom(ctx, 1, 7)
	require.NoError(t, err)
	require.False(t, ok, "not tried yet")
	r.Tried = true
	require.NoError(t, s.SaveRelay(ctx, r))
	got, ok, err := s.RelayByRandom(ctx, 1, 7)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, r, got)
	for _, miss := range [][2]int{{2, 7}, {1, 8}} {
		_, ok, err = s.RelayByRandom(ctx, receipts.GroupKey(miss[0]), uint32(miss[1]))
		require.NoError(t, err)
		require.False(t, ok)
	}
}

func TestJoins(t *testing.T) {
	ctx, s := open(t)
	j := bridgedb.Join{Group: 1, User: 2}
	got, err := s.JoinOf(ctx, 1, 2)
	require.NoError(t, err)
	require.Equal(t, j, got, "one that never had a place")
	j.Wanted, j.Due, j.Attempts = true, start().Add(time.Hour), 2
	require.NoError(t, s.PutJoin(ctx, j))
	got, err = s.JoinOf(ctx, 1, 2)
	require.NoError(t, err)
	require.Equal(t, j, got)
	list, err := s.DueJoins(ctx, start(), 20, 100)
	require.NoError(t, err)
	require.Empty(t, list)
	require.NoError(t, s.ReleaseJoins(ctx, 2, start()), "another group's")
	next, ok, err := s.NextJoin(ctx)
	require.NoError(t, err)
	require.True(t, ok)
	require.True(t, next.Equal(j.Due))
	require.NoError(t, s.ReleaseJoins(ctx, 1, start()))
	list, err = s.DueJoins(ctx, start(), 20, 100)
	require.NoError(t, err)
	require.Len(t, list, 1)
	j.Joined, j.Due, j.Attempts = true, time.Time{}, 0
	require.NoError(t, s.PutJoin(ctx, j))
	require.NoError(t, s.ReleaseJoins(ctx, 0, start()))
	_, ok, err = s.NextJoin(ctx)
	require.NoError(t, err)
	require.False(t, ok, "nothing to do is not released")
	list, err = s.JoinsOf(ctx, 1)
	require.NoError(t, err)
	require.Equal(t, []bridgedb.Join{j}, list)
	j.Wanted, j.Joined = false, false
	require.NoError(t, s.PutJoin(ctx, j))
	list, err = s.JoinsOf(ctx, 1)
	require.NoError(t, err)
	require.Empty(t, list, "who has no place is not kept")
}

// TestJoinsOfALargeGroup: a group in which hundreds wait keeps no other waiting.
func TestJoinsOfALargeGroup(t *testing.T) {
	ctx, s := open(t)
	for i := range 300 {
		require.NoError(t, s.PutJoin(ctx, bridgedb.Join{Group: 1, User: receipts.UserKey(i + 1), Wanted: true, Due: start()}))
	}
	require.NoError(t, s.PutJoin(ctx, bridgedb.Join{Group: 2, User: 1, Wanted: true, Due: start().Add(time.Second)}))
	list, err := s.DueJoins(ctx, start().Add(time.Minute), 20, 160)
	require.NoError(t, err)
	require.Len(t, list, 21)
	require.Equal(t, receipts.GroupKey(2), list[20].Group)
}

func TestPauses(t *testing.T) {
	ctx, s := open(t)
	_, ok, err := s.PauseOf(ctx, 1)
	require.NoError(t, err)
	require.False(t, ok)
	p := bridgedb.Pause{Group: 1, Code: receipts.CodeReceiptGroupTooLarge, Since: start(), Until: start().Add(time.Hour)}
	require.NoError(t, s.PutPause(ctx, p))
	again := bridgedb.Pause{Group: 1, Code: receipts.CodeReceiptNotIncluded, Since: start().Add(time.Hour), Until: start().Add(2 * time.Hour)}
	require.NoError(t, s.PutPause(ctx, again))
	again.Since = p.Since
	got, ok, err := s.PauseOf(ctx, 1)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, again, got, "the first Since stays")
	require.NoError(t, s.DropPause(ctx, 1))
	require.NoError(t, s.DropPause(ctx, 1), "again")
	_, ok, err = s.PauseOf(ctx, 1)
	require.NoError(t, err)
	require.False(t, ok)
}

func TestPrivate(t *testing.T) {
	ctx, s := open(t)
	for _, user := range []receipts.UserKey{2, 1, 2} {
		require.NoError(t, s.SetPrivate(ctx, user, true))
	}
	list, err := s.Private(ctx)
	require.NoError(t, err)
	require.Equal(t, []receipts.UserKey{1, 2}, list)
	require.NoError(t, s.SetPrivate(ctx, 1, false))
	require.NoError(t, s.SetPrivate(ctx, 3, false), "who never asked for it")
	list, err = s.Private(ctx)
	require.NoError(t, err)
	require.Equal(t, []receipts.UserKey{2}, list)
}

// TestCloudQueriesUseIndexes: what runs all the time looks at no row that has no part in it. The statements are those of the package.
func TestCloudQueriesUseIndexes(t *testing.T) {
	ctx := zerolog.Nop().WithContext(t.Context())
	db, err := database.Open(ctx, config.Database{Type: config.DatabaseSQLite, URI: config.Secret(filepath.Join(t.TempDir(), "own.db")), MaxOpenConns: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, bridgedb.New(db).Upgrade(context.WithoutCancel(ctx)))
	for query, want := range map[string]string{
		"SELECT event_id FROM tim_relay r WHERE due <= $1 AND NOT EXISTS (SELECT 1 FROM tim_relay earlier WHERE earlier.group_key = r.group_key AND earlier.user_key = r.user_key AND earlier.pos < r.pos) ORDER BY due, pos LIMIT $2": "tim_relay_due_idx",
		"SELECT event_id FROM tim_relay WHERE group_key=$1 AND random=$2 AND tried AND kind=$3 ORDER BY pos LIMIT 1":                                                                                                                   "tim_relay_sender_idx (group_key=?)",
		"SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY group_key ORDER BY due, user_key) AS place FROM tim_join WHERE due <= $1) AS first WHERE place <= $2 ORDER BY due LIMIT $3":                                          "tim_join_due_idx",
		"SELECT MIN(due) FROM tim_join WHERE due IS NOT NULL":                "tim_join_due_idx",
		"UPDATE tim_join SET due=$2 WHERE (group_key=$1 OR $1=0) AND due>$2": "tim_join_due_idx",
		"SELECT wanted FROM tim_join WHERE group_key=$1 ORDER BY user_key":   "(group_key=?)",
		"SELECT code, since, until FROM tim_pause WHERE group_key=$1":        "(group_key=?)",
		"UPDATE tim_relay SET due=$1 WHERE due>$1":                           "tim_relay_due_idx",
	} {
		rows, err := db.Query(ctx, "EXPLAIN QUERY PLAN "+query, 1, 2, 3)
		require.NoError(t, err, query)
		var plan strings.Builder
		for rows.Next() {
			var a, b, c int
			var detail string
			require.NoError(t, rows.Scan(&a, &b, &c, &detail))
			fmt.Fprintln(&plan, detail)
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
		require.Contains(t, plan.String(), want, query)
		require.NotContains(t, plan.String(), "SCAN tim_", query)
	}
}
