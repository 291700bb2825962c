package bridge

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/receipts"
)

// TestEditAfterLinking: what somebody wrote before he was linked, or while he was, stands in the group under another name than he has now.
// He can edit it all the same, and nobody else can.
func TestEditAfterLinking(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newCloudHouse(t, opts, tencenttest.Options{})
		ann, ben := h.hs.User("ann"), h.hs.User("ben")
		room := h.link("team", ben, "alice", "bob")
		h.join(ann, room)
		edited := func(event id.EventID, seq uint64, text string) {
			t.Helper()
			ann.Edit(room, event, text)
			h.wait(text, func() bool { m, _ := h.cloud.Message("team", seq); return m.Text == text })
		}
		before := ann.Send(room, "as an account")
		first := h.arrived("team", before)
		require.NoError(t, h.root.LinkUser(h.ctx, "alice", ann.ID.String()))
		during := ann.Send(room, "as alice")
		second := h.arrived("team", during)
		require.Equal(t, "alice", second.From)
		edited(before, first.Seq, "edited while linked")
		require.NoError(t, h.root.UnlinkUser(h.ctx, "alice"))
		edited(during, second.Seq, "edited afterwards")
		ben.Edit(room, during, "by another")
		h.quiet()
		m, _ := h.cloud.Message("team", second.Seq)
		require.Equal(t, "edited afterwards", m.Text)

		// Edited under another name while the message is still on its way.
		require.NoError(t, h.root.LinkUser(h.ctx, "alice", ann.ID.String()))
		h.cloud.FailNext("send_group_msg", 1, tencenttest.Fault{Code: receipts.Code(60007)})
		late := ann.Send(room, "late")
		h.wait("the first try", func() bool { return h.cloud.Codes("send_group_msg")[60007] == 1 })
		require.NoError(t, h.root.UnlinkUser(h.ctx, "alice"))
		ann.Edit(room, late, "late, edited")
		h.wait("late, edited", func() bool { return slices.Contains(h.texts("team"), "late, edited") })
		h.quiet()
	})
}
