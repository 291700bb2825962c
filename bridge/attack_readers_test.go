package bridge

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/mapping"
)

// TestAnAccountThatHasBeenLinkedActsForThePerson: acknowledged is acknowledged, whichever of his names he uses.
func TestAnAccountThatHasBeenLinkedActsForThePerson(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.room("team", ann, "alice", "bob")
	h.join(ben, room)
	account := mapping.AccountID(ben.ID)
	require.NoError(t, h.root.LinkUser(h.ctx, "alice", ben.ID.String()))
	bob := h.client("bob")
	one, err := bob.SendText(h.ctx, "team", "one")
	require.NoError(t, err)
	require.NoError(t, h.client(account).SendMessageReadReceipts(h.ctx, one.MsgID))
	require.Equal(t, [2]uint64{1, 1}, h.counts(bob, one.MsgID))
	two, err := bob.SendText(h.ctx, "team", "two")
	require.NoError(t, err)
	require.NoError(t, h.root.GroupMsgReceipt(h.ctx, "team", account, two.Seq))
	require.Equal(t, [2]uint64{1, 1}, h.counts(bob, two.MsgID))
}

// TestSeveralReadersOfOneUnknownEvent: whoever parked a receipt on it gets it placed, not the first alone.
func TestSeveralReadersOfOneUnknownEvent(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Dendrite(), func(cfg *config.Config) { cfg.Bridge.EventWait = 0 })
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.room("team", ann, "alice")
	h.join(ben, room)
	alice := h.client("alice")
	sent, err := alice.SendText(h.ctx, "team", "hello")
	require.NoError(t, err)
	h.event("team", sent.MsgID)
	h.settled()
	h.hs.FailTransactions(1_000_000)
	unknown := ann.React(room, h.event("team", sent.MsgID), "👍")
	ann.SendReceipt(room, unknown)
	ben.SendReceipt(room, unknown)
	h.waitCounts(alice, sent.MsgID, 2, 0)
	h.hs.StopFailing()
}

// TestAnEventUnknownInTwoRooms: what is asked about a receipt in one room says nothing of another room.
func TestAnEventUnknownInTwoRooms(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Dendrite(), func(cfg *config.Config) { cfg.Bridge.EventWait = 0 })
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	other, room := h.room("other", ben, "alice"), h.room("team", ann, "alice")
	h.join(ben, room)
	alice := h.client("alice")
	sent, err := alice.SendText(h.ctx, "team", "hello")
	require.NoError(t, err)
	event := h.event("team", sent.MsgID)
	h.settled()
	h.hs.FailTransactions(1_000_000)
	unknown := ann.React(room, event, "👍")
	ben.SendReceipt(other, unknown)
	h.wait("refused", func() bool { return h.b.stats.foreignReceipts.Load() == 1 })
	ann.SendReceipt(room, unknown)
	h.waitCounts(alice, sent.MsgID, 1, 1)
	h.hs.StopFailing()
}
