package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/internal/lab"
)

// These have a homeserver of their own, since they end it.
func TestSynapseRestarts(t *testing.T)  { testRestartsOf(t, lab.Synapse) }
func TestDendriteRestarts(t *testing.T) { testRestartsOf(t, lab.Dendrite) }

func testRestartsOf(t *testing.T, kind lab.Kind) {
	t.Parallel()
	w := newWorld(t, kind, "restarted", "cloudrestarted")
	t.Run("Standalone", func(t *testing.T) { testRestarts(t, w) })
	t.Run("Cloud", func(t *testing.T) { testCloudRestarts(t, w) })
}

func testRestarts(t *testing.T, w *world) {
	s := own(t, w, "restarted")
	ann, ben := s.user("ann"), s.user("ben")
	alice := s.app("alice")
	g := s.group([]*lab.User{ann, ben}, alice)
	ghost := s.ghost(alice)
	aliceHears := s.listen(alice)
	m := g.send(alice, "hello")
	// What timbridge has by then comes in its order. (Stopped in the middle of delivering an event, Dendrite delivers it half a
	// minute later and behind others.)
	first := g.post(ann, "first")

	// Stopped in order. What apps do meanwhile is taken and reaches Matrix afterwards.
	require.NoError(t, w.hs.Stop(s.ctx))
	g.ack(alice, first)
	sent, err := alice.SendText(s.ctx, g.id, "into the dark")
	require.NoError(t, err)
	require.NoError(t, w.hs.Restart(s.ctx))
	g.sees(g.eyes, ghost, first)
	into := g.sentOnce("into the dark", sent)

	// Synapse on SQLite counts its transactions from 1 again, Dendrite may repeat some: everything arrives, and once.
	after := g.post(ben, "after the restart")
	require.Equal(t, sent.Seq+1, after.seq)
	g.read(ann, after.event)
	_, err = aliceHears.WaitReceipt(s.within(), m.msgID, 1, 1)
	require.NoError(t, err)
	g.waitCounts(alice, into, 1, 1)
	g.ack(alice, after)
	g.sees(g.eyes, ghost, after)

	// A power cut of both machines. The homeserver is back first, and somebody reads before timbridge is.
	next := g.send(alice, "next")
	g.post(ben, "before the power cut")
	require.NoError(t, w.hs.Kill())
	s.b.kill(t)
	require.NoError(t, w.hs.Restart(s.ctx))
	g.read(ben, next.event)
	event, err := ann.SendText(s.ctx, g.room, "is anybody there?")
	require.NoError(t, err)
	s.b.start(t)
	g.waitCounts(alice, next, 1, 1)
	last := g.messageOf(event)
	require.Equal(t, next.seq+2, last.seq)
	g.ack(alice, last)
	g.sees(g.eyes, ghost, last)
	require.Len(t, g.messages(), 7)
	require.Equal(t, []id.EventID{first.event, after.event, last.event}, eventsOf(g.eyes, g.room, ghost))
}
