package v2tim

import (
	"context"
	"fmt"

	"github.com/timbridge/timbridge/receipts"
)

// codeMessageTooLong: the message body is longer than 12 KB, as the SDK says it
// before it sends (contract-tencent.md section 2.1); the server's own code for it
// would be 80002, which an app never gets to see.
const codeMessageTooLong receipts.Code = 8001

// maxMessageID bounds a message ID in bytes. Tencent's have about 40
// (contract-tencent.md section 5); what is longer was never one.
const maxMessageID = 256

type messageIDList struct {
	MessageIDList []string `json:"messageIDList"`
}

type readMemberListRequest struct {
	MessageID string `json:"messageID"`
	Filter    Uint   `json:"filter"`
	NextSeq   Uint   `json:"nextSeq"`
	Count     *Uint  `json:"count"`
}

type sendMessageRequest struct {
	GroupID         string `json:"groupID"`
	Text            string `json:"text"`
	CustomData      string `json:"customData"`
	NeedReadReceipt Bool   `json:"needReadReceipt"`
	OnlineUserOnly  Bool   `json:"onlineUserOnly"`
	Random          *Uint  `json:"random"`
}

// sdkCommands are the calls of service v2tim: what an app's SDK offers. The names
// are V2TIM's.
func (s *Server) sdkCommands() map[string]command {
	all := map[string]command{
		"sendMessageReadReceipts":       on(s.sendMessageReadReceipts),
		"getMessageReadReceipts":        on(s.getMessageReadReceipts),
		"getGroupMessageReadMemberList": on(s.getGroupMessageReadMemberList),
	}
	for name, c := range all {
		c.hints = true
		all[name] = c
	}
	all["sendMessage"] = on(s.sendMessage)
	return all
}

// checkIDs is step 3 of the order of checks; it returns each ID once.
func (s *Server) checkIDs(ids []string) ([]string, error) {
	if err := receipts.CheckShape(ids, s.cfg.MaxIDs); err != nil {
		return nil, err
	}
	seen := make(map[string]bool, s.cfg.MaxIDs)
	once := make([]string, 0, min(len(ids), s.cfg.MaxIDs))
	for _, id := range ids {
		if len(id) > maxMessageID {
			return nil, invalid(frameSDK, fmt.Sprintf("a message ID has more than %d bytes", maxMessageID))
		}
		if !seen[id] {
			seen[id] = true
			once = append(once, id)
		}
	}
	return once, nil
}

func (s *Server) sendMessageReadReceipts(ctx context.Context, caller string, req messageIDList) (any, error) {
	ids, err := s.checkIDs(req.MessageIDList)
	if err != nil {
		return nil, err
	}
	return nil, s.service.SendMessageReadReceipts(ctx, caller, ids)
}

func (s *Server) getMessageReadReceipts(ctx context.Context, caller string, req messageIDList) (any, error) {
	ids, err := s.checkIDs(req.MessageIDList)
	if err != nil {
		return nil, err
	}
	list, err := s.service.GetMessageReadReceipts(ctx, caller, ids)
	if list == nil {
		list = []MessageReceipt{}
	}
	return list, err
}

// getGroupMessageReadMemberList: a count above the largest page gets the largest
// page, as Tencent's web SDK does it; without one it is Flutter's default, 100.
func (s *Server) getGroupMessageReadMemberList(ctx context.Context, caller string, req readMemberListRequest) (any, error) {
	count := Uint(MaxMemberPage)
	if req.Count != nil {
		count = min(*req.Count, MaxMemberPage)
	}
	switch {
	case req.MessageID == "" || len(req.MessageID) > maxMessageID:
		return nil, invalid(frameSDK, fmt.Sprintf("messageID has 1 to %d bytes", maxMessageID))
	case req.Filter != FilterRead && req.Filter != FilterUnread:
		return nil, invalid(frameSDK, "filter is 0 (read) or 1 (unread)")
	case count == 0:
		return nil, invalid(frameSDK, "count is 0")
	}
	page, err := s.service.GetGroupMessageReadMemberList(ctx, caller, req.MessageID, int(req.Filter), uint64(req.NextSeq), int(count))
	if page.MemberInfoList == nil {
		page.MemberInfoList = []MemberInfo{}
	}
	return page, err
}

func (s *Server) sendMessage(ctx context.Context, caller string, req sendMessageRequest) (any, error) {
	msg := OutgoingMessage{
		GroupID: req.GroupID, Text: req.Text, CustomData: req.CustomData,
		NeedReadReceipt: bool(req.NeedReadReceipt), OnlineUserOnly: bool(req.OnlineUserOnly),
	}
	switch {
	case req.GroupID == "" || len(req.GroupID) > maxName:
		return nil, invalid(frameSDK, fmt.Sprintf("groupID has 1 to %d bytes", maxName))
	case (req.Text == "") == (req.CustomData == ""):
		return nil, invalid(frameSDK, "a message has either text or customData")
	case len(req.Text) > s.cfg.MaxMessage || len(req.CustomData) > s.cfg.MaxMessage:
		return nil, refuse(codeMessageTooLong, fmt.Sprintf("a message has at most %d bytes", s.cfg.MaxMessage))
	}
	if req.Random != nil {
		if *req.Random > 1<<32-1 {
			return nil, invalid(frameSDK, "random is a number of 32 bits")
		}
		msg.Random, msg.HasRandom = uint32(*req.Random), true
	}
	return s.service.SendMessage(ctx, caller, msg)
}
