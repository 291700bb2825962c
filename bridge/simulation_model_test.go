package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/receipts"
)

// simModel is what must hold in one group, from what the ledger knows and what the two sides show. It is plain: it knows nothing of how
// the bridge works, only what people did and were answered.
type simModel struct {
	*simulation
	g         *simGroup
	events    []matrixtest.Event // of the room, without state
	shown     []matrixtest.Receipt
	changes   []matrixtest.MemberChange
	rows      []v2tim.GroupMessage // as the bridge lists them to apps
	members   map[string]bool      // UserIDs, likewise
	read      map[uint64][]string  // who has read, by seq; likewise
	unread    map[uint64][]string
	atTencent []tencenttest.Message

	texts map[string]*simMessage
	bySeq map[uint64]*simEntry
	byID  map[string]*simEntry // by msgID
	event map[id.EventID]*simEntry
	found []string
}

// simEntry is a message as it has turned out.
type simEntry struct {
	*simMessage
	row    v2tim.GroupMessage
	place  int64 // of its event; 0 = none
	thread string
	gone   bool // its event has been redacted
}

// compare looks at both sides and says what does not hold.
func (s *simulation) compare() (found []string) {
	s.look(simStep{})
	for _, g := range s.groups {
		m := &simModel{
			simulation: s, g: g, events: s.hs.Timeline(g.room), shown: s.mats[0].user.ReceiptsOf(g.room), changes: s.hs.MemberChanges(g.room),
			members: make(map[string]bool), read: make(map[uint64][]string), unread: make(map[uint64][]string), texts: s.texts(g),
			bySeq: make(map[uint64]*simEntry), byID: make(map[string]*simEntry), event: make(map[id.EventID]*simEntry),
		}
		if err := m.ask(); err != nil {
			return []string{g.id + ": the bridge does not answer: " + err.Error()}
		}
		m.checkMessages()
		m.checkMembers()
		m.checkReceipts()
		m.checkOrder()
		found = append(found, m.found...)
	}
	return found
}

// ask asks the bridge as apps' backends do.
func (m *simModel) ask() (err error) {
	ctx := context.Background()
	if m.rows, err = m.rowsOf(m.g); err != nil {
		return err
	}
	g, err := m.b.maps.GroupByID(ctx, m.g.id)
	if err != nil {
		return err
	}
	readers, err := m.b.readers(ctx, g.Key)
	if err != nil {
		return err
	}
	list, err := m.root.GetGroupMemberInfo(ctx, v2tim.GetGroupMemberInfoRequest{GroupId: m.g.id, Limit: 200})
	if err != nil {
		return err
	}
	for _, member := range list.MemberList {
		m.members[member.Member_Account] = true
	}
	for _, row := range m.rows {
		if row.NeedReadReceipt != nil && bool(*row.NeedReadReceipt) {
			known, err := m.b.maps.MessagesBySeq(ctx, g.Key, receipts.SetOf(receipts.MsgSeq(row.MsgSeq)), 1)
			if err != nil || len(known) != 1 {
				return fmt.Errorf("message %d is not there: %w", row.MsgSeq, err)
			}
			m.read[row.MsgSeq], _, _ = receipts.MemberPage(known[0].Message, readers, receipts.FilterRead, 0, 100)
			m.unread[row.MsgSeq], _, _ = receipts.MemberPage(known[0].Message, readers, receipts.FilterUnread, 0, 100)
		}
	}
	if m.cloud != nil {
		m.atTencent = m.cloud.Messages(m.g.id)
	}
	return nil
}

func (s *simulation) rowsOf(g *simGroup) (rows []v2tim.GroupMessage, err error) {
	for next := v2tim.Uint(0); ; {
		page, err := s.root.GetGroupMessages(context.Background(), v2tim.GetGroupMessagesRequest{GroupId: g.id, ReqMsgSeq: next, ReqMsgNumber: 100})
		if err != nil {
			return nil, err
		}
		rows = append(rows, page.RspMsgList...)
		if page.IsFinished == 1 {
			return rows, nil
		}
		next = v2tim.Uint(page.Next)
	}
}

// expect notes what does not hold.
func (m *simModel) expect(ok bool, rule, about string, expected, found any) {
	if !ok {
		m.found = append(m.found, fmt.Sprintf("%s: %s: %s: expected %v, found %v", m.g.id, rule, about, expected, found))
	}
}

// checkMessages: every message that was taken is on the other side once, and there are no others.
func (m *simModel) checkMessages() {
	shown := make(map[string][]id.EventID)
	for _, ev := range m.events {
		text := simBody(ev)
		if text == "" || ev.Sender == m.b.bot() {
			continue
		}
		sent := m.texts[text]
		m.expect(sent != nil && ev.Sender == sent.by.mxid, "no message out of nothing", string(ev.ID), "a message that its sender sent here", text)
		shown[text] = append(shown[text], ev.ID)
	}
	for _, row := range m.rows {
		m.take(row)
	}
	there := make(map[string]int)
	for _, c := range m.atTencent {
		sent := m.texts[c.Text]
		m.expect(sent != nil && sent.by.userID == c.From, "no message out of nothing", fmt.Sprint("at Tencent ", c.Seq), "a message that its sender sent here", c.Text)
		if !c.Recalled {
			there[c.Text]++
		}
	}
	for text, sent := range m.texts {
		if m.cloud != nil {
			m.checkCloudMessage(text, sent, shown[text], there[text])
		} else {
			m.checkMessage(text, sent, shown[text])
		}
	}
}

// take finds out which message a row of the bridge's list is.
func (m *simModel) take(row v2tim.GroupMessage) {
	event := id.EventID(row.EventId)
	if m.cloud != nil && row.EventId == "" && row.From_Account == "" && row.IsPlaceMsg == 2 {
		return // of it only the recall was told, in time
	}
	var sent *simMessage
	var thread string
	for _, candidate := range m.texts {
		if candidate.event != "" && candidate.event == event || candidate.msgID != "" && candidate.msgID == row.MsgId ||
			m.cloud != nil && candidate.seq != 0 && candidate.seq == row.MsgSeq {
			sent = candidate
		}
	}
	for _, ev := range m.events {
		if ev.ID == event {
			thread = simThread(ev)
			if sent == nil { // one that was never answered
				sent = m.texts[simBody(ev)]
			}
		}
	}
	what := fmt.Sprintf("message %d (%s, %s)", row.MsgSeq, row.MsgId, row.EventId)
	m.expect(sent != nil, "no row out of nothing", what, "a message that somebody sent here", "none")
	if sent == nil {
		return
	}
	m.expect(m.bySeq[row.MsgSeq] == nil, "seq", what, "a seq of its own", "two messages of it")
	m.expect(event == "" || m.event[event] == nil, "event", what, "an event of its own", "two messages of it")
	m.expect(row.From_Account == sent.by.userID, "sender", what, sent.by.userID, row.From_Account)
	m.expect(sent.seq == 0 || sent.seq == row.MsgSeq, "seq", what, sent.seq, row.MsgSeq)
	e := &simEntry{simMessage: sent, row: row, place: simPlaceOf(event), thread: thread, gone: event != "" && m.hs.Redacted(event)}
	m.bySeq[row.MsgSeq], m.byID[row.MsgId] = e, e
	if event != "" {
		m.event[event] = e
	}
}

// checkMessage is about standalone.
func (m *simModel) checkMessage(text string, sent *simMessage, shown []id.EventID) {
	var listed []*simEntry
	for _, e := range m.bySeq {
		if e.simMessage == sent {
			listed = append(listed, e)
		}
	}
	if sent.state == simDenied || sent.state == simUnsure && len(shown)+len(listed) == 0 {
		m.expect(len(shown)+len(listed) == 0, "refused", text, "no message", fmt.Sprint(shown, len(listed), " rows"))
		return
	}
	m.expect(len(listed) == 1, "listed once", text, 1, len(listed))
	if len(listed) != 1 {
		return
	}
	if e := listed[0]; e.gone {
		m.expect(len(shown) == 0 && e.row.IsPlaceMsg == 2, "recalled", text, "not shown, listed as 2", fmt.Sprint(shown, e.row.IsPlaceMsg))
	} else {
		m.expect(len(shown) == 1 && e.row.EventId == string(shown[0]) && e.row.IsPlaceMsg == 0, "shown once", text, e.row.EventId, shown)
	}
}

// checkCloudMessage: what was sent at Tencent is in the room once, and the other way about.
func (m *simModel) checkCloudMessage(text string, sent *simMessage, shown []id.EventID, there int) {
	atTencent, inRoom := 1, 1
	switch c, ok := m.cloud.Message(m.g.id, sent.seq); {
	case sent.state != simAccepted:
		atTencent, inRoom = 0, 0
	case sent.by.user != nil && m.hs.Redacted(sent.event):
		atTencent, inRoom = 0, 0
	case sent.by.user == nil && ok && c.Recalled:
		atTencent, inRoom = 0, 0
		// A recall is told by one webhook, so one that was lost may leave the message in the room (docs/tencent-cloud.md).
		if !m.recallTold(sent.seq) {
			inRoom = min(len(shown), 1)
		}
	}
	m.expect(there == atTencent, "at Tencent once", text, atTencent, there)
	m.expect(len(shown) == inRoom, "in the room once", text, inRoom, shown)
}

// recallTold tells whether a webhook about a recall was answered OK.
func (m *simModel) recallTold(seq uint64) bool {
	return slices.ContainsFunc(m.cloud.Deliveries(tencenttest.AfterRecallMsg), func(d tencenttest.Delivery) bool {
		return d.GroupID == m.g.id && d.ActionStatus == "OK" && strings.Contains(string(d.Body), fmt.Sprintf(`"MsgSeq":%d}`, seq))
	})
}

// checkOrder: what was sent to Matrix for a ghost never went back, and names messages of this group.
func (m *simModel) checkOrder() {
	last := make(map[id.UserID]int64)
	for _, r := range m.hs.Requests(matrixtest.Path("/rooms/" + m.g.room.String() + "/receipt/m.read/")) {
		event := id.EventID(r.Path[strings.LastIndexByte(r.Path, '/')+1:])
		at := simPlaceOf(event)
		m.expect(m.event[event] != nil, "receipt of this group", r.User.String(), "a message of the group", event)
		m.expect(at >= last[r.User], "marker did not go back", r.User.String(), last[r.User], at)
		last[r.User] = max(last[r.User], at)
	}
}

// simPlaceOf is where an event stands: the fake homeserver numbers all events as they come.
func simPlaceOf(event id.EventID) int64 {
	n, err := strconv.ParseInt(strings.TrimPrefix(string(event), "$ev"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// simBody is what a message event says; "" if it was redacted or is none.
func simBody(ev matrixtest.Event) string {
	var content struct {
		Body string `json:"body"`
	}
	if ev.Type != "m.room.message" || json.Unmarshal(ev.Content, &content) != nil {
		return ""
	}
	return content.Body
}
