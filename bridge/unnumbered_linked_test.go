package bridge

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
)

// TestOnlineOnlyOfALinkedUser: a message that has no number, and so no stamp, is shown in the room in the name of the Matrix user who its
// sender is. It is not his own writing, and does not go back to Tencent. (Found by the fault harness, seed 13008.)
func TestOnlineOnlyOfALinkedUser(t *testing.T) {
	t.Parallel()
	for name, unlink := range map[string]bool{"linked": false, "unlinked while it is on its way": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := plainCloud(t, tencenttest.Points{})
			ann, ben := h.hs.User("ann"), h.hs.User("ben")
			room := h.link("team", ben, "alice")
			h.join(ann, room)
			require.NoError(t, h.root.LinkUser(h.ctx, "alice", ann.ID.String()))
			h.idle()
			if unlink {
				h.hs.FailTransactions(1_000)
			}
			_, err := h.cloud.User("alice").Send("team", "online", tencenttest.SendOptions{OnlineOnly: true})
			require.NoError(t, err)
			h.delivered()
			h.hs.WaitFor("it is shown", func() bool { return len(h.bodies(room)) == 1 })
			if unlink {
				require.NoError(t, h.root.UnlinkUser(h.ctx, "alice"))
				h.hs.StopFailing()
			}
			written := ann.Send(room, "by ann")
			h.arrived("team", written)
			h.quiet()
			require.ElementsMatch(t, []string{"online", "by ann"}, h.texts("team"))
			require.Equal(t, []string{"online", "by ann"}, h.bodies(room))
		})
	}
}
