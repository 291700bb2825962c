package e2e

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/internal/lab"
	"github.com/timbridge/timbridge/receipts"
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

func testManyMessagesAtOnce(t *testing.T, w *world) {
	s := newScene(t, w, shared)
	ann, ben := s.user("ann"), s.user("ben")
	alice, bob := s.app("alice"), s.app("bob")
	g := s.group([]*lab.User{ann, ben}, alice, bob)
	list := g.postMany(31, ann, ben)

	var refused *receipts.Error
	require.ErrorAs(t, alice.SendMessageReadReceipts(s.ctx, msgIDs(list...)...), &refused)
	require.Equal(t, receipts.CodeInvalidParameters, refused.Code, "31 are too many, and none of them is acknowledged")
	require.Equal(t, [2]uint64{0, 3}, g.counts(bob, list[0]))

	g.ack(alice, list[:30]...)
	g.sees(g.eyes, s.ghost(alice), list[29])
	counts, err := bob.GetMessageReadReceipts(s.ctx, msgIDs(list[:30]...)...)
	require.NoError(t, err)
	require.Len(t, counts, 30)
	for i, c := range counts {
		require.Equal(t, list[i].msgID, c.MsgID)
		require.EqualValues(t, 1, c.ReadCount)
		require.EqualValues(t, 2, c.UnreadCount)
	}
	require.Equal(t, [2]uint64{0, 3}, g.counts(bob, list[30]))
	// One call, one receipt: Matrix has one marker for each reader.
	g.ack(alice, list[30])
	g.sees(g.eyes, s.ghost(alice), list[30])
	require.Equal(t, []id.EventID{list[29].event, list[30].event}, eventsOf(g.eyes, g.room, s.ghost(alice)))
}

// postMany sends messages from Matrix clients in turn and waits until all are messages of the group.
func (g *group) postMany(n int, from ...*lab.User) []message {
	g.s.t.Helper()
	events := make([]id.EventID, n)
	for i := range events {
		var err error
		events[i], err = from[i%len(from)].SendText(g.s.ctx, g.room, fmt.Sprint("message ", i))
		require.NoError(g.s.t, err)
	}
	list := make([]message, n)
	for i, event := range events {
		list[i] = g.messageOf(event)
	}
	return list
}

func testReadUpTo(t *testing.T, w *world) {
	s := newScene(t, w, shared)
	ann, ben := s.user("ann"), s.user("ben")
	alice, bob := s.app("alice"), s.app("bob")
	g := s.group([]*lab.User{ann, ben}, alice, bob)
	aliceHears, bobHears := s.listen(alice), s.listen(bob)

	one := g.send(alice, "one")
	two := g.send(bob, "two")
	three := g.post(ben, "three")
	four := g.send(bob, "four")
	g.read(ann, three.event)
	_, err := aliceHears.WaitReceipt(s.within(), one.msgID, 1, 2)
	require.NoError(t, err)
	_, err = bobHears.WaitReceipt(s.within(), two.msgID, 1, 2)
	require.NoError(t, err)
	for _, m := range []message{one, two, three} {
		require.Equal(t, []string{account(ann)}, g.readers(alice, m))
	}
	require.Equal(t, [2]uint64{0, 3}, g.counts(bob, four), "behind what she has read")

	// In the other direction an acknowledgement is of single messages.
	g.ack(alice, three)
	g.sees(g.eyes, s.ghost(alice), three)
	require.Equal(t, [2]uint64{2, 1}, g.counts(bob, three))
	require.Equal(t, [2]uint64{1, 2}, g.counts(bob, two))
}

func testMixedGroups(t *testing.T, w *world) {
	s := newScene(t, w, shared)
	ann := s.user("ann")
	alice, bob := s.app("alice"), s.app("bob")
	g, h := s.group([]*lab.User{ann}, alice, bob), s.group([]*lab.User{ann}, alice, bob)
	a, b := g.post(ann, "in one group"), h.post(ann, "in the other")

	var refused *receipts.Error
	require.ErrorAs(t, alice.SendMessageReadReceipts(s.ctx, a.msgID, b.msgID), &refused)
	require.Equal(t, receipts.CodeInvalidParameters, refused.Code)
	for _, part := range []string{g.id, h.id, a.msgID, b.msgID} {
		require.Contains(t, refused.Desc, part)
	}
	for _, in := range []*group{g, h} {
		later := in.post(ann, "later")
		in.ack(alice, later)
		in.sees(in.eyes, s.ghost(alice), later)
		require.Equal(t, []id.EventID{later.event}, eventsOf(in.eyes, in.room, s.ghost(alice)))
	}
	require.Equal(t, [2]uint64{0, 2}, g.counts(bob, a))
	require.Equal(t, [2]uint64{0, 2}, h.counts(bob, b))
}

func testForeignEvent(t *testing.T, w *world) {
	s := newScene(t, w, shared)
	ann, ben := s.user("ann"), s.user("ben")
	alice := s.app("alice")
	g, h := s.group([]*lab.User{ann, ben}, alice), s.group([]*lab.User{ann, ben}, alice)
	a, b := g.send(alice, "in one room"), h.send(alice, "in the other")
	nowhere, err := ann.CreateRoom(s.ctx)
	require.NoError(t, err)
	stranger, err := ann.SendText(s.ctx, nowhere, "in a room that is no group's")
	require.NoError(t, err)

	for _, event := range []id.EventID{b.event, stranger} {
		g.read(ann, event)
		if w.hs.Kind == lab.Dendrite {
			// It shows everybody what it was told, and timbridge gets to see it too.
			_, err = g.eyes.WaitReceipt(s.within(), g.room, ann.ID, event)
			require.NoError(t, err)
			s.waitLog(`"level":"warn"`, g.room.String(), event.String()) // refused
		}
	}
	g.read(ben, a.event)
	g.waitCounts(alice, a, 1, 1)
	require.Equal(t, []string{account(ben)}, g.readers(alice, a))
	if w.hs.Kind == lab.Synapse {
		// It drops them silently: neither anybody's /sync nor a transaction has them.
		require.Empty(t, eventsOf(g.eyes, g.room, ann.ID))
	}
	require.Equal(t, [2]uint64{1, 1}, g.counts(alice, a))
	require.Equal(t, [2]uint64{0, 2}, h.counts(alice, b))
	// In its own room the same event counts.
	h.read(ann, b.event)
	h.waitCounts(alice, b, 1, 1)
	require.Equal(t, [2]uint64{1, 1}, g.counts(alice, a))
}

func testPrivateReceipt(t *testing.T, w *world) {
	s := newScene(t, w, shared)
	ann, ben := s.user("ann"), s.user("ben")
	alice := s.app("alice")
	g := s.group([]*lab.User{ann, ben}, alice)
	annSees := s.watch(ann)
	m := g.send(alice, "hello")
	require.NoError(t, ann.PrivateReceipt(s.ctx, g.room, m.event))
	// Her own client knows: it has been taken. (Dendrite calls it m.read there.)
	_, err := annSees.WaitReceiptFunc(s.within(), g.room, "ann's own", func(r lab.Receipt) bool { return r.User == ann.ID && r.Event == m.event })
	require.NoError(t, err)
	g.read(ben, m.event)
	g.waitCounts(alice, m, 1, 1)
	next := g.send(alice, "next")
	g.read(ben, next.event)
	g.waitCounts(alice, next, 1, 1)
	require.Equal(t, []string{account(ben)}, g.readers(alice, m))
	require.Equal(t, []string{account(ben)}, g.readers(alice, next))
	g.read(ann, next.event) // in public
	g.waitCounts(alice, m, 2, 0)
}

func testReactionLast(t *testing.T, w *world) {
	s := newScene(t, w, shared)
	ann, ben := s.user("ann"), s.user("ben")
	alice := s.app("alice")
	g := s.group([]*lab.User{ann, ben}, alice)
	aliceHears := s.listen(alice)
	m := g.send(alice, "hello")
	reaction, err := ben.React(s.ctx, g.room, m.event, "👍")
	require.NoError(t, err)
	g.read(ann, reaction)
	_, err = aliceHears.WaitReceipt(s.within(), m.msgID, 1, 1)
	require.NoError(t, err)
	topic, err := ann.SendState(s.ctx, g.room, "m.room.topic", "", map[string]any{"topic": "greetings"})
	require.NoError(t, err)
	g.read(ben, topic)
	_, err = aliceHears.WaitReceipt(s.within(), m.msgID, 2, 0)
	require.NoError(t, err)
	require.Len(t, g.messages(), 1, "neither is a message")
}

func testSeqOrderDiffersFromRoomOrder(t *testing.T, w *world) {
	s := newScene(t, w, shared)
	ann, ben, stamper := s.user("ann"), s.user("ben"), s.user("stamper")
	alice, bob := s.app("alice"), s.app("bob")
	g := &group{s: s, id: s.unique("team"), owner: ann, eyes: s.watch(ann)}
	benSees := s.watch(ben)
	g.mapTo(s.room(ann, ben, stamper), "stamped", alice, bob)
	bobHears := s.listen(bob)
	stamp := func(from *lab.User, seq int, name string) message {
		msgID := g.id + "-" + name
		event, err := from.Send(s.ctx, g.room, "m.room.message", map[string]any{
			"msgtype": "m.text", "body": name,
			"com.tencent.im": map[string]any{"group_id": g.id, "msg_id": msgID, "seq": seq, "need_read_receipt": true},
		})
		require.NoError(t, err)
		return message{msgID, uint64(seq), event}
	}
	stamp(ann, 9, "a stamp of somebody whose stamps do not count")
	third, first, second := stamp(stamper, 3, "c"), stamp(stamper, 1, "a"), stamp(stamper, 2, "b")
	_, err := bobHears.WaitMessage(s.within(), func(m v2tim.NewMessage) bool { return m.MsgID == second.msgID })
	require.NoError(t, err)
	require.Len(t, g.messages(), 3)

	g.ack(alice, third)
	g.sees(benSees, s.ghost(alice), third)
	g.ack(alice, first)
	g.sees(benSees, s.ghost(alice), first) // the lower seq stands later in the room
	// Up to "a" in the room is "c" and "a", not "b".
	g.read(ann, first.event)
	g.waitCounts(bob, first, 2, 2)
	require.Equal(t, [2]uint64{2, 2}, g.counts(bob, third))
	require.Equal(t, [2]uint64{0, 4}, g.counts(bob, second))
	require.ElementsMatch(t, []string{account(ben), bob.UserID}, g.nonReaders(bob, third), "the other bridge's user is nobody")
	g.ack(alice, second)
	g.sees(benSees, s.ghost(alice), second)
	require.Equal(t, []id.EventID{third.event, first.event, second.event}, eventsOf(benSees, g.room, s.ghost(alice)))
}
