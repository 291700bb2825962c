package v2timtest

import (
	"context"

	"github.com/timbridge/timbridge/bridge/v2tim"
)

// The services of the API.
const (
	ServiceSDK    = "v2tim"
	ServiceGroup  = "group_open_http_svc"
	ServiceBridge = "timbridge"
)

// get calls and decodes in one.
func get[Out any](ctx context.Context, c *Client, service, command string, body any) (Out, error) {
	var out Out
	err := c.Call(ctx, service, command, body, &out)
	return out, err
}

// SendMessageReadReceipts acknowledges messages.
func (c *Client) SendMessageReadReceipts(ctx context.Context, messageIDs ...string) error {
	return c.Call(ctx, ServiceSDK, "sendMessageReadReceipts", map[string]any{"messageIDList": messageIDs}, nil)
}

// GetMessageReadReceipts returns the counts of messages.
func (c *Client) GetMessageReadReceipts(ctx context.Context, messageIDs ...string) ([]v2tim.MessageReceipt, error) {
	return get[[]v2tim.MessageReceipt](ctx, c, ServiceSDK, "getMessageReadReceipts", map[string]any{"messageIDList": messageIDs})
}

// GetGroupMessageReadMemberList returns one page of readers ([v2tim.FilterRead]) or
// non-readers.
func (c *Client) GetGroupMessageReadMemberList(ctx context.Context, messageID string, filter int, nextSeq uint64, count int) (v2tim.MemberList, error) {
	return get[v2tim.MemberList](ctx, c, ServiceSDK, "getGroupMessageReadMemberList",
		map[string]any{"messageID": messageID, "filter": filter, "nextSeq": nextSeq, "count": count})
}

// ReadMembers returns all readers or non-readers, page by page.
func (c *Client) ReadMembers(ctx context.Context, messageID string, filter int) ([]string, error) {
	var all []string
	for next := uint64(0); ; {
		page, err := c.GetGroupMessageReadMemberList(ctx, messageID, filter, next, v2tim.MaxMemberPage)
		if err != nil {
			return nil, err
		}
		for _, m := range page.MemberInfoList {
			all = append(all, m.UserID)
		}
		if page.IsFinished {
			return all, nil
		}
		next = page.NextSeq
	}
}

// SendMessage sends a message.
func (c *Client) SendMessage(ctx context.Context, msg v2tim.OutgoingMessage) (v2tim.SentMessage, error) {
	body := map[string]any{"groupID": msg.GroupID, "needReadReceipt": msg.NeedReadReceipt, "onlineUserOnly": msg.OnlineUserOnly}
	if msg.Text != "" {
		body["text"] = msg.Text
	}
	if msg.CustomData != "" {
		body["customData"] = msg.CustomData
	}
	if msg.HasRandom {
		body["random"] = msg.Random
	}
	return get[v2tim.SentMessage](ctx, c, ServiceSDK, "sendMessage", body)
}

// SendText sends a text that asks for read receipts.
func (c *Client) SendText(ctx context.Context, groupID, text string) (v2tim.SentMessage, error) {
	return c.SendMessage(ctx, v2tim.OutgoingMessage{GroupID: groupID, Text: text, NeedReadReceipt: true})
}

type seqItem struct {
	MsgSeq uint64 `json:"MsgSeq"`
}

func seqList(seqs []uint64) []seqItem {
	list := make([]seqItem, len(seqs))
	for i, seq := range seqs {
		list[i].MsgSeq = seq
	}
	return list
}

// GroupMsgReceipt acknowledges messages as fromAccount; needs an administrator.
func (c *Client) GroupMsgReceipt(ctx context.Context, groupID, fromAccount string, seqs ...uint64) error {
	return c.Call(ctx, ServiceGroup, "group_msg_receipt",
		map[string]any{"GroupId": groupID, "From_Account": fromAccount, "MsgSeqList": seqList(seqs)}, nil)
}

// GetGroupMsgReceipt returns the counts of messages; needs an administrator.
func (c *Client) GetGroupMsgReceipt(ctx context.Context, groupID string, seqs ...uint64) ([]v2tim.SeqReceipt, error) {
	out, err := get[struct {
		GroupMsgReceiptList []v2tim.SeqReceipt `json:"GroupMsgReceiptList"`
	}](ctx, c, ServiceGroup, "get_group_msg_receipt", map[string]any{"GroupId": groupID, "MsgSeqList": seqList(seqs)})
	return out.GroupMsgReceiptList, err
}

// GetGroupMsgReceiptDetail returns one page of readers or non-readers; needs an
// administrator.
func (c *Client) GetGroupMsgReceiptDetail(ctx context.Context, groupID string, seq uint64, filter int, cursor string, count int) (v2tim.ReceiptDetail, error) {
	out, err := get[struct {
		IsFinish int    `json:"IsFinish"`
		Cursor   string `json:"Cursor"`
		ReadList []struct {
			Name string `json:"Read_Account"`
		} `json:"ReadList"`
		UnreadList []struct {
			Name string `json:"Unread_Account"`
		} `json:"UnreadList"`
	}](ctx, c, ServiceGroup, "get_group_msg_receipt_detail",
		map[string]any{"GroupId": groupID, "MsgSeq": seq, "Filter": filter, "Cursor": cursor, "Count": count})
	detail := v2tim.ReceiptDetail{Cursor: out.Cursor, IsFinished: out.IsFinish == 1}
	for _, m := range out.ReadList {
		detail.Members = append(detail.Members, m.Name)
	}
	for _, m := range out.UnreadList {
		detail.Members = append(detail.Members, m.Name)
	}
	return detail, err
}
