package tencenttest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/timbridge/timbridge/receipts"
)

// duplicateWindow is how long the same Random with the same content is a duplicate.
const duplicateWindow = 5 * time.Minute

type atInfo struct {
	GroupAtAllFlag int    `json:"GroupAtAllFlag"`
	GroupAtAccount string `json:"GroupAt_Account,omitempty"`
}

type sendGroupMsgRequest struct {
	GroupID                 string          `json:"GroupId"`
	Random                  *uint32         `json:"Random"`
	MsgBody                 []element       `json:"MsgBody"`
	FromAccount             string          `json:"From_Account"`
	MsgPriority             string          `json:"MsgPriority"`
	OnlineOnlyFlag          int             `json:"OnlineOnlyFlag"`
	SendMsgControl          []string        `json:"SendMsgControl"`
	CloudCustomData         string          `json:"CloudCustomData"`
	SupportMessageExtension int             `json:"SupportMessageExtension"`
	NeedReadReceipt         int             `json:"NeedReadReceipt"`
	ToAccount               []string        `json:"To_Account"`
	GroupAtInfo             []atInfo        `json:"GroupAtInfo"`
	ForbidCallbackControl   []string        `json:"ForbidCallbackControl"`
	OfflinePushInfo         *map[string]any `json:"OfflinePushInfo"`
	TopicID                 string          `json:"TopicId"`
}

// draft is a message about to be sent, by a user or by the server API.
type draft struct {
	message
	platform    string
	clientTime  time.Time
	silent      bool // no AfterSendMsg
	before      bool // asks the before-callback
	wantsAnswer bool // by the server API: what cannot be is refused
}

// sendGroupMsg sends as any account, which need not be a member. [R-SEND]
func (s *Server) sendGroupMsg(c caller, raw []byte) (reply, *receipts.Error) {
	var req sendGroupMsgRequest
	if err := decode(raw, &req); err != nil {
		return nil, refuse(receipts.CodeGroupInvalidParameters, "%v", err)
	}
	if req.Random == nil {
		return nil, refuse(receipts.CodeGroupInvalidParameters, "no Random")
	}
	for _, flag := range []int{req.OnlineOnlyFlag, req.NeedReadReceipt, req.SupportMessageExtension} {
		if flag != 0 && flag != 1 {
			return nil, refuse(receipts.CodeGroupInvalidParameters, "a flag is neither 0 nor 1")
		}
	}
	if !subset(req.SendMsgControl, "NoUnread", "NoLastMsg") ||
		!subset(req.ForbidCallbackControl, "ForbidBeforeSendMsgCallback", "ForbidAfterSendMsgCallback") ||
		req.MsgPriority != "" && !subset([]string{req.MsgPriority}, "High", "Normal", "Low", "Lowest") {
		return nil, refuse(receipts.CodeGroupInvalidParameters, "unknown SendMsgControl, ForbidCallbackControl or MsgPriority")
	}
	from := req.FromAccount
	if from == "" {
		from = c.identifier
	}
	d := draft{
		message: message{
			random: *req.Random, from: from, operator: c.identifier, body: req.MsgBody, cloud: req.CloudCustomData,
			online: req.OnlineOnlyFlag == 1, to: req.ToAccount, topic: req.TopicID, mentions: req.GroupAtInfo, needed: req.NeedReadReceipt == 1,
		},
		platform:    "RESTAPI",
		clientTime:  s.now(),
		silent:      slices.Contains(req.ForbidCallbackControl, "ForbidAfterSendMsgCallback"),
		before:      !slices.Contains(req.ForbidCallbackControl, "ForbidBeforeSendMsgCallback"),
		wantsAnswer: true,
	}
	m, duplicate, refused := s.send(req.GroupID, d)
	if refused != nil {
		return nil, refused
	}
	if duplicate && s.opts.DuplicateHidesSeq {
		return reply{"MsgTime": s.now().Unix(), "MsgSeq": 0}, nil
	}
	return reply{"MsgTime": m.Time.Unix(), "MsgSeq": m.Seq}, nil
}

func subset(have []string, of ...string) bool {
	return !slices.ContainsFunc(have, func(h string) bool { return !slices.Contains(of, h) })
}

// send sends; duplicate tells that the very message had been sent before.
func (s *Server) send(groupID string, d draft) (sent Message, duplicate bool, refused *receipts.Error) {
	s.mu.Lock()
	if refused = s.maySend(groupID, &d); refused == nil {
		if first := s.duplicateOf(s.groups[groupID], &d.message); first != nil {
			defer s.mu.Unlock()
			return s.groups[groupID].export(first), true, nil
		}
	}
	s.mu.Unlock()
	if refused != nil {
		return sent, false, refused
	}
	if d.before && s.opts.BeforeSend {
		drop, refused := s.askBefore(groupID, &d)
		if refused != nil || drop {
			return sent, false, refused
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.notify()
	g, refused := s.liveGroup(groupID) // it may have gone meanwhile
	if refused != nil {
		return sent, false, refused
	}
	if first := s.duplicateOf(g, &d.message); first != nil {
		return g.export(first), true, nil
	}
	if !g.sends.allow(s.now(), s.opts.Limits.Group) {
		return sent, false, refuse(receipts.CodeGroupSendFreqLimit, "more than %d messages/s in the group", s.opts.Limits.Group)
	}
	if d.wantsAnswer && s.opts.Edition == EditionTrial {
		day := s.now().UTC().Format(time.DateOnly)
		if s.sentDay[day] >= 1000 {
			return sent, false, refuse(codeTrialDaily, "more than 1000 messages today")
		}
		s.sentDay[day]++
	}
	m := s.deliver(g, d)
	return g.export(m), false, nil
}

// maySend checks what Tencent checks and settles whether the message will have receipts.
func (s *Server) maySend(groupID string, d *draft) *receipts.Error {
	g, refused := s.liveGroup(groupID)
	if refused != nil {
		return refused
	}
	if s.accounts[d.from] == nil {
		return refuse(receipts.CodeGroupAccountNotFound, "no account %q", d.from)
	}
	if !d.wantsAnswer && g.members[d.from] == nil {
		return refuse(receipts.CodePermissionDeny, "%s is not in the group", d.from)
	}
	if err := checkBody(d.body); err != nil {
		return refuse(receipts.CodeGroupInvalidParameters, "%v", err)
	}
	if tooLong(d.body, d.cloud) {
		return refuse(receipts.CodeBodyTooLong, "message has more than %d bytes", maxMessage)
	}
	if len(d.to) > 50 {
		return refuse(receipts.CodeGroupInvalidParameters, "To_Account has %d accounts, at most 50", len(d.to))
	}
	if d.topic != "" && g.typ != "Community" {
		return refuse(receipts.CodePermissionDeny, "no topics in groups of type %s", g.typ)
	}
	if !d.needed {
		return nil
	}
	refused = s.receiptsAllowed(g)
	switch {
	case refused != nil:
	case len(g.members) > receiptMembers: // LargeKeepsReceipts is about older messages
		refused = refuse(receipts.CodeReceiptGroupTooLarge, "group has %d members, receipts end at %d", len(g.members), receiptMembers)
	case d.online:
		refused = refuse(receipts.CodeReceiptOnlineMessage, "online-only message cannot have receipts")
	case len(d.to) > 0:
		refused = refuse(receipts.CodeGroupInvalidParameters, "directed message cannot have receipts")
	}
	d.receipt = refused == nil
	if d.wantsAnswer && !s.opts.SendDropsReceipt {
		return refused
	}
	return nil // the SDK sends without and only logs it
}

// duplicateOf finds the same message sent a short while ago.
func (s *Server) duplicateOf(g *group, m *message) *message {
	first := g.recent[m.fingerprint()]
	if first == nil || s.now().Sub(first.at) >= duplicateWindow {
		return nil
	}
	return first
}

func (m *message) fingerprint() string {
	sum := sha256.Sum256(append(mustJSON(m.body), m.cloud+m.topic...))
	return fmt.Sprintf("%s|%d|%s", m.from, m.random, hex.EncodeToString(sum[:]))
}

// deliver puts the message into the group and fires the webhooks.
func (s *Server) deliver(g *group, d draft) *message {
	m := &d.message
	m.at = s.now()
	m.receiptAt = m.at
	m.msgID = fmt.Sprintf("%d-%d-%d", s.accounts[m.from].tiny, d.clientTime.Unix(), m.random)
	m.recipients = g.names()
	switch {
	case m.topic != "":
		g.topicSeqs[m.topic]++
		m.seq = g.topicSeqs[m.topic] // a run of its own, in which the same numbers occur
		g.apart = append(g.apart, m)
	case (m.online || len(m.to) > 0) && !s.opts.NumberTransient:
		g.apart = append(g.apart, m)
	default:
		g.take(m)
	}
	g.recent[m.fingerprint()] = m
	if len(g.recent)%1024 == 0 {
		maps.DeleteFunc(g.recent, func(_ string, old *message) bool { return m.at.Sub(old.at) >= duplicateWindow })
	}
	if !d.silent {
		s.emitSend(g, m, d.platform)
	}
	if m.receipt {
		s.emitReceipts(g, []*message{m}, "", d.platform)
	}
	return m
}
