package tencenttest

import (
	"slices"

	"github.com/timbridge/timbridge/receipts"
)

type getGroupInfoRequest struct {
	GroupIDList    []string `json:"GroupIdList"`
	ResponseFilter *struct {
		GroupBaseInfoFilter []string `json:"GroupBaseInfoFilter"`
		MemberInfoFilter    []string `json:"MemberInfoFilter"`
	} `json:"ResponseFilter"`
}

// getGroupInfo describes up to 50 groups. One that is not there has its code in its own entry. [R-INFO]
func (s *Server) getGroupInfo(_ caller, req getGroupInfoRequest) (reply, *receipts.Error) {
	if len(req.GroupIDList) == 0 || len(req.GroupIDList) > 50 {
		return nil, refuse(receipts.CodeGroupInvalidParameters, "%d groups, want 1 to 50", len(req.GroupIDList))
	}
	list := []reply{}
	for _, id := range req.GroupIDList {
		g, refused := s.liveGroup(id)
		if refused != nil {
			list = append(list, reply{"GroupId": id, "ErrorCode": int(refused.Code), "ErrorInfo": refused.Desc})
			continue
		}
		info := g.info()
		if f := req.ResponseFilter; f != nil && f.GroupBaseInfoFilter != nil {
			for field := range info {
				if !slices.Contains(f.GroupBaseInfoFilter, field) {
					delete(info, field)
				}
			}
		}
		if f := req.ResponseFilter; f == nil || f.MemberInfoFilter != nil {
			info["MemberList"] = describe(g.sorted())
		}
		info["GroupId"], info["ErrorCode"], info["ErrorInfo"] = g.id, 0, ""
		list = append(list, info)
	}
	return reply{"GroupInfo": list}, nil
}

func (g *group) info() reply {
	var lastMessage int64
	if n := len(g.messages); n > 0 {
		lastMessage = g.messages[n-1].at.Unix()
	}
	return reply{
		"Type": g.typ, "Name": g.name, "Introduction": g.introduction, "Notification": g.notification, "FaceUrl": g.faceURL,
		"Owner_Account": g.owner, "CreateTime": g.created.Unix(), "InfoSeq": 1, "LastInfoTime": g.created.Unix(),
		"LastMsgTime": lastMessage, "NextMsgSeq": len(g.messages) + 1, "MemberNum": len(g.members), "MaxMemberNum": g.max,
		"ApplyJoinOption": "FreeAccess", "ShutUpAllMember": "Off",
	}
}

func describe(members []*member) []reply {
	list := []reply{}
	for _, m := range members {
		list = append(list, reply{
			"Member_Account": m.account, "Role": m.role, "JoinTime": m.joined.Unix(),
			"MsgSeq": 0, "MsgFlag": "AcceptAndNotify", "LastSendMsgTime": 0, "MuteUntil": 0,
		})
	}
	return list
}

type getGroupMemberInfoRequest struct {
	GroupID          string   `json:"GroupId"`
	MemberInfoFilter []string `json:"MemberInfoFilter"`
	MemberRoleFilter []string `json:"MemberRoleFilter"`
	Limit            *int     `json:"Limit"`
	Offset           int      `json:"Offset"`
	Next             *string  `json:"Next"`
}

// getGroupMemberInfo lists members, oldest first, in pages of at most 200. [R-MEMBERS]
func (s *Server) getGroupMemberInfo(_ caller, req getGroupMemberInfoRequest) (reply, *receipts.Error) {
	g, refused := s.liveGroup(req.GroupID)
	if refused != nil {
		return nil, refused
	}
	limit := 100
	if req.Limit != nil {
		limit = *req.Limit
	}
	switch {
	case g.typ == "AVChatRoom":
		return nil, refuse(receipts.CodePermissionDeny, "groups of type %s do not list members", g.typ)
	case g.typ == "Community" && req.Next == nil:
		return nil, refuse(receipts.CodeGroupInvalidParameters, "no Next, by which Community goes on")
	case limit < 1 || limit > 200 || req.Offset < 0:
		return nil, refuse(receipts.CodeGroupInvalidParameters, "Limit %d, want 1 to 200; Offset %d", limit, req.Offset)
	}
	members := g.sorted()
	if req.MemberRoleFilter != nil {
		members = slices.DeleteFunc(members, func(m *member) bool { return !slices.Contains(req.MemberRoleFilter, m.role) })
	}
	from := min(req.Offset, len(members))
	if g.typ == "Community" {
		place, ok := cursorPlace(*req.Next, 0)
		if !ok {
			return nil, refuse(receipts.CodeGroupInvalidParameters, "Next %q is not one of ours", *req.Next)
		}
		from = min(place, len(members))
	}
	to := min(from+min(limit, s.opts.MemberPageMax), len(members))
	list := describe(members[from:to])
	if req.MemberInfoFilter != nil {
		for _, entry := range list {
			for field := range entry {
				if field != "Member_Account" && !slices.Contains(req.MemberInfoFilter, field) {
					delete(entry, field)
				}
			}
		}
	}
	rep := reply{"MemberNum": len(g.members), "MemberList": list}
	if g.typ == "Community" {
		rep["Next"] = cursorAt(0, to, len(members))
	}
	return rep, nil
}

type getAppidGroupListRequest struct {
	Limit     *int    `json:"Limit"`
	Next      *uint64 `json:"Next"`
	GroupType string  `json:"GroupType"`
}

// getAppidGroupList lists all groups of the app; Next is 0 at the end.
func (s *Server) getAppidGroupList(_ caller, req getAppidGroupListRequest) (reply, *receipts.Error) {
	limit := 10000
	if req.Limit != nil {
		limit = *req.Limit
	}
	if limit < 1 || limit > 10000 || req.GroupType != "" && !knownType(req.GroupType) {
		return nil, refuse(receipts.CodeGroupInvalidParameters, "Limit %d, want 1 to 10000; GroupType %q", limit, req.GroupType)
	}
	var ids []string
	for _, id := range s.order {
		if req.GroupType == "" || plainType(s.groups[id].typ) == plainType(req.GroupType) {
			ids = append(ids, id)
		}
	}
	from := 0
	if req.Next != nil {
		from = int(min(*req.Next, uint64(len(ids))))
	}
	to := min(from+limit, len(ids))
	list := []reply{}
	for _, id := range ids[from:to] {
		list = append(list, reply{"GroupId": id})
	}
	next := to
	if to == len(ids) {
		next = 0
	}
	return reply{"TotalCount": len(ids), "GroupIdList": list, "Next": next}, nil
}

type getJoinedGroupListRequest struct {
	MemberAccount string `json:"Member_Account"`
}

// getJoinedGroupList lists the groups of an account. [R-JOINED]
func (s *Server) getJoinedGroupList(_ caller, req getJoinedGroupListRequest) (reply, *receipts.Error) {
	if s.accounts[req.MemberAccount] == nil {
		return nil, refuse(receipts.CodeGroupAccountNotFound, "no account %q", req.MemberAccount)
	}
	list := []reply{}
	for _, id := range s.order {
		if s.groups[id].members[req.MemberAccount] != nil {
			list = append(list, reply{"GroupId": id})
		}
	}
	return reply{"TotalCount": len(list), "GroupIdList": list}, nil
}
