package bridgedb_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/bridgedb"
)

// Somebody joins and leaves within one millisecond: the look that began when he joined must not be the last one. (Found by the
// simulation of the bridge.)
func TestRoomTaskAskedForAgainAtOnce(t *testing.T) {
	ctx, s := open(t)
	task := bridgedb.RoomTask{RoomID: "!a:b", User: 1, Due: start()}
	require.NoError(t, s.PutRoomTask(ctx, task))
	begun, err := s.DueRoomTasks(ctx, start(), 10)
	require.NoError(t, err)
	require.Equal(t, []bridgedb.RoomTask{task}, begun)
	for range 3 {
		require.NoError(t, s.PutRoomTask(ctx, task))
	}
	require.NoError(t, s.DropRoomTask(ctx, begun[0]))
	require.NoError(t, s.DelayRoomTask(ctx, begun[0], start().Add(time.Hour), 1))
	due, err := s.DueRoomTasks(ctx, start().Add(time.Millisecond), 10)
	require.NoError(t, err)
	require.Len(t, due, 1)
	require.NoError(t, s.DropRoomTask(ctx, due[0]))
	_, tasks, err := s.Pending(ctx)
	require.NoError(t, err)
	require.Zero(t, tasks)
}
