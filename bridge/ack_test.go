package bridge

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// An app acknowledges the moment it gets a message: the room may get that message after the request was checked and before it
// is committed.
func TestAckCheckedBeforeItsMessageReachedTheRoom(t *testing.T) {
	t.Parallel()
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

	err = service{h.b}.acknowledgeChecked(h.ctx, bob, receipts.Request{
		Group: found[sent.MsgID].Group, GroupID: "team", Seqs: receipts.SetOf(early.Seq), Messages: []receipts.Message{early},
	})
	require.NoError(t, err)
	ann.WaitReceipt(room, h.ghost("bob"), event)
}

// An ack and the arrival of its message may share one commit, and the reader may have read nothing before.
func TestAckInTheCommitThatPlacesItsMessage(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice", "bob")
	h.settled()
	h.hs.SetOutage(true)
	sent, err := h.client("alice").SendText(h.ctx, "team", "hello")
	require.NoError(t, err)
	bob, err := h.b.maps.UserByID(h.ctx, "bob")
	require.NoError(t, err)
	found, err := h.b.maps.MessagesByMsgID(h.ctx, []string{sent.MsgID})
	require.NoError(t, err)
	m := found[sent.MsgID]
	require.Zero(t, m.Pos)
	content, err := json.Marshal(map[string]any{"msgtype": "m.text", "body": "hello", mapping.StampKey: mapping.MarshalStamp(mapping.Stamp{
		GroupID: "team", MsgID: m.MsgID, Seq: m.Seq, NeedReadReceipt: true,
	})})
	require.NoError(t, err)
	err = h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error {
		row, _, err := s.reader(ctx, m.Group, bob.Key)
		if err != nil {
			return err
		}
		s.save(row)
		if err = s.readMore(ctx, row, bob.Kind, row.AddTencent(receipts.SetOf(m.Seq)), nil); err != nil {
			return err
		}
		return s.roomEvents(ctx, []matrix.Event{{ID: "$hello", RoomID: room, Type: "m.room.message", Sender: h.ghost("alice"), Content: content}})
	})
	require.NoError(t, err)
	rows, err := h.b.reads.Readers(h.ctx, m.Group, []mapping.UserKey{bob.Key})
	require.NoError(t, err)
	require.NotZero(t, rows[bob.Key].Latest, "the marker would never move")
}
