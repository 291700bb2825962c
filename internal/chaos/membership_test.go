package chaos

import (
	"slices"
	"time"

	"maunium.net/go/mautrix/id"
)

// change is a joining or leaving, with where it stands.
type change struct {
	joined bool
	event  id.EventID // in Matrix; of a Tencent user's ghost it means nothing
	at     span
	// lo and hi bound its place among the seqs of the group: those up to lo came before it, those from hi on after it. Between them
	// nobody but timbridge can know, as it takes what people do at the same time on two sides in an order of its own.
	lo, hi uint64
	// scrambled: timbridge was told of his comings and goings when others had come after them. What he was is clear then only at the end.
	scrambled bool
}

// changesOf lists the joins and leaves of somebody in this group, in order. A Tencent user is a member by Tencent's word alone, a
// Matrix user by the room's.
func (m *model) changesOf(p *person) (list []change) {
	if p.user == nil {
		m.ledger.mu.Lock()
		for i, mv := range m.ledger.moves[membership{m.g.id, p}] {
			if m.cloud != nil && i > 0 {
				mv.at.to = time.Time{} // a webhook may tell it any time later
			}
			list = append(list, change{joined: mv.joined, at: mv.at})
		}
		m.ledger.mu.Unlock()
	} else {
		in := false
		for _, c := range m.changes {
			if joined := c.Membership == "join"; c.User == p.mxid && joined != in {
				in = joined
				list = append(list, change{joined: joined, event: c.Event, at: span{from: c.At, to: m.takenAt(string(c.Event))}})
			}
		}
	}
	scrambled := p.user != nil && slices.ContainsFunc(list, func(c change) bool { return m.hs.tooLate(c.event) })
	for i := range list {
		m.locate(&list[i])
		list[i].scrambled = scrambled
	}
	return list
}

// locate bounds where a change stands among the messages.
func (m *model) locate(c *change) {
	c.hi = 1 << 60
	for seq, e := range m.bySeq {
		before, after := m.ordered(e, c)
		if before {
			c.lo = max(c.lo, seq)
		}
		if after {
			c.hi = min(c.hi, seq)
		}
	}
}

// ordered tells whether a message came before a change for certain, or after it. In standalone timbridge gives the numbers: what came
// from Matrix is in the order of the room, whatever else is ordered only if one had been answered before the other was asked for. In
// cloud messages have their numbers from Tencent at once, but timbridge may hear of them late, and of Tencent users' coming and going
// too: that a message came before is certain only where the room shows it so.
func (m *model) ordered(e *entry, c *change) (before, after bool) {
	if m.hs.tooLate(id.EventID(e.row.EventId)) {
		return false, false
	}
	at := e.at
	if m.cloud != nil {
		sent, _ := m.cloud.Message(m.g.id, e.row.MsgSeq)
		at = span{from: sent.Time}
		inRoom := c.event != "" && e.by.user == nil && e.place > 0 && e.place < m.hs.place(c.event)
		return inRoom, c.at.before(at)
	}
	if e.message.event != "" {
		if c.event != "" {
			before = m.hs.place(e.message.event) < m.hs.place(c.event)
			return before, !before
		}
		at.to = m.takenAt(string(e.message.event))
	}
	return at.before(c.at), c.at.before(at)
}

// answer to a question that may not have one.
type answer int

const (
	no answer = iota
	maybe
	yes
)

// memberAt tells whether somebody was a member when a message was sent.
func memberAt(changes []change, seq uint64) answer {
	if isScrambled(changes) {
		return maybe
	}
	could := map[bool]bool{}
	// He is where some change has left him: the last one that came before for certain, or any later one that may have.
	if len(changes) == 0 || seq < changes[0].hi {
		could[false] = true
	}
	for i, c := range changes {
		if seq <= c.lo {
			break
		}
		if i+1 == len(changes) || seq < changes[i+1].hi {
			could[c.joined] = true
		}
	}
	switch {
	case could[true] && could[false]:
		return maybe
	case could[true]:
		return yes
	default:
		return no
	}
}

func isScrambled(changes []change) bool { return len(changes) > 0 && changes[0].scrambled }

func isMember(changes []change) bool { return len(changes) > 0 && changes[len(changes)-1].joined }

// inRoom tells whether a Matrix user was in the room when an event came.
func (m *model) inRoom(changes []change, at int64) bool {
	in := false
	for _, c := range changes {
		if m.hs.place(c.event) > at {
			break
		}
		in = c.joined
	}
	return in
}

// checkMembers: who is in a group is a member for timbridge, and his ghost is in the room; nobody else.
func (m *model) checkMembers() {
	expected := 0
	for _, p := range m.people {
		in := isMember(m.changesOf(p))
		linked := m.ledger.isLinked(p)
		if linked && p.user != nil {
			in = false // he is a member as the Tencent user who he is
		}
		if in {
			expected++
		}
		m.expect(m.members[p.userID] == in, "member", p.name, in, m.members[p.userID])
		if p.user == nil {
			got := m.hs.Membership(m.g.room, p.mxid)
			m.expect((got == "join") == (in && !linked), "ghost in the room", p.name, in && !linked, got)
		}
	}
	m.expect(len(m.members) == expected, "members", "all", expected, len(m.members))
}
