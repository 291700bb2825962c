package chaos

import (
	"fmt"
	"slices"

	"maunium.net/go/mautrix/id"
)

// checkMarker compares the receipt that the room shows of a Tencent user with what he has read.
func (m *model) checkMarker(r *reading) {
	var event id.EventID
	for _, s := range m.shown {
		if s.User != r.p.mxid {
			continue
		}
		m.expect(s.Type == "m.read" && s.Thread == "" && event == "", "marker", r.p.name, "one unthreaded m.read", s)
		event = s.Event
	}
	at := m.hs.place(event)
	if event != "" {
		e := m.event[event]
		m.expect(e != nil, "marker", r.p.name, "a message of this group", event)
		if e == nil {
			return
		}
		m.expect(r.may[e.row.MsgSeq], "marker on what he has read", r.p.name, fmt.Sprintf("one of %v", seqs(r.may)),
			fmt.Sprintf("%d (%s, %s)", e.row.MsgSeq, event, e.text))
	}
	if m.kind.policy == "contiguous" {
		least, most := m.frontier(r)
		m.expect(at <= most, "marker not beyond the frontier", r.p.name, most, at)
		m.expect(!isMember(r.changes) || at >= least, "marker at the frontier", r.p.name, least, at)
		return
	}
	places := m.hs.places(event)
	least := make([]int64, len(places))
	for seq := range r.must {
		if e := m.bySeq[seq]; !e.gone {
			for i, at := range m.hs.places(id.EventID(e.row.EventId)) {
				least[i] = max(least[i], at)
			}
		}
	}
	reached := false
	for i, at := range places {
		reached = reached || at >= least[i]
	}
	// A ghost that is out of the room shows nothing new; coming back it does.
	m.expect(!isMember(r.changes) || reached, "marker at the newest that was read", r.p.name, least, places)
}

// frontier is where the marker of policy contiguous stands at least and at most: at the last message that he has read before the first
// one that he has left out. Two places where it is not known for certain what he has read, or whether he was a member.
func (m *model) frontier(r *reading) (least, most int64) {
	entries := make([]*entry, 0, len(m.bySeq))
	for _, e := range m.bySeq {
		if e.place > 0 {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b *entry) int { return int(a.place - b.place) })
	held, gaps := false, m.gaps()
	for _, e := range entries {
		seq := e.row.MsgSeq
		held = held || len(gaps) > 0 && gaps[0] < e.place
		member := memberAt(r.changes, seq)
		needed := e.wants && e.sender != r.p && e.sender != m.ledger.other(r.p, true) && !e.gone
		if needed && member == yes && !r.may[seq] {
			break
		}
		if r.may[seq] {
			most = e.place
		}
		held = held || needed && member != no && !r.must[seq]
		if r.must[seq] && !e.gone && !held {
			least = e.place
		}
	}
	return least, most
}

// gaps are the places of what was taken back before Tencent had it, and of what was for those online only: an event that is no message,
// and holds the marker back for as long as one that may become one (receipts.gap_after).
func (m *model) gaps() (list []int64) {
	for _, ev := range m.events {
		sent := m.texts[body(ev)]
		if m.cloud != nil && ev.Type == "m.room.message" && m.event[ev.ID] == nil && (m.hs.Redacted(ev.ID) || sent != nil && sent.online) {
			list = append(list, m.hs.place(ev.ID))
		}
	}
	return list
}

func seqs(set map[uint64]bool) (list []uint64) {
	for seq := range set {
		list = append(list, seq)
	}
	slices.Sort(list)
	return list
}
