package v2tim

import (
	"context"
	"fmt"

	"github.com/timbridge/timbridge/receipts"
)

// memberCommands are calls of Tencent's server API about members. They are served
// under group_open_http_svc, for backends that know them, and under timbridge.
func (s *Server) memberCommands() map[string]command {
	return map[string]command{
		"add_group_member":      withAdmin(s, s.addGroupMember),
		"delete_group_member":   withAdmin(s, s.deleteGroupMember),
		"get_group_member_info": withAdmin(s, s.getGroupMemberInfo),
	}
}

// bridgeCommands are the calls only we have, about the mapping.
func (s *Server) bridgeCommands() map[string]command {
	return map[string]command{
		"map_group":          withAdmin(s, s.mapGroup),
		"unmap_group":        withAdmin(s, s.unmapGroup),
		"map_messages":       withAdmin(s, s.mapMessages),
		"link_user":          withAdmin(s, s.linkUser),
		"unlink_user":        withAdmin(s, s.unlinkUser),
		"get_groups":         withAdmin(s, s.getGroups),
		"get_group_messages": withAdmin(s, s.getGroupMessages),
	}
}

// maxName bounds every ID and name in bytes. Matrix's have 255 at most, Tencent's
// less (contract-tencent.md section 5): what is longer is none, and answers shall
// not repeat it.
const maxName = 255

// need refuses a call in which a required string is missing or too long; it takes
// names and values in turn.
func need(pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			return invalid(frameServer, pairs[i]+" is missing")
		}
	}
	return bound(pairs...)
}

// bound refuses a call in which a string is too long; it takes names and values in
// turn.
func bound(pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if len(pairs[i+1]) > maxName {
			return invalid(frameServer, fmt.Sprintf("%s has more than %d bytes", pairs[i], maxName))
		}
	}
	return nil
}

// checkAccounts bounds a list of members: 10005 if too long, 10004 if one is empty.
func checkAccounts(list []MemberAccount, least, most int) error {
	if len(list) > most {
		return refuse(receipts.CodeGroupAccountCountLimit, fmt.Sprintf("at most %d members in a call", most))
	}
	if len(list) < least {
		return invalid(frameServer, "MemberList is missing")
	}
	for _, m := range list {
		if err := need("Member_Account", m.Member_Account); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) addGroupMember(ctx context.Context, req AddGroupMemberRequest) (any, error) {
	if err := need("GroupId", req.GroupId); err != nil {
		return nil, err
	}
	if err := checkAccounts(req.MemberList, 1, MaxAddMembers); err != nil {
		return nil, err
	}
	return s.admin.AddGroupMember(ctx, req)
}

func (s *Server) deleteGroupMember(ctx context.Context, req DeleteGroupMemberRequest) (any, error) {
	if err := need("GroupId", req.GroupId); err != nil {
		return nil, err
	}
	accounts := make([]MemberAccount, len(req.MemberToDel_Account))
	for i, name := range req.MemberToDel_Account {
		accounts[i].Member_Account = name
	}
	if err := checkAccounts(accounts, 1, MaxDeleteMembers); err != nil {
		return nil, err
	}
	return nil, s.admin.DeleteGroupMember(ctx, req)
}

func (s *Server) getGroupMemberInfo(ctx context.Context, req GetGroupMemberInfoRequest) (any, error) {
	if err := need("GroupId", req.GroupId); err != nil {
		return nil, err
	}
	if err := page(&req.Limit, "Limit", 100, MaxMemberInfo); err != nil {
		return nil, err
	}
	if req.Offset > 1<<31-1 {
		return nil, invalid(frameServer, "Offset is out of range")
	}
	resp, err := s.admin.GetGroupMemberInfo(ctx, req)
	if resp.MemberList == nil {
		resp.MemberList = []MemberProfile{}
	}
	return resp, err
}

// page puts the default in place of 0 and refuses what is above the limit.
func page(n *Uint, name string, def, most Uint) error {
	if *n == 0 {
		*n = def
	}
	if *n > most {
		return invalid(frameServer, fmt.Sprintf("%s is at most %d", name, most))
	}
	return nil
}

func (s *Server) mapGroup(ctx context.Context, req MapGroupRequest) (any, error) {
	if err := need("GroupId", req.GroupId, "RoomId", req.RoomId); err != nil {
		return nil, err
	}
	if err := bound("Type", req.Type, "Name", req.Name, "SeqSource", req.SeqSource); err != nil {
		return nil, err
	}
	if err := checkAccounts(req.MemberList, 0, MaxAddMembers); err != nil {
		return nil, err
	}
	resp, err := s.admin.MapGroup(ctx, req)
	if resp.MemberList == nil {
		resp.MemberList = []MemberResult{}
	}
	return resp, err
}

func (s *Server) unmapGroup(ctx context.Context, req UnmapGroupRequest) (any, error) {
	if err := need("GroupId", req.GroupId); err != nil {
		return nil, err
	}
	return nil, s.admin.UnmapGroup(ctx, req)
}

func (s *Server) mapMessages(ctx context.Context, req MapMessagesRequest) (any, error) {
	if err := need("GroupId", req.GroupId); err != nil {
		return nil, err
	}
	if n := len(req.MessageList); n == 0 || n > MaxMapMessages {
		return nil, invalid(frameServer, fmt.Sprintf("MessageList has 1 to %d items", MaxMapMessages))
	}
	for _, m := range req.MessageList {
		if err := need("EventId", m.EventId); err != nil {
			return nil, err
		}
		if err := bound("MsgId", m.MsgId, "From_Account", m.From_Account); err != nil {
			return nil, err
		}
		if m.MsgSeq != 0 && !validSeq(uint64(m.MsgSeq)) {
			return nil, invalid(frameServer, "a MsgSeq is out of range")
		}
	}
	return s.admin.MapMessages(ctx, req)
}

func (s *Server) linkUser(ctx context.Context, req LinkUserRequest) (any, error) {
	if err := need("UserID", req.UserID, "MXID", req.MXID); err != nil {
		return nil, err
	}
	return nil, s.admin.LinkUser(ctx, req)
}

func (s *Server) unlinkUser(ctx context.Context, req UnlinkUserRequest) (any, error) {
	if err := need("UserID", req.UserID); err != nil {
		return nil, err
	}
	return nil, s.admin.UnlinkUser(ctx, req)
}

func (s *Server) getGroups(ctx context.Context, req GetGroupsRequest) (any, error) {
	if err := bound("Next", req.Next); err != nil {
		return nil, err
	}
	if err := page(&req.Limit, "Limit", MaxGroupsPage, MaxGroupsPage); err != nil {
		return nil, err
	}
	resp, err := s.admin.GetGroups(ctx, req)
	if resp.GroupList == nil {
		resp.GroupList = []GroupInfo{}
	}
	return resp, err
}

func (s *Server) getGroupMessages(ctx context.Context, req GetGroupMessagesRequest) (any, error) {
	if err := need("GroupId", req.GroupId); err != nil {
		return nil, err
	}
	if req.ReqMsgSeq == 0 {
		req.ReqMsgSeq = req.Next
	}
	if req.ReqMsgSeq != 0 && !validSeq(uint64(req.ReqMsgSeq)) {
		return nil, invalid(frameServer, "ReqMsgSeq is out of range")
	}
	if err := page(&req.ReqMsgNumber, "ReqMsgNumber", 20, MaxMessagesPage); err != nil {
		return nil, err
	}
	resp, err := s.admin.GetGroupMessages(ctx, req)
	if resp.RspMsgList == nil {
		resp.RspMsgList = []GroupMessage{}
	}
	return resp, err
}
