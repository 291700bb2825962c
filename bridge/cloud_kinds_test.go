package bridge

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// TestCloudKindsOfGroups: groups without read receipts, and without lists of members, carry messages; nothing else is tried there.
func TestCloudKindsOfGroups(t *testing.T) {
	for _, kind := range []string{"AVChatRoom", "Community", "Work", "Meeting"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			h := plainCloud(t, tencenttest.Points{})
			ann := h.hs.User("ann")
			_, err := h.cloud.CreateGroup(tencenttest.GroupSpec{ID: "team", Type: kind, Owner: "alice", Members: []string{"bob"}})
			require.NoError(t, err)
			room := ann.CreateRoom(matrixtest.RoomOptions{Public: true})
			_, err = h.root.MapGroup(h.ctx, mapRequest("team", room))
			require.NoError(t, err)
			first, _ := h.send("team", "alice", "one")
			_, event := h.send("team", "alice", "two")
			sent := h.arrived("team", ann.Send(room, "three"))
			ann.SendReceipt(room, event)
			has := kind == "Work" || kind == "Meeting"
			require.Equal(t, has, sent.HasReceipt)
			if has {
				h.acked("team", ann, first.Seq)
				h.waitMember("team", ann, true)
			}
			h.restart(nil)
			h.idle()
			require.Equal(t, "join", h.hs.Membership(room, h.ghost("alice")), "who writes there stays there")
			joins := 0
			for _, r := range h.hs.Requests(matrixtest.Path("/leave")) {
				if r.User == h.ghost("alice") {
					joins++
				}
			}
			require.Zero(t, joins)
			if !has {
				require.Zero(t, h.cloud.Calls("group_msg_receipt"))
				require.Zero(t, h.cloud.Calls("get_group_msg_receipt"))
				require.Zero(t, h.cloud.Calls("add_group_member"))
				_, paused := h.paused("team")
				require.False(t, paused)
				require.Empty(t, h.answers(room))
			}
			require.Equal(t, []string{"one", "two", "three"}, h.texts("team"))
		})
	}
}

// TestCloudShortPages: a list of members that comes in shorter pages than were asked for is read to its end; nobody on the pages behind
// has left.
func TestCloudShortPages(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{MemberPageMax: 2})
	ann := h.hs.User("ann")
	members := []string{"alice", "bob", "carl", "dora", "eve"}
	room := h.link("team", ann, members...)
	h.restart(nil)
	h.idle()
	for _, m := range members {
		require.Equal(t, "join", h.hs.Membership(room, h.ghost(m)))
	}
	count, err := h.b.maps.MemberCount(h.ctx, h.group("team").Key)
	require.NoError(t, err)
	require.Equal(t, 6, count)
}

// TestCloudCounts: apps get Tencent's counts where those are newer than ours, and ours where Tencent does not answer.
func TestCloudCounts(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{}, func(cfg *config.Config) { cfg.Tencent.RequestTimeout = 3 * time.Second })
	ann := h.hs.User("ann")
	h.link("team", ann, "alice", "bob", "carl")
	m, _ := h.send("team", "alice", "one")
	h.idle()
	alice := h.client("alice")
	require.NoError(t, h.cloud.User("bob").Ack("team", m.Seq))
	h.quiet()
	require.Equal(t, [2]uint64{1, 1}, h.counts(alice, m.MsgID), "ann is no member there")
	h.cloud.Deliver(tencenttest.Nothing)
	require.NoError(t, h.cloud.User("carl").Ack("team", m.Seq))
	require.Equal(t, [2]uint64{2, 0}, h.counts(alice, m.MsgID))
	for _, fault := range []tencenttest.Fault{{Hang: true}, {Status: http.StatusBadGateway}, {Code: receipts.CodeReceiptNotIncluded}} {
		h.cloud.FailNext("get_group_msg_receipt", 1, fault)
		require.EqualValues(t, 1, h.counts(alice, m.MsgID)[0])
	}
	// An app may acknowledge by our API too; then Tencent has yet to be told.
	require.NoError(t, h.client("carl").SendMessageReadReceipts(h.ctx, m.MsgID))
	second, _ := h.cloud.Message("team", m.Seq)
	require.NoError(t, h.client("bob").SendMessageReadReceipts(h.ctx, second.MsgID))
	h.settled()
	require.True(t, h.cloud.HasRead("team", "bob", m.Seq))
	require.False(t, h.cloud.HasRead("team", mapping.AccountID(ann.ID), m.Seq))
}
