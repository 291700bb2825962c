package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/internal/lab"
)

func testReceiptFromV2TIM(t *testing.T, w *world) {
	s := newScene(t, w, shared)
	ann, ben := s.user("ann"), s.user("ben")
	benSees := s.watch(ben)
	alice, bob := s.app("alice"), s.app("bob")
	g := s.group([]*lab.User{ann, ben}, alice, bob)
	aliceHears := s.listen(alice)

	m := g.post(ann, "hello")
	heard, err := aliceHears.WaitMessage(s.within(), func(m v2tim.NewMessage) bool { return m.Text == "hello" })
	require.NoError(t, err)
	require.Equal(t, m.msgID, heard.MsgID)
	require.Equal(t, g.id, heard.GroupID)
	require.Equal(t, account(ann), heard.Sender)
	require.True(t, heard.NeedReadReceipt)

	g.ack(alice, m)
	g.sees(benSees, s.ghost(alice), m)
	g.sees(g.eyes, s.ghost(alice), m)
	g.ack(alice, m) // again: nothing happens
	// What comes later has arrived, so whatever the repetition did would have too.
	next := g.post(ann, "next")
	g.ack(alice, next)
	g.sees(benSees, s.ghost(alice), next)
	require.Equal(t, []id.EventID{m.event, next.event}, eventsOf(benSees, g.room, s.ghost(alice)))
	require.Empty(t, eventsOf(benSees, g.room, s.ghost(bob)), "bob has read nothing")
	require.Equal(t, [2]uint64{1, 2}, g.counts(bob, m))
}

func testReceiptFromMatrix(t *testing.T, w *world) {
	s := newScene(t, w, shared)
	ann, ben := s.user("ann"), s.user("ben")
	alice, bob := s.app("alice"), s.app("bob")
	g := s.group([]*lab.User{ann, ben}, alice, bob)
	aliceHears := s.listen(alice)

	m := g.send(alice, "hello")
	require.EqualValues(t, 1, m.seq)
	require.Equal(t, [2]uint64{0, 3}, g.counts(alice, m))
	g.read(ann, m.event)
	_, err := aliceHears.WaitReceipt(s.within(), m.msgID, 1, 2)
	require.NoError(t, err)
	require.Equal(t, []string{account(ann)}, g.readers(alice, m))
	require.ElementsMatch(t, []string{account(ben), bob.UserID}, g.nonReaders(alice, m))

	g.ack(bob, m)
	_, err = aliceHears.WaitReceipt(s.within(), m.msgID, 2, 1)
	require.NoError(t, err)
	g.read(ben, m.event)
	_, err = aliceHears.WaitReceipt(s.within(), m.msgID, 3, 0)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{account(ann), account(ben), bob.UserID}, g.readers(alice, m))
	require.Empty(t, g.nonReaders(alice, m))
}
