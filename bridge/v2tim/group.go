package v2tim

import (
	"context"
	"fmt"

	"github.com/timbridge/timbridge/receipts"
)

type msgSeq struct {
	MsgSeq Uint `json:"MsgSeq"`
}

type groupMsgReceiptRequest struct {
	GroupId      string   `json:"GroupId"` // Tencent's spelling
	From_Account string   `json:"From_Account"`
	MsgSeqList   []msgSeq `json:"MsgSeqList"`
}

type receiptDetailRequest struct {
	GroupId string `json:"GroupId"`
	MsgSeq  Uint   `json:"MsgSeq"`
	Filter  Uint   `json:"Filter"`
	Cursor  string `json:"Cursor"`
	Count   *Uint  `json:"Count"`
}

type readAccount struct {
	Read_Account string `json:"Read_Account"`
}

type unreadAccount struct {
	Unread_Account string `json:"Unread_Account"`
}

// receiptDetailResponse says both IsFinish, which Tencent's page has, and
// IsFinished, which clients of the call expect: nobody can tell which is right.
type receiptDetailResponse struct {
	MsgSeq     uint64          `json:"MsgSeq"`
	IsFinish   int             `json:"IsFinish"`
	IsFinished int             `json:"IsFinished"`
	Cursor     string          `json:"Cursor"`
	ReadList   []readAccount   `json:"ReadList,omitempty"`
	UnreadList []unreadAccount `json:"UnreadList,omitempty"`
}

// receiptCommands are the calls of Tencent's server API about receipts, so that a
// backend made for it can be pointed here (contract-tencent.md section 3.2).
func (s *Server) receiptCommands() map[string]command {
	return map[string]command{
		"group_msg_receipt":            on(s.groupMsgReceipt),
		"get_group_msg_receipt":        on(s.getGroupMsgReceipt),
		"get_group_msg_receipt_detail": on(s.getGroupMsgReceiptDetail),
	}
}

func (s *Server) groupMsgReceipt(ctx context.Context, _ string, req groupMsgReceiptRequest) (any, error) {
	if err := need("From_Account", req.From_Account); err != nil {
		return nil, err
	}
	seqs, err := checkSeqs(req, MaxAckSeqs)
	if err != nil {
		return nil, err
	}
	return nil, s.service.GroupMsgReceipt(ctx, req.GroupId, req.From_Account, seqs)
}

func (s *Server) getGroupMsgReceipt(ctx context.Context, _ string, req groupMsgReceiptRequest) (any, error) {
	seqs, err := checkSeqs(req, MaxReceiptSeqs)
	if err != nil {
		return nil, err
	}
	list, err := s.service.GetGroupMsgReceipt(ctx, req.GroupId, seqs)
	if list == nil {
		list = []SeqReceipt{}
	}
	return struct {
		GroupMsgReceiptList []SeqReceipt `json:"GroupMsgReceiptList"`
	}{list}, err
}

// checkSeqs returns the seqs without repetition, in the order asked.
func checkSeqs(req groupMsgReceiptRequest, most int) ([]uint64, error) {
	if err := need("GroupId", req.GroupId); err != nil {
		return nil, err
	}
	if n := len(req.MsgSeqList); n == 0 || n > most {
		return nil, invalid(frameServer, fmt.Sprintf("MsgSeqList has 1 to %d items", most))
	}
	seen := make(map[uint64]bool, len(req.MsgSeqList))
	seqs := make([]uint64, 0, len(req.MsgSeqList))
	for _, item := range req.MsgSeqList {
		seq := uint64(item.MsgSeq)
		if !validSeq(seq) {
			return nil, invalid(frameServer, "a MsgSeq is missing or out of range")
		}
		if !seen[seq] {
			seen[seq] = true
			seqs = append(seqs, seq)
		}
	}
	return seqs, nil
}

// validSeq: seqs start at 1; what a database's signed integer cannot hold is none.
func validSeq(seq uint64) bool { return seq != 0 && seq <= 1<<63-1 }

func (s *Server) getGroupMsgReceiptDetail(ctx context.Context, _ string, req receiptDetailRequest) (any, error) {
	count := Uint(MaxDetailPage)
	if req.Count != nil {
		count = *req.Count
	}
	if err := need("GroupId", req.GroupId); err != nil {
		return nil, err
	}
	switch {
	case len(req.Cursor) > maxCursor:
		return nil, invalid(frameServer, "Cursor is none that this call has returned")
	case !validSeq(uint64(req.MsgSeq)):
		return nil, invalid(frameServer, "MsgSeq is missing or out of range")
	case req.Filter != FilterRead && req.Filter != FilterUnread:
		return nil, invalid(frameServer, "Filter is 0 (read) or 1 (unread)")
	case count == 0 || count > MaxDetailPage:
		return nil, invalid(frameServer, fmt.Sprintf("Count is 1 to %d", MaxDetailPage))
	}
	page, err := s.service.GetGroupMsgReceiptDetail(ctx, req.GroupId, uint64(req.MsgSeq), int(req.Filter), req.Cursor, int(count))
	if err != nil {
		return nil, err
	}
	out := receiptDetailResponse{MsgSeq: uint64(req.MsgSeq), Cursor: page.Cursor}
	if page.IsFinished {
		out.IsFinish, out.IsFinished = 1, 1
	}
	for _, name := range page.Members {
		if req.Filter == FilterRead {
			out.ReadList = append(out.ReadList, readAccount{name})
		} else {
			out.UnreadList = append(out.UnreadList, unreadAccount{name})
		}
	}
	return out, nil
}

// withAdmin guards a call of [Admin] against there being none.
func withAdmin[Request any](s *Server, f func(ctx context.Context, req Request) (any, error)) command {
	return on(func(ctx context.Context, _ string, req Request) (any, error) {
		if s.admin == nil {
			return nil, refuse(receipts.CodeGroupAppDenied, "this command is not offered here")
		}
		return f(ctx, req)
	})
}
