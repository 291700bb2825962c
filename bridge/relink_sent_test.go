package bridge

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
)

// TestUnlinkedWhileOnTheWay: the group of a message that is on its way to the room is unlinked, and what tells that the message is there
// comes when the room is no group's. A homeserver that is started again then does not know the repeat. (Found by the fault harness.)
func TestUnlinkedWhileOnTheWay(t *testing.T) {
	t.Parallel()
	for name, same := range map[string]bool{"the same room again": true, "another room": false} {
		for by, linked := range map[string]bool{"of a ghost": false, "of a linked user": true} {
			t.Run(name+", "+by, func(t *testing.T) {
				t.Parallel()
				h := plainCloud(t, tencenttest.Points{})
				ann, ben := h.hs.User("ann"), h.hs.User("ben")
				room := h.link("team", ben, "alice")
				h.join(ann, room)
				if linked {
					require.NoError(t, h.root.LinkUser(h.ctx, "alice", ann.ID.String()))
				}
				h.idle()
				h.unanswered("team", "hello", "event", func() { require.NoError(t, h.root.UnmapGroup(h.ctx, "team")) })
				to := room
				if !same {
					to = ben.CreateRoom(matrixtest.RoomOptions{Public: true})
				}
				h.hs.Restart()
				h.mapGroup("team", to, "")
				if !same {
					h.join(ann, to)
				}
				h.idle()
				require.Len(t, h.sentTo(room), 1, "nor was a second one taken back")
				require.Equal(t, []string{"hello"}, h.bodies(room))
				require.Equal(t, []string{"hello"}, h.texts("team"))

				// What comes after it goes on as ever.
				_, next := h.send("team", "alice", "next")
				require.Equal(t, "next", body(h.timeline(to, next)))
				if !same {
					require.Equal(t, []string{"next"}, h.bodies(to), "what was there before is not shown anew")
				}
			})
		}
	}
}

// TestSecondEventInARoomLeft: both events of a message are heard of when the room is no group's. The second is taken back, and the ghost
// does not stay for it.
func TestSecondEventInARoomLeft(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ben := h.hs.User("ben")
	room := h.link("team", ben, "alice")
	h.idle()
	_, event := h.send("team", "alice", "hello")
	h.idle()
	require.NoError(t, h.root.UnmapGroup(h.ctx, "team"))
	ghost := h.hs.User(h.ghost("alice").Localpart())
	h.hs.WaitFor("the ghost has left", func() bool { return h.hs.Membership(room, ghost.ID) == "leave" })
	ghost.Join(room)
	second := ghost.SendEvent(room, "m.room.message", h.timeline(room, event).Content)
	h.hs.WaitFor("it is taken back", func() bool { return h.hs.Redacted(second) })
	h.hs.WaitFor("the ghost has left again", func() bool { return h.hs.Membership(room, ghost.ID) == "leave" })
	require.Equal(t, []string{"hello"}, h.bodies(room))
	h.quiet()

	// Nobody else is believed: with the stamp of a message, and not from its sender.
	third := ben.SendEvent(room, "m.room.message", h.timeline(room, event).Content)
	h.quiet()
	require.False(t, h.hs.Redacted(third))
}

// TestUnlinkedBeforeTheGhostHasGone: a ghost that has still something to say stays for it when its user is linked. Is the group unlinked
// then, it goes; the Matrix user whose room it is stays. (Found by the fault harness, seed 26048.)
func TestUnlinkedBeforeTheGhostHasGone(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.link("team", ben, "alice")
	h.join(ann, room)
	h.idle()
	h.hs.FailRequests(matrixtest.Path("/send/"), 1_000, http.StatusBadGateway, "", 0)
	_, err := h.cloud.User("alice").Send("team", "hello", tencenttest.SendOptions{NeedReadReceipt: true})
	require.NoError(t, err)
	h.delivered()
	require.NoError(t, h.root.LinkUser(h.ctx, "alice", ann.ID.String()))
	h.wait("the ghost to wait", func() bool {
		var attempts int
		err := h.db.QueryRow(h.ctx, "SELECT COALESCE(MAX(attempts), 0) FROM tim_room_task").Scan(&attempts)
		return err == nil && attempts > 0
	})
	require.NoError(t, h.root.UnmapGroup(h.ctx, "team"))
	h.wait("nothing to do in the room", func() bool {
		var tasks int
		err := h.db.QueryRow(h.ctx, "SELECT COUNT(*) FROM tim_room_task").Scan(&tasks)
		return err == nil && tasks == 0
	})
	require.Equal(t, "leave", h.hs.Membership(room, h.ghost("alice")))
	require.Equal(t, "join", h.hs.Membership(room, ann.ID))
	h.hs.StopFailing()
}

// TestGhostJoinsLate: a ghost's joining that was on its way when its user was linked arrives when the ghost has been sent out: it goes again.
// (Found by the fault harness, seed 13008.)
func TestGhostJoinsLate(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.link("team", ben, "alice")
	h.join(ann, room)
	require.NoError(t, h.root.LinkUser(h.ctx, "alice", ann.ID.String()))
	ghost := h.hs.User(h.ghost("alice").Localpart())
	left := func() bool { return h.hs.Membership(room, ghost.ID) == "leave" }
	h.hs.WaitFor("the ghost has left", left)
	h.idle()
	ghost.Join(room)
	h.hs.WaitFor("it has left again", left)
	require.Equal(t, "join", h.hs.Membership(room, ann.ID))
}
