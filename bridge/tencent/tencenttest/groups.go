package tencenttest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/timbridge/timbridge/receipts"
)

type memberItem struct {
	MemberAccount string `json:"Member_Account"`
	Role          string `json:"Role"`
}

type createGroupRequest struct {
	OwnerAccount    string       `json:"Owner_Account"`
	Type            string       `json:"Type"`
	GroupID         string       `json:"GroupId"`
	Name            string       `json:"Name"`
	Introduction    string       `json:"Introduction"`
	Notification    string       `json:"Notification"`
	FaceURL         string       `json:"FaceUrl"`
	MaxMemberCount  int          `json:"MaxMemberCount"`
	ApplyJoinOption string       `json:"ApplyJoinOption"`
	MemberList      []memberItem `json:"MemberList"`
}

// createGroupCommand makes a group with its first members.
func (s *Server) createGroupCommand(c caller, req createGroupRequest) (reply, *receipts.Error) {
	spec := GroupSpec{
		ID: req.GroupID, Type: req.Type, Name: req.Name, Introduction: req.Introduction, Notification: req.Notification,
		FaceURL: req.FaceURL, Owner: req.OwnerAccount, MaxMembers: req.MaxMemberCount,
	}
	for _, m := range req.MemberList {
		spec.Members = append(spec.Members, m.MemberAccount)
	}
	g, refused := s.createGroup(spec)
	if refused != nil {
		return nil, refused
	}
	s.emitCreated(g, c.identifier, "RESTAPI")
	return reply{"GroupId": g.id, "Type": g.typ}, nil
}

type importGroupRequest struct {
	OwnerAccount   string `json:"Owner_Account"`
	Type           string `json:"Type"`
	GroupID        string `json:"GroupId"`
	Name           string `json:"Name"`
	Introduction   string `json:"Introduction"`
	Notification   string `json:"Notification"`
	FaceURL        string `json:"FaceUrl"`
	MaxMemberCount int    `json:"MaxMemberCount"`
	CreateTime     int64  `json:"CreateTime"`
}

// importGroup makes a group without webhooks.
func (s *Server) importGroup(_ caller, req importGroupRequest) (reply, *receipts.Error) {
	g, refused := s.createGroup(GroupSpec{
		ID: req.GroupID, Type: req.Type, Name: req.Name, Introduction: req.Introduction, Notification: req.Notification,
		FaceURL: req.FaceURL, Owner: req.OwnerAccount, MaxMembers: req.MaxMemberCount,
	})
	if refused != nil {
		return nil, refused
	}
	if req.CreateTime > 0 {
		g.created = time.Unix(req.CreateTime, 0)
	}
	return reply{"GroupId": g.id}, nil
}

// createGroup makes a group. The lock must be held.
func (s *Server) createGroup(spec GroupSpec) (*group, *receipts.Error) {
	id := spec.ID
	switch {
	case id == "":
		s.made++
		id = fmt.Sprintf("@TGS#%d", 100000+s.made)
	case !validGroupID(id), strings.HasPrefix(id, "@TGS#"):
		return nil, refuse(receipts.CodeGroupInvalidGroupID, "GroupId %q is not for an app to choose", id)
	}
	most := s.opts.Edition.members()
	switch {
	case s.groups[id] != nil:
		return nil, refuse(receipts.CodeGroupIDInUse, "group %q exists", id)
	case !knownType(spec.Type):
		return nil, refuse(receipts.CodeGroupInvalidParameters, "no group type %q", spec.Type)
	case spec.Name == "" || len(spec.Name) > 100:
		return nil, refuse(receipts.CodeGroupInvalidParameters, "Name has %d bytes, want 1 to 100", len(spec.Name))
	case spec.MaxMembers < 0 || spec.MaxMembers > most:
		return nil, refuse(receipts.CodeGroupInvalidParameters, "MaxMemberCount %d, the package allows %d", spec.MaxMembers, most)
	case s.opts.Edition == EditionTrial && len(s.groups) >= 100:
		return nil, refuse(codeTrialGroups, "trial edition has 100 groups")
	}
	everybody := slices.Clone(spec.Members)
	if spec.Owner != "" {
		everybody = append([]string{spec.Owner}, everybody...)
	}
	for _, user := range everybody {
		if s.accounts[user] == nil {
			return nil, refuse(receipts.CodeGroupAccountNotFound, "no account %q", user)
		}
	}
	g := &group{
		id: id, typ: spec.Type, name: spec.Name, introduction: spec.Introduction, notification: spec.Notification,
		faceURL: spec.FaceURL, owner: spec.Owner, created: s.now(), max: orDefault(spec.MaxMembers, most),
		members: make(map[string]*member), topicSeqs: make(map[string]uint64), recent: make(map[string]*message),
	}
	if len(everybody) > g.max {
		return nil, refuse(receipts.CodeGroupFull, "%d members, the group takes %d", len(everybody), g.max)
	}
	for _, user := range everybody {
		s.put(g, user)
	}
	s.groups[id] = g
	s.order = append(s.order, id)
	return g, nil
}

// put makes somebody a member and tells whether he was none.
func (s *Server) put(g *group, user string) bool {
	if g.members[user] != nil {
		return false
	}
	role := "Member"
	if user == g.owner {
		role = "Owner"
	}
	s.joins++
	g.members[user] = &member{account: user, role: role, joined: s.now(), no: s.joins}
	return true
}

// tip is the notice in the group that somebody joined or left, if such have numbers.
func (s *Server) tip(g *group) {
	if s.opts.TipSeqs {
		g.take(&message{gone: true, at: s.now()})
	}
}

type destroyGroupRequest struct {
	GroupID string `json:"GroupId"`
}

func (s *Server) destroyGroup(_ caller, req destroyGroupRequest) (reply, *receipts.Error) {
	g, refused := s.liveGroup(req.GroupID)
	if refused != nil {
		return nil, refused
	}
	s.destroy(g, "RESTAPI")
	return nil, nil
}

func (s *Server) destroy(g *group, platform string) {
	delete(s.groups, g.id)
	s.order = slices.DeleteFunc(s.order, func(id string) bool { return id == g.id })
	s.emitDestroyed(g, platform)
}

type modifyGroupBaseInfoRequest struct {
	GroupID      string  `json:"GroupId"`
	Name         *string `json:"Name"`
	Introduction *string `json:"Introduction"`
	Notification *string `json:"Notification"`
	FaceURL      *string `json:"FaceUrl"`
	MaxMemberNum int     `json:"MaxMemberNum"`
}

func (s *Server) modifyGroupBaseInfo(c caller, req modifyGroupBaseInfoRequest) (reply, *receipts.Error) {
	g, refused := s.liveGroup(req.GroupID)
	if refused != nil {
		return nil, refused
	}
	if req.Name != nil && (*req.Name == "" || len(*req.Name) > 100) {
		return nil, refuse(receipts.CodeGroupInvalidParameters, "Name has %d bytes, want 1 to 100", len(*req.Name))
	}
	if req.MaxMemberNum < 0 || req.MaxMemberNum > s.opts.Edition.members() {
		return nil, refuse(receipts.CodeGroupInvalidParameters, "MaxMemberNum %d", req.MaxMemberNum)
	}
	g.max = orDefault(req.MaxMemberNum, g.max)
	s.changeInfo(g, map[string]*string{
		"Name": req.Name, "Introduction": req.Introduction, "Notification": req.Notification, "FaceUrl": req.FaceURL,
	}, c.identifier, "RESTAPI")
	return nil, nil
}

// changeInfo sets what is not nil and fires the webhook with just that.
func (s *Server) changeInfo(g *group, to map[string]*string, operator, platform string) {
	fields := map[string]*string{"Name": &g.name, "Introduction": &g.introduction, "Notification": &g.notification, "FaceUrl": &g.faceURL}
	changed := reply{}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if value := to[name]; value != nil && *value != *fields[name] {
			*fields[name] = *value
			changed[name] = *value
		}
	}
	if len(changed) > 0 {
		s.emitInfoChanged(g, changed, operator, platform)
	}
}
