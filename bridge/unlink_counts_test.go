package bridge

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/receipts"
)

// TestCatchUpAfterUnlinking: while two are one person, what the one wrote is the other's own. Parted again he has not read it at Tencent,
// and must not be counted in the place of somebody whose webhook was lost. (Found by the fault harness.)
func TestCatchUpAfterUnlinking(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.link("team", ben, "alice", "bob", "carl")
	h.join(ann, room)
	h.idle()
	wrote := ann.Send(room, "by ann")
	m := h.arrived("team", wrote)
	require.NoError(t, h.cloud.User("carl").Ack("team", m.Seq))
	h.quiet()
	require.NoError(t, h.root.LinkUser(h.ctx, "alice", ann.ID.String()))
	// She reads on, so that Tencent is told of it, and what is her own is sorted out on the way.
	_, event := h.send("team", "bob", "by bob")
	ann.SendReceipt(room, event)
	h.quiet()
	h.wait("her own is settled", func() bool { return h.row("team", "alice").Tencent.Contains(receipts.MsgSeq(m.Seq)) })
	require.NoError(t, h.root.UnlinkUser(h.ctx, "alice"))
	h.idle()

	h.cloud.Deliver(tencenttest.Nothing)
	require.NoError(t, h.cloud.User("bob").Ack("team", m.Seq))
	require.NoError(t, h.b.cloud.catchUp(h.ctx, h.group("team").Key, false))
	require.True(t, h.row("team", "bob").Read.Contains(receipts.MsgSeq(m.Seq)), "found out without a webhook")
	require.True(t, h.row("team", "carl").Read.Contains(receipts.MsgSeq(m.Seq)))
	require.False(t, h.row("team", "alice").Tencent.Contains(receipts.MsgSeq(m.Seq)))
	require.True(t, h.row("team", "alice").Read.Contains(receipts.MsgSeq(m.Seq)), "what was read stays so")

	// Asked once is enough.
	asked := h.cloud.Calls("get_group_msg_receipt_detail")
	require.NoError(t, h.b.cloud.catchUp(h.ctx, h.group("team").Key, false))
	require.Equal(t, asked, h.cloud.Calls("get_group_msg_receipt_detail"))
}
