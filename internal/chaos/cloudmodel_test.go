package chaos

import (
	"encoding/json"
	"fmt"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
)

// checkCloudMessages: what was sent at Tencent is in the room once, and the other way about.
func (m *model) checkCloudMessages() {
	shown := make(map[string][]id.EventID)
	for _, ev := range m.events {
		if text := body(ev); text != "" {
			shown[text] = append(shown[text], ev.ID)
		}
	}
	there := make(map[string][]tencenttest.Message)
	for _, c := range m.atTencent {
		sent := m.texts[c.Text]
		m.expect(sent != nil && sent.by.userID == c.From, "no message out of nothing", fmt.Sprint("at Tencent ", c.Seq), "a message that somebody sent here", c.Text)
		if !c.Recalled {
			there[c.Text] = append(there[c.Text], c)
		}
	}
	for text, sent := range m.texts {
		if sent.state != accepted {
			m.expect(len(shown[text])+len(there[text]) == 0, "refused", text, "no message", fmt.Sprint(shown[text], len(there[text])))
			continue
		}
		atTencent, inRoom := 1, 1
		if sent.by.user != nil && m.hs.Redacted(sent.event) {
			atTencent, inRoom = 0, 0
		} else if c, ok := m.cloud.Message(m.g.id, sent.seq); sent.by.user == nil && ok && c.Recalled {
			atTencent, inRoom = 0, 0
			// A recall is told by one webhook and by nothing else, so one that was lost leaves the message in the room
			// (docs/tencent-cloud.md).
			if !m.recallTold(sent.seq) {
				inRoom = len(shown[text])
			}
		}
		m.expect(len(there[text]) == atTencent, "at Tencent once", text, atTencent, len(there[text]))
		m.expect(len(shown[text]) == inRoom, "in the room once", text, inRoom, shown[text])
	}
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
		m.expect(has || !atTencent, "counted here", about, true, has)
		m.expect(!has || r.may[seq], "has not read", about, false, has)
		m.expect(has || !r.must[seq], "has read", about, true, has)
		m.expect(r.p.user != nil || has == atTencent, "read as at Tencent", about, atTencent, has)
	}
}
