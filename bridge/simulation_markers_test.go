package bridge

import (
	"fmt"
	"maps"
	"slices"

	"maunium.net/go/mautrix/id"
)

// checkMarker compares the receipt that the room shows of a Tencent user with what he has read.
func (m *simModel) checkMarker(r *simReading) {
	var event id.EventID
	for _, s := range m.shown {
		if s.User == r.p.mxid {
			m.expect(s.Type == "m.read" && s.Thread == "" && event == "", "marker", r.p.name, "one unthreaded m.read", s)
			event = s.Event
		}
	}
	at := simPlaceOf(event)
	if event != "" {
		e := m.event[event]
		m.expect(e != nil, "marker", r.p.name, "a message of this group", event)
		if e == nil {
			return
		}
		m.expect(r.may[e.row.MsgSeq], "marker on what he has read", r.p.name, fmt.Sprint("one of ", slices.Sorted(maps.Keys(r.may))),
			fmt.Sprintf("%d (%s, %s)", e.row.MsgSeq, event, e.text))
	}
	if m.kind.contiguous {
		least, most := m.frontier(r)
		// By a clock that was put ahead a message that was on its way to Tencent is one that is waited for no longer (receipts.gap_after).
		m.expect(at <= most || m.jumps > 0, "marker not beyond the frontier", r.p.name, most, at)
		m.expect(!simIsMember(r.changes) || at >= least, "marker at the frontier", r.p.name, least, at)
		return
	}
	var least int64
	for seq := range r.must {
		if e := m.bySeq[seq]; r.must[seq] && !e.gone {
			least = max(least, e.place)
		}
	}
	// A ghost that is out of the room shows nothing new; coming back it does.
	m.expect(!simIsMember(r.changes) || at >= least, "marker at the newest that was read", r.p.name, least, at)
}

// frontier is where the marker of policy contiguous stands at least and at most: at the last message that he has read before the first
// one that he has left out. Two places where it is not known for certain what he has read, or whether he was a member.
func (m *simModel) frontier(r *simReading) (least, most int64) {
	entries := slices.SortedFunc(maps.Values(m.event), func(a, b *simEntry) int { return int(a.place - b.place) })
	held, gaps := false, m.gaps()
	for _, e := range entries {
		seq := e.row.MsgSeq
		held = held || len(gaps) > 0 && gaps[0] < e.place
		member := simMemberAt(r.changes, seq)
		needed := e.wants && e.by != r.p && !e.gone
		if needed && member == simYes && !r.may[seq] {
			break
		}
		if r.may[seq] {
			most = e.place
		}
		held = held || needed && member != simNo && !r.must[seq]
		if r.must[seq] && !e.gone && !held {
			least = e.place
		}
	}
	return least, most
}

// gaps are the places of what was taken back before Tencent had it: an event that is no message, and holds the marker back for as long as
// one that may become one (receipts.gap_after).
func (m *simModel) gaps() (list []int64) {
	for _, ev := range m.events {
		if m.cloud != nil && ev.Type == "m.room.message" && m.event[ev.ID] == nil && m.hs.Redacted(ev.ID) {
			list = append(list, simPlaceOf(ev.ID))
		}
	}
	return list
}
