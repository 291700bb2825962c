package bridge

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// What map_group does not say of a known group stays as it is; who numbers its messages cannot be changed.
func TestMapGroupAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := ann.CreateRoom(matrixtest.RoomOptions{Public: true}).String()
	mapGroup := func(req v2tim.MapGroupRequest) (v2tim.MapGroupResponse, error) {
		req.GroupId = "team"
		return h.root.MapGroup(h.ctx, req)
	}
	first, err := mapGroup(v2tim.MapGroupRequest{RoomId: room, SeqSource: "stamped", Type: "Work"})
	require.NoError(t, err)
	require.Equal(t, []string{"stamped", "Work"}, []string{first.SeqSource, first.Type})
	again, err := mapGroup(v2tim.MapGroupRequest{RoomId: room})
	require.NoError(t, err)
	require.Equal(t, first, again)
	for _, unmapped := range []bool{false, true} {
		if unmapped {
			require.NoError(t, h.root.UnmapGroup(h.ctx, "team"))
		}
		_, err = mapGroup(v2tim.MapGroupRequest{RoomId: room, SeqSource: "own"})
		var coded *receipts.Error
		require.ErrorAs(t, err, &coded)
		require.Equal(t, receipts.CodeGroupInvalidParameters, coded.Code)
		require.Contains(t, coded.Desc, "stamped", "the error says what stands in the way")
	}
	again, err = mapGroup(v2tim.MapGroupRequest{RoomId: room})
	require.NoError(t, err)
	require.Equal(t, first, again)
}

// A group that was imported with Tencent Cloud's numbers goes on with ours, in the room that it has.
func TestMapGroupTakesOverFromCloud(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := ann.CreateRoom(matrixtest.RoomOptions{Public: true})
	_, err := h.b.maps.MapGroup(h.ctx, mapping.Group{GroupID: "team", RoomID: room, SeqSource: mapping.SeqSourceCloud, Type: "Meeting"})
	require.NoError(t, err)
	resp, err := h.root.MapGroup(h.ctx, v2tim.MapGroupRequest{GroupId: "team", RoomId: room.String()})
	require.NoError(t, err)
	require.Equal(t, []string{"own", "Meeting"}, []string{resp.SeqSource, resp.Type})
	require.EqualValues(t, 1, h.message("team", ann.Send(room, "numbered")).MsgSeq)
}
