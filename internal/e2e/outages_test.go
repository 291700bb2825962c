package e2e

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/bridge/v2tim/v2timtest"
	"github.com/timbridge/timbridge/internal/lab"
)

func testStopped(t *testing.T, w *world) {
	s := own(t, w, "stopped")
	ann, ben := s.user("ann"), s.user("ben")
	alice := s.app("alice")
	g := s.group([]*lab.User{ann, ben}, alice)
	aliceHears := s.listen(alice)
	first := g.post(ann, "first")
	g.ack(alice, first)
	g.sees(g.eyes, s.ghost(alice), first)
	m := g.send(alice, "hello")

	s.b.stop(t) // and exits with 0
	g.read(ben, m.event)
	event, err := ben.SendText(s.ctx, g.room, "while it was stopped")
	require.NoError(t, err)
	g.read(ann, event)
	_, err = g.eyes.WaitReceipt(s.within(), g.room, ann.ID, event)
	require.NoError(t, err)
	_, err = alice.GetMessageReadReceipts(s.ctx, m.msgID)
	require.Error(t, err, "nobody there")
	s.b.start(t)

	g.waitCounts(alice, m, 2, 0)
	missed := g.messageOf(event)
	g.waitCounts(alice, missed, 1, 1)
	require.Equal(t, []string{account(ann)}, g.readers(alice, missed))
	g.caughtUp(alice, aliceHears.Cursor, m, missed, 2, 0)
	g.ack(alice, missed)
	g.sees(g.eyes, s.ghost(alice), missed)
	require.Equal(t, []id.EventID{first.event, missed.event}, eventsOf(g.eyes, g.room, s.ghost(alice)))
}

// caughtUp makes an app come back with its cursor and waits until it has heard of the readers of one message, and of another
// message that is new to it.
func (g *group) caughtUp(c *v2timtest.Client, cursor string, read, fresh message, readCount, unreadCount uint64) {
	g.s.t.Helper()
	back, err := c.Listen(g.s.ctx, cursor)
	require.NoError(g.s.t, err)
	defer back.Close()
	var gotCounts, gotMessage bool
	for ctx := g.s.within(); !gotCounts || !gotMessage; {
		e, err := back.Next(ctx)
		require.NoError(g.s.t, err, "counts: %t, message: %t", gotCounts, gotMessage)
		for _, r := range e.ReceiptList {
			gotCounts = gotCounts || r.MsgID == read.msgID && r.ReadCount == readCount && r.UnreadCount == unreadCount
		}
		gotMessage = gotMessage || e.Message != nil && e.Message.MsgID == fresh.msgID
	}
}

func testKilled(t *testing.T, w *world) {
	s := own(t, w, "killed")
	ann, ben := s.user("ann"), s.user("ben")
	alice, bob := s.app("alice"), s.app("bob")
	g := s.group([]*lab.User{ann, ben}, alice, bob)
	aliceHears := s.listen(alice)
	m, fromAnn := g.send(alice, "hello"), g.post(ann, "hello alice")

	// What it has answered with 0 is kept, even if its power fails in the same moment.
	g.ack(alice, fromAnn)
	sent, err := bob.SendText(s.ctx, g.id, "the last words")
	require.NoError(t, err)
	s.b.kill(t)
	g.read(ben, m.event)
	event, err := ben.SendText(s.ctx, g.room, "while it was dead")
	require.NoError(t, err)
	s.b.start(t)

	g.sees(g.eyes, s.ghost(alice), fromAnn)
	// Killed between the sending and the answer it sends again. Should the homeserver take that for a second message (Dendrite
	// does when the first request is still open), one of the two is redacted.
	last := g.sentOnce("the last words", sent)
	g.waitCounts(alice, m, 1, 2)
	missed := g.messageOf(event)
	g.caughtUp(alice, aliceHears.Cursor, m, missed, 1, 2)
	g.read(ann, last.event)
	g.waitCounts(bob, last, 1, 2)

	// Dead again with nothing to do, and alive again: nothing is done twice.
	s.b.kill(t)
	s.b.start(t)
	g.ack(alice, missed)
	g.sees(g.eyes, s.ghost(alice), missed)
	g.sentOnce("the last words", sent)
	require.Equal(t, [2]uint64{2, 1}, g.counts(alice, m), "ben, and ann by reading on")
}

// sentOnce waits until the room shows a message once, as the event that timbridge has it for.
func (g *group) sentOnce(text string, sent v2tim.SentMessage) (m message) {
	g.s.t.Helper()
	g.s.until("one event with "+text, func() error {
		redacted := map[id.EventID]bool{}
		for _, ev := range g.eyes.Events(g.room) {
			redacted[ev.Redacts] = true
		}
		var shown []id.EventID
		for _, ev := range g.eyes.Events(g.room) {
			if ev.Body() == text && !redacted[ev.ID] {
				shown = append(shown, ev.ID)
			}
		}
		if len(shown) != 1 {
			return fmt.Errorf("the room shows it as %v", shown)
		}
		for _, known := range g.messages() {
			if known.MsgId == sent.MsgID && known.EventId == shown[0].String() {
				m = message{sent.MsgID, sent.Seq, shown[0]}
				return nil
			}
		}
		return fmt.Errorf("timbridge does not know it as %s", shown[0])
	})
	return m
}

func testFailedTransaction(t *testing.T, w *world) {
	s := own(t, w, "proxied1")
	p := w.proxies["proxied1"]
	ann, ben := s.user("ann"), s.user("ben")
	alice := s.app("alice")
	g := s.group([]*lab.User{ann, ben}, alice)
	aliceHears := s.listen(alice)
	m := g.send(alice, "hello")
	g.read(ann, m.event)
	_, err := aliceHears.WaitReceipt(s.within(), m.msgID, 1, 1)
	require.NoError(t, err)

	// A transaction with an event: it comes again. The receipt on that event may be here before.
	p.failOnce("refused at first")
	event, err := ben.SendText(s.ctx, g.room, "refused at first")
	require.NoError(t, err)
	s.until("failure", func() error { return p.failed(1) })
	g.read(ann, event)
	refused := g.messageOf(event)
	g.waitCounts(alice, refused, 1, 1)
	if w.hs.Kind == lab.Dendrite {
		return // it pushes no receipts, so no transaction with one can fail
	}
	// A transaction with a receipt: Synapse never sends that receipt again.
	next := g.send(alice, "next")
	s.until("the event itself", func() error { return p.has(next.event.String()) }) // and Synapse trusts us again
	p.failOnce(next.event.String())
	g.read(ben, next.event)
	_, err = aliceHears.WaitReceipt(s.within(), next.msgID, 1, 1)
	require.NoError(t, err)
	s.until("failure", func() error { return p.failed(2) })
	for _, txn := range p.with(next.event.String()) {
		require.NotContains(t, txn.body, ben.ID.String()+`":{"ts"`, "pushed again after all")
	}
}

func testRepeatedTransactions(t *testing.T, w *world) {
	s := own(t, w, "proxied2")
	p := w.proxies["proxied2"]
	ann, ben := s.user("ann"), s.user("ben")
	alice := s.app("alice")
	g := s.group([]*lab.User{ann, ben}, alice)
	aliceHears := s.listen(alice)
	m := g.send(alice, "hello")
	one := g.post(ann, "one")
	g.ack(alice, one)
	g.sees(g.eyes, s.ghost(alice), one)
	g.read(ben, m.event)
	g.waitCounts(alice, m, 1, 1)
	before := g.messages()
	again := append(p.with(`"one"`), p.with(m.event.String())...) // events, and receipts where they are pushed
	require.GreaterOrEqual(t, len(again), 2)
	for _, txn := range again {
		p.replay(t, w.http, txn, "")
		p.replay(t, w.http, txn, "another-"+itoa(len(txn.body)))
	}
	require.Equal(t, before, g.messages())

	// The same ID with other events, as after a restart of Synapse on SQLite, or with more, as Dendrite does.
	p.failOnce("two")
	event, err := ann.SendText(s.ctx, g.room, "two")
	require.NoError(t, err)
	s.until("failure", func() error { return p.failed(1) })
	early := p.lastFailed()
	early.path = again[0].path
	p.replay(t, w.http, early, "")
	two := g.messageOf(event)
	require.Equal(t, one.seq+1, two.seq)
	g.ack(alice, two)
	g.sees(g.eyes, s.ghost(alice), two)
	s.until("the transaction by itself", func() error { return p.has(`"two"`) })

	three := g.post(ann, "three")
	require.Equal(t, two.seq+1, three.seq)
	var heard []string
	_, err = aliceHears.WaitMessage(s.within(), func(m v2tim.NewMessage) bool {
		heard = append(heard, m.Text)
		return m.Text == "three"
	})
	require.NoError(t, err)
	require.Equal(t, []string{"hello", "one", "two", "three"}, heard)
	require.Equal(t, [2]uint64{1, 1}, g.counts(alice, m))
	require.Equal(t, []id.EventID{one.event, two.event}, eventsOf(g.eyes, g.room, s.ghost(alice)))
}
