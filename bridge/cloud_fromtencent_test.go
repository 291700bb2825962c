package bridge

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

func containsFold(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// TestCloudReceiptWebhooks: who has read what is merged, in whatever form, order and number it is told.
func TestCloudReceiptWebhooks(t *testing.T) {
	for name, points := range map[string]tencenttest.Points{
		"delta": {}, "whole": {WholeMembers: true}, "absent": {SentMembers: tencenttest.SentMembersAbsent}, "null": {SentMembers: tencenttest.SentMembersNull},
		"one_by_one": {OneSeqPerWebhook: true, RepeatFires: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := plainCloud(t, points)
			ann := h.hs.User("ann")
			room := h.link("team", ann, "alice", "bob", "carl")
			h.cloud.Deliver(tencenttest.Twice)
			first, _ := h.send("team", "alice", "one")
			second, event := h.send("team", "alice", "two")
			h.delivered()
			require.Equal(t, receipts.WantsYes, h.wantsOf("team", first.Seq), "the webhook that it was sent says so")
			require.NoError(t, h.cloud.User("bob").Ack("team", first.Seq, second.Seq))
			require.NoError(t, h.cloud.User("carl").Ack("team", second.Seq))
			ann.WaitReceipt(room, h.ghost("bob"), event)
			ann.WaitReceipt(room, h.ghost("carl"), event)
			h.quiet()
			require.Zero(t, h.cloud.Calls("group_msg_receipt"), "Tencent is never told what it told us")
			require.Zero(t, h.cloud.Calls("get_group_msg_receipt_detail"))
			if points.RepeatFires {
				h.hs.ClearLog()
				require.NoError(t, h.cloud.User("bob").Ack("team", first.Seq, second.Seq))
				h.quiet()
				require.Empty(t, h.hs.Requests(matrixtest.Path("/receipt/")), "nothing new, nothing sent")
			}
		})
	}
}

// TestCloudReceiptFirst: a receipt may come before its message, before its reader, and before both.
func TestCloudReceiptFirst(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann := h.hs.User("ann")
	room := h.link("team", ann, "alice", "bob")
	h.cloud.Hold()
	m, err := h.cloud.User("alice").Send("team", "hello", tencenttest.SendOptions{NeedReadReceipt: true})
	require.NoError(t, err)
	require.NoError(t, h.cloud.User("bob").Ack("team", m.Seq))
	require.NoError(t, h.cloud.User("carl").Join("team"))
	require.NoError(t, h.cloud.User("carl").Ack("team", m.Seq))
	held := h.cloud.Held()
	for _, command := range []string{tencenttest.AfterReadReceipt, tencenttest.AfterSendMsg, tencenttest.AfterNewMemberJoin} {
		h.cloud.Release(func([]tencenttest.Webhook) []tencenttest.Webhook { return only(held, command) })
		h.delivered()
	}
	event := h.eventOf("team", m.Seq)
	ann.WaitReceipt(room, h.ghost("bob"), event)
	ann.WaitReceipt(room, h.ghost("carl"), event)
}

// TestCloudReceiptOfNobody: unknown and absurd messages and readers harm nobody, and the numbers of the group stay what they are.
func TestCloudReceiptOfNobody(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann := h.hs.User("ann")
	room := h.link("team", ann, "alice", "bob")
	m, event := h.send("team", "alice", "hello")
	h.quiet()
	for _, seq := range []uint64{m.Seq + 1_000_000, 1 << 52, 1 << 60, 1<<64 - 1} {
		h.readHook("team", seq, "bob")
		h.hook(tencenttest.AfterRecallMsg, "team", map[string]any{"MsgSeqList": []any{map[string]any{"MsgSeq": seq}}})
		h.hook(tencenttest.AfterSendMsg, "team", map[string]any{
			"From_Account": "alice", "Random": 7, "MsgSeq": seq, "MsgTime": 1, "MsgBody": []any{}, "OnlineOnlyFlag": 0,
		})
	}
	h.readHook("team", m.Seq, "", strings.Repeat("x", 100), "bob")
	ann.WaitReceipt(room, h.ghost("bob"), event)
	require.EqualValues(t, m.Seq, h.group("team").LastSeq, "one wrong webhook uses up no numbers")

	// Who joins now is a member of what comes now.
	ben := h.hs.User("ben")
	h.join(ben, room)
	next, nextEvent := h.send("team", "alice", "for ben")
	ben.SendReceipt(room, nextEvent)
	h.acked("team", ben, next.Seq)
}

// TestCloudReceiptUnlinked: of a group that is not linked any more nothing is taken, and nothing is asked.
func TestCloudReceiptUnlinked(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann := h.hs.User("ann")
	room := h.link("team", ann, "alice", "bob")
	m, event := h.send("team", "alice", "hello")
	require.NoError(t, h.root.UnmapGroup(h.ctx, "team"))
	h.hs.WaitFor("alice is out", func() bool { return h.hs.Membership(room, h.ghost("alice")) == "leave" })
	h.quiet()
	before := h.asked.n.Load()
	for range 20 {
		h.readHook("team", m.Seq, "bob")
		h.readHook("unknown", 1, "bob")
	}
	require.Less(t, h.asked.n.Load()-before, int64(20), "no webhook asks the database; the clockwork may")
	require.False(t, h.row("team", "bob").Read.Contains(receipts.MsgSeq(m.Seq)))

	// Linked again, Tencent's own record says what was missed.
	_, err := h.root.MapGroup(h.ctx, mapRequest("team", room))
	require.NoError(t, err)
	require.NoError(t, h.cloud.User("bob").Ack("team", m.Seq))
	ann.WaitReceipt(room, h.ghost("bob"), event)
}

// TestCloudOwnAccountEchoed: what Tencent tells of an account of ours is no news, and what it tells first is not told back.
func TestCloudOwnAccountEchoed(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{EchoAcks: true, RepeatFires: true})
	ann := h.hs.User("ann")
	room := h.link("team", ann, "alice", "bob")
	m, event := h.send("team", "alice", "hello")
	ann.SendReceipt(room, event)
	h.acked("team", ann, m.Seq)
	h.quiet()
	require.Equal(t, 1, h.cloud.Calls("group_msg_receipt"))
	account := mapping.AccountID(ann.ID)
	row := h.row("team", account)
	h.readHook("team", m.Seq, account)
	h.quiet()
	require.Equal(t, row, h.row("team", account))
	require.Equal(t, 1, h.cloud.Calls("group_msg_receipt"))

	second, _ := h.send("team", "alice", "two")
	h.readHook("team", second.Seq, account) // the app's backend has acknowledged in his name
	h.quiet()
	require.Equal(t, 1, h.cloud.Calls("group_msg_receipt"))
	require.True(t, h.row("team", account).Tencent.Contains(receipts.MsgSeq(second.Seq)))
}

// TestCloudLinkedUser: one person with an account of his own on either side is one reader, whichever he uses; his old account leaves.
func TestCloudLinkedUser(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newCloudHouse(t, opts, tencenttest.Options{})
		ann, ben := h.hs.User("ann"), h.hs.User("ben")
		room := h.link("team", ann, "alice", "bob")
		h.join(ben, room)
		m, event := h.send("team", "alice", "hello")
		ben.SendReceipt(room, event)
		h.acked("team", ben, m.Seq)
		require.NoError(t, h.root.LinkUser(h.ctx, "bob", ben.ID.String()))
		h.waitMember("team", ben, false)
		h.cloud.WaitFor(t, "bob has read what ben has", func() bool { return h.cloud.HasRead("team", "bob", m.Seq) })

		second, secondEvent := h.send("team", "alice", "two")
		require.NoError(t, h.cloud.User("bob").Ack("team", second.Seq))
		ann.WaitReceipt(room, ben.ID, secondEvent)
		third, thirdEvent := h.send("team", "alice", "three")
		ben.SendReceipt(room, thirdEvent)
		h.cloud.WaitFor(t, "bob has read in Matrix", func() bool { return h.cloud.HasRead("team", "bob", third.Seq) })

		// His messages, both ways: his own on both sides, and each there once.
		fromApp, appEvent := h.send("team", "bob", "from the app")
		require.Equal(t, ben.ID, h.timeline(room, appEvent).Sender)
		fromMatrix := h.arrived("team", ben.Send(room, "from Matrix"))
		require.Equal(t, "bob", fromMatrix.From)
		h.quiet()
		require.Equal(t, []string{"hello", "two", "three", "from the app", "from Matrix"}, h.texts("team"))
		require.Equal(t, []string{"hello", "two", "three", "from the app", "from Matrix"}, h.bodies(room))
		require.NotContains(t, h.cloud.ReadBy("team", fromApp.Seq), "bob")
		require.False(t, slices.Contains(h.cloud.Members("team"), mapping.AccountID(ben.ID)))
	})
}
