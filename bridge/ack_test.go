package bridge

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/receipts"
)

// An app acknowledges the moment it gets a message: the room may get that message after the request was checked and before it
// is committed.
func TestAckCheckedBeforeItsMessageReachedTheRoom(t *testing.T) {
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice", "bob")
	sent, err := h.client("alice").SendText(h.ctx, "team", "hello")
	require.NoError(t, err)
	event := h.event("team", sent.MsgID)
	h.settled()
	bob, err := h.b.maps.UserByID(h.ctx, "bob")
	require.NoError(t, err)
	found, err := h.b.maps.MessagesByMsgID(h.ctx, []string{sent.MsgID})
	require.NoError(t, err)
	early := found[sent.MsgID].Message
	early.Pos, early.EventID = 0, ""

	err = service{h.b}.acknowledge(h.ctx, bob, receipts.Request{
		Group: found[sent.MsgID].Group, GroupID: "team", Seqs: receipts.SetOf(early.Seq), Messages: []receipts.Message{early},
	})
	require.NoError(t, err)
	ann.WaitReceipt(room, h.ghost("bob"), event)
}
