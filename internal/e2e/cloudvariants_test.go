package e2e

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/internal/lab"
)

// varied is a group whose Tencent Cloud reads one open point, or many, in a way of its own.
type varied struct {
	*cloudGroup
	name                string
	hello, second, back message // so far
}

// Messages and receipts cross both ways whatever Tencent does where its documentation leaves it open, live and by the catch-up after a
// power cut. All variants are groups of one timbridge, and the same people are in all of them.
func testCloudVariants(t *testing.T, w *world) {
	s := ownCloud(t, w, "cloudvaried")
	ann, ben := s.user("ann"), s.user("ben")
	eyes := s.watch(ann)
	alice, bob := s.member("alice"), s.member("bob")
	var groups []*varied
	for name, opts := range tencenttest.Variants(tencenttest.Options{}) {
		s.ownFake(opts) // all of them before anybody gets an account
		groups = append(groups, &varied{name: name, cloudGroup: &cloudGroup{cloud: s.cloud}})
	}
	each := func(step string, do func(t *testing.T, g *varied)) {
		all := t.Run(step, func(t *testing.T) {
			for _, g := range groups {
				t.Run(g.name, func(t *testing.T) {
					w.parallel(t)
					do(t, g)
				})
			}
		})
		require.True(t, all, "what comes next builds on it")
	}

	each("Live", func(t *testing.T, g *varied) {
		here := cloudScene{s.scene.on(t), s.app, g.cloud}
		g.cloudGroup = here.linkedSeenBy(eyes, []*lab.User{ann, ben}, alice, bob)
		g.talk(t, ben, alice, bob)
	})
	groups = slices.DeleteFunc(groups, func(g *varied) bool { return g.group == nil }) // left out by -run
	s.b.kill(t)
	for _, g := range groups {
		g.meanwhile(t, ann, ben, alice, bob)
		g.cloud.ClearCalls()
	}
	s.b.start(t)
	slices.SortFunc(groups, func(a, b *varied) int { return strings.Compare(a.id, b.id) }) // as it goes through them
	after := s.on(t)
	for _, g := range groups {
		after.until("catch-up of "+g.name, func() error {
			if g.cloud.Calls("get_group_msg_receipt") == 0 {
				return errors.New("not yet")
			}
			return nil
		})
	}
	each("CaughtUp", func(t *testing.T, g *varied) { g.caughtUpWith(t, ann, alice, bob) })
}

func (g *varied) talk(t *testing.T, ben *lab.User, alice, bob string) {
	on := g.on(t)
	g.hello = on.says(alice, "hello")
	on.acks(bob, g.hello)
	on.ghostRead(bob, g.hello)
	on.read(ben, g.hello.event)
	on.hasRead(ben, g.hello)
	on.told(alice, g.hello, 2)
	g.second = on.says(alice, "second")
	g.back = on.writes(ben, "hi there")
	on.acks(alice, g.back)
	on.ghostRead(alice, g.back)
	on.roomHas("hello", "second", "hi there")
	on.appHas("hello", "second", "hi there")
}

// meanwhile is what happens while timbridge is dead: no webhook arrives.
func (g *varied) meanwhile(t *testing.T, ann, ben *lab.User, alice, bob string) {
	g.cloudGroup = g.on(t)
	tencent := g.cloud.User(alice)
	for _, text := range []string{"missed 1", "missed 2", "missed 3", "missed 4", "missed 5"} {
		sent := g.sends(alice, text)
		if text == "missed 4" {
			require.NoError(t, g.cloud.User(bob).Ack(g.id, sent.Seq, g.back.seq))
		}
		if text == "missed 5" {
			require.NoError(t, tencent.Recall(g.id, sent.Seq))
		}
	}
	// What an acknowledgement of these two is answered depends on the variant. It must not keep others back.
	require.NoError(t, tencent.Recall(g.id, g.hello.seq))
	require.NoError(t, tencent.Edit(g.id, g.second.seq, "second thoughts"))
	_, err := ben.SendText(t.Context(), g.room, "written meanwhile")
	require.NoError(t, err)
	require.NoError(t, ann.Receipt(t.Context(), g.room, g.back.event))
}

func (g *varied) caughtUpWith(t *testing.T, ann *lab.User, alice, bob string) {
	on := g.on(t)
	on.appHas("second thoughts", "hi there", "missed 1", "missed 2", "missed 3", "missed 4", "written meanwhile")
	on.hasRead(ann, g.back)
	missed := []string{"missed 1", "missed 2", "missed 3", "missed 4"}
	on.roomHas(append([]string{"second", "hi there", "written meanwhile"}, missed...)...)
	var order []string
	var last id.EventID
	for _, ev := range on.eyes.Events(on.room) {
		if ev.Type == "m.room.message" && ev.Sender == on.s.ghostOf(alice) {
			order = append(order, ev.Body())
			last = ev.ID
		}
	}
	require.Equal(t, append([]string{"hello", "second"}, missed...), order)
	on.ghostRead(bob, message{event: last})
}
