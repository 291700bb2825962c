package bridge

import (
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/v2tim"
)

// TestReadsCountAfterTheGroupHasMoved: places of the old room say nothing in the new one, where they begin at 1 again.
func TestReadsCountAfterTheGroupHasMoved(t *testing.T) {
	t.Parallel()
	move := map[string]func(h *house, ann *matrixtest.User, old, to id.RoomID){
		"upgrade": func(h *house, ann *matrixtest.User, old, to id.RoomID) {
			ann.SendState(old, "m.room.tombstone", "", map[string]any{"replacement_room": to})
			h.hs.WaitPushed()
			h.hs.WaitFor("bot in the new room", func() bool { return h.hs.Membership(to, h.b.bot()) == "join" })
		},
		"unmap and map": func(h *house, ann *matrixtest.User, old, to id.RoomID) {
			require.NoError(h.t, h.root.UnmapGroup(h.ctx, "team"))
			h.mapGroup("team", to, "")
		},
	}
	for name, fn := range move {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, matrixtest.Synapse())
			ann, ben, cleo := h.hs.User("ann"), h.hs.User("ben"), h.hs.User("cleo")
			old := h.room("team", ann, "alice", "bob")
			for range 30 {
				ann.Send(old, "in the old room")
			}
			h.messages("team", 30)
			h.join(ben, old)
			h.join(cleo, old)
			require.NoError(t, h.root.LinkUser(h.ctx, "bob", ben.ID.String()))
			to := ann.CreateRoom(matrixtest.RoomOptions{Public: true})
			fn(h, ann, old, to)
			h.join(ben, to)
			h.join(cleo, to)
			alice := h.client("alice")
			h.hs.WaitFor("alice in the new room", func() bool { return h.hs.Membership(to, h.ghost("alice")) == "join" })
			sent, err := alice.SendText(h.ctx, "team", "in the new room")
			require.NoError(t, err)
			event := h.event("team", sent.MsgID)
			h.waitCounts(alice, sent.MsgID, 0, 3)
			for i, u := range []*matrixtest.User{ann, ben, cleo} {
				u.SendReceipt(to, event)
				h.waitCounts(alice, sent.MsgID, uint64(i+1), uint64(2-i))
			}
		})
	}
}

// TestWhatWaitsForARoomGoesNowhereElse: messages of a group that has lost its room wait for the next one. The old room may be
// another group's by then.
func TestWhatWaitsForARoomGoesNowhereElse(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	h.settled()
	sending := matrixtest.Path("/send/m.room.message/")
	h.hs.FailRequests(sending, 1000, 502, "", 0)
	sent, err := h.client("alice").SendText(h.ctx, "team", "for the team only")
	require.NoError(t, err)
	h.wait("a try", func() bool { return len(h.hs.Requests(sending)) > 0 })
	require.NoError(t, h.root.UnmapGroup(h.ctx, "team"))
	h.hs.WaitFor("alice gone", func() bool { return h.hs.Membership(room, h.ghost("alice")) == "leave" })
	h.mapGroup("others", room, "", "oscar")
	h.hs.StopFailing()
	to := ann.CreateRoom(matrixtest.RoomOptions{Public: true})
	h.mapGroup("team", to, "", "alice")
	event := h.event("team", sent.MsgID)
	require.Equal(t, "for the team only", body(h.timeline(to, event)))
	for _, ev := range h.hs.Timeline(room) {
		require.NotEqual(t, "m.room.message", ev.Type, "nothing reaches the other group's room")
	}
	resp, err := h.root.GetGroupMessages(h.ctx, v2tim.GetGroupMessagesRequest{GroupId: "others"})
	require.NoError(t, err)
	require.Empty(t, resp.RspMsgList)
}

// TestARefusedRedactionKeepsNoMessageWaiting: the second event of one message may be beyond our power to redact.
func TestARefusedRedactionKeepsNoMessageWaiting(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	room := h.room("team", h.hs.User("ann"), "alice")
	alice := h.client("alice")
	sent, err := alice.SendText(h.ctx, "team", "hello")
	require.NoError(t, err)
	event := h.event("team", sent.MsgID)
	h.settled()
	redacting := matrixtest.Path("/redact/")
	h.hs.FailRequests(redacting, 1000, 403, "M_FORBIDDEN", 0)
	h.hs.User(h.ghost("alice").Localpart()).SendEvent(room, "m.room.message", h.timeline(room, event).Content)
	h.wait("a try", func() bool { return len(h.hs.Requests(redacting)) > 0 })
	sent, err = alice.SendText(h.ctx, "team", "hello again")
	require.NoError(t, err)
	h.event("team", sent.MsgID)
}
