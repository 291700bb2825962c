package bridge

import (
	"testing"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

// TestGhostLeftLate: a ghost was told to leave, its user came back, and only then is heard that it left (the answer was lost, or could not
// be written down on a full disk). It comes back too.
func TestGhostLeftLate(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts)
		ann := h.hs.User("ann")
		room := h.room("team", ann, "alice")
		h.settled()
		h.hs.User(h.ghost("alice").Localpart()).Leave(room)
		h.wait("the ghost back in the room", func() bool { return h.hs.Membership(room, h.ghost("alice")) == "join" })
		h.settled()
	})
}
