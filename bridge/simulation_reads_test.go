package bridge

import (
	"fmt"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

// simReading is what is known of one reader in the group: the seqs that he has read for certain, and those that he may have read.
type simReading struct {
	p         *simPerson
	changes   []simChange
	must, may map[uint64]bool
}

func (s *simulation) people() []*simPerson { return slices.Concat(s.tims, s.mats) }

// readingOf puts together what somebody has read.
func (m *simModel) readingOf(p *simPerson) *simReading {
	r := &simReading{p: p, changes: m.changesOf(p), must: make(map[uint64]bool), may: make(map[uint64]bool)}
	switch {
	case p.user != nil:
		m.readUp(r)
	case m.cloud != nil: // Tencent knows
		for _, c := range m.atTencent {
			if m.cloud.HasRead(m.g.id, p.userID, c.Seq) {
				r.may[c.Seq], r.must[c.Seq] = true, !c.Recalled && m.bySeq[c.Seq] != nil && !m.bySeq[c.Seq].redacted
			}
		}
	default:
		m.acked(r)
	}
	return r
}

// acked: a Tencent user has read what he acknowledged. An acknowledgement without an answer may have been taken or not.
func (m *simModel) acked(r *simReading) {
	m.change(func() {
		for _, a := range m.acks {
			if a.group != m.g || a.by != r.p || a.state == simDenied {
				continue
			}
			for _, id := range a.ids {
				e := m.byID[id]
				if e == nil || e.by == r.p || !e.wants {
					continue // his own, and those without receipt, are passed over
				}
				r.may[e.row.MsgSeq] = true
				// A message that was taken back may have been so already when he acknowledged it: then it was passed over.
				if a.state == simAccepted && !e.redacted {
					r.must[e.row.MsgSeq] = true
				}
			}
		}
	})
}

// readUp: a Matrix user has read what is at or before his receipts and came while he was in the room. A receipt that another one
// replaced while the bridge could not see it is none that was accepted; those that stand are.
func (m *simModel) readUp(r *simReading) {
	for _, s := range m.shown {
		if s.User == r.p.mxid && s.Type == "m.read" {
			m.cover(r, s.Event, s.Thread, r.must)
		}
	}
	m.change(func() {
		for _, up := range m.reads {
			if up.by == r.p.mxid && up.room == m.g.room {
				m.cover(r, up.event, up.thread, r.may)
				// Who has just joined may mark what was there before. That is taken for nothing, unless the bridge has found him in the
				// room by a list and has not heard yet when he came: then it counts what he has marked himself, and no more.
				if !simInRoom(r.changes, simPlaceOf(up.event)) {
					for seq, e := range m.bySeq {
						r.may[seq] = r.may[seq] || e.place > 0 && e.place <= simPlaceOf(up.event)
					}
				}
			}
		}
	})
	for seq := range r.must {
		m.expect(r.may[seq], "model", r.p.name, "a receipt of his own", seq)
	}
}

// cover adds to a set what a receipt says that he has read, of what came while he was in the room.
func (m *simModel) cover(r *simReading, event id.EventID, thread string, into map[uint64]bool) {
	at := simPlaceOf(event)
	if !slices.ContainsFunc(m.events, func(ev matrixtest.Event) bool { return ev.ID == event }) {
		return // of another room
	}
	for seq, e := range m.bySeq {
		inScope := thread == "" || thread == "main" && e.thread == "" || thread == e.thread
		if e.place > 0 && e.place <= at && inScope && simInRoom(r.changes, e.place) {
			into[seq] = true
		}
	}
}

// checkReceipts compares what everybody has read with what both sides show of it.
func (m *simModel) checkReceipts() {
	var all []*simReading
	for _, p := range m.people() {
		r := m.readingOf(p)
		all = append(all, r)
		if p.user == nil {
			m.checkMarker(r)
		}
	}
	for _, c := range m.atTencent {
		if c.HasReceipt && !c.Recalled {
			m.checkAcks(m.bySeq[c.Seq], c.Seq, all)
		}
	}
	for _, e := range m.bySeq {
		if e.wants && !e.gone && !e.redacted {
			m.checkCounts(e, all)
		}
	}
}

// checkAcks: Tencent has it that a Matrix user has read what he has read, and nothing else.
func (m *simModel) checkAcks(e *simEntry, seq uint64, all []*simReading) {
	m.expect(e != nil, "known", fmt.Sprint("message ", seq), "a message that the bridge knows", "none")
	if e == nil || e.redacted {
		return
	}
	for _, r := range all {
		if r.p == e.by {
			continue
		}
		has := m.cloud.HasRead(m.g.id, r.p.userID, seq)
		about := fmt.Sprintf("%s and message %d (%s)", r.p.name, seq, e.text)
		m.expect(!has || r.may[seq], "no receipt of what was not read", about, false, has)
		// Tencent takes receipts of members only, and is told of messages that were sent while he was one: who is not in the room now
		// may have left before it was told.
		if r.must[seq] && simIsMember(r.changes) && (r.p.user == nil || simMemberAt(r.changes, seq) == simYes) {
			m.expect(has, "receipt at Tencent", about, true, has)
		}
	}
}

// checkCounts compares who has read a message, and who has not, with what the bridge tells apps.
func (m *simModel) checkCounts(e *simEntry, all []*simReading) {
	seq := e.row.MsgSeq
	what := fmt.Sprintf("message %d (%s)", seq, e.text)
	read, unread := m.read[seq], m.unread[seq]
	m.expect(e.row.ReadNum == uint64(len(read)), "readCount", what, len(read), e.row.ReadNum)
	m.expect(e.row.UnreadNum == uint64(len(unread)), "unreadCount", what, len(unread), e.row.UnreadNum)
	known := 0
	for _, r := range all {
		hasRead, hasNot := slices.Contains(read, r.p.userID), slices.Contains(unread, r.p.userID)
		if hasRead || hasNot {
			known++
		}
		about := r.p.name + " and " + what
		if r.p == e.by {
			m.expect(!hasRead && !hasNot, "sender counted", about, "neither", [2]bool{hasRead, hasNot})
			continue
		}
		m.expect(hasRead || !r.must[seq], "has read", about, true, hasRead)
		m.expect(!hasRead || r.may[seq], "has not read", about, false, hasRead)
		if m.cloud != nil {
			continue // when somebody came, Tencent and the bridge may see differently
		}
		// Unread is it for who was a member then and is one now.
		member, in := simMemberAt(r.changes, seq), simIsMember(r.changes)
		m.expect(hasNot || member != simYes || !in || r.may[seq], "unread", about, true, hasNot)
		m.expect(!hasNot || member != simNo && in && !r.must[seq], "not unread", about, false, hasNot)
	}
	m.expect(known == len(read)+len(unread), "readers", what, "people who are here", fmt.Sprint(read, unread))
}
