package receipts

import "time"

// FrontierRules is what [Reader.Advance] goes by.
type FrontierRules struct {
	// Now is the time it is.
	Now time.Time
	// GapAfter is how long a Gap, an event that may still become a message, is
	// waited for. HoleAfter is how long an unread message is. Zero means for ever.
	GapAfter, HoleAfter time.Duration
	// Floor: nothing at or below it holds the frontier up (the place at which he
	// joined or the group was linked).
	Floor Pos
	// Membership, if not nil, excuses the messages that were sent while he was no
	// member: he will never be asked for their receipts.
	Membership Membership
}

// Advance moves Frontier over the entries of es and Solid with it. es must be all
// that is in the room above Frontier, rising, or the first part of it; entries at
// or below Frontier are passed over. self is his key. Latest is not left below
// Solid: nobody calls Note with what stood in the room when the group was linked.
//
// A message holds the frontier up if it is of somebody else, wants a receipt or
// may want one, is not recalled, not online-only, not read and younger than
// HoleAfter, and so does a Gap younger than GapAfter. blocked says that one did;
// without it the caller goes on with the next entries. holes is the number of
// unread messages that were passed because of their age. The age of an entry
// without time is not known: it is taken as young.
//
// Who has Advance called before the frontier can move, and again when a message
// is read, recalled, turns out not to want a receipt, or grows old, has a frontier
// that equals one computed from scratch. For what turns up below the frontier see
// [Reader.Lower].
func (r *Reader) Advance(self UserKey, es []Entry, rules FrontierRules) (blocked bool, holes int) {
	for i := range es {
		e := &es[i]
		if e.Pos <= r.Frontier {
			continue
		}
		if e.Gap {
			if e.Pos > rules.Floor && young(e.At, rules.Now, rules.GapAfter) {
				return true, holes
			}
			r.Frontier = e.Pos
			continue
		}
		read := r.Read.Contains(e.Seq)
		if !read && e.Pos > rules.Floor && e.mayNeed(self) && rules.concerns(e.Seq) {
			if young(e.At, rules.Now, rules.HoleAfter) {
				return true, holes
			}
			holes++
		}
		r.Frontier = e.Pos
		if read && !e.Recalled {
			r.Solid = e.Pos
			r.Latest = max(r.Latest, e.Pos)
		}
	}
	return false, holes
}

func (rules FrontierRules) concerns(seq MsgSeq) bool {
	return rules.Membership == nil || rules.Membership.AtSeq(seq)
}

func young(at, now time.Time, limit time.Duration) bool {
	return limit <= 0 || at.IsZero() || now.Sub(at) < limit
}

// Lower takes Frontier and Solid back to below p, because something became known
// at p: an event there turned out to be a message, or one that wants a receipt, or
// he turned out to have been a member then. Above Frontier it does nothing. If
// Solid had to come down it is afterwards only an upper bound, and Lower returns
// true: give [Reader.Settle] the messages below to have it exact again.
func (r *Reader) Lower(p Pos) (unsettled bool) {
	if p > r.Frontier {
		return false
	}
	r.Frontier = max(p-1, 0)
	if r.Solid > r.Frontier {
		r.Solid = r.Frontier
		return r.Solid > 0
	}
	return false
}

// Settle makes Solid exact after [Reader.Lower]: ms are the messages at or below
// Frontier in falling order of Pos, or the first part of them. It returns whether
// one of them is in Read; if none is, Solid is 0, and the caller may go on with
// the messages below.
func (r *Reader) Settle(ms []Message) bool {
	for _, m := range ms {
		if m.Pos > 0 && m.Pos <= r.Frontier && !m.Recalled && r.Read.Contains(m.Seq) {
			r.Solid = m.Pos
			return true
		}
	}
	r.Solid = 0
	return false
}
