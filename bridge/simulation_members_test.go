package bridge

import (
	"time"

	"maunium.net/go/mautrix/id"
)

// simChange is a joining or leaving, with where it stands.
type simChange struct {
	joined bool
	event  id.EventID // in Matrix; "" for a Tencent user
	at     simSpan
	// lo and hi bound its place among the seqs of the group: those up to lo came before it, those from hi on after it. Between them
	// nobody but the bridge can know, as it takes what people do at the same time on two sides in an order of its own.
	lo, hi uint64
}

// changesOf lists the joins and leaves of somebody in this group, in order. A Tencent user is a member by Tencent's word alone, a
// Matrix user by the room's.
func (m *simModel) changesOf(p *simPerson) (list []simChange) {
	if p.user == nil {
		m.change(func() {
			for _, mv := range m.moves[simMembership{m.g.id, p}] {
				if m.cloud != nil && mv.at.from.After(m.began) {
					mv.at.to = time.Time{} // a webhook may tell it any time later
				}
				list = append(list, simChange{joined: mv.joined, at: mv.at})
			}
		})
	} else {
		in := false
		for _, c := range m.changes {
			if joined := c.Membership == "join"; c.User == p.mxid && joined != in {
				in = joined
				list = append(list, simChange{joined: joined, event: c.Event, at: simSpan{from: c.At, to: m.takenAt(c.Event)}})
			}
		}
	}
	for i := range list {
		m.locate(&list[i])
	}
	return list
}

func (m *simModel) takenAt(event id.EventID) (at time.Time) {
	m.change(func() { at = m.taken[event] })
	return at
}

// locate bounds where a change stands among the messages.
func (m *simModel) locate(c *simChange) {
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

// ordered tells whether a message came before a change for certain, or after it. In standalone the bridge gives the numbers: what came
// from Matrix is in the order of the room, whatever else is ordered only if one had been answered before the other was asked for. In
// cloud messages have their numbers from Tencent at once, but the bridge may hear of them late, and of Tencent users' coming and going
// too: that a message came before is certain only where the room shows it so.
func (m *simModel) ordered(e *simEntry, c *simChange) (before, after bool) {
	at := e.at
	if m.cloud != nil {
		sent, _ := m.cloud.Message(m.g.id, e.row.MsgSeq)
		at = simSpan{from: sent.Time}
		inRoom := c.event != "" && e.by.user == nil && e.place > 0 && e.place < simPlaceOf(c.event)
		return inRoom, c.at.before(at)
	}
	if e.simMessage.event != "" {
		if c.event != "" {
			before = simPlaceOf(e.simMessage.event) < simPlaceOf(c.event)
			return before, !before
		}
		at.to = m.takenAt(e.simMessage.event)
	}
	return at.before(c.at), c.at.before(at)
}

// simAnswer to a question that may not have one.
type simAnswer int

const (
	simNo simAnswer = iota
	simMaybe
	simYes
)

// simMemberAt tells whether somebody was a member when a message was sent.
func simMemberAt(changes []simChange, seq uint64) simAnswer {
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
		return simMaybe
	case could[true]:
		return simYes
	default:
		return simNo
	}
}

func simIsMember(changes []simChange) bool { return len(changes) > 0 && changes[len(changes)-1].joined }

// simInRoom tells whether a Matrix user was in the room when an event came.
func simInRoom(changes []simChange, at int64) bool {
	in := false
	for _, c := range changes {
		if simPlaceOf(c.event) > at {
			break
		}
		in = c.joined
	}
	return in
}

// checkMembers: who is in a group is a member for the bridge, and his ghost is in the room; nobody else.
func (m *simModel) checkMembers() {
	expected := 0
	for _, p := range m.people() {
		in := simIsMember(m.changesOf(p))
		if in {
			expected++
		}
		m.expect(m.members[p.userID] == in, "member", p.name, in, m.members[p.userID])
		if p.user == nil {
			got := m.hs.Membership(m.g.room, p.mxid)
			m.expect((got == "join") == in, "ghost in the room", p.name, in, got)
		}
	}
	m.expect(len(m.members) == expected, "members", "all", expected, len(m.members))
}
