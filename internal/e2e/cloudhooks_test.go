package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/internal/lab"
)

// No webhook comes at all: the catch-up finds what has happened.
func testCloudWebhooksLost(t *testing.T, w *world) {
	s := newCloudScene(t, w, sharedCloud)
	s.ownFake(tencenttest.Options{})
	ann, ben := s.user("ann"), s.user("ben")
	alice, bob, carol := s.member("alice"), s.member("bob"), s.member("carol")
	g := s.linked([]*lab.User{ann, ben}, alice, bob)
	before := g.says(alice, "before")
	g.read(ben, before.event)
	g.hasRead(ben, before)

	s.cloud.Deliver(tencenttest.Nothing)
	lost := g.sends(alice, "lost")
	require.NoError(t, s.cloud.User(carol).Join(g.id))
	fromCarol := g.sends(carol, "carol is here")
	require.NoError(t, s.cloud.User(bob).Leave(g.id))
	require.NoError(t, s.cloud.User(carol).Ack(g.id, before.seq, lost.Seq))
	written := g.writes(ben, "written meanwhile")
	g.acks(alice, written)

	shown := g.shown(lost)
	g.ghostsJoin(carol)
	g.ghostsLeave(bob)
	g.shown(fromCarol)
	g.ghostRead(carol, shown)
	g.ghostRead(alice, written)
	// Nobody has said that this one wants a receipt.
	g.read(ann, shown.event)
	g.hasRead(ann, before, message{seq: lost.Seq})
	g.told(alice, message{seq: lost.Seq}, 2)
	texts := []string{"before", "lost", "carol is here", "written meanwhile"}
	g.roomHas(texts...)
	g.appHas(texts...)

	// And they come again: nothing is missing, nothing is there twice.
	s.cloud.Deliver(nil)
	g.bothTalk(alice, ben, "later")
	texts = append(texts, "later from the app", "later from Matrix")
	g.roomHas(texts...)
	g.appHas(texts...)
}

// Webhooks come twice, late, and in any order.
func testCloudWebhooksInAnyOrder(t *testing.T, w *world) {
	s := newCloudScene(t, w, sharedCloud)
	s.ownFake(tencenttest.Options{})
	ann := s.user("ann")
	alice, bob := s.member("alice"), s.member("bob")
	g := s.linked([]*lab.User{ann}, alice, bob)
	g.read(ann, g.says(alice, "hello").event)
	g.isMember(ann, true)
	texts := []string{"hello"}
	for _, how := range []struct {
		name string
		plan func(tencenttest.Webhook) []time.Duration // nil: backwards
	}{
		{"twice", tencenttest.Twice},
		{"shuffled", tencenttest.Shuffled(1, 200*time.Millisecond)},
		{"late", func(tencenttest.Webhook) []time.Duration {
			return []time.Duration{time.Second, 1500 * time.Millisecond}
		}},
		{"backwards", nil},
	} {
		s.cloud.Deliver(how.plan)
		if how.plan == nil {
			s.cloud.Hold()
		}
		var sent []tencenttest.Message
		for i := range 4 {
			sent = append(sent, g.sends(alice, fmt.Sprint(how.name, " ", i)))
		}
		// Somebody new does something at once; the first message is taken back.
		carol := s.member("carol")
		require.NoError(t, s.cloud.User(carol).Join(g.id))
		sent = append(sent, g.sends(carol, how.name+" by carol"))
		for _, m := range sent[1:] {
			require.NoError(t, s.cloud.User(bob).Ack(g.id, m.Seq))
		}
		require.NoError(t, s.cloud.User(alice).Recall(g.id, sent[0].Seq))
		written := g.writes(ann, how.name+" by ann")
		g.acks(carol, written)
		if how.plan == nil {
			s.cloud.Release(func(held []tencenttest.Webhook) []tencenttest.Webhook {
				slices.Reverse(held)
				return held
			})
		}

		g.ghostsJoin(carol)
		var shown []message
		for _, m := range sent[1:] {
			shown = append(shown, g.shown(m))
			texts = append(texts, m.Text)
		}
		g.ghostReadAll(bob, shown...)
		g.ghostRead(carol, written)
		texts = append(texts, how.name+" by ann")
		g.roomHas(texts...)
		g.appHas(texts...)
		require.NoError(t, s.cloud.User(carol).Leave(g.id))
		g.ghostsLeave(carol)
	}
}
