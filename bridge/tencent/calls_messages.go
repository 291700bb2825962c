package tencent

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/timbridge/timbridge/receipts"
)

// Limits of one call.
const (
	// MaxRecallSeqs is how many messages GroupMsgRecall takes. [R-RECALL]
	MaxRecallSeqs = 10
	// MaxRecallReason is the length of its reason in bytes. [R-RECALL]
	MaxRecallReason = 100
	// MaxHistory is how many messages GroupMsgGetSimple returns. [R-HIST]
	MaxHistory = 20
)

// MsgElem is one element of a message: MsgType, such as TIMTextElem, says what MsgContent holds.
type MsgElem struct {
	MsgType    string
	MsgContent json.RawMessage
}

// GroupMsg is a message to be sent. [R-SEND]
type GroupMsg struct {
	GroupId      string
	From_Account string
	// Random makes a repetition of the same message within 5 minutes count as one.
	Random uint32
	// MsgBody has at most 12 KB as JSON (80002).
	MsgBody []MsgElem
	// NeedReadReceipt asks for read receipts.
	NeedReadReceipt Flag
	// OnlineOnlyFlag sends to those who are online only; such a message has no receipts and no history.
	OnlineOnlyFlag  Flag      `json:",omitempty"`
	CloudCustomData string    `json:",omitempty"`
	GroupAtInfo     []GroupAt `json:",omitempty"`
	// ForbidCallbackControl can have ForbidBeforeSendMsgCallback and ForbidAfterSendMsgCallback.
	ForbidCallbackControl []string `json:",omitempty"`
}

// GroupAt is one mention in a group message: of everybody, or of one account.
type GroupAt struct {
	GroupAtAllFlag  Flag
	GroupAt_Account string `json:",omitempty"`
}

// SentMsg is what Tencent says of a message that was sent. Its MsgId is not among that: the webhook
// Group.CallbackAfterSendMsg has it. [R-SEND]
type SentMsg struct {
	MsgSeq receipts.MsgSeq
	// At is the server's time, in full seconds.
	At time.Time
	// DropReason is set where Tencent took the message and did not deliver it.
	DropReason string
}

type sendReply struct {
	MsgSeq, MsgTime Uint
	MsgDropReason   json.RawMessage
}

// SendGroupMsg sends a message to a group as m.From_Account, which must exist but need not be a
// member. After a [*TemporaryError] with Unclear set the message may have been sent. [R-SEND]
func (c *Client) SendGroupMsg(ctx context.Context, m GroupMsg) (SentMsg, error) {
	var reply sendReply
	if err := c.call(ctx, cmdSendGroupMsg, m, &reply); err != nil {
		return SentMsg{}, fmt.Errorf("failed to send message to group %q: %w", m.GroupId, err)
	}
	sent := SentMsg{MsgSeq: receipts.MsgSeq(reply.MsgSeq), At: unixSeconds(reply.MsgTime)}
	if json.Unmarshal(reply.MsgDropReason, &sent.DropReason) != nil && len(reply.MsgDropReason) > 0 {
		sent.DropReason = cut(string(reply.MsgDropReason), maxInfo)
	}
	return sent, nil
}

// RecallResult is what became of one message. RetCode 0 is success; [Classify] tells the class of others.
type RecallResult struct{ MsgSeq, RetCode Uint }

type recallReply struct{ RecallRetList []RecallResult }

// GroupMsgRecall recalls up to [MaxRecallSeqs] messages of one group, however old, as long as they
// are in the history. A reason is shown to the members; what is longer than [MaxRecallReason] bytes
// is refused. [R-RECALL]
func (c *Client) GroupMsgRecall(ctx context.Context, groupID string, seqs []receipts.MsgSeq, reason string) ([]RecallResult, error) {
	var reply recallReply
	list, err := seqList(seqs, MaxRecallSeqs)
	if err == nil && len(reason) > MaxRecallReason {
		err = fmt.Errorf("%w: a reason of %d bytes", ErrArgument, len(reason))
	}
	if err == nil {
		err = c.call(ctx, cmdGroupMsgRecall, struct {
			GroupId    string
			MsgSeqList []seqEntry
			Reason     string `json:",omitempty"`
		}{groupID, list, reason}, &reply)
	}
	if err != nil {
		return nil, fmt.Errorf("failed to recall messages of group %q: %w", groupID, err)
	}
	return reply.RecallRetList, nil
}

// ModifyGroupMsg replaces the body of a message, its CloudCustomData, or both: nil leaves one as it
// is. [R-MOD]
func (c *Client) ModifyGroupMsg(ctx context.Context, groupID string, seq receipts.MsgSeq, body []MsgElem, cloudCustomData *string) error {
	var err error
	if seq == 0 || (body == nil && cloudCustomData == nil) {
		err = fmt.Errorf("%w: nothing to modify", ErrArgument)
	} else {
		err = c.call(ctx, cmdModifyGroupMsg, struct {
			GroupId         string
			MsgSeq          Uint
			MsgBody         []MsgElem `json:",omitempty"`
			CloudCustomData *string   `json:",omitempty"`
		}{groupID, Uint(seq), body, cloudCustomData}, nil)
	}
	if err != nil {
		return fmt.Errorf("failed to modify message %d of group %q: %w", seq, groupID, err)
	}
	return nil
}

// What a place in the history holds, see [HistoryMsg].
const (
	// PlaceMessage: a message.
	PlaceMessage = 0
	// PlaceGone: the message is deleted, expired or was never stored.
	PlaceGone = 1
	// PlaceRecalled: the message was recalled.
	PlaceRecalled = 2
)

// HistoryMsg is a message of the history. Where IsPlaceMsg is not [PlaceMessage], only MsgSeq can be
// relied on. [R-HIST]
type HistoryMsg struct {
	From_Account    string
	IsPlaceMsg      Uint
	MsgSeq          Uint
	MsgRandom       Uint
	MsgTimeStamp    Uint // seconds
	MsgBody         []MsgElem
	CloudCustomData string
	// NeedReadReceipt is nil where the answer does not say it. Whether it ever does is not documented.
	NeedReadReceipt *Flag
}

// Time returns when the message was sent, in full seconds, or the zero time.
func (m HistoryMsg) Time() time.Time { return unixSeconds(m.MsgTimeStamp) }

// History is a piece of a group's history, newest first.
type History struct {
	Messages []HistoryMsg
	// Next is the seq to ask from for what is older; 0 at the beginning.
	Next receipts.MsgSeq
}

type historyReply struct{ RspMsgList []HistoryMsg }

// history makes a History of what was asked for with from and count. It goes by the seqs alone:
// IsFinished (0, 1, 2) only says whether the asked range was returned in full, and a range that was
// too long for one answer is simply asked for again from where it ended.
func (r historyReply) history() History {
	h := History{Messages: r.RspMsgList}
	lowest := Uint(math.MaxUint64)
	for _, m := range r.RspMsgList {
		lowest = min(lowest, m.MsgSeq)
	}
	if len(r.RspMsgList) > 0 && lowest > 1 {
		h.Next = receipts.MsgSeq(lowest - 1)
	}
	return h
}

// GroupMsgGetSimple reads up to count (1 to [MaxHistory]) messages of a group's history, from the one
// with seq from downward; from 0 begins at the newest. Recalled messages come as such, with
// [PlaceRecalled]. [R-HIST]
func (c *Client) GroupMsgGetSimple(ctx context.Context, groupID string, from receipts.MsgSeq, count int) (History, error) {
	var reply historyReply
	var err error
	if count < 1 || count > MaxHistory {
		err = fmt.Errorf("%w: %d messages, not 1 to %d", ErrArgument, count, MaxHistory)
	} else {
		err = c.call(ctx, cmdGroupMsgGetSimple, struct {
			GroupId         string
			ReqMsgNumber    int
			ReqMsgSeq       Uint `json:",omitempty"`
			WithRecalledMsg int
		}{groupID, count, Uint(from), 1}, &reply)
	}
	if err != nil {
		return History{}, fmt.Errorf("failed to read history of group %q: %w", groupID, err)
	}
	return reply.history(), nil
}
