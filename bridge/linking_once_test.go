package bridge

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/receipts"
)

// This file is about messages that are under way when their sender is linked or unlinked: each is there once all the same. What was sent
// in one name and had no answer must not be sent again in another, for no server would know it again.

// unanswered has alice's next message reach the room without timbridge ever hearing of it: it is killed before it does. change comes before
// it is tried again. What tells first that it is there is the second try or the event.
func (h *cloudHouse) unanswered(group, text, first string, change func()) {
	h.t.Helper()
	h.hs.FailTransactions(1_000)
	h.hs.FailRequests(matrixtest.Path("/send/"), 1_000, http.StatusBadGateway, "", 0)
	_, err := h.cloud.User("alice").Send(group, text, tencenttest.SendOptions{NeedReadReceipt: true})
	require.NoError(h.t, err)
	h.delivered()
	before := h.snapshot()
	room := h.group(group).RoomID
	h.hs.StopFailing()
	h.hs.FailTransactions(1_000)
	h.hs.WaitFor("the event", func() bool { return len(h.bodies(room)) == 1 })
	h.stop()
	h.hs.FailRequests(matrixtest.Path("/send/"), 1_000, http.StatusBadGateway, "", 0)
	h.cfg.Database = testDatabase(before)
	h.start()
	change()
	h.hs.StopFailing()
	if first == "try" {
		h.hs.FailTransactions(1_000)
		h.wait("the second try", func() bool {
			n, _, err := h.b.own.Pending(h.ctx)
			return err == nil && n == 0
		})
		h.hs.StopFailing()
	}
	h.quiet()
}

// sentTo are the messages in a room, those that have been redacted too.
func (h *cloudHouse) sentTo(room id.RoomID) (list []id.EventID) {
	for _, ev := range h.hs.Timeline(room) {
		if ev.Type == "m.room.message" && ev.Sender != h.b.bot() {
			list = append(list, ev.ID)
		}
	}
	return list
}

func TestLinkedWhileOnTheWayToTheRoom(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"try", "event"} {
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			h := plainCloud(t, tencenttest.Points{})
			ann, ben := h.hs.User("ann"), h.hs.User("ben")
			room := h.link("team", ben, "alice")
			h.join(ann, room)
			h.idle()
			h.unanswered("team", "hello", first, func() { require.NoError(t, h.root.LinkUser(h.ctx, "alice", ann.ID.String())) })
			require.Len(t, h.sentTo(room), 1, "nor was a second one taken back")
			require.Equal(t, []string{"hello"}, h.texts("team"))
			h.hs.WaitFor("the ghost has left", func() bool { return h.hs.Membership(room, h.ghost("alice")) == "leave" })
		})
	}
}

func TestUnlinkedWhileOnTheWayToTheRoom(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"try", "event"} {
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			h := plainCloud(t, tencenttest.Points{})
			ann, ben := h.hs.User("ann"), h.hs.User("ben")
			room := h.link("team", ben, "alice")
			h.join(ann, room)
			require.NoError(t, h.root.LinkUser(h.ctx, "alice", ann.ID.String()))
			h.idle()
			h.unanswered("team", "hello", first, func() { require.NoError(t, h.root.UnlinkUser(h.ctx, "alice")) })
			require.Len(t, h.sentTo(room), 1, "nor was a second one taken back")
			require.Equal(t, []string{"hello"}, h.texts("team"), "what came from Tencent does not go back there")
			require.Equal(t, "join", h.hs.Membership(room, ann.ID))
		})
	}
}

// TestUnlinkedWhileOnTheWayToTencent: it was sent as alice, and had no answer.
func TestUnlinkedWhileOnTheWayToTencent(t *testing.T) {
	t.Parallel()
	for name, linkedBefore := range map[string]bool{"written while linked": true, "written before": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := plainCloud(t, tencenttest.Points{})
			ann, ben := h.hs.User("ann"), h.hs.User("ben")
			room := h.link("team", ben, "alice")
			h.join(ann, room)
			link := func() { require.NoError(t, h.root.LinkUser(h.ctx, "alice", ann.ID.String())) }
			if linkedBefore {
				link()
				h.idle()
			}
			h.idle()
			h.cloud.Hold()
			if !linkedBefore { // then its first try is refused, and he is linked before the next
				h.cloud.FailNext("send_group_msg", 1, tencenttest.Fault{Code: receipts.Code(60007)})
			}
			h.cloud.FailNext("send_group_msg", 1, tencenttest.Fault{Drop: true, Acted: true})
			written := ann.Send(room, "hello")
			if !linkedBefore {
				h.wait("the first try", func() bool { return h.cloud.Codes("send_group_msg")[60007] == 1 })
				link()
			}
			h.cloud.WaitFor(t, "it is there", func() bool { return len(h.texts("team")) == 1 })
			require.NoError(t, h.root.UnlinkUser(h.ctx, "alice"))
			h.cloud.Release(nil)
			m := h.arrived("team", written)
			require.Equal(t, "alice", m.From)
			h.quiet()
			require.Equal(t, []string{"hello"}, h.texts("team"))
			require.Equal(t, []string{"hello"}, h.bodies(room))
		})
	}
}

// TestUnlinkedBeforeTheWebhook: all that tells of what was sent as alice is its webhook, which comes when she is a ghost again.
func TestUnlinkedBeforeTheWebhook(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.link("team", ben, "alice")
	h.join(ann, room)
	require.NoError(t, h.root.LinkUser(h.ctx, "alice", ann.ID.String()))
	h.idle()
	h.cloud.Hold()
	h.cloud.FailNext("send_group_msg", 1, tencenttest.Fault{Drop: true, Acted: true})
	h.cloud.FailNext("group_msg_get_simple", 1_000, tencenttest.Fault{Status: http.StatusBadGateway})
	ann.Send(room, "hello")
	h.cloud.WaitFor(t, "it is there", func() bool { return len(h.texts("team")) == 1 })
	require.NoError(t, h.root.UnlinkUser(h.ctx, "alice"))
	h.cloud.Release(nil)
	h.quiet()
	require.Equal(t, []string{"hello"}, h.bodies(room), "it is in the room already")
	require.Equal(t, []string{"hello"}, h.texts("team"))
	h.cloud.StopFailing()
}
