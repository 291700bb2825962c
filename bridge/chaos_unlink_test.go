package bridge

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

// TestUnlinkWhileMarkerIsDue: unlinking forgets what Matrix showed of the linked user, also when a look at his marker is due in this very
// moment. His ghost, which has shown nothing yet, shows then what he has read.
func TestUnlinkWhileMarkerIsDue(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.room("team", ben, "alice")
	h.join(ann, room)
	require.NoError(t, h.root.LinkUser(h.ctx, "alice", ann.ID.String()))
	event := ben.Send(room, "read by ann")
	m := h.message("team", event)
	ann.SendReceipt(room, event)
	h.waitCounts(h.client("alice"), m.MsgId, 1, 0)
	h.settled()
	require.NoError(t, h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error {
		u, err := h.b.maps.UserByID(ctx, "alice")
		if err != nil {
			return err
		}
		g, err := h.b.maps.GroupByID(ctx, "team")
		if err != nil {
			return err
		}
		row, _, err := s.reader(ctx, g.Key, u.Key)
		if err != nil {
			return err
		}
		s.due(row)
		return s.unlinkUser(ctx, "alice")
	}))
	ben.WaitReceipt(room, h.ghost("alice"), event)
}
