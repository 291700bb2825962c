package tencenttest

import (
	"slices"
	"strconv"
	"strings"

	"github.com/timbridge/timbridge/receipts"
)

type seqItem struct {
	MsgSeq uint64 `json:"MsgSeq"`
}

func seqsOf(items []seqItem) []uint64 {
	seqs := make([]uint64, len(items))
	for i, item := range items {
		seqs[i] = item.MsgSeq
	}
	return seqs
}

// receiptsAllowed checks package, type and size: what is the same for all messages of a group.
func (s *Server) receiptsAllowed(g *group) *receipts.Error {
	if !s.opts.Edition.receipts() {
		return refuse(receipts.CodeReceiptNotIncluded, "package has no group read receipts")
	}
	if !slices.Contains(s.opts.ReceiptTypes, plainType(g.typ)) || g.typ == "AVChatRoom" || g.typ == "Community" {
		return refuse(receipts.CodePermissionDeny, "no read receipts in groups of type %s", g.typ)
	}
	if len(g.members) > receiptMembers && !s.opts.LargeKeepsReceipts {
		return refuse(receipts.CodeReceiptGroupTooLarge, "group has %d members, receipts end at %d", len(g.members), receiptMembers)
	}
	return nil
}

// receiptOf finds a message that has receipts, or says why it has none.
func (s *Server) receiptOf(g *group, seq uint64) (*message, *receipts.Error) {
	m := g.message(seq)
	switch {
	case m == nil:
		return nil, refuse(receipts.CodeMessageNotInGroup, "message %d is not in the group", seq)
	case m.online:
		return nil, refuse(receipts.CodeReceiptOnlineMessage, "message %d was online-only", seq)
	case !m.receipt, m.gone,
		m.recalled && s.opts.RecallDropsReceipts,
		m.edited && s.opts.ModifyDropsReceipts,
		s.opts.ReceiptsKept > 0 && s.now().Sub(m.receiptAt) > s.opts.ReceiptsKept:
		return nil, refuse(receipts.CodeReceiptNotExist, "message %d has no receipt", seq)
	}
	return m, nil
}

type groupMsgReceiptRequest struct {
	GroupID     string    `json:"GroupId"`
	FromAccount string    `json:"From_Account"`
	MsgSeqList  []seqItem `json:"MsgSeqList"`
}

// groupMsgReceipt acknowledges as a reader. [R-ACK]
func (s *Server) groupMsgReceipt(_ caller, req groupMsgReceiptRequest) (reply, *receipts.Error) {
	g, refused := s.liveGroup(req.GroupID)
	if refused != nil {
		return nil, refused
	}
	if len(req.MsgSeqList) == 0 || len(req.MsgSeqList) > receipts.MaxAcksPerCall {
		return nil, refuse(receipts.CodeGroupInvalidParameters, "%d messages, want 1 to %d", len(req.MsgSeqList), receipts.MaxAcksPerCall)
	}
	if req.FromAccount == "" {
		return nil, refuse(receipts.CodeGroupInvalidParameters, "no From_Account")
	}
	if s.accounts[req.FromAccount] == nil {
		return nil, refuse(receipts.CodeGroupAccountNotFound, "no account %q", req.FromAccount)
	}
	return nil, s.ack(g, req.FromAccount, seqsOf(req.MsgSeqList), "RESTAPI")
}

// ack records that a reader has read, fires the webhook and tells the senders.
func (s *Server) ack(g *group, reader string, seqs []uint64, platform string) *receipts.Error {
	if refused := s.receiptsAllowed(g); refused != nil {
		return refused
	}
	if g.members[reader] == nil {
		if s.opts.NonMemberAcks {
			return nil
		}
		return refuse(receipts.CodePermissionDeny, "%s is not in the group", reader)
	}
	var good []*message
	var bad *receipts.Error
	for _, seq := range seqs {
		m, refused := s.receiptOf(g, seq)
		if refused == nil {
			if !slices.Contains(good, m) {
				good = append(good, m)
			}
		} else if bad == nil {
			bad = refused
		}
	}
	if bad != nil && s.opts.BadAck == BadAckRefusesAll {
		return bad
	}
	var news []*message
	for _, m := range good {
		if m.from == reader && !s.opts.OwnAckCounts {
			continue
		}
		again := m.readBy(reader)
		if !again {
			m.markRead(reader)
			s.tellSender(g, m)
		}
		if !again || s.opts.RepeatFires {
			news = append(news, m)
		}
	}
	if platform != "RESTAPI" || s.opts.EchoAcks {
		s.emitReceipts(g, news, reader, platform)
	}
	if s.opts.BadAck == BadAckIgnored {
		return nil
	}
	return bad
}

// tellSender gives the sender's SDK the new counts, as onRecvMessageReadReceipts does.
func (s *Server) tellSender(g *group, m *message) {
	read, unread := s.counts(g, m)
	if a := s.accounts[m.from]; a != nil {
		a.receipts = appendLog(a.receipts, Receipt{
			GroupID: g.id, MsgID: m.msgID, Seq: m.seq, ReadCount: len(read), UnreadCount: len(unread),
		})
	}
}

type getGroupMsgReceiptRequest struct {
	GroupID    string    `json:"GroupId"`
	MsgSeqList []seqItem `json:"MsgSeqList"`
}

// getGroupMsgReceipt counts. A message without receipts has its code in its own entry. [R-GET]
func (s *Server) getGroupMsgReceipt(_ caller, req getGroupMsgReceiptRequest) (reply, *receipts.Error) {
	g, refused := s.liveGroup(req.GroupID)
	if refused != nil {
		return nil, refused
	}
	if len(req.MsgSeqList) == 0 || s.opts.QueryMax > 0 && len(req.MsgSeqList) > s.opts.QueryMax {
		return nil, refuse(receipts.CodeGroupInvalidParameters, "%d messages", len(req.MsgSeqList))
	}
	if refused = s.receiptsAllowed(g); refused != nil {
		return nil, refused
	}
	list := []reply{}
	for _, item := range req.MsgSeqList {
		m, refused := s.receiptOf(g, item.MsgSeq)
		if refused != nil {
			list = append(list, reply{"MsgSeq": item.MsgSeq, "Code": int(refused.Code), "ReadNum": 0, "UnreadNum": 0})
			continue
		}
		read, unread := s.counts(g, m)
		list = append(list, reply{"MsgSeq": item.MsgSeq, "Code": 0, "ReadNum": len(read), "UnreadNum": len(unread)})
	}
	return reply{"GroupMsgReceiptList": list}, nil
}

type getGroupMsgReceiptDetailRequest struct {
	GroupID string  `json:"GroupId"`
	MsgSeq  uint64  `json:"MsgSeq"`
	Filter  *int    `json:"Filter"`
	Cursor  *string `json:"Cursor"`
	Count   int     `json:"Count"`
}

// getGroupMsgReceiptDetail lists who has read, or not, in pages of at most 200. [R-DETAIL]
func (s *Server) getGroupMsgReceiptDetail(_ caller, req getGroupMsgReceiptDetailRequest) (reply, *receipts.Error) {
	g, refused := s.liveGroup(req.GroupID)
	if refused != nil {
		return nil, refused
	}
	switch {
	case req.Filter == nil || *req.Filter != 0 && *req.Filter != 1:
		return nil, refuse(receipts.CodeGroupInvalidParameters, "Filter is neither 0 nor 1")
	case req.Cursor == nil:
		return nil, refuse(receipts.CodeGroupInvalidParameters, "no Cursor")
	case req.Count < 1 || req.Count > 200:
		return nil, refuse(receipts.CodeGroupInvalidParameters, "Count %d, want 1 to 200", req.Count)
	}
	if refused = s.receiptsAllowed(g); refused != nil {
		return nil, refused
	}
	m, refused := s.receiptOf(g, req.MsgSeq)
	if refused != nil {
		return nil, refused
	}
	read, unread := s.counts(g, m)
	users, field, entry := read, "ReadList", "Read_Account"
	if *req.Filter == 1 {
		users, field, entry = unread, "UnreadList", "Unread_Account"
	}
	from, ok := cursorPlace(*req.Cursor, req.MsgSeq)
	if !ok {
		return nil, refuse(receipts.CodeGroupInvalidParameters, "Cursor %q is not one of ours", *req.Cursor)
	}
	from = min(from, len(users))
	to := min(from+req.Count, len(users))
	list := []reply{}
	for _, user := range users[from:to] {
		list = append(list, reply{entry: user})
	}
	finish, finished := "IsFinish", 0
	if s.opts.IsFinished {
		finish = "IsFinished"
	}
	if to == len(users) {
		finished = 1
	}
	return reply{"MsgSeq": req.MsgSeq, field: list, finish: finished, "Cursor": cursorAt(req.MsgSeq, to, len(users))}, nil
}

// cursorAt is an opaque place in a list of a message, "" at its end.
func cursorAt(seq uint64, place, end int) string {
	if place == end {
		return ""
	}
	return "r" + strconv.FormatUint(seq, 10) + "." + strconv.Itoa(place)
}

// cursorPlace reads a cursor; "" is the start.
func cursorPlace(cursor string, seq uint64) (int, bool) {
	if cursor == "" {
		return 0, true
	}
	rest, ok := strings.CutPrefix(cursor, "r"+strconv.FormatUint(seq, 10)+".")
	if !ok {
		return 0, false
	}
	place, err := strconv.Atoi(rest)
	return place, err == nil && place >= 0
}
