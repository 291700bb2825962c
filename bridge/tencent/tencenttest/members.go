package tencenttest

import "github.com/timbridge/timbridge/receipts"

type addGroupMemberRequest struct {
	GroupID    string       `json:"GroupId"`
	Silence    int          `json:"Silence"`
	MemberList []memberItem `json:"MemberList"`
}

// addGroupMember adds accounts; Result is 1 for who came in and 2 for who was in. Silence spares the
// members the notice; the webhook comes all the same. [R-ADD]
func (s *Server) addGroupMember(c caller, req addGroupMemberRequest) (reply, *receipts.Error) {
	g, refused := s.liveGroup(req.GroupID)
	if refused != nil {
		return nil, refused
	}
	switch {
	case g.typ == "AVChatRoom":
		return nil, refuse(receipts.CodePermissionDeny, "nobody is added to groups of type %s", g.typ)
	case len(req.MemberList) == 0:
		return nil, refuse(receipts.CodeGroupInvalidParameters, "no MemberList")
	case len(req.MemberList) > s.opts.AddMax:
		return nil, refuse(receipts.CodeGroupAccountCountLimit, "%d accounts, at most %d", len(req.MemberList), s.opts.AddMax)
	}
	var users []string
	for _, item := range req.MemberList {
		users = append(users, item.MemberAccount)
	}
	joined, refused := s.join(g, users)
	if refused != nil {
		return nil, refused
	}
	list := []reply{}
	for _, user := range users {
		result := 2
		if joined[user] {
			result = 1
		}
		list = append(list, reply{"Member_Account": user, "Result": result})
	}
	s.joinedBy(g, users, joined, "Invited", c.identifier, "RESTAPI", req.Silence == 1)
	return reply{"MemberList": list}, nil
}

// join makes accounts members, all or none, and tells who was none before.
func (s *Server) join(g *group, users []string) (map[string]bool, *receipts.Error) {
	news := make(map[string]bool)
	for _, user := range users {
		if s.accounts[user] == nil {
			return nil, refuse(receipts.CodeGroupAccountNotFound, "no account %q", user)
		}
		if g.members[user] == nil {
			news[user] = true
		}
	}
	if len(g.members)+len(news) > g.max {
		return nil, refuse(receipts.CodeGroupFull, "group takes %d members", g.max)
	}
	for _, user := range users {
		s.put(g, user)
	}
	return news, nil
}

// joinedBy fires what there is to say about new members.
func (s *Server) joinedBy(g *group, users []string, news map[string]bool, how, operator, platform string, silent bool) {
	var names []string
	for _, user := range users {
		if news[user] {
			names = append(names, user)
			delete(news, user) // named twice in the list
		}
	}
	if len(names) == 0 {
		return
	}
	if !silent {
		s.tip(g)
	}
	s.emitJoin(g, names, how, operator, platform)
}

type deleteGroupMemberRequest struct {
	GroupID            string   `json:"GroupId"`
	Silence            int      `json:"Silence"`
	Reason             string   `json:"Reason"`
	MemberToDelAccount []string `json:"MemberToDel_Account"`
}

// deleteGroupMember removes up to 100 members; who is none does no harm (trtc.io/document/34949).
func (s *Server) deleteGroupMember(c caller, req deleteGroupMemberRequest) (reply, *receipts.Error) {
	g, refused := s.liveGroup(req.GroupID)
	if refused != nil {
		return nil, refused
	}
	switch {
	case g.typ == "AVChatRoom":
		return nil, refuse(receipts.CodeGroupInvalidParameters, "nobody is removed from groups of type %s", g.typ)
	case len(req.MemberToDelAccount) == 0:
		return nil, refuse(receipts.CodeGroupInvalidParameters, "no MemberToDel_Account")
	case len(req.MemberToDelAccount) > 100:
		return nil, refuse(receipts.CodeGroupAccountCountLimit, "%d accounts, at most 100", len(req.MemberToDelAccount))
	}
	return nil, s.leave(g, req.MemberToDelAccount, "Kicked", c.identifier, "RESTAPI", req.Silence == 1)
}

// leave takes members out.
func (s *Server) leave(g *group, users []string, how, operator, platform string, silent bool) *receipts.Error {
	var names []string
	for _, user := range users {
		if user == g.owner {
			return refuse(receipts.CodePermissionDeny, "%s owns the group", user)
		}
	}
	for _, user := range users {
		if g.members[user] != nil {
			delete(g.members, user)
			names = append(names, user)
		}
	}
	if len(names) == 0 {
		return nil
	}
	if !silent {
		s.tip(g)
	}
	s.emitExit(g, names, how, operator, platform)
	return nil
}
