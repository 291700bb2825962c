package tencenttest

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/timbridge/timbridge/receipts"
)

// Message is a message as it stands in a group.
type Message struct {
	GroupID string
	// MsgID is the SDK's id: sender's inner number, client's time, Random.
	MsgID string
	// Seq is 0 for a message without a number of the group (see Points.NumberTransient).
	Seq    uint64
	Random uint32
	From   string
	// Operator is who sent it, an administrator if by the server API.
	Operator string
	Time     time.Time
	// Text is the text in it, Body all of it as JSON.
	Text            string
	Body            json.RawMessage
	CloudCustomData string
	// NeedReadReceipt: it was sent with the flag. HasReceipt: it has receipts.
	NeedReadReceipt, HasReceipt bool
	OnlineOnly                  bool
	To                          []string
	TopicID                     string
	Recalled, Edited            bool
	// Gone is a number that no message stands at: a notice, deleted, or never stored.
	Gone bool
}

func (g *group) export(m *message) Message {
	return Message{
		GroupID: g.id, MsgID: m.msgID, Seq: m.seq, Random: m.random, From: m.from, Operator: m.operator, Time: m.at,
		Text: textOf(m.body), Body: mustJSON(m.body), CloudCustomData: m.cloud, NeedReadReceipt: m.needed, HasReceipt: m.receipt,
		OnlineOnly: m.online, To: slices.Clone(m.to), TopicID: m.topic, Recalled: m.recalled, Edited: m.edited, Gone: m.gone,
	}
}

type groupMsgRecallRequest struct {
	GroupID    string    `json:"GroupId"`
	MsgSeqList []seqItem `json:"MsgSeqList"`
	Reason     string    `json:"Reason"`
	TopicID    string    `json:"TopicId"`
}

// groupMsgRecall recalls what still roams, with a code for each. [R-RECALL]
func (s *Server) groupMsgRecall(c caller, req groupMsgRecallRequest) (reply, *receipts.Error) {
	g, refused := s.liveGroup(req.GroupID)
	if refused != nil {
		return nil, refused
	}
	if len(req.MsgSeqList) == 0 || len(req.MsgSeqList) > 10 {
		return nil, refuse(receipts.CodeGroupInvalidParameters, "%d messages, want 1 to 10", len(req.MsgSeqList))
	}
	if len(req.Reason) > 100 {
		return nil, refuse(receipts.CodeGroupInvalidParameters, "Reason is longer than 100 bytes")
	}
	list := []reply{}
	var done []*message
	for _, seq := range seqsOf(req.MsgSeqList) {
		m := s.stored(g, seq)
		if m == nil || m.recalled || req.TopicID != "" {
			list = append(list, reply{"MsgSeq": seq, "RetCode": int(codeRecallNotFound)})
			continue
		}
		m.recalled = true
		done = append(done, m)
		list = append(list, reply{"MsgSeq": seq, "RetCode": 0})
	}
	s.emitRecall(g, done, c.identifier, "RESTAPI")
	return reply{"RecallRetList": list}, nil
}

// stored finds a message that still roams.
func (s *Server) stored(g *group, seq uint64) *message {
	m := g.message(seq)
	if m == nil || m.gone || m.online || len(m.to) > 0 || s.expired(m) {
		return nil
	}
	return m
}

type modifyGroupMsgRequest struct {
	GroupID         string    `json:"GroupId"`
	MsgSeq          uint64    `json:"MsgSeq"`
	TopicID         string    `json:"TopicId"`
	MsgBody         []element `json:"MsgBody"`
	CloudCustomData *string   `json:"CloudCustomData"`
}

// modifyGroupMsg changes a message. [R-MOD]
func (s *Server) modifyGroupMsg(_ caller, req modifyGroupMsgRequest) (reply, *receipts.Error) {
	g, refused := s.liveGroup(req.GroupID)
	if refused != nil {
		return nil, refused
	}
	return nil, s.modify(g, req.MsgSeq, req.MsgBody, req.CloudCustomData)
}

func (s *Server) modify(g *group, seq uint64, body []element, cloud *string) *receipts.Error {
	if body == nil && cloud == nil {
		return refuse(codeMessageParameters, "neither MsgBody nor CloudCustomData")
	}
	m := s.stored(g, seq)
	if m == nil {
		return refuse(receipts.CodeMessageNotInGroup, "message %d is not in the group", seq)
	}
	if m.recalled {
		return refuse(receipts.CodeMessageGone, "message %d is recalled", seq)
	}
	changed := *m
	if body != nil {
		if err := checkBody(body); err != nil {
			return refuse(codeMessageParameters, "%v", err)
		}
		changed.body = body
	}
	if cloud != nil {
		changed.cloud = *cloud
	}
	if tooLong(changed.body, changed.cloud) {
		return refuse(receipts.CodeBodyTooLong, "message has more than %d bytes", maxMessage)
	}
	m.body, m.cloud, m.edited = changed.body, changed.cloud, true
	return nil
}

type groupMsgGetSimpleRequest struct {
	GroupID         string  `json:"GroupId"`
	ReqMsgSeq       *uint64 `json:"ReqMsgSeq"`
	ReqMsgNumber    int     `json:"ReqMsgNumber"`
	WithRecalledMsg int     `json:"WithRecalledMsg"`
	TopicID         string  `json:"TopicId"`
}

// groupMsgGetSimple lists messages from ReqMsgSeq (the newest if absent) downward. A number without a
// message comes as IsPlaceMsg 1, a recalled one as 2, whose content is there only on request. [R-HIST]
func (s *Server) groupMsgGetSimple(_ caller, req groupMsgGetSimpleRequest) (reply, *receipts.Error) {
	g, refused := s.liveGroup(req.GroupID)
	if refused != nil {
		return nil, refused
	}
	if g.typ == "AVChatRoom" {
		return nil, refuse(receipts.CodePermissionDeny, "groups of type %s keep no messages", g.typ)
	}
	if req.ReqMsgNumber < 1 || req.ReqMsgNumber > 20 {
		return nil, refuse(receipts.CodeGroupInvalidParameters, "ReqMsgNumber %d, want 1 to 20", req.ReqMsgNumber)
	}
	from := uint64(len(g.messages))
	if req.ReqMsgSeq != nil {
		from = min(from, *req.ReqMsgSeq)
	}
	list := []reply{}
	places := 0
	seq := from
	for ; seq > 0 && len(list) < min(req.ReqMsgNumber, s.opts.HistoryMax); seq-- {
		entry := s.historyEntry(g, seq, req.WithRecalledMsg == 1)
		if entry["IsPlaceMsg"] == 1 {
			places++
		}
		list = append(list, entry)
	}
	finished := 0
	switch {
	case seq == 0, !s.opts.FinishedAtStart && len(list) == req.ReqMsgNumber:
		finished = 1
	case places == len(list):
		finished = 2
	}
	return reply{"GroupId": g.id, "IsFinished": finished, "RspMsgList": list}, nil
}

func (s *Server) historyEntry(g *group, seq uint64, withRecalled bool) reply {
	m := s.stored(g, seq)
	if m == nil {
		return reply{"From_Account": "", "IsPlaceMsg": 1, "MsgBody": []element{}, "MsgPriority": 0, "MsgRandom": 0, "MsgSeq": seq, "MsgTimeStamp": 0}
	}
	entry := reply{
		"From_Account": m.from, "IsPlaceMsg": 0, "MsgBody": m.body, "MsgPriority": 2,
		"MsgRandom": m.random, "MsgSeq": seq, "MsgTimeStamp": m.at.Unix(),
	}
	if m.cloud != "" {
		entry["CloudCustomData"] = m.cloud
	}
	if m.recalled {
		entry["IsPlaceMsg"] = 2
		if !withRecalled {
			entry["MsgBody"] = []element{}
		}
	}
	if s.opts.FlagInHistory {
		entry["NeedReadReceipt"] = number(m.receipt)
	}
	return entry
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
