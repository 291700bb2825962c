package bridgedb_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/receipts"
)

// TestRelease: what waits is due again, at once if it has not failed, within 3 s if it has, whatever the clock said when it was put off.
func TestRelease(t *testing.T) {
	ctx, s := open(t)
	waits := []time.Duration{-time.Hour, 2 * time.Minute, 24*365*time.Hour + 1234*time.Millisecond}
	for i, wait := range waits {
		for attempts := range 2 {
			user, due := receipts.UserKey(1+2*i+attempts), start().Add(wait)
			name := fmt.Sprint(user)
			require.NoError(t, s.PutOutgoing(ctx, bridgedb.Outgoing{TxnID: name, Group: 1, User: user, Seq: 1, RoomID: "!a:b", Content: "{}", SentAt: start(), Due: due, Attempts: attempts}))
			require.NoError(t, s.PutRoomTask(ctx, bridgedb.RoomTask{RoomID: "!a:b", User: user, Due: due, Attempts: attempts}))
			require.NoError(t, s.PutRelay(ctx, bridgedb.Relay{EventID: id.EventID(name), Group: 1, User: user, Pos: 1, Kind: bridgedb.RelaySend, At: start(), Due: due, Attempts: attempts}))
			require.NoError(t, s.PutJoin(ctx, bridgedb.Join{Group: 1, User: user, Wanted: true, Due: due, Attempts: attempts}))
		}
	}
	require.NoError(t, s.PutJoin(ctx, bridgedb.Join{Group: 1, User: 100, Wanted: true, Joined: true}))
	require.NoError(t, s.Release(ctx, start()))

	dues := make(map[string][]time.Duration)
	note := func(table string, due time.Time) { dues[table] = append(dues[table], due.Sub(start())) }
	later := start().Add(3 * time.Second)
	outgoing, err := s.DueOutgoing(ctx, later, 100)
	require.NoError(t, err)
	for _, o := range outgoing {
		note("outbox", o.Due)
	}
	tasks, err := s.DueRoomTasks(ctx, later, 100)
	require.NoError(t, err)
	for _, task := range tasks {
		note("room tasks", task.Due)
	}
	relays, err := s.DueRelays(ctx, later, 100)
	require.NoError(t, err)
	for _, r := range relays {
		note("relays", r.Due)
	}
	joins, err := s.DueJoins(ctx, later, 100, 100)
	require.NoError(t, err)
	for _, j := range joins {
		note("joins", j.Due)
	}
	for _, table := range []string{"outbox", "room tasks", "relays", "joins"} {
		require.Len(t, dues[table], 2*len(waits), table)
		require.Equal(t, []time.Duration{-time.Hour, -time.Hour, 0, 0}, dues[table][:4], table)
		require.Greater(t, dues[table][5], dues[table][4], table, "those that failed are spread")
	}
	j, err := s.JoinOf(ctx, 1, 100)
	require.NoError(t, err)
	require.Zero(t, j.Due, "nothing has to be done")
}
