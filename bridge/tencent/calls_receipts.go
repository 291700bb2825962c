package tencent

import (
	"context"
	"fmt"

	"github.com/timbridge/timbridge/receipts"
)

// Limits of one call.
const (
	// MaxAckSeqs is how many messages GroupMsgReceipt takes. [R-ACK]
	MaxAckSeqs = 50
	// MaxReceiptSeqs is how many messages GetGroupMsgReceipt takes. Tencent names no limit; its other
	// receipt call has this one. [R-GET]
	MaxReceiptSeqs = 50
	// MaxReceiptDetails is the largest page of GetGroupMsgReceiptDetail. [R-DETAIL]
	MaxReceiptDetails = 200
)

type seqEntry struct{ MsgSeq Uint }

// seqList checks and spells a list of seqs.
func seqList(seqs []receipts.MsgSeq, limit int) ([]seqEntry, error) {
	if len(seqs) == 0 || len(seqs) > limit {
		return nil, fmt.Errorf("%w: %d messages, not 1 to %d", ErrArgument, len(seqs), limit)
	}
	list := make([]seqEntry, len(seqs))
	for i, seq := range seqs {
		if seq == 0 {
			return nil, fmt.Errorf("%w: a message has no seq", ErrArgument)
		}
		list[i].MsgSeq = Uint(seq)
	}
	return list, nil
}

// GroupMsgReceipt says that the account from has read up to [MaxAckSeqs] messages of one group. The
// answer is about all of them together: an error that matches [ErrMessage] does not say which message
// is meant, and leaves open whether the others were taken. [R-ACK]
func (c *Client) GroupMsgReceipt(ctx context.Context, groupID, from string, seqs []receipts.MsgSeq) error {
	list, err := seqList(seqs, MaxAckSeqs)
	if err == nil {
		err = c.call(ctx, cmdGroupMsgReceipt, struct {
			GroupId, From_Account string
			MsgSeqList            []seqEntry
		}{groupID, from, list}, nil)
	}
	if err != nil {
		return fmt.Errorf("failed to acknowledge messages of group %q: %w", groupID, err)
	}
	return nil
}

// MsgReceipt is what Tencent counts for one message. Code is not 0 where there is nothing to count,
// for instance 10062 for a message sent without NeedReadReceipt; [Classify] tells its class.
type MsgReceipt struct {
	MsgSeq    Uint
	Code      Uint
	ReadNum   Uint
	UnreadNum Uint
}

// GetGroupMsgReceipt counts the readers of up to [MaxReceiptSeqs] messages of one group. [R-GET]
func (c *Client) GetGroupMsgReceipt(ctx context.Context, groupID string, seqs []receipts.MsgSeq) ([]MsgReceipt, error) {
	var reply receiptReply
	list, err := seqList(seqs, MaxReceiptSeqs)
	if err == nil {
		err = c.call(ctx, cmdGetGroupMsgReceipt, struct {
			GroupId    string
			MsgSeqList []seqEntry
		}{groupID, list}, &reply)
	}
	if err != nil {
		return nil, fmt.Errorf("failed to count readers in group %q: %w", groupID, err)
	}
	return reply.GroupMsgReceiptList, nil
}

type receiptReply struct{ GroupMsgReceiptList []MsgReceipt }

// ReceiptFilter chooses which members GetGroupMsgReceiptDetail lists.
type ReceiptFilter int

const (
	// FilterRead lists those who have read the message.
	FilterRead ReceiptFilter = 0
	// FilterUnread lists those who have not.
	FilterUnread ReceiptFilter = 1
)

// ReceiptDetail is one page of the members who have, or have not, read a message. Nobody says when.
type ReceiptDetail struct {
	// Accounts are the UserIDs asked for.
	Accounts Accounts
	// Cursor asks for the next page. Finished says that there is none.
	Cursor   string
	Finished bool
}

// detailReply has both spellings of the flag: Tencent's page says IsFinish, a client in use says
// IsFinished. [R-DETAIL] [DOOCS]
type detailReply struct {
	IsFinish, IsFinished Flag
	Cursor               string
	ReadList, UnreadList Accounts
}

// page is the page that r is, asked for by cursor. Without a new cursor there is no next page,
// whatever the flags say.
func (r detailReply) page(filter ReceiptFilter, cursor string) ReceiptDetail {
	d := ReceiptDetail{Accounts: r.ReadList, Cursor: r.Cursor}
	if filter == FilterUnread {
		d.Accounts = r.UnreadList
	}
	d.Finished = bool(r.IsFinish || r.IsFinished) || r.Cursor == "" || r.Cursor == cursor
	return d
}

// GetGroupMsgReceiptDetail lists who has, or has not, read a message: one page of at most count (1 to
// [MaxReceiptDetails]) members, the first one with an empty cursor. [R-DETAIL]
func (c *Client) GetGroupMsgReceiptDetail(
	ctx context.Context, groupID string, seq receipts.MsgSeq, filter ReceiptFilter, cursor string, count int,
) (ReceiptDetail, error) {
	var reply detailReply
	var err error
	if seq == 0 || count < 1 || count > MaxReceiptDetails {
		err = fmt.Errorf("%w: %d members of message %d", ErrArgument, count, seq)
	} else {
		err = c.call(ctx, cmdGetGroupMsgReceiptDetail, struct {
			GroupId string
			MsgSeq  Uint
			Filter  int
			Cursor  string
			Count   int
		}{groupID, Uint(seq), int(filter), cursor, count}, &reply)
	}
	if err != nil {
		return ReceiptDetail{}, fmt.Errorf("failed to list readers in group %q: %w", groupID, err)
	}
	return reply.page(filter, cursor), nil
}
