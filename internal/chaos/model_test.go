package chaos

import (
	"fmt"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/v2tim"
)

// model is what must hold in one group, from what the ledger knows and what the homeserver has seen.
type model struct {
	*world
	*view
	texts  map[string]*message
	bySeq  map[uint64]*entry
	byID   map[string]*entry // by msgID
	event  map[id.EventID]*entry
	scopes map[id.EventID]string // what a receipt at an event is about at least; "" of one of which that is not said
	people []*person
	found  []violation
	checks int
}

// entry is a message as it has turned out.
type entry struct {
	*message
	row   v2tim.GroupMessage
	place int64 // of its event; 0 = none
	gone  bool  // its event has been redacted
	// sender is whose it is: what somebody wrote while he was linked stays the Tencent user's when he is not any more.
	sender *person
}

// compare looks at both sides and returns what does not hold.
func (w *world) compare() []violation {
	var found []violation
	checks := 0
	for _, g := range w.groups {
		v, err := w.look(g)
		if err != nil {
			return []violation{{"answers", g.id, "timbridge to answer", err.Error()}}
		}
		w.ledger.resolve(v)
		m := &model{
			world: w, view: v, texts: w.ledger.texts(g), people: slices.Concat(w.tims, w.mats),
			bySeq: make(map[uint64]*entry), byID: make(map[string]*entry), event: make(map[id.EventID]*entry), scopes: make(map[id.EventID]string),
		}
		m.checkMessages()
		if w.cloud != nil {
			m.checkCloudMessages()
		}
		if g.relinked {
			m.checkRelinked(m.readings())
		} else {
			m.checkMembers()
			m.checkReceipts(m.readings())
		}
		if w.ear != nil {
			m.checkEar(w.ear)
		}
		found, checks = append(found, m.found...), checks+m.checks
	}
	w.stats.mu.Lock()
	w.stats.checked = checks
	w.stats.mu.Unlock()
	return found
}

// expect notes a violation unless ok.
func (m *model) expect(ok bool, rule, about string, expected, found any) {
	m.checks++
	if !ok {
		m.found = append(m.found, violation{rule, m.g.id + ": " + about, fmt.Sprint(expected), fmt.Sprint(found)})
	}
}

// checkMessages: every message that was taken is in the room once, and is listed once, each as the other; there are no others.
func (m *model) checkMessages() {
	shown := make(map[string][]id.EventID)
	for _, ev := range m.events {
		if target, _ := edited(ev); target == "" && !m.hs.Redacted(ev.ID) {
			m.scopes[ev.ID] = scopeOf(ev)
		}
		text := body(ev)
		if text == "" || ev.Sender == botMXID {
			continue
		}
		sent := m.texts[text]
		m.expect(sent != nil, "no message out of nothing", string(ev.ID), "a message that somebody sent here", text)
		if sent != nil {
			// What a linked user sends from his app he sends in the room himself.
			other := m.ledger.other(sent.by, false)
			m.expect(ev.Sender == sent.by.mxid || other != nil && ev.Sender == other.mxid, "sender", text, sent.by.mxid, ev.Sender)
			shown[sent.text] = append(shown[sent.text], ev.ID)
		}
	}
	for i := range m.rows {
		m.take(m.rows[i])
	}
	for text, sent := range m.texts {
		if text == sent.text { // and not one that it was given later
			m.checkMessage(text, sent, shown[text])
		}
	}
}

// take finds out which message a row of timbridge's list is.
func (m *model) take(row v2tim.GroupMessage) {
	event := id.EventID(row.EventId)
	var sent *message
	for _, candidate := range m.texts {
		switch {
		case candidate.event != "" && candidate.event == event, candidate.msgID != "" && candidate.msgID == row.MsgId,
			m.cloud != nil && candidate.seq != 0 && candidate.seq == row.MsgSeq:
			sent = candidate
		}
	}
	if sent == nil { // one that was never answered
		for _, ev := range m.events {
			if ev.ID == event {
				sent = m.texts[body(ev)]
			}
		}
	}
	if m.cloud != nil && sent == nil { // a Matrix user's of which only the number is known here (any more)
		if c, ok := m.cloud.Message(m.g.id, row.MsgSeq); ok {
			sent = m.texts[said(c)]
		}
	}
	what := fmt.Sprintf("message %d (%s, %s)", row.MsgSeq, row.MsgId, row.EventId)
	if m.cloud != nil && row.EventId == "" && row.From_Account == "" && row.IsPlaceMsg == 2 {
		return // of it only the recall was told, in time
	}
	m.expect(sent != nil, "no row out of nothing", what, "a message that somebody sent here", "none")
	if sent == nil {
		return
	}
	e := &entry{message: sent, sender: sent.by, row: row, place: m.hs.place(event), gone: row.EventId != "" && m.hs.Redacted(event)}
	m.expect(m.bySeq[row.MsgSeq] == nil, "seq", what, "a seq of its own", "two messages of it")
	m.expect(event == "" || m.event[event] == nil, "event", what, "an event of its own", "two messages of it")
	other := m.ledger.other(sent.by, false)
	// Of what was sent while the group was parted from its room only a receipt may be known.
	parted := m.g.relinked && row.From_Account == "" && row.EventId == ""
	m.expect(parted || row.From_Account == sent.by.userID || other != nil && row.From_Account == other.userID, "sender", what, sent.by.userID, row.From_Account)
	m.expect(sent.seq == 0 || sent.seq == row.MsgSeq, "seq", what, sent.seq, row.MsgSeq)
	if other != nil && row.From_Account == other.userID {
		e.sender = other
	}
	m.bySeq[row.MsgSeq], m.byID[row.MsgId] = e, e
	if event != "" {
		m.event[event] = e
	}
}

func (m *model) checkMessage(text string, sent *message, shown []id.EventID) {
	var listed []*entry
	for _, e := range m.bySeq {
		if e.message == sent {
			listed = append(listed, e)
		}
	}
	switch {
	case m.cloud != nil:
		return // see checkCloudMessages
	case sent.state == denied:
		m.expect(len(shown)+len(listed) == 0, "refused", text, "no message", fmt.Sprint(shown, len(listed), " rows"))
		return
	case sent.state == unsure && len(shown)+len(listed) == 0:
		m.checks++
		return
	}
	m.expect(len(listed) == 1, "listed once", text, 1, len(listed))
	if len(listed) != 1 {
		return
	}
	e := listed[0]
	if e.gone {
		m.expect(len(shown) == 0, "shown once", text, "nothing, as it was redacted", shown)
		m.expect(e.row.IsPlaceMsg == 2, "recalled", text, 2, e.row.IsPlaceMsg)
		return
	}
	m.expect(len(shown) == 1, "shown once", text, 1, shown)
	m.expect(e.row.IsPlaceMsg == 0, "recalled", text, 0, e.row.IsPlaceMsg)
	if len(shown) == 1 {
		m.expect(e.row.EventId == string(shown[0]), "mapped", text, shown[0], e.row.EventId)
	}
}
