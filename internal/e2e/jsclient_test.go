package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/internal/lab"
)

// The library under Element sees a Tencent user's receipt as it sees anybody's.
func testReceiptReachesJSClient(t *testing.T, w *world) {
	s := newScene(t, w, shared)
	ann := s.user("ann")
	element := s.element(ann)
	alice, bob := s.app("alice"), s.app("bob")
	g := s.group([]*lab.User{ann}, alice, bob)
	event, err := element.SendText(s.ctx, g.room, "typed in Element")
	require.NoError(t, err)
	m := g.messageOf(event)
	g.ack(alice, m)
	require.NoError(t, element.WaitReadUpTo(s.within(), g.room, s.ghost(alice), m.event))
	none, err := element.EventReadUpTo(s.ctx, g.room, s.ghost(bob))
	require.NoError(t, err)
	require.Empty(t, none, "bob has read nothing")
	unread, err := element.Unread(s.ctx, g.room)
	require.NoError(t, err)
	require.Zero(t, unread)
}

// And what a user of Element reads, the app of the Tencent sender is told.
func testReceiptOfJSClient(t *testing.T, w *world) {
	s := newScene(t, w, shared)
	ann, ben := s.user("ann"), s.user("ben")
	element := s.element(ben)
	alice := s.app("alice")
	g := s.group([]*lab.User{ann, ben}, alice)
	aliceHears := s.listen(alice)
	one, two := g.send(alice, "one"), g.send(alice, "two")
	require.NoError(t, element.WaitEvent(s.within(), g.room, two.event))
	require.NoError(t, element.SendReadReceipt(s.within(), g.room, two.event)) // for "main" where there are threads
	_, err := aliceHears.WaitReceipt(s.within(), two.msgID, 1, 1)
	require.NoError(t, err)
	require.Equal(t, []string{account(ben)}, g.readers(alice, one))
}

// element logs a user in with matrix-js-sdk. As with watch, it ends after all cases.
func (s *scene) element(u *lab.User) *lab.JSClient {
	s.t.Helper()
	lab.RequireJS(s.t)
	c, err := lab.StartJSClient(s.ctx, u)
	require.NoError(s.t, err)
	s.w.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			s.w.t.Logf("failed to close matrix-js-sdk: %v", err)
		}
	})
	return c
}
