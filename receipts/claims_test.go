package receipts_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/timbridge/timbridge/receipts"
)

func raise(t require.TestingT, c receipts.Claims, s receipts.Scope, p receipts.Pos, rose bool) receipts.Claims {
	got, did := c.Raise(s, p)
	require.Equal(t, rose, did, "raise %v to %d", s, p)
	if !rose {
		require.True(t, c.Equal(got))
	}
	return got
}

func TestClaimsCover(t *testing.T) {
	main, a, b := receipts.ScopeMain, receipts.ScopeThread("$a"), receipts.ScopeThread("$b")
	msg := func(pos receipts.Pos, thread string) receipts.Message {
		return receipts.Message{Seq: 1, Pos: pos, Thread: thread}
	}
	c := receipts.Claims{}
	c = raise(t, c, receipts.ScopeRoom, 10, true)
	c = raise(t, c, main, 20, true)
	c = raise(t, c, a, 30, true)
	tests := []struct {
		m    receipts.Message
		want bool
	}{
		{msg(0, ""), false}, {msg(-1, ""), false},
		{msg(1, ""), true}, {msg(10, "$b"), true}, {msg(11, "$b"), false},
		{msg(20, ""), true}, {msg(21, ""), false}, {msg(20, "$b"), false},
		{msg(30, "$a"), true}, {msg(31, "$a"), false}, {msg(25, ""), false},
	}
	for _, test := range tests {
		require.Equal(t, test.want, c.Covers(test.m), "%+v", test.m)
	}
	require.EqualValues(t, 30, c.Highest())
	require.EqualValues(t, 10, c.At(receipts.ScopeRoom))
	require.EqualValues(t, 20, c.At(main))
	require.EqualValues(t, 30, c.At(a))
	require.EqualValues(t, 10, c.At(b))

	raise(t, c, receipts.ScopeRoom, 10, false)
	raise(t, c, main, 20, false)
	raise(t, c, main, 5, false)
	raise(t, c, a, 30, false)
	raise(t, c, b, 10, false) // the room's claim says it
	raise(t, c, receipts.ScopeRoom, 0, false)
	raise(t, c, receipts.ScopeThread("$"+strings.Repeat("x", 255)), 99, false)
	require.Equal(t, main, receipts.ScopeThread(""))

	all := raise(t, c, receipts.ScopeRoom, 30, true)
	only, _ := receipts.Claims{}.Raise(receipts.ScopeRoom, 30)
	require.True(t, all.Equal(only), "what the room's claim covers is dropped")
	require.EqualValues(t, 20, c.At(main), "c itself has not changed")
	higher := raise(t, c, a, 40, true)
	require.EqualValues(t, 40, higher.At(a))
	require.EqualValues(t, 30, c.At(a), "c itself has not changed")
	require.True(t, receipts.Claims{}.IsZero())
	require.False(t, c.IsZero())
}

type claim struct {
	scope receipts.Scope
	pos   receipts.Pos
}

func drawClaim(t *rapid.T, threads int) claim {
	scope := receipts.ScopeRoom
	switch n := rapid.IntRange(0, threads+1).Draw(t, "scope"); n {
	case 0:
	case 1:
		scope = receipts.ScopeMain
	default:
		scope = receipts.ScopeThread(fmt.Sprintf("$%d", n-2))
	}
	return claim{scope, receipts.Pos(rapid.IntRange(0, 12).Draw(t, "pos"))}
}

func TestClaimsInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var claims []claim
		for range rapid.IntRange(0, 8).Draw(t, "n") {
			claims = append(claims, drawClaim(t, 3))
		}
		var one, other, half receipts.Claims
		for _, c := range claims {
			one, _ = one.Raise(c.scope, c.pos)
		}
		for i, c := range rapid.Permutation(append(claims, claims...)).Draw(t, "order") {
			other, _ = other.Raise(c.scope, c.pos)
			if i%2 == 0 {
				half, _ = half.Raise(c.scope, c.pos)
			}
		}
		require.True(t, one.Equal(other))
		require.True(t, one.Union(half).Equal(one))
		require.True(t, half.Union(one).Equal(one))
		// And it covers what any one claim covers, no more.
		for pos := range receipts.Pos(14) {
			for _, thread := range []string{"", "$0", "$1", "$2"} {
				covered := false
				for _, c := range claims {
					covered = covered || pos > 0 && pos <= c.pos && (c.scope == receipts.ScopeRoom || c.scope == receipts.ScopeThread(thread))
				}
				require.Equal(t, covered, one.Covers(receipts.Message{Pos: pos, Thread: thread}), "%d %q", pos, thread)
			}
		}
		raw, err := one.MarshalBinary()
		require.NoError(t, err)
		back, err := receipts.ParseClaims(raw)
		require.NoError(t, err)
		require.True(t, one.Equal(back))
		if len(raw) > 0 {
			raw[rapid.IntRange(0, len(raw)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
			_, err = receipts.ParseClaims(raw)
			require.ErrorIs(t, err, receipts.ErrDamaged)
		}
	})
}

func TestClaimsKeepTheHighestThreads(t *testing.T) {
	const extra = 40
	raiseAll := func(from, to, step int) (c receipts.Claims) {
		for i := from; i != to; i += step {
			// Many threads have the same place, so that the order could matter.
			c, _ = c.Raise(receipts.ScopeThread(fmt.Sprintf("$%03d", i)), receipts.Pos(1+i/50))
		}
		return c
	}
	n := receipts.MaxThreads + extra
	up, down := raiseAll(0, n, 1), raiseAll(n-1, -1, -1)
	require.True(t, up.Equal(down))
	require.True(t, up.Covers(receipts.Message{Pos: 1, Thread: "$009"}))
	require.False(t, up.Covers(receipts.Message{Pos: 1, Thread: "$010"}), "of equals the lower root stays")
	require.True(t, up.Covers(receipts.Message{Pos: 2, Thread: "$050"}))
	low, rose := up.Raise(receipts.ScopeThread("$zzz"), 1)
	require.False(t, rose)
	require.True(t, low.Equal(up))
	raw, err := up.MarshalBinary()
	require.NoError(t, err)
	back, err := receipts.ParseClaims(raw)
	require.NoError(t, err)
	require.True(t, up.Equal(back))
}

func TestMembership(t *testing.T) {
	type m = receipts.Membership
	tests := map[string]struct {
		m                 m
		is                bool
		seqsIn, seqsOut   []receipts.MsgSeq
		posIn, posOut     []receipts.Pos
		floor, firstFloor receipts.Pos
	}{
		"stranger": {m: nil, seqsOut: []receipts.MsgSeq{0, 1}, posOut: []receipts.Pos{0, 1}, floor: 3, firstFloor: 3},
		"since 5, place 10": {m: m{{JoinedSeq: 5, JoinedPos: 10, JoinedPosKnown: true}}, is: true,
			seqsIn: []receipts.MsgSeq{6, 99}, seqsOut: []receipts.MsgSeq{0, 5}, posIn: []receipts.Pos{11, 99}, posOut: []receipts.Pos{0, 10},
			floor: 50, firstFloor: 10},
		"place not known": {m: m{{JoinedSeq: 5, JoinedPos: 10}}, is: true,
			posIn: []receipts.Pos{51}, posOut: []receipts.Pos{11, 50}, floor: 50, firstFloor: 50},
		"left at 7, place 20": {m: m{{JoinedPosKnown: true, LeftSeq: 7, LeftPos: 20, Left: true}}, is: false,
			seqsIn: []receipts.MsgSeq{1, 7}, seqsOut: []receipts.MsgSeq{0, 8}, posIn: []receipts.Pos{1, 20}, posOut: []receipts.Pos{0, 21}},
		"came back": {m: m{{JoinedSeq: 9, JoinedPos: 30, JoinedPosKnown: true}, {JoinedPosKnown: true, JoinedPos: 2, LeftSeq: 7, LeftPos: 20, Left: true}}, is: true,
			seqsIn: []receipts.MsgSeq{7, 10}, seqsOut: []receipts.MsgSeq{8, 9}, posIn: []receipts.Pos{20, 31}, posOut: []receipts.Pos{21, 30, 2}, firstFloor: 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.is, test.m.IsMember())
			for _, seq := range test.seqsIn {
				require.True(t, test.m.AtSeq(seq), "%d", seq)
			}
			for _, seq := range test.seqsOut {
				require.False(t, test.m.AtSeq(seq), "%d", seq)
			}
			for _, pos := range test.posIn {
				require.True(t, test.m.AtPos(pos, test.floor), "%d", pos)
			}
			for _, pos := range test.posOut {
				require.False(t, test.m.AtPos(pos, test.floor), "%d", pos)
			}
			require.Equal(t, test.firstFloor, test.m.Floor(test.floor))
		})
	}
}

func TestWindowFloor(t *testing.T) {
	var ms []receipts.Message
	for pos := receipts.Pos(300); pos > 0; pos-- {
		wants := receipts.WantsYes
		if pos%2 == 0 {
			wants = receipts.Wants(pos / 2 % 2 * 2) // unknown or no
		}
		ms = append(ms, receipts.Message{Pos: pos, Wants: wants})
	}
	require.EqualValues(t, 294, receipts.WindowFloor(ms, 3), "295, 297 and 299 are above it")
	require.EqualValues(t, 100, receipts.WindowFloor(ms, 0), "100 by default")
	require.EqualValues(t, 0, receipts.WindowFloor(ms, 150))
	require.EqualValues(t, 0, receipts.WindowFloor(ms, 151), "fewer than that")
	require.EqualValues(t, 0, receipts.WindowFloor(nil, 3))
}
