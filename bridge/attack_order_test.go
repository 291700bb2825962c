package bridge

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/v2tim"
)

// TestAnOwnMessageRedactedBeforeItCameBack: it is the same message all the same.
func TestAnOwnMessageRedactedBeforeItCameBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice", "bob")
	h.settled()
	h.hs.FailTransactions(1_000_000)
	sent, err := h.client("alice").SendText(h.ctx, "team", "hello")
	require.NoError(t, err)
	event := h.event("team", sent.MsgID)
	require.NoError(t, h.client("bob").SendMessageReadReceipts(h.ctx, sent.MsgID))
	ann.Redact(room, event)
	h.hs.StopFailing()
	h.hs.WaitPushed()
	next := h.message("team", ann.Send(room, "after"))
	require.EqualValues(t, 2, next.MsgSeq)
	require.EqualValues(t, 2, h.message("team", event).IsPlaceMsg, "recalled")
}

// TestAnAckBeforeTheEventMovesTheMarkerWhenItComes: whether its stamp can be read or not.
func TestAnAckBeforeTheEventMovesTheMarkerWhenItComes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice", "bob")
	h.settled()
	h.hs.FailTransactions(1_000_000)
	sent, err := h.client("alice").SendText(h.ctx, "team", "hello")
	require.NoError(t, err)
	event := h.event("team", sent.MsgID)
	require.NoError(t, h.client("bob").SendMessageReadReceipts(h.ctx, sent.MsgID))
	var ev map[string]any
	require.NoError(t, json.Unmarshal(h.hs.EventJSON(event), &ev))
	ev["content"] = map[string]any{"msgtype": "m.text", "body": "hello"}
	require.Equal(t, http.StatusOK, h.pushed([]any{ev}))
	ann.WaitReceipt(room, h.ghost("bob"), event)
	h.hs.StopFailing()
}

// TestARedactionThatComesFirst: Dendrite hands events over in another order after a restart.
func TestARedactionThatComesFirst(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Dendrite())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	text := map[string]any{"msgtype": "m.text", "body": "x"}
	require.Equal(t, http.StatusOK, h.pushed([]any{rawEvent(room, "$redaction", ann.ID.String(), "m.room.redaction", map[string]any{}, "redacts", "$target")}))
	h.restart(nil)
	require.Equal(t, http.StatusOK, h.pushed([]any{rawEvent(room, "$target", ann.ID.String(), "m.room.message", text)}))
	require.EqualValues(t, 2, h.message("team", "$target").IsPlaceMsg)
	other := h.room("other", ann, "alice")
	require.Equal(t, http.StatusOK, h.pushed([]any{
		rawEvent(other, "$redaction2", ann.ID.String(), "m.room.redaction", map[string]any{}, "redacts", "$target2"),
		rawEvent(room, "$target2", ann.ID.String(), "m.room.message", text),
	}))
	require.Zero(t, h.message("team", "$target2").IsPlaceMsg, "not by a redaction in another room")
}

// TestALinkMovesNoMarkerBack: what a Matrix user's own client showed before he was linked stays, also on a server that lets markers go
// back.
func TestALinkMovesNoMarkerBack(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts)
		ann, ben := h.hs.User("ann"), h.hs.User("ben")
		room := h.room("team", ann, "alice", "bob")
		h.join(ben, room)
		event := ann.Send(room, "hello")
		h.message("team", event)
		reaction := ann.React(room, event, "👍")
		ben.SendReceipt(room, reaction)
		h.wait("his read", func() bool { return h.message("team", event).ReadNum == 1 })
		h.settled()
		require.NoError(t, h.root.LinkUser(h.ctx, "alice", ben.ID.String()))
		h.settled()
		require.Equal(t, reaction, ann.ReceiptOf(room, ben.ID))
	})
}

// TestWhatComesAfterAnUpgradeIsNoMessage: the old room is no group's from there on, in the same transaction too.
func TestWhatComesAfterAnUpgradeIsNoMessage(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	to := ann.CreateRoom(matrixtest.RoomOptions{Public: true})
	text := map[string]any{"msgtype": "m.text", "body": "x"}
	require.Equal(t, http.StatusOK, h.pushed([]any{
		rawEvent(room, "$before", ann.ID.String(), "m.room.message", text),
		rawEvent(room, "$upgrade", ann.ID.String(), "m.room.tombstone", map[string]any{"replacement_room": to}, "state_key", ""),
		rawEvent(room, "$after", ann.ID.String(), "m.room.message", text),
	}))
	resp, err := h.root.GetGroupMessages(h.ctx, v2tim.GetGroupMessagesRequest{GroupId: "team"})
	require.NoError(t, err)
	require.Len(t, resp.RspMsgList, 1)
	require.Equal(t, "$before", resp.RspMsgList[0].EventId)
	h.hs.WaitFor("bot in the new room", func() bool { return h.hs.Membership(to, h.b.bot()) == "join" })
	require.EqualValues(t, 2, h.message("team", ann.Send(to, "here")).MsgSeq)
}

// TestMappedSeqsAreBounded: one wrong number must not use all up.
func TestMappedSeqsAreBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := ann.CreateRoom(matrixtest.RoomOptions{Public: true})
	h.mapGroup("team", room, "stamped", "alice")
	event := ann.Send(room, "x")
	h.hs.WaitPushed()
	_, err := h.root.MapMessages(h.ctx, v2tim.MapMessagesRequest{GroupId: "team", MessageList: []v2tim.MessageMapping{{EventId: event.String(), MsgSeq: 1<<63 - 1}}})
	require.Error(t, err)
	resp, err := h.root.MapMessages(h.ctx, v2tim.MapMessagesRequest{GroupId: "team", MessageList: []v2tim.MessageMapping{{EventId: event.String()}}})
	require.NoError(t, err)
	require.EqualValues(t, 1, resp.MessageList[0].MsgSeq)
}
