package mapping

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/timbridge/timbridge/receipts"
)

// TestUnionMembership: a person is a member wherever one of his accounts was, no
// more and no less, in both orders.
func TestUnionMembership(t *testing.T) {
	interval := rapid.Custom(func(t *rapid.T) receipts.Interval {
		i := receipts.Interval{JoinedSeq: receipts.MsgSeq(rapid.IntRange(0, 12).Draw(t, "joined"))}
		if i.JoinedPosKnown = rapid.Bool().Draw(t, "known"); i.JoinedPosKnown {
			i.JoinedPos = receipts.Pos(rapid.IntRange(0, 12).Draw(t, "pos"))
		}
		if i.Left = rapid.Bool().Draw(t, "left"); i.Left {
			i.LeftSeq = i.JoinedSeq + receipts.MsgSeq(rapid.IntRange(0, 5).Draw(t, "seqs"))
			i.LeftPos = i.JoinedPos + receipts.Pos(rapid.IntRange(0, 5).Draw(t, "places"))
		}
		return i
	})
	memberships := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) receipts.Membership {
		return rapid.SliceOfN(interval, 0, 4).Draw(t, "stays")
	}), 0, 3)
	rapid.Check(t, func(t *rapid.T) {
		of := memberships.Draw(t, "of")
		union := UnionMembership(of...)
		anyOf := func(is func(m receipts.Membership) bool) bool {
			for _, m := range of {
				if is(m) {
					return true
				}
			}
			return false
		}
		require.Equal(t, anyOf(receipts.Membership.IsMember), union.IsMember())
		if len(union) > 0 {
			require.Equal(t, union.IsMember(), !union[len(union)-1].Left)
		}
		for seq := range receipts.MsgSeq(20) {
			require.Equal(t, anyOf(func(m receipts.Membership) bool { return m.AtSeq(seq) }), union.AtSeq(seq), "seq %d", seq)
		}
		for pos := range receipts.Pos(20) {
			for _, floor := range []receipts.Pos{0, 3, 15} {
				require.Equal(t, anyOf(func(m receipts.Membership) bool { return m.AtPos(pos, floor) }), union.AtPos(pos, floor), "pos %d floor %d", pos, floor)
			}
		}
		for left, right := 0, len(of)-1; left < right; left, right = left+1, right-1 {
			of[left], of[right] = of[right], of[left]
		}
		require.Equal(t, union, UnionMembership(of...), "whatever the order")
	})
}
