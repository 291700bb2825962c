package bridge

import (
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/receipts"
)

func TestLateJoiner(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts)
		ann, late := h.hs.User("ann"), h.hs.User("late")
		room := h.room("team", ann, "alice")
		alice := h.client("alice")
		before, err := alice.SendText(h.ctx, "team", "before")
		require.NoError(t, err)
		h.event("team", before.MsgID)
		h.join(late, room)
		after, err := alice.SendText(h.ctx, "team", "after")
		require.NoError(t, err)
		event := h.event("team", after.MsgID)
		late.SendReceipt(room, event)
		h.waitCounts(alice, after.MsgID, 1, 1)
		require.Equal(t, [2]uint64{0, 1}, h.counts(alice, before.MsgID), "what was sent before he came is not his to read")
	})
}

func TestMemberLeavesAndComesBack(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts)
		ann, ben := h.hs.User("ann"), h.hs.User("ben")
		room := h.room("team", ann, "alice")
		h.join(ben, room)
		alice := h.client("alice")
		send := func(text string) (string, id.EventID) {
			sent, err := alice.SendText(h.ctx, "team", text)
			require.NoError(t, err)
			return sent.MsgID, h.event("team", sent.MsgID)
		}
		one, oneEvent := send("one")
		ben.SendReceipt(room, oneEvent)
		h.waitCounts(alice, one, 1, 1)
		ben.Leave(room)
		h.hs.WaitPushed()
		require.Equal(t, [2]uint64{1, 1}, h.counts(alice, one), "readCount does not fall")
		two, _ := send("two")
		require.Equal(t, [2]uint64{0, 1}, h.counts(alice, two))
		h.join(ben, room)
		three, threeEvent := send("three")
		require.Equal(t, [2]uint64{0, 2}, h.counts(alice, three))
		ben.SendReceipt(room, threeEvent)
		h.waitCounts(alice, three, 1, 1)
		require.Equal(t, [2]uint64{0, 1}, h.counts(alice, two), "what was sent while he was away was not for him")
	})
}

func TestTencentMemberComesAndGoes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	results, err := h.root.AddGroupMember(h.ctx, "team", "carol", "alice", "not a valid id!")
	require.NoError(t, err)
	require.Equal(t, []v2tim.MemberResult{{Member_Account: "carol", Result: v2tim.MemberAdded}, {Member_Account: "alice", Result: v2tim.MemberAlready}, {Member_Account: "not a valid id!", Result: v2tim.MemberFailed}}, results)
	h.hs.WaitFor("carol", func() bool { return h.hs.Membership(room, h.ghost("carol")) == "join" })
	m := h.message("team", ann.Send(room, "hello"))
	require.EqualValues(t, 2, m.UnreadNum)

	require.NoError(t, h.root.DeleteGroupMember(h.ctx, "team", "carol"))
	h.hs.WaitFor("carol gone", func() bool { return h.hs.Membership(room, h.ghost("carol")) == "leave" })
	var coded *receipts.Error
	require.ErrorAs(t, h.client("carol").SendMessageReadReceipts(h.ctx, m.MsgId), &coded)

	ann.Kick(room, h.ghost("alice"))
	h.wait("alice out of the group", func() bool {
		info, err := h.root.GetGroupMemberInfo(h.ctx, v2tim.GetGroupMemberInfoRequest{GroupId: "team"})
		require.NoError(t, err)
		return info.MemberNum == 1
	})
}

func TestLinkedUser(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts)
		ann, ben := h.hs.User("ann"), h.hs.User("ben")
		room := h.room("team", ann, "alice", "bob")
		h.join(ben, room)
		bob := h.client("bob")
		// Before the link ben reads one message in Matrix, alice another on her app.
		one, err := bob.SendText(h.ctx, "team", "one")
		require.NoError(t, err)
		ben.SendReceipt(room, h.event("team", one.MsgID))
		h.waitCounts(bob, one.MsgID, 1, 2)
		two, err := bob.SendText(h.ctx, "team", "two")
		require.NoError(t, err)
		twoEvent := h.event("team", two.MsgID)
		require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, two.MsgID))
		h.waitCounts(bob, two.MsgID, 1, 2)

		require.NoError(t, h.root.LinkUser(h.ctx, "alice", ben.ID.String()))
		h.hs.WaitFor("the ghost gone", func() bool { return h.hs.Membership(room, h.ghost("alice")) == "leave" })
		h.waitCounts(bob, one.MsgID, 1, 1) // one person read it, ann did not
		h.waitCounts(bob, two.MsgID, 1, 1)
		ann.WaitReceipt(room, ben.ID, twoEvent)

		three, err := bob.SendText(h.ctx, "team", "three")
		require.NoError(t, err)
		h.event("team", three.MsgID)
		four, err := bob.SendText(h.ctx, "team", "four")
		require.NoError(t, err)
		fourEvent := h.event("team", four.MsgID)
		// A linked user's own marker never goes beyond what he has read: three is a hole.
		require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, four.MsgID))
		h.settled()
		require.Equal(t, twoEvent, ann.ReceiptOf(room, ben.ID))
		require.Equal(t, [2]uint64{0, 2}, h.counts(bob, three.MsgID))
		require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, three.MsgID))
		ann.WaitReceipt(room, ben.ID, fourEvent)

		fromBen := h.message("team", ben.Send(room, "mine"))
		require.Equal(t, "alice", fromBen.From_Account)
		require.NoError(t, h.root.UnlinkUser(h.ctx, "alice"))
		h.hs.WaitFor("the ghost back", func() bool { return h.hs.Membership(room, h.ghost("alice")) == "join" })
	})
}

func TestUnlinkAndRelinkToAnotherRoom(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts)
		ann := h.hs.User("ann")
		old := h.room("team", ann, "alice")
		m := h.message("team", ann.Send(old, "in the old room"))
		require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, m.MsgId))
		ann.WaitReceipt(old, h.ghost("alice"), id.EventID(m.EventId))

		other := ann.CreateRoom(matrixtest.RoomOptions{Public: true})
		_, err := h.root.MapGroup(h.ctx, v2tim.MapGroupRequest{GroupId: "team", RoomId: other.String()})
		var coded *receipts.Error
		require.ErrorAs(t, err, &coded)
		require.Contains(t, coded.Desc, old.String(), "the error says what stands in the way")
		require.NoError(t, h.root.UnmapGroup(h.ctx, "team"))
		h.hs.WaitFor("ghost out of the old room", func() bool { return h.hs.Membership(old, h.ghost("alice")) == "leave" })
		h.mapGroup("team", other, "")
		h.hs.WaitFor("ghost in the new room", func() bool { return h.hs.Membership(other, h.ghost("alice")) == "join" })

		n := h.message("team", ann.Send(other, "in the new room"))
		require.Greater(t, n.MsgSeq, m.MsgSeq)
		require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, n.MsgId))
		ann.WaitReceipt(other, h.ghost("alice"), id.EventID(n.EventId))
		ann.Send(old, "nobody listens here any more")
		h.hs.WaitPushed()
		require.Len(t, h.messages("team", 2), 2)
		sent, err := h.client("alice").SendText(h.ctx, "team", "from alice")
		require.NoError(t, err)
		ann.SendReceipt(other, h.event("team", sent.MsgID))
		h.waitCounts(h.client("alice"), sent.MsgID, 1, 0)
	})
}

func TestSeqOrderDiffersFromRoomOrder(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse(), func(cfg *config.Config) { cfg.Mapping.StampSenders = []string{"@other_*:localhost"} })
	ann, ben, other := h.hs.User("ann"), h.hs.User("ben"), h.hs.User("other_bot")
	room := ann.CreateRoom(matrixtest.RoomOptions{Public: true})
	h.mapGroup("team", room, "stamped", "alice", "bob")
	h.join(ben, room)
	h.join(other, room)
	stamp := func(seq int, msgID string) id.EventID {
		return other.SendEvent(room, "m.room.message", map[string]any{"msgtype": "m.text", "body": msgID,
			"com.tencent.im": map[string]any{"group_id": "team", "msg_id": msgID, "seq": seq, "need_read_receipt": true}})
	}
	third, first, second := stamp(3, "c"), stamp(1, "a"), stamp(2, "b")
	h.message("team", second)
	require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, "c"))
	ben.WaitReceipt(room, h.ghost("alice"), third)
	require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, "a"))
	ben.WaitReceipt(room, h.ghost("alice"), first) // lower seq, later in the room
	// Up to "a" in the room means "c" and "a", not "b".
	ann.SendReceipt(room, first)
	h.wait("counts", func() bool {
		got := map[string]uint64{}
		for _, m := range h.messages("team", 3) {
			got[m.MsgId] = m.ReadNum
		}
		return got["a"] == 2 && got["c"] == 2 && got["b"] == 0
	})
}

func TestStampsOfStrangersDoNotCount(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse(), func(cfg *config.Config) { cfg.Mapping.StampSenders = []string{"@other_bot:localhost"} })
	ann, other := h.hs.User("ann"), h.hs.User("other_bot")
	room := ann.CreateRoom(matrixtest.RoomOptions{Public: true})
	h.mapGroup("team", room, "stamped", "alice")
	h.join(other, room)
	stamp := func(group string, seq int) map[string]any {
		return map[string]any{"msgtype": "m.text", "body": "x", "com.tencent.im": map[string]any{"group_id": group, "msg_id": "m", "seq": seq}}
	}
	ann.SendEvent(room, "m.room.message", stamp("team", 1))
	other.SendEvent(room, "m.room.message", stamp("another", 1))
	good := other.SendEvent(room, "m.room.message", stamp("team", 7))
	other.SendEvent(room, "m.room.message", map[string]any{"msgtype": "m.text", "body": "x", "com.tencent.im": map[string]any{"group_id": "team", "msg_id": "far", "seq": 7 + 10_001}})
	h.hs.WaitPushed()
	list := h.messages("team", 1)
	require.Len(t, list, 1)
	require.Equal(t, good.String(), list[0].EventId)
	require.EqualValues(t, 7, list[0].MsgSeq)
}
