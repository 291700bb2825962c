package bridge

import (
	"net/http"
	"slices"
	"testing"
	"time"

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

// TestEditWhileUnlinked: an edit is on its way when its sender is unlinked, or linked. The message stands under the name that he has then,
// and the edit was made under the other. (Found by the fault harness, seed 26048.)
func TestEditWhileUnlinked(t *testing.T) {
	t.Parallel()
	for name, linkedFirst := range map[string]bool{"unlinked": true, "linked": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := plainCloud(t, tencenttest.Points{})
			ann, ben := h.hs.User("ann"), h.hs.User("ben")
			room := h.link("team", ben, "alice", "bob")
			h.join(ann, room)
			link := func() { require.NoError(t, h.root.LinkUser(h.ctx, "alice", ann.ID.String())) }
			unlink := func() { require.NoError(t, h.root.UnlinkUser(h.ctx, "alice")) }
			first, second := unlink, link
			if linkedFirst {
				first, second = link, unlink
			} else {
				link()
			}
			event := ann.Send(room, "hello")
			m := h.arrived("team", event)
			first()
			h.cloud.FailNext("modify_group_msg", 1_000, tencenttest.Fault{Status: http.StatusBadGateway})
			ann.Edit(room, event, "edited")
			h.wait("a try", func() bool { return h.cloud.Calls("modify_group_msg") > 0 })
			second()
			h.cloud.StopFailing()
			h.quiet()
			now, _ := h.cloud.Message("team", m.Seq)
			require.Equal(t, "edited", now.Text)
		})
	}
}

// TestEditsInOrderAfterLinking: two edits of one message, the second under another name since their sender has been linked: it does not
// overtake the first. (Found by the fault harness, seed 13008.)
func TestEditsInOrderAfterLinking(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.link("team", ben, "alice", "bob")
	h.join(ann, room)
	event := ann.Send(room, "hello")
	m := h.arrived("team", event)
	h.idle()
	h.cloud.FailNext("modify_group_msg", 1_000, tencenttest.Fault{Status: http.StatusBadGateway})
	ann.Edit(room, event, "first")
	failed := func(at int64) bool {
		var n int
		err := h.db.QueryRow(h.ctx, "SELECT COUNT(*) FROM tim_relay WHERE attempts > 0 AND due >= $1", at).Scan(&n)
		return err == nil && n == 1
	}
	h.wait("a try", func() bool { return failed(0) })
	later := time.Now().Add(3 * time.Second).UnixMilli()
	h.wait("the first to have to wait", func() bool { // a try may be under way, which sets its own time
		_, err := h.db.Exec(h.ctx, "UPDATE tim_relay SET due=$1", later)
		return err == nil && failed(later)
	})
	require.NoError(t, h.root.LinkUser(h.ctx, "alice", ann.ID.String()))
	h.cloud.StopFailing()
	ann.Edit(room, event, "second")
	h.quiet()
	now, _ := h.cloud.Message("team", m.Seq)
	require.Equal(t, "second", now.Text)
}
