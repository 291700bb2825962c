package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/internal/lab"
)

// A group with more members than receipts allow would have none at all: whoever is too many stays out, and is told.
func testCloudTooManyMembers(t *testing.T, w *world) {
	s := newCloudScene(t, w, sharedCloud)
	ann, ben, cora := s.user("ann"), s.user("ben"), s.user("cora")
	alice, bob, carl, dora := s.member("alice"), s.member("bob"), s.member("carl"), s.member("dora")
	g := s.linked([]*lab.User{ann, ben, cora}, alice, bob, carl, dora)
	hello := g.says(alice, "hello")
	g.read(ann, hello.event)
	g.hasRead(ann, hello)
	g.read(ben, hello.event)
	g.hasRead(ben, hello)
	require.Len(t, s.cloud.Members(g.id), smallGroup)

	g.read(cora, hello.event)
	g.botSays("it may have 6 members at most")
	require.NotContains(t, s.cloud.Members(g.id), account(cora))
	// She can write all the same, and the others' receipts go on.
	written := g.writes(cora, "why not?")
	g.acks(bob, written)
	g.ghostRead(bob, written)
	again := g.says(alice, "too many here")
	g.read(ann, again.event)
	g.hasRead(ann, again, written)
	require.Len(t, s.cloud.Members(g.id), smallGroup)
	require.False(t, s.cloud.HasRead(g.id, account(cora), hello.seq))

	// Somebody goes: there is a place for her, and what she has read arrives.
	require.NoError(t, s.cloud.User(dora).Leave(g.id))
	g.ghostsLeave(dora)
	g.isMember(cora, true)
	g.hasRead(cora, hello)
	// Out of the room is out of the group.
	require.NoError(t, ben.Leave(s.ctx, g.room))
	g.isMember(ben, false)
	require.NoError(t, s.cloud.User(alice).Kick(g.id, account(cora)))
	require.NoError(t, g.eyes.WaitMember(s.within(), g.room, cora.ID, "leave"))
}

func testCloudLinkByCommand(t *testing.T, w *world) {
	s := newCloudScene(t, w, sharedCloud)
	ann, ben := s.user("ann"), s.user("ben")
	alice, bob := s.member("alice"), s.member("bob")
	g := s.unlinked(ann, s.watch(ann), alice, bob)
	g.sends(alice, "before there was a room")
	g.room = s.room(ann, ben)
	require.NoError(t, g.eyes.WaitMember(s.within(), g.room, id.NewUserID(s.b.bot(), lab.Domain), "join"))
	said := func(from *lab.User, command, answer string) {
		t.Helper()
		_, err := from.SendText(s.ctx, g.room, command)
		require.NoError(t, err)
		g.botSays(answer)
	}

	said(ben, "!tim link "+g.id, "You may not do that here")
	said(ann, "!tim link @TGS#nowhere", "That cannot be done: ")
	said(ann, "!tim link "+g.id, "This room is linked with group "+g.id)
	g.ghostsJoin(alice, bob)
	g.bothTalk(alice, ben, "linked")
	said(ben, "!tim status", "Matrix users in the Tencent group: 1")

	// Unlinked: everybody goes home, and nothing crosses.
	said(ann, "!tim unlink", "This room is no longer linked with group "+g.id)
	g.ghostsLeave(alice, bob)
	g.isMember(ben, false)
	g.sends(alice, "nobody hears this")
	_, err := ben.SendText(s.ctx, g.room, "nor this")
	require.NoError(t, err)
	said(ann, "!tim status", "This room is not linked with a group.")

	said(ann, "!tim link "+g.id, "This room is linked with group "+g.id)
	g.ghostsJoin(alice, bob)
	g.bothTalk(bob, ann, "again")
	both := []string{"linked from the app", "linked from Matrix", "again from the app", "again from Matrix"}
	g.appHas(append([]string{"before there was a room", "nobody hears this"}, both...)...)
	g.roomHas(append([]string{
		"!tim link " + g.id, "!tim link @TGS#nowhere", "!tim link " + g.id, "!tim status", "!tim unlink", "nor this", "!tim status", "!tim link " + g.id,
	}, both...)...)
}

func testCloudLinkByCLI(t *testing.T, w *world) {
	s := newCloudScene(t, w, sharedCloud)
	ann := s.user("ann")
	alice := s.member("alice")
	g := s.unlinked(ann, s.watch(ann), alice)
	var err error
	alias := s.unique("linked")
	g.room, err = ann.CreateRoomWith(s.ctx, map[string]any{
		"preset": "private_chat", "room_alias_name": alias, "invite": []id.UserID{id.NewUserID(s.b.bot(), lab.Domain)},
	})
	require.NoError(t, err)

	done := s.b.run(t, "link", g.id, "#"+alias+":"+lab.Domain)
	require.Zero(t, done.code, done.stderr)
	require.Contains(t, done.stdout, "Linked group "+g.id)
	require.Contains(t, done.stdout, g.room.String())
	g.ghostsJoin(alice)
	g.bothTalk(alice, ann, "linked")

	done = s.b.run(t, "unlink", g.id)
	require.Zero(t, done.code, done.stderr)
	g.ghostsLeave(alice)
	g.isMember(ann, false)
	g.sends(alice, "nobody hears this")
	done = s.b.run(t, "link", g.id, g.room.String())
	require.Zero(t, done.code, done.stderr)
	g.ghostsJoin(alice)
	g.bothTalk(alice, ann, "again")
	g.roomHas("linked from the app", "linked from Matrix", "again from the app", "again from Matrix")

	unknown := s.b.run(t, "link", "@TGS#nowhere", g.room.String())
	require.NotZero(t, unknown.code)
	require.Contains(t, unknown.stderr, "the app has no such group")
}
