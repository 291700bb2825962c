package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/internal/lab"
)

func testThreads(t *testing.T, w *world) {
	s := newScene(t, w, shared)
	ann, ben, cora := s.user("ann"), s.user("ben"), s.user("cora")
	alice := s.app("alice")
	g := s.group([]*lab.User{ann, ben, cora}, alice)
	root := g.post(ben, "root")
	event, err := ben.SendThread(s.ctx, g.room, root.event, "in the thread")
	require.NoError(t, err)
	inThread := g.messageOf(event)
	main := g.post(ben, "in the main timeline")
	event, err = ben.SendThread(s.ctx, g.room, root.event, "in the thread, later")
	require.NoError(t, err)
	later := g.messageOf(event)

	require.NoError(t, ann.ThreadReceipt(s.ctx, g.room, main.event, "main"))
	g.waitCounts(alice, main, 1, 2)
	require.Equal(t, [2]uint64{1, 2}, g.counts(alice, root), "the root of a thread is in the main timeline")
	if w.hs.Kind == lab.Synapse {
		require.Equal(t, [2]uint64{0, 3}, g.counts(alice, inThread), "read the main timeline, not the thread")
		require.NoError(t, ann.ThreadReceipt(s.ctx, g.room, inThread.event, root.event.String()))
		g.waitCounts(alice, inThread, 1, 2)
		require.Equal(t, [2]uint64{0, 3}, g.counts(alice, later))
	} else {
		// Dendrite drops thread_id, so that everybody, timbridge among them, is told that she has read all up to there.
		r, err := g.eyes.WaitReceipt(s.within(), g.room, ann.ID, main.event)
		require.NoError(t, err)
		require.Empty(t, r.Thread)
		require.Equal(t, [2]uint64{1, 2}, g.counts(alice, inThread))
		require.Equal(t, [2]uint64{0, 3}, g.counts(alice, later))
	}
	// Without a thread a receipt is about the whole room. (Synapse pushes all receipts without thread_id: what this one
	// means comes with the next /sync.)
	g.read(cora, later.event)
	g.waitCounts(alice, later, 1, 2)
	for _, m := range []message{root, inThread, main} {
		g.waitCounts(alice, m, 2, 1)
	}

	// A Tencent user's receipt is without a thread, in a thread as well.
	g.ack(alice, inThread)
	r, err := g.eyes.WaitReceipt(s.within(), g.room, s.ghost(alice), inThread.event)
	require.NoError(t, err)
	require.Empty(t, r.Thread)
	require.Equal(t, [2]uint64{2, 1}, g.counts(alice, main), "she has not acknowledged this one")
	require.Equal(t, [2]uint64{3, 0}, g.counts(alice, inThread))
}
