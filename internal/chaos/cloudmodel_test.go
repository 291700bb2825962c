package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
)

// checkCloudMessages: what was sent at Tencent is in the room once, and the other way about.
func (m *model) checkCloudMessages() {
	shown, newest := make(map[*message][]id.EventID), make(map[id.EventID]string)
	for _, ev := range m.events {
		if sent := m.texts[body(ev)]; sent != nil && body(ev) != "" {
			shown[sent] = append(shown[sent], ev.ID)
		}
		if target, text := edited(ev); target != "" {
			newest[target] = text
		}
	}
	there := make(map[*message][]tencenttest.Message)
	for _, c := range m.atTencent {
		sent := m.texts[said(c)]
		m.expect(sent != nil && m.isBy(sent, c.From), "no message out of nothing", fmt.Sprint("at Tencent ", c.Seq), "a message that somebody sent here", c.Text)
		if !c.Recalled && sent != nil {
			there[sent] = append(there[sent], c)
		}
	}
	for text, sent := range m.texts {
		switch {
		case text != sent.text: // one that it was given later
		case m.g.parted(sent):
			m.checkAtMostOnce(sent, shown[sent], there[sent])
		case sent.state != accepted:
			m.expect(len(shown[sent])+len(there[sent]) == 0, "refused", text, "no message", fmt.Sprint(shown[sent], len(there[sent])))
		case sent.online:
			m.checkOnline(sent, shown[sent])
		default:
			m.checkCarried(sent, shown[sent], there[sent], newest[sent.event])
		}
	}
}

// said is what a message says at Tencent. One in a thread is a reply there: above its words may stand those of the other message.
func said(c tencenttest.Message) string { return c.Text[strings.LastIndexByte(c.Text, '\n')+1:] }

// isBy tells whether somebody at Tencent is the sender, or was linked with him.
func (m *model) isBy(sent *message, userID string) bool {
	other := m.ledger.other(sent.by, false)
	return sent.by.userID == userID || other != nil && other.userID == userID
}

// checkCarried: a message is on both sides, once and with the words of its sender, or on neither if it was taken back.
func (m *model) checkCarried(sent *message, shown []id.EventID, there []tencenttest.Message, newest string) {
	text, atTencent, inRoom := sent.text, 1, 1
	if sent.by.user != nil && m.hs.Redacted(sent.event) {
		atTencent, inRoom = 0, 0
	} else if c, ok := m.cloud.Message(m.g.id, sent.seq); sent.by.user == nil && ok && c.Recalled {
		atTencent, inRoom = 0, 0
		// A recall is told by one webhook and by nothing else, so one that was lost leaves the message in the room
		// (docs/tencent-cloud.md).
		if !m.recallTold(sent.seq) {
			inRoom = len(shown)
		}
	}
	m.expect(len(there) == atTencent, "at Tencent once", text, atTencent, len(there))
	m.expect(len(shown) == inRoom, "in the room once", text, inRoom, shown)
	if sent.by.user != nil && len(there) == 1 && newest != "" {
		m.expect(said(there[0]) == newest, "edit at Tencent", text, newest, there[0].Text)
	}
	if len(there) == 1 && sent.thread == "" {
		m.expect(said(there[0]) == there[0].Text, "words at Tencent", text, "no other words", there[0].Text)
	}
}

// checkOnline: a message for those online only is shown if its webhook was taken. It is told by nothing else, so one that was lost is
// not shown; and should it come twice, only the homeserver can tell, which forgets that when it is started again.
func (m *model) checkOnline(sent *message, shown []id.EventID) {
	told := false
	for _, d := range m.cloud.Deliveries(tencenttest.AfterSendMsg) {
		told = told || d.GroupID == m.g.id && d.ActionStatus == "OK" && bytes.Contains(d.Body, []byte(strconv.Quote(sent.text)))
	}
	m.expect(!told || len(shown) > 0, "online-only message shown", sent.text, "in the room", shown)
	m.expect(len(shown) < 2 || m.stats.restartsOfHomeserver() > 0, "online-only message once", sent.text, "once", shown)
}

// recallTold tells whether a webhook about a recall was answered OK.
func (m *model) recallTold(seq uint64) bool {
	for _, d := range m.cloud.Deliveries(tencenttest.AfterRecallMsg) {
		if d.GroupID == m.g.id && d.ActionStatus == "OK" && mentions(d.Body, seq) {
			return true
		}
	}
	return false
}

// checkAcks: Tencent has it that a Matrix user has read what he has read, and nothing else.
func (m *model) checkAcks(all []*reading) {
	for _, c := range m.atTencent {
		if !c.HasReceipt {
			continue
		}
		e := m.bySeq[c.Seq]
		what := fmt.Sprintf("message %d (%s)", c.Seq, c.Text)
		if e == nil && c.Recalled {
			continue // it was so before timbridge heard of it
		}
		m.expect(e != nil, "known", what, "a message that timbridge knows", "none")
		if e == nil {
			continue
		}
		for _, r := range all {
			if r.p == e.by {
				continue
			}
			has := m.cloud.HasRead(m.g.id, r.p.userID, c.Seq)
			if other := m.ledger.other(r.p, false); other != nil {
				m.checkLinkedAck(r, other, e, has)
				continue
			}
			about := r.p.name + " and " + what
			if !r.may[c.Seq] {
				m.expect(!has, "no receipt of what was not read", about, false, has)
			}
			// Tencent takes receipts of members only, and is told of messages that were sent while he was one: who is not in the
			// room now may have left before it was told, and a message that was under way when he joined may count as older.
			if r.must[c.Seq] && !c.Recalled && !e.redacted && isMember(r.changes) && (r.p.user == nil || memberAt(r.changes, c.Seq) == yes) {
				m.expect(has, "receipt at Tencent", about, true, has)
			}
		}
		if !c.Recalled && !e.redacted {
			m.checkCloudCounts(e, c.Seq, what, all)
		}
	}
}

// checkLinkedAck: Tencent knows of two who are or were one person what either of them has read. As one he tells it as the Tencent user.
func (m *model) checkLinkedAck(r *reading, other *person, e *entry, has bool) {
	seq := e.row.MsgSeq
	about := fmt.Sprintf("%s, linked, and message %d (%s)", r.p.name, seq, e.text)
	m.expect(!has || r.may[seq], "no receipt of what was not read", about, false, has)
	if r.must[seq] && r.p.user == nil && m.ledger.isLinked(r.p) && e.by != other && e.row.IsPlaceMsg == 0 && !e.redacted {
		m.expect(has, "receipt at Tencent", about, true, has)
	}
}

// mentions tells whether a webhook about recalls names a message.
func mentions(raw json.RawMessage, seq uint64) bool {
	var recall struct {
		MsgSeqList []struct {
			MsgSeq uint64 `json:"MsgSeq"`
		} `json:"MsgSeqList"`
	}
	_ = json.Unmarshal(raw, &recall)
	for _, m := range recall.MsgSeqList {
		if m.MsgSeq == seq {
			return true
		}
	}
	return false
}

// checkCloudCounts compares whom timbridge counts as readers with Tencent's own list. What Tencent's users have read they are alike in.
// Of Matrix users timbridge may know more: Tencent takes no receipts of who has left.
func (m *model) checkCloudCounts(e *entry, seq uint64, what string, all []*reading) {
	ours, theirs := m.read[seq], m.cloud.ReadBy(m.g.id, seq)
	m.expect(e.row.ReadNum == uint64(len(ours)), "readCount", what, len(ours), e.row.ReadNum)
	for _, r := range all {
		if r.p == e.by {
			continue
		}
		has, atTencent := slices.Contains(ours, r.p.userID), slices.Contains(theirs, r.p.userID)
		about := r.p.name + " and " + what
		if other := m.ledger.other(r.p, false); other != nil {
			if m.ledger.isLinked(r.p) && r.p.user != nil { // he is counted as the Tencent user who he is
				m.expect(!has, "linked user counted twice", about, false, has)
				continue
			}
			if e.by == other {
				continue
			}
			atTencent = has // what he did as somebody else may stand there under another name
		}
		m.expect(has || !atTencent, "counted here", about, true, has)
		m.expect(!has || r.may[seq], "has not read", about, false, has)
		m.expect(has || !r.must[seq], "has read", about, true, has)
		m.expect(r.p.user != nil || has == atTencent, "read as at Tencent", about, atTencent, has)
	}
}
