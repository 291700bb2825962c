package bridge

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// This file is the calls of Tencent's server API (group_open_http_svc), which speak of seqs.

// groupByID finds a group of the server API; 10010 if there is none.
func (b *Bridge) groupByID(ctx context.Context, groupID string) (mapping.Group, error) {
	g, err := b.maps.GroupByID(ctx, groupID)
	if isNotFound(err) {
		return g, &receipts.Error{Code: receipts.CodeGroupNotFound, Desc: fmt.Sprintf("group %q is not known here", groupID)}
	}
	return g, err
}

// GroupMsgReceipt implements v2tim.Service: the server API's acknowledgement in a user's name, all or nothing.
func (b service) GroupMsgReceipt(ctx context.Context, groupID, fromAccount string, seqs []uint64) error {
	g, err := b.groupByID(ctx, groupID)
	if err != nil {
		return err
	}
	u, err := b.person(ctx, fromAccount)
	if err != nil && !isNotFound(err) {
		return err
	}
	group, err := newLookups(b.Bridge).resolveGroup(ctx, u, g.Key)
	if err != nil {
		return err
	}
	if !group.CallerIsMember {
		return &receipts.Error{Code: receipts.CodePermissionDeny, Desc: fmt.Sprintf("%q is not a member of the group", fromAccount)}
	}
	ids := make([]string, len(seqs))
	want := make([]receipts.MsgSeq, len(seqs))
	for i, seq := range seqs {
		ids[i], want[i] = strconv.FormatUint(seq, 10), receipts.MsgSeq(seq)
	}
	messages, err := b.maps.MessagesBySeq(ctx, g.Key, receipts.SetOf(want...), len(seqs))
	if err != nil {
		return err
	}
	resolved := make(map[string]receipts.Resolved, len(messages))
	for _, m := range messages {
		r := group
		r.Message = m.Message
		resolved[strconv.FormatUint(uint64(m.Seq), 10)] = r
	}
	req, err := receipts.Check(u.Key, ids, resolved, receipts.CheckLimits{MaxIDs: receipts.MaxAcksPerCall, MaxMembers: b.cfg.Tencent.MaxMembers})
	var coded *receipts.Error
	if errors.As(err, &coded) && coded.Code == receipts.CodeInvalidParameters {
		// The server API's own word for a seq that is none of the group's.
		return &receipts.Error{Code: receipts.CodeMessageNotInGroup, Desc: coded.Desc}
	} else if err != nil {
		return err
	}
	return b.acknowledgeChecked(ctx, u, req)
}

// GetGroupMsgReceipt implements v2tim.Service.
func (b service) GetGroupMsgReceipt(ctx context.Context, groupID string, seqs []uint64) ([]v2tim.SeqReceipt, error) {
	g, err := b.groupByID(ctx, groupID)
	if err != nil {
		return nil, err
	}
	want := make([]receipts.MsgSeq, len(seqs))
	for i, seq := range seqs {
		want[i] = receipts.MsgSeq(seq)
	}
	messages, err := b.maps.MessagesBySeq(ctx, g.Key, receipts.SetOf(want...), len(seqs))
	if err != nil {
		return nil, err
	}
	bySeq := make(map[receipts.MsgSeq]mapping.Message, len(messages))
	for _, m := range messages {
		bySeq[m.Seq] = m
	}
	members, err := b.readers(ctx, g.Key)
	if err != nil {
		return nil, err
	}
	list := make([]v2tim.SeqReceipt, len(seqs))
	for i, seq := range want {
		list[i].MsgSeq = seqs[i]
		m, ok := bySeq[seq]
		switch {
		case !ok:
			list[i].Code = receipts.CodeMessageNotInGroup
		case m.OnlineOnly:
			list[i].Code = receipts.CodeReceiptOnlineMessage
		case m.Wants == receipts.WantsNo:
			list[i].Code = receipts.CodeReceiptNotExist
		default:
			read, unread := receipts.Count(m.Message, members)
			list[i].ReadNum, list[i].UnreadNum = uint64(read), uint64(unread)
		}
	}
	return list, nil
}

// GetGroupMsgReceiptDetail implements v2tim.Service.
func (b service) GetGroupMsgReceiptDetail(ctx context.Context, groupID string, seq uint64, filter int, cursor string, count int) (detail v2tim.ReceiptDetail, err error) {
	g, err := b.groupByID(ctx, groupID)
	if err != nil {
		return detail, err
	}
	var next uint64
	if cursor != "" {
		if next, err = strconv.ParseUint(cursor, 10, 64); err != nil {
			return detail, &receipts.Error{Code: receipts.CodeGroupInvalidParameters, Desc: "Cursor is none that this call has returned"}
		}
	}
	messages, err := b.maps.MessagesBySeq(ctx, g.Key, receipts.SetOf(receipts.MsgSeq(seq)), 1)
	if err != nil {
		return detail, err
	} else if len(messages) == 0 {
		return detail, &receipts.Error{Code: receipts.CodeMessageNotInGroup, Desc: "MsgSeq is no message of the group"}
	} else if messages[0].Wants == receipts.WantsNo {
		return detail, &receipts.Error{Code: receipts.CodeReceiptNotExist, Desc: "the message was not sent with NeedReadReceipt"}
	}
	members, err := b.readers(ctx, g.Key)
	if err != nil {
		return detail, err
	}
	page, after, finished := receipts.MemberPage(messages[0].Message, members, receipts.Filter(filter), next, count)
	detail = v2tim.ReceiptDetail{Members: page, IsFinished: finished}
	if !finished {
		detail.Cursor = strconv.FormatUint(after, 10)
	}
	return detail, nil
}
