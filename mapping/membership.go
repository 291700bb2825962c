package mapping

import (
	"cmp"
	"slices"

	"github.com/timbridge/timbridge/receipts"
)

// UnionMembership returns the stays of a person who was in a group by several
// accounts: a member wherever one of them was. Stays that overlap in both orders
// become one; whether he is a member can be asked of the last stay alone.
func UnionMembership(of ...receipts.Membership) receipts.Membership {
	all := slices.Concat(of...)
	slices.SortFunc(all, func(a, b receipts.Interval) int {
		return cmp.Or(cmp.Compare(a.JoinedSeq, b.JoinedSeq), comparePos(a, b), compareBool(b.Left, a.Left), cmp.Compare(a.LeftSeq, b.LeftSeq), cmp.Compare(a.LeftPos, b.LeftPos))
	})
	var out receipts.Membership
	for _, next := range all {
		if len(out) > 0 {
			if last := &out[len(out)-1]; overlap(*last, next) {
				*last = join(*last, next)
				continue
			}
		}
		out = append(out, next)
	}
	slices.SortStableFunc(out, func(a, b receipts.Interval) int { return compareBool(b.Left, a.Left) })
	return out
}

// overlap reports whether a and b, which does not begin before a by seq, leave
// nothing between them in either order. A known place cannot be compared with an
// unknown one, which is somewhere at the floor.
func overlap(a, b receipts.Interval) bool {
	if a.JoinedPosKnown != b.JoinedPosKnown || a.JoinedPosKnown && a.JoinedPos > b.JoinedPos {
		return false
	}
	return !a.Left || b.JoinedSeq <= a.LeftSeq && (!a.JoinedPosKnown || b.JoinedPos <= a.LeftPos)
}

// join returns the stay from the beginning of a to the later end.
func join(a, b receipts.Interval) receipts.Interval {
	if !a.Left || !b.Left {
		a.Left, a.LeftSeq, a.LeftPos = false, 0, 0
		return a
	}
	a.LeftSeq, a.LeftPos = max(a.LeftSeq, b.LeftSeq), max(a.LeftPos, b.LeftPos)
	return a
}

// comparePos puts unknown first.
func comparePos(a, b receipts.Interval) int {
	return cmp.Or(compareBool(a.JoinedPosKnown, b.JoinedPosKnown), cmp.Compare(a.JoinedPos, b.JoinedPos))
}

// compareBool puts false first.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}
