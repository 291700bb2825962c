package bridge

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
)

// TestReaderWhoCameAndWent: the webhooks of somebody's joining and leaving were lost, so that nobody knows that he was a member, but not
// that of his receipt. He is counted as Tencent counts him.
func TestReaderWhoCameAndWent(t *testing.T) {
	t.Parallel()
	h := newCloudHouse(t, matrixtest.Synapse(), tencenttest.Options{})
	ann := h.hs.User("ann")
	h.link("team", ann, "alice", "bob")
	m, _ := h.send("team", "alice", "read by a guest")
	carl := h.cloud.User("carl")
	h.cloud.Deliver(tencenttest.Nothing)
	require.NoError(t, carl.Join("team"))
	h.cloud.Deliver(nil)
	h.cloud.Hold()
	require.NoError(t, carl.Ack("team", m.Seq))
	h.cloud.Deliver(tencenttest.Nothing)
	require.NoError(t, carl.Leave("team"))
	h.cloud.Release(func(held []tencenttest.Webhook) []tencenttest.Webhook { return nil })
	h.cloud.Deliver(nil)
	h.restart(nil) // the catch-up finds his receipt
	h.wait("count", func() bool { return h.messages("team", 1)[0].ReadNum == 1 })
	readers, err := h.root.GetGroupMsgReceiptDetail(h.ctx, "team", m.Seq, 0, "", 100)
	require.NoError(t, err)
	require.Equal(t, []string{"carl"}, readers.Members)
	require.NotContains(t, h.cloud.Members("team"), "carl")
}
