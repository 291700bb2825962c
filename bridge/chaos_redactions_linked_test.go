package bridge

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
)

// TestRecallAfterLinking: what somebody sent before he was linked, or while he was, stands in the room under another name than he has now.
// Recalled at Tencent it is redacted under that name, as the bot has no right to.
func TestRecallAfterLinking(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newCloudHouse(t, opts, tencenttest.Options{})
		ann, ben := h.hs.User("ann"), h.hs.User("ben")
		room := h.link("team", ben, "alice", "bob")
		h.join(ann, room)
		alice := h.cloud.User("alice")
		before, asGhost := h.send("team", "alice", "as a ghost")
		require.NoError(t, h.root.LinkUser(h.ctx, "alice", ann.ID.String()))
		during, asAnn := h.send("team", "alice", "as ann")
		require.NoError(t, alice.Recall("team", before.Seq))
		h.wait("the redaction of what the ghost sent", func() bool { return h.hs.Redacted(asGhost) })
		h.wait("the ghost out again", func() bool { return h.hs.Membership(room, h.ghost("alice")) == "leave" })
		require.NoError(t, h.root.UnlinkUser(h.ctx, "alice"))
		require.NoError(t, alice.Recall("team", during.Seq))
		h.wait("the redaction of what was sent as ann", func() bool { return h.hs.Redacted(asAnn) })
		h.quiet()
	})
}
