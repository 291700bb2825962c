package bridge

import (
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

// TestRelinkedKeepsWhatIsShown: a group that is linked again to the room that it had finds its markers there. One that would be below what
// is shown is no work: a homeserver ignores it, so that it would wait for ever to be seen, or moves the marker back. (Found by the fault
// harness, seed 26047.)
func TestRelinkedKeepsWhatIsShown(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts)
		ann := h.hs.User("ann")
		room := h.room("team", ann, "alice")
		first, second := h.message("team", ann.Send(room, "one")), h.message("team", ann.Send(room, "two"))
		alice := h.client("alice")
		require.NoError(t, alice.SendMessageReadReceipts(h.ctx, second.MsgId))
		ann.WaitReceipt(room, h.ghost("alice"), id.EventID(second.EventId))
		h.settled()
		sent := func() int {
			return len(h.hs.Requests(matrixtest.Path("receipt")))
		}
		before := sent()

		require.NoError(t, h.root.UnmapGroup(h.ctx, "team"))
		require.Zero(t, h.row("team", "alice").Shown, "without a room nothing is shown")
		h.restart(nil)
		h.mapGroup("team", room, "")
		require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, first.MsgId))
		h.settled()
		require.Equal(t, before, sent(), "there is nothing to send")
		require.Equal(t, id.EventID(second.EventId), ann.ReceiptOf(room, h.ghost("alice")))

		// What comes after is shown as ever.
		third := h.message("team", ann.Send(room, "three"))
		require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, third.MsgId))
		ann.WaitReceipt(room, h.ghost("alice"), id.EventID(third.EventId))

		// In another room nothing is shown yet.
		other := ann.CreateRoom(matrixtest.RoomOptions{Public: true})
		require.NoError(t, h.root.UnmapGroup(h.ctx, "team"))
		h.mapGroup("team", other, "")
		require.Zero(t, h.row("team", "alice").Shown)
		value, err := h.b.own.Value(h.ctx, shownKey(h.group("team").Key))
		require.NoError(t, err)
		require.Empty(t, value, "it is kept no longer than it is of use")
	})
}
