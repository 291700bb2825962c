package chaos

import (
	"fmt"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/internal/lab"
)

// reading is what is known of one reader in the group: the seqs that he has read for certain, and those that he may have read.
type reading struct {
	p         *person
	changes   []change
	must, may map[uint64]bool
}

// readingOf puts together what somebody has read.
func (m *model) readingOf(p *person) *reading {
	r := &reading{p: p, changes: m.changesOf(p), must: make(map[uint64]bool), may: make(map[uint64]bool)}
	if p.user == nil {
		m.acked(r)
	} else {
		m.readUp(r)
	}
	return r
}

// acked: a Tencent user has read what he acknowledged. An acknowledgement without an answer may have been taken or not.
func (m *model) acked(r *reading) {
	m.ledger.mu.Lock()
	defer m.ledger.mu.Unlock()
	for _, a := range m.ledger.acks {
		if a.group != m.g || a.by != r.p || a.state == denied {
			continue
		}
		for _, e := range m.entriesOf(a) {
			// His own, and those without receipt, are passed over.
			if e.sender == r.p || !e.wants {
				continue
			}
			r.may[e.row.MsgSeq] = true
			// A message that was taken back may have been so already when he acknowledged it: then it was passed over.
			if a.state == accepted && !e.redacted {
				r.must[e.row.MsgSeq] = true
			}
		}
	}
}

func (m *model) entriesOf(a *ack) (list []*entry) {
	for _, id := range a.ids {
		if e := m.byID[id]; e != nil {
			list = append(list, e)
		}
	}
	for _, seq := range a.seqs {
		if e := m.bySeq[seq]; e != nil {
			list = append(list, e)
		}
	}
	return list
}

// readUp: a Matrix user has read what is at or before his receipt, in the thread or room that it is about, and came while he was in the
// room. A receipt that another one replaced while timbridge could not see it is none that was accepted; those that it was pushed, and
// those which stand, are.
func (m *model) readUp(r *reading) {
	var must, may []readUp
	sent := make(map[id.EventID]bool)
	var outside int64
	m.ledger.mu.Lock()
	for _, up := range m.ledger.reads {
		if up.by == r.p.mxid && up.room == m.g.room {
			sent[up.event] = true
			may = append(may, *up)
			if at := m.hs.place(up.event); !m.inRoom(r.changes, at) {
				outside = max(outside, at)
			}
		}
	}
	for _, up := range m.ledger.pushes {
		if up.by == r.p.mxid && up.room == m.g.room && sent[up.event] {
			// What it is about is not pushed. It is about no less than the event's own thread, or the main timeline.
			if scope := m.scopes[up.event]; scope != "" {
				must = append(must, readUp{event: up.event, thread: scope})
			}
		}
	}
	m.ledger.mu.Unlock()
	for _, s := range m.shown {
		if s.User != r.p.mxid || s.Type != "m.read" {
			continue
		}
		if sent[s.Event] {
			must = append(must, readUp{event: s.Event, thread: s.Thread})
		}
		// Dendrite has receipts of its own for who writes.
		m.expect(sent[s.Event] || m.ledger.other(r.p, false) != nil || m.kind.real == lab.Dendrite, "receipt of his own", r.p.name, "a receipt that he sent himself", s.Event)
	}
	for seq, e := range m.bySeq {
		if e.place == 0 {
			continue
		}
		surely, _ := m.covered(e, must)
		_, perhaps := m.covered(e, may)
		switch {
		case isScrambled(r.changes) || m.hs.tooLate(id.EventID(e.row.EventId)):
			if perhaps {
				r.may[seq] = true
			}
		case !m.inRoom(r.changes, e.place):
			// Who has just joined may mark what was there before. Timbridge takes that for nothing, unless it has found him in the
			// room by a list and has not heard yet when he came: then it counts what he has marked himself, and no more.
			if e.place <= outside {
				r.may[seq] = true
			}
		default:
			if surely {
				r.must[seq] = true
			}
			if perhaps {
				r.may[seq] = true
			}
		}
	}
}

// covered tells whether any of the receipts says that a message was read: surely if it does wherever the two may stand.
func (m *model) covered(e *entry, list []readUp) (surely, perhaps bool) {
	places := m.hs.places(id.EventID(e.row.EventId))
	for _, up := range list {
		if up.thread != "" && up.thread != string(e.thread) && !(up.thread == "main" && e.thread == "") {
			continue
		}
		all := true
		for i, at := range m.hs.places(up.event) {
			perhaps, all = perhaps || places[i] <= at, all && places[i] <= at
		}
		surely = surely || all
	}
	return surely, perhaps
}

// readings are what everybody has read.
func (m *model) readings() (all []*reading) {
	for _, p := range m.people {
		all = append(all, m.readingOf(p))
	}
	m.unite(all)
	return all
}

// checkReceipts compares what everybody has read with what both sides show of it.
func (m *model) checkReceipts(all []*reading) {
	for _, r := range all {
		if mat := m.ledger.other(r.p, true); r.p.user == nil && mat != nil {
			m.checkLinkedMarker(r, mat)
		} else if r.p.user == nil {
			m.checkMarker(r)
		}
	}
	if m.cloud != nil {
		m.checkAcks(all)
		return
	}
	for _, e := range m.bySeq {
		if e.wants && !e.gone {
			m.checkCounts(e, all)
		}
	}
}

// checkCounts compares who has read a message, and who has not, with what timbridge tells apps.
func (m *model) checkCounts(e *entry, all []*reading) {
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
		other := m.ledger.other(r.p, true)
		if other != nil && r.p.user != nil { // he is counted as the Tencent user who he is
			m.expect(!hasRead && !hasNot, "linked user counted twice", about, "neither", [2]bool{hasRead, hasNot})
			continue
		}
		if r.p == e.sender || other != nil && other == e.sender {
			m.expect(!hasRead && !hasNot, "sender counted", about, "neither", [2]bool{hasRead, hasNot})
			continue
		}
		if r.must[seq] {
			m.expect(hasRead, "has read", about, true, hasRead)
		}
		if !r.may[seq] {
			m.expect(!hasRead, "has not read", about, false, hasRead)
		}
		// Unread is it for who was a member then and is one now.
		member := memberAt(r.changes, seq)
		in := isMember(r.changes)
		if member == yes && in && !r.may[seq] {
			m.expect(hasNot, "unread", about, true, hasNot)
		}
		if member == no || !in || r.must[seq] {
			m.expect(!hasNot, "not unread", about, false, hasNot)
		}
	}
	m.expect(known == len(read)+len(unread), "readers", what, "people who are here", fmt.Sprint(read, unread))
}
