package mappingtest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

func (b *bench) join(g mapping.Group, u mapping.User, seq receipts.MsgSeq, pos receipts.Pos, known bool) bool {
	b.t.Helper()
	changed, err := b.Join(b.ctx, g.Key, u.Key, seq, pos, known)
	require.NoError(b.t, err)
	return changed
}

func (b *bench) leave(g mapping.Group, u mapping.User, seq receipts.MsgSeq, pos receipts.Pos) bool {
	b.t.Helper()
	changed, err := b.Leave(b.ctx, g.Key, u.Key, seq, pos)
	require.NoError(b.t, err)
	return changed
}

func (b *bench) members(g mapping.Group) []mapping.Member {
	b.t.Helper()
	ms, err := b.Members(b.ctx, g.Key)
	require.NoError(b.t, err)
	return ms
}

func testMembers(t *testing.T, open func(t *testing.T) *bench) {
	t.Run("ComeAndGo", func(t *testing.T) {
		b := open(t)
		g := b.group("g", roomA)
		bob := b.ghost("bob")
		require.Empty(t, b.members(g))
		require.False(t, b.leave(g, bob, 1, 1))
		require.True(t, b.join(g, bob, 5, 6, true))
		require.False(t, b.join(g, bob, 7, 8, true))
		require.True(t, b.leave(g, bob, 10, 12))
		require.False(t, b.leave(g, bob, 11, 13))
		require.True(t, b.join(g, bob, 8, 20, true), "not before the end of the last stay")
		want := receipts.Membership{
			{JoinedSeq: 5, JoinedPos: 6, JoinedPosKnown: true, Left: true, LeftSeq: 10, LeftPos: 12},
			{JoinedSeq: 10, JoinedPos: 20, JoinedPosKnown: true},
		}
		require.Equal(t, []mapping.Member{{User: bob, Membership: want}}, b.members(g))
		got, err := b.MembershipOf(b.ctx, g.Key, []mapping.UserKey{bob.Key, 999})
		require.NoError(t, err)
		require.Equal(t, map[mapping.UserKey]receipts.Membership{bob.Key: want}, got)
		got, err = b.MembershipOf(b.ctx, g.Key, nil)
		require.NoError(t, err)
		require.Empty(t, got)
		require.True(t, b.leave(g, bob, 3, 3), "not before it began")
		require.Equal(t, receipts.Interval{JoinedSeq: 10, JoinedPos: 20, JoinedPosKnown: true, Left: true, LeftSeq: 10, LeftPos: 20}, b.members(g)[0].Membership[1])
	})
	t.Run("EmptyStays", func(t *testing.T) {
		b := open(t)
		g := b.group("g", roomA)
		bob := b.ghost("bob")
		for range 5 {
			b.join(g, bob, 5, 0, false)
			b.leave(g, bob, 5, 9)
		}
		require.Len(t, b.members(g)[0].Membership, 1, "what says nothing new is not kept")
	})
	t.Run("Groups", func(t *testing.T) {
		b := open(t)
		g1, g2, g3 := b.group("g1", roomA), b.group("g2", roomB), b.group("g3", "")
		bob, account := b.ghost("bob"), b.account(alice)
		b.join(g2, bob, 0, 0, false)
		b.join(g3, bob, 0, 0, false)
		b.leave(g3, bob, 1, 1)
		b.join(g1, account, 0, 0, false)
		of, err := b.GroupsOf(b.ctx, bob.Key)
		require.NoError(t, err)
		require.Equal(t, []mapping.GroupKey{g2.Key}, of)
		_, _, err = b.LinkUser(b.ctx, "bob", alice)
		require.NoError(t, err)
		of, err = b.GroupsOf(b.ctx, bob.Key)
		require.NoError(t, err)
		require.Equal(t, []mapping.GroupKey{g1.Key, g2.Key}, of)
		of, err = b.GroupsEverOf(b.ctx, bob.Key)
		require.NoError(t, err)
		require.Equal(t, []mapping.GroupKey{g1.Key, g2.Key, g3.Key}, of)
		of, err = b.GroupsOf(b.ctx, 999)
		require.NoError(t, err)
		require.Empty(t, of)
	})
	t.Run("Aliases", func(t *testing.T) {
		b := open(t)
		g, other := b.group("g", roomA), b.group("other", roomB)
		bob, account, carol := b.ghost("bob"), b.account(alice), b.ghost("carol")
		b.join(g, carol, 0, 0, true)
		b.join(g, bob, 10, 10, true)
		b.join(g, account, 5, 5, true)
		b.leave(g, account, 12, 12)
		b.join(other, account, 3, 0, false)
		linked, _, err := b.LinkUser(b.ctx, "bob", alice)
		require.NoError(t, err)

		united := receipts.Membership{{JoinedSeq: 5, JoinedPos: 5, JoinedPosKnown: true}}
		require.Equal(t, []mapping.Member{
			{User: linked, Membership: united},
			{User: carol, Membership: receipts.Membership{{JoinedPosKnown: true}}},
		}, b.members(g))
		require.Equal(t, []mapping.Member{{User: linked, Membership: receipts.Membership{{JoinedSeq: 3}}}}, b.members(other), "member by his alias alone")
		got, err := b.MembershipOf(b.ctx, g.Key, []mapping.UserKey{linked.Key, account.Key})
		require.NoError(t, err)
		require.Equal(t, map[mapping.UserKey]receipts.Membership{linked.Key: united, account.Key: united}, got)
		got, err = b.MembershipOf(b.ctx, other.Key, []mapping.UserKey{linked.Key})
		require.NoError(t, err)
		require.Len(t, got[linked.Key], 1)

		require.True(t, b.leave(other, linked, 9, 9), "he leaves with his alias")
		require.False(t, b.members(other)[0].Membership.IsMember())
		b.join(g, account, 20, 20, true)
		require.True(t, b.leave(g, account, 21, 21), "the alias leaves alone")
		require.True(t, b.members(g)[0].Membership.IsMember())
		require.True(t, b.leave(g, linked, 30, 30))
		require.False(t, b.members(g)[0].Membership.IsMember())
	})
	t.Run("Schema", func(t *testing.T) {
		b := open(t)
		g, bob := b.group("g", roomA), b.ghost("bob")
		b.join(g, bob, 0, 0, false)
		_, err := b.db.Exec(b.ctx, `INSERT INTO tim_member (group_key, user_key, stay, joined_seq) VALUES ($1, $2, 9, 4)`, g.Key, bob.Key)
		require.Error(t, err, "one open stay at a time")
		_, err = b.Join(b.ctx, g.Key, 999, 0, 0, false)
		require.Error(t, err, "nobody is a member who does not exist")
	})
}
