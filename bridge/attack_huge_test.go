package bridge

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

// TestReceiptsShareTheirStatements: what a transaction of receipts asks of the database does not grow with their number.
func TestReceiptsShareTheirStatements(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	const n = 1000
	mxids := make([]id.UserID, n)
	for i := range mxids {
		mxids[i] = id.UserID(fmt.Sprintf("@u%04d:%s", i, h.hs.Name()))
	}
	require.NoError(t, h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error {
		g, err := s.groupOfRoom(ctx, room)
		if err != nil {
			return err
		}
		return s.members(ctx, g, append(mxids, ann.ID), 0)
	}))
	event := ann.Send(room, "hello")
	h.message("team", event)
	h.settled()
	rs := make([]matrix.Receipt, n)
	for i := range rs {
		rs[i] = matrix.Receipt{RoomID: room, EventID: event, UserID: mxids[i]}
	}
	h.asked.n.Store(0)
	require.NoError(t, h.b.HandleTransaction(h.ctx, nil, rs[:100]))
	require.Positive(t, h.asked.n.Load())
	require.Less(t, h.asked.n.Load(), int64(100))
	h.asked.n.Store(0)
	require.NoError(t, h.b.HandleTransaction(h.ctx, nil, rs))
	require.Less(t, h.asked.n.Load(), int64(n/2))
	require.EqualValues(t, n, h.message("team", event).ReadNum)
}
