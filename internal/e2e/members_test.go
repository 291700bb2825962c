package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/internal/lab"
	"github.com/timbridge/timbridge/receipts"
)

func testLateJoiner(t *testing.T, w *world) {
	s := newScene(t, w, shared)
	ann, late := s.user("ann"), s.user("late")
	alice, lateApp := s.app("alice"), s.app("late")
	g := s.group([]*lab.User{ann}, alice)
	aliceHears := s.listen(alice)
	before := g.send(alice, "before")
	g.join(late)
	after := g.send(alice, "after")
	require.Equal(t, [2]uint64{0, 2}, g.counts(alice, after))
	g.read(late, after.event)
	_, err := aliceHears.WaitReceipt(s.within(), after.msgID, 1, 1)
	require.NoError(t, err)
	require.Equal(t, [2]uint64{0, 1}, g.counts(alice, before), "what was sent before he came is not his to read")

	// The same on the Tencent side.
	_, err = s.root.AddGroupMember(s.ctx, g.id, lateApp.UserID)
	require.NoError(t, err)
	require.NoError(t, g.eyes.WaitMember(s.within(), g.room, s.ghost(lateApp), "join"))
	last := g.post(ann, "last")
	g.ack(lateApp, last)
	g.sees(g.eyes, s.ghost(lateApp), last)
	require.Equal(t, [2]uint64{1, 2}, g.counts(alice, last))
	require.Equal(t, [2]uint64{1, 1}, g.counts(alice, after))
}

func testMemberComesBack(t *testing.T, w *world) {
	s := newScene(t, w, shared)
	ann, ben := s.user("ann"), s.user("ben")
	alice := s.app("alice")
	g := s.group([]*lab.User{ann}, alice)
	g.join(ben)
	one := g.send(alice, "one")
	g.read(ben, one.event)
	g.waitCounts(alice, one, 1, 1)
	require.NoError(t, ben.Leave(s.ctx, g.room))
	g.waitMember(ben, false)
	require.Equal(t, [2]uint64{1, 1}, g.counts(alice, one), "readCount does not fall")
	two := g.send(alice, "two")
	require.Equal(t, [2]uint64{0, 1}, g.counts(alice, two))
	g.join(ben)
	three := g.send(alice, "three")
	require.Equal(t, [2]uint64{0, 2}, g.counts(alice, three))
	g.read(ben, three.event)
	g.waitCounts(alice, three, 1, 1)
	require.Equal(t, [2]uint64{0, 1}, g.counts(alice, two), "sent while he was away, so not for him")

	// A Tencent member: his ghost goes and comes back, and an acknowledgement is refused meanwhile.
	bob := s.app("bob")
	_, err := s.root.AddGroupMember(s.ctx, g.id, bob.UserID)
	require.NoError(t, err)
	require.NoError(t, g.eyes.WaitMember(s.within(), g.room, s.ghost(bob), "join"))
	four := g.post(ann, "four")
	require.NoError(t, s.root.DeleteGroupMember(s.ctx, g.id, bob.UserID))
	require.NoError(t, g.eyes.WaitMember(s.within(), g.room, s.ghost(bob), "leave"))
	var refused *receipts.Error
	require.ErrorAs(t, bob.SendMessageReadReceipts(s.ctx, four.msgID), &refused)
	_, err = s.root.AddGroupMember(s.ctx, g.id, bob.UserID)
	require.NoError(t, err)
	require.NoError(t, g.eyes.WaitMember(s.within(), g.room, s.ghost(bob), "join"))
	five := g.post(ann, "five")
	g.ack(bob, five)
	g.sees(g.eyes, s.ghost(bob), five)
	require.Equal(t, []id.EventID{five.event}, eventsOf(g.eyes, g.room, s.ghost(bob)))
}

// A bot that was thrown out comes back when it is invited, as the log and `timbridge check` tell the operator to do.
func testBotComesBack(t *testing.T, w *world) {
	s := newScene(t, w, shared)
	ann := s.user("ann")
	alice := s.app("alice")
	g := s.group([]*lab.User{ann}, alice)
	bot := id.NewUserID(s.b.bot(), lab.Domain)
	m := g.send(alice, "before")
	require.NoError(t, ann.Kick(s.ctx, g.room, bot))
	require.NoError(t, g.eyes.WaitMember(s.within(), g.room, bot, "leave"))
	require.NoError(t, ann.Invite(s.ctx, g.room, bot))
	require.NoError(t, g.eyes.WaitMember(s.within(), g.room, bot, "join"))
	g.read(ann, m.event)
	g.waitCounts(alice, m, 1, 0)
}

func testLinkedUser(t *testing.T, w *world) {
	s := newScene(t, w, shared)
	ann, ben := s.user("ann"), s.user("ben")
	alice, bob := s.app("alice"), s.app("bob")
	g := s.group([]*lab.User{ann, ben}, alice, bob)
	// Before the link ben reads one message in Matrix, alice another in her app.
	one := g.send(bob, "one")
	g.read(ben, one.event)
	g.waitCounts(bob, one, 1, 2)
	two := g.send(bob, "two")
	g.ack(alice, two)
	g.sees(g.eyes, s.ghost(alice), two)

	require.NoError(t, s.root.LinkUser(s.ctx, alice.UserID, ben.ID.String()))
	require.NoError(t, g.eyes.WaitMember(s.within(), g.room, s.ghost(alice), "leave"))
	g.waitCounts(bob, one, 1, 1) // one person has read it, ann has not
	g.waitCounts(bob, two, 1, 1)
	g.sees(g.eyes, ben.ID, two)

	// A linked user's own marker never passes what he has not read.
	three, four := g.send(bob, "three"), g.send(bob, "four")
	g.post(ann, "by now timbridge knows where both stand in the room")
	g.ack(alice, four)
	g.waitCounts(bob, four, 1, 1)
	g.ack(alice, three)
	g.sees(g.eyes, ben.ID, four)
	require.NotContains(t, eventsOf(g.eyes, g.room, ben.ID), three.event)

	// His own client reads on: his app's side has read it too, and nothing comes back as news.
	bobHears := s.listen(bob)
	five := g.send(bob, "five")
	g.read(ben, five.event)
	_, err := bobHears.WaitReceipt(s.within(), five.msgID, 1, 1)
	require.NoError(t, err)
	require.Equal(t, []string{alice.UserID}, g.readers(bob, five))

	mine := g.post(ben, "mine")
	require.Equal(t, alice.UserID, g.messages()[0].From_Account)
	g.ack(bob, mine)
	g.sees(g.eyes, s.ghost(bob), mine)

	require.NoError(t, s.root.UnlinkUser(s.ctx, alice.UserID))
	require.NoError(t, g.eyes.WaitMember(s.within(), g.room, s.ghost(alice), "join"))
	six := g.send(bob, "six")
	g.ack(alice, six)
	g.sees(g.eyes, s.ghost(alice), six)
	g.read(ben, six.event)
	g.waitCounts(bob, six, 2, 1) // two persons again
	require.ElementsMatch(t, []string{alice.UserID, account(ben)}, g.readers(bob, six))
}

func testUnlinkAndRelink(t *testing.T, w *world) {
	s := newScene(t, w, shared)
	ann := s.user("ann")
	alice := s.app("alice")
	g := s.group([]*lab.User{ann}, alice)
	old, ghost := g.room, s.ghost(alice)
	m := g.post(ann, "in the old room")
	g.ack(alice, m)
	g.sees(g.eyes, ghost, m)
	mine := g.send(alice, "alice in the old room")

	other := s.room(ann)
	_, err := s.root.MapGroup(s.ctx, v2tim.MapGroupRequest{GroupId: g.id, RoomId: other.String()})
	var refused *receipts.Error
	require.ErrorAs(t, err, &refused)
	require.Contains(t, refused.Desc, old.String(), "the error says what stands in the way")
	require.NoError(t, s.root.UnmapGroup(s.ctx, g.id))
	require.NoError(t, g.eyes.WaitMember(s.within(), old, ghost, "leave"))
	g.mapTo(other, "")
	require.NoError(t, g.eyes.WaitMember(s.within(), other, ghost, "join"))

	n := g.post(ann, "in the new room")
	require.Greater(t, n.seq, mine.seq, "the numbers go on")
	g.ack(alice, n)
	g.sees(g.eyes, ghost, n)
	_, err = ann.SendText(s.ctx, old, "nobody listens here any more")
	require.NoError(t, err)
	require.NoError(t, ann.Receipt(s.ctx, old, mine.event))
	o := g.send(alice, "alice in the new room")
	g.read(ann, o.event)
	g.waitCounts(alice, o, 1, 0)
	require.Equal(t, [2]uint64{0, 1}, g.counts(alice, mine), "read in a room that is no longer the group's")
	require.Len(t, g.messages(), 4)
	require.Equal(t, []id.EventID{m.event}, eventsOf(g.eyes, old, ghost))
	require.Equal(t, []id.EventID{n.event}, eventsOf(g.eyes, other, ghost))
}
