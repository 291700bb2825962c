package tencent

import (
	"context"
	"fmt"
)

// Limits of one call.
const (
	// MaxGroupInfos is how many groups GetGroupInfo takes. [R-INFO]
	MaxGroupInfos = 50
	// MaxMemberPage is the largest page of GetGroupMemberInfo; Tencent advises 100. [R-MEMBERS]
	MaxMemberPage = 200
	// MaxAddMembers is how many members AddGroupMember takes. The page of the China site says 20, the
	// international one 300. [R-ADD]
	MaxAddMembers = 20
	// MaxDeleteMembers is how many members DeleteGroupMember takes. [R-DEL]
	MaxDeleteMembers = 100
	// MaxGroupPage is the largest page of GetAppidGroupList. [R-GROUPS]
	MaxGroupPage = 10_000
)

// GroupInfo describes a group. ErrorCode is not 0 where it could not be read, for instance 10010 for
// a group that is not there; [Classify] tells its class. [R-INFO]
type GroupInfo struct {
	GroupId       string
	ErrorCode     Uint
	Type          string
	Name          string
	Introduction  string
	Notification  string
	FaceUrl       string
	Owner_Account string
	MemberNum     Uint
	MaxMemberNum  Uint
	// NextMsgSeq is the seq that the next message will get.
	NextMsgSeq Uint
}

type groupInfoReply struct{ GroupInfo []GroupInfo }

type responseFilter struct{ GroupBaseInfoFilter []string }

// GetGroupInfo describes up to [MaxGroupInfos] groups. [R-INFO]
func (c *Client) GetGroupInfo(ctx context.Context, groupIDs []string) ([]GroupInfo, error) {
	var reply groupInfoReply
	err := checkCount("groups", len(groupIDs), MaxGroupInfos)
	if err == nil {
		err = c.call(ctx, cmdGetGroupInfo, struct {
			GroupIdList    []string
			ResponseFilter responseFilter
		}{groupIDs, responseFilter{[]string{ // not the members, who would come too
			"Type", "Name", "Introduction", "Notification", "FaceUrl", "Owner_Account", "MemberNum", "MaxMemberNum", "NextMsgSeq",
		}}}, &reply)
	}
	if err != nil {
		return nil, fmt.Errorf("failed to read groups: %w", err)
	}
	return reply.GroupInfo, nil
}

// MemberInfo is a member of a group. [R-MEMBERS]
type MemberInfo struct {
	Member_Account string
	Role           string // Owner, Admin or Member
	JoinTime       Uint   // seconds
	NameCard       string // the name in this group, if any
}

// MemberPage is one page of a group's members.
type MemberPage struct {
	// MemberNum is how many members the group has in all.
	MemberNum  Uint
	MemberList []MemberInfo
}

// GetGroupMemberInfo lists members: limit (1 to [MaxMemberPage]) of them, from the one numbered
// offset. Communities page in another way, which is not served here: they have no read receipts. [R-MEMBERS]
func (c *Client) GetGroupMemberInfo(ctx context.Context, groupID string, limit, offset int) (MemberPage, error) {
	var reply MemberPage
	err := checkCount("members", limit, MaxMemberPage)
	if err == nil {
		err = c.call(ctx, cmdGetGroupMemberInfo, struct {
			GroupId          string
			Limit, Offset    int
			MemberInfoFilter []string
		}{groupID, limit, offset, []string{"Role", "JoinTime", "NameCard"}}, &reply)
	}
	if err != nil {
		return MemberPage{}, fmt.Errorf("failed to list members of group %q: %w", groupID, err)
	}
	return reply, nil
}

// What became of one new member, see [AddResult]. [R-ADD]
const (
	// AddFailed: not added.
	AddFailed = 0
	// AddDone: added.
	AddDone = 1
	// AddAlready: was a member before.
	AddAlready = 2
	// AddPending: added once he agrees.
	AddPending = 3
)

// AddResult is what became of one new member.
type AddResult struct {
	Member_Account string
	Result         Uint
}

type addReply struct{ MemberList []AddResult }

// AddGroupMember adds up to [MaxAddMembers] accounts to a group, without a notice in it if silent. [R-ADD]
func (c *Client) AddGroupMember(ctx context.Context, groupID string, accounts []string, silent bool) ([]AddResult, error) {
	var reply addReply
	err := checkCount("members", len(accounts), MaxAddMembers)
	if err == nil {
		err = c.call(ctx, cmdAddGroupMember, struct {
			GroupId    string
			Silence    Flag `json:",omitempty"`
			MemberList Accounts
		}{groupID, Flag(silent), accounts}, &reply)
	}
	if err != nil {
		return nil, fmt.Errorf("failed to add members to group %q: %w", groupID, err)
	}
	return reply.MemberList, nil
}

// DeleteGroupMember removes up to [MaxDeleteMembers] accounts from a group, without a notice in it if
// silent. Removing who is no member is a success. [R-DEL]
func (c *Client) DeleteGroupMember(ctx context.Context, groupID string, accounts []string, silent bool, reason string) error {
	err := checkCount("members", len(accounts), MaxDeleteMembers)
	if err == nil {
		err = c.call(ctx, cmdDeleteGroupMember, struct {
			GroupId             string
			Silence             Flag   `json:",omitempty"`
			Reason              string `json:",omitempty"`
			MemberToDel_Account []string
		}{groupID, Flag(silent), reason, accounts}, nil)
	}
	if err != nil {
		return fmt.Errorf("failed to remove members from group %q: %w", groupID, err)
	}
	return nil
}

// GroupPage is one page of an app's groups.
type GroupPage struct {
	GroupIDs []string
	// Next asks for the next page; 0 after the last.
	Next uint64
	// Total is how many groups the app has in all.
	Total uint64
}

// groupListReply has a Next that needs all of its 64 bits. [R-GROUPS]
type groupListReply struct {
	TotalCount, Next Uint
	GroupIdList      []struct{ GroupId string }
}

func (r groupListReply) page() GroupPage {
	page := GroupPage{Next: uint64(r.Next), Total: uint64(r.TotalCount), GroupIDs: make([]string, 0, len(r.GroupIdList))}
	for _, g := range r.GroupIdList {
		if validID(g.GroupId) {
			page.GroupIDs = append(page.GroupIDs, g.GroupId)
		}
	}
	return page
}

// GetAppidGroupList lists the groups of the app: limit (1 to [MaxGroupPage]) of them, the first page
// with next 0; groupType, such as Public, lists only those. Tencent allows one call per second; by
// default it is made every other. [R-GROUPS]
func (c *Client) GetAppidGroupList(ctx context.Context, limit int, next uint64, groupType string) (GroupPage, error) {
	var reply groupListReply
	err := checkCount("groups", limit, MaxGroupPage)
	if err == nil {
		err = c.call(ctx, cmdGetAppidGroupList, struct {
			Limit     int
			Next      uint64
			GroupType string `json:",omitempty"`
		}{limit, next, groupType}, &reply)
	}
	if err != nil {
		return GroupPage{}, fmt.Errorf("failed to list groups: %w", err)
	}
	return reply.page(), nil
}

func checkCount(what string, n, limit int) error {
	if n < 1 || n > limit {
		return fmt.Errorf("%w: %d %s, not 1 to %d", ErrArgument, n, what, limit)
	}
	return nil
}
