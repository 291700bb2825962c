package v2tim

import "context"

// The names of fields in this file keep the spelling of Tencent's server API
// (GroupId, Member_Account), in Go as on the wire: who knows one knows the other.

// Admin is the administration of the mapping. The bridge core implements it.
// Errors as with [Service]. Strings come as the caller wrote them: only that the
// required ones are there and that lists are within their limits has been checked.
type Admin interface {
	MapGroup(context.Context, MapGroupRequest) (MapGroupResponse, error)
	UnmapGroup(context.Context, UnmapGroupRequest) error
	AddGroupMember(context.Context, AddGroupMemberRequest) (AddGroupMemberResponse, error)
	DeleteGroupMember(context.Context, DeleteGroupMemberRequest) error
	GetGroupMemberInfo(context.Context, GetGroupMemberInfoRequest) (GetGroupMemberInfoResponse, error)
	MapMessages(context.Context, MapMessagesRequest) (MapMessagesResponse, error)
	LinkUser(context.Context, LinkUserRequest) error
	UnlinkUser(context.Context, UnlinkUserRequest) error
	GetGroups(context.Context, GetGroupsRequest) (GetGroupsResponse, error)
	GetGroupMessages(context.Context, GetGroupMessagesRequest) (GetGroupMessagesResponse, error)
}

// Limits of the administration's calls. Tencent's pages differ between sites (add
// ≤ 20 in China, ≤ 300 elsewhere; delete ≤ 100); we take the larger.
const (
	MaxAddMembers    = 300  // add_group_member and map_group
	MaxDeleteMembers = 100  // delete_group_member
	MaxMemberInfo    = 200  // get_group_member_info: page
	MaxMapMessages   = 1000 // map_messages
	MaxGroupsPage    = 100  // get_groups: page
	MaxMessagesPage  = 100  // get_group_messages: page
)

// MemberAccount names one member, as Tencent's lists do.
type MemberAccount struct {
	Member_Account string `json:"Member_Account"`
}

// MapGroupRequest maps a group to a room. Type defaults to "Public", SeqSource to
// "own" (see mapping.SeqSource). Mapping the same pair again changes nothing.
type MapGroupRequest struct {
	GroupId    string          `json:"GroupId"`
	RoomId     string          `json:"RoomId"`
	Type       string          `json:"Type"`
	Name       string          `json:"Name"`
	SeqSource  string          `json:"SeqSource"`
	MemberList []MemberAccount `json:"MemberList"` // at most MaxAddMembers
}

// MapGroupResponse tells the mapping as it is now.
type MapGroupResponse struct {
	GroupId    string         `json:"GroupId"`
	RoomId     string         `json:"RoomId"`
	Type       string         `json:"Type"`
	Name       string         `json:"Name"`
	SeqSource  string         `json:"SeqSource"`
	MemberList []MemberResult `json:"MemberList"`
}

// UnmapGroupRequest ends the mapping of a group; what was read is kept.
type UnmapGroupRequest struct {
	GroupId string `json:"GroupId"`
}

// AddGroupMemberRequest is Tencent's add_group_member. Silence is taken and has
// no effect: this server sends no notices.
type AddGroupMemberRequest struct {
	GroupId    string          `json:"GroupId"`
	Silence    Uint            `json:"Silence"`
	MemberList []MemberAccount `json:"MemberList"` // 1..MaxAddMembers
}

// The results of adding one member; Tencent's values.
const (
	MemberFailed  = 0
	MemberAdded   = 1
	MemberAlready = 2
)

// MemberResult is what became of one member to add.
type MemberResult struct {
	Member_Account string `json:"Member_Account"`
	Result         int    `json:"Result"`
}

// AddGroupMemberResponse has one result for each member asked for, in order.
type AddGroupMemberResponse struct {
	MemberList []MemberResult `json:"MemberList"`
}

// DeleteGroupMemberRequest is Tencent's delete_group_member. A user who is no
// member is no error there, nor here.
type DeleteGroupMemberRequest struct {
	GroupId             string   `json:"GroupId"`
	Silence             Uint     `json:"Silence"`
	Reason              string   `json:"Reason"`
	MemberToDel_Account []string `json:"MemberToDel_Account"` // 1..MaxDeleteMembers
}

// GetGroupMemberInfoRequest is Tencent's get_group_member_info. Limit 0 = 100; at
// most MaxMemberInfo. Its filters are not offered: everything is returned.
type GetGroupMemberInfoRequest struct {
	GroupId string `json:"GroupId"`
	Limit   Uint   `json:"Limit"`
	Offset  Uint   `json:"Offset"`
}

// MemberProfile is one item of get_group_member_info. Fields that this server does
// not know have the value Tencent gives to a member without them. MXID is ours.
type MemberProfile struct {
	Member_Account  string `json:"Member_Account"`
	Role            string `json:"Role"`     // "Owner", "Admin" or "Member"
	JoinTime        int64  `json:"JoinTime"` // Unix seconds
	MsgSeq          uint64 `json:"MsgSeq"`   // the latest seq known to be read; 0 = unknown
	MsgFlag         string `json:"MsgFlag"`  // "AcceptAndNotify"
	LastSendMsgTime int64  `json:"LastSendMsgTime"`
	MuteUntil       int64  `json:"MuteUntil"`
	NameCard        string `json:"NameCard"`
	MXID            string `json:"MXID,omitempty"`
}

// GetGroupMemberInfoResponse is one page of members; MemberNum counts them all.
type GetGroupMemberInfoResponse struct {
	MemberNum  int             `json:"MemberNum"`
	MemberList []MemberProfile `json:"MemberList"`
}

// MessageMapping maps one message to one event. MsgSeq 0 = none given (taken from
// the event's place, or numbered, as the group's SeqSource says); NeedReadReceipt
// nil = not known.
type MessageMapping struct {
	EventId         string `json:"EventId"`
	MsgSeq          Uint   `json:"MsgSeq"`
	MsgId           string `json:"MsgId"`
	From_Account    string `json:"From_Account"`
	NeedReadReceipt *Bool  `json:"NeedReadReceipt"`
}

// MapMessagesRequest maps messages of one group, all or none.
type MapMessagesRequest struct {
	GroupId     string           `json:"GroupId"`
	MessageList []MessageMapping `json:"MessageList"` // 1..MaxMapMessages
}

// MappedMessage is what one message is known as now.
type MappedMessage struct {
	EventId string `json:"EventId"`
	MsgSeq  uint64 `json:"MsgSeq"`
	MsgId   string `json:"MsgId"`
}

// MapMessagesResponse has one item for each asked for, in order.
type MapMessagesResponse struct {
	MessageList []MappedMessage `json:"MessageList"`
}

// LinkUserRequest says that a Tencent user and a Matrix user are one person.
type LinkUserRequest struct {
	UserID string `json:"UserID"`
	MXID   string `json:"MXID"`
}

// UnlinkUserRequest ends a link.
type UnlinkUserRequest struct {
	UserID string `json:"UserID"`
}

// GetGroupsRequest lists mapped groups in order of GroupId. Next is "" for the
// first page; Limit 0 = MaxGroupsPage.
type GetGroupsRequest struct {
	Limit Uint   `json:"Limit"`
	Next  string `json:"Next"`
}

// GroupInfo is one group; an unmapped one has an empty RoomId.
type GroupInfo struct {
	GroupId    string `json:"GroupId"`
	RoomId     string `json:"RoomId"`
	Type       string `json:"Type"`
	Name       string `json:"Name"`
	SeqSource  string `json:"SeqSource"`
	MemberNum  int    `json:"MemberNum"`
	NextMsgSeq uint64 `json:"NextMsgSeq"` // the seq the next message will have at the least
}

// GetGroupsResponse is one page of groups; Next "" = that was all.
type GetGroupsResponse struct {
	TotalCount int         `json:"TotalCount"`
	GroupList  []GroupInfo `json:"GroupList"`
	Next       string      `json:"Next"`
}

// GetGroupMessagesRequest lists messages of a group, newest first, in the manner of
// Tencent's group_msg_get_simple: ReqMsgSeq is the highest seq wanted, 0 = the
// newest; Next is another name for it. ReqMsgNumber 0 = 20, at most
// MaxMessagesPage.
type GetGroupMessagesRequest struct {
	GroupId      string `json:"GroupId"`
	ReqMsgSeq    Uint   `json:"ReqMsgSeq"`
	Next         Uint   `json:"Next"` // merged into ReqMsgSeq before Admin sees it
	ReqMsgNumber Uint   `json:"ReqMsgNumber"`
}

// GroupMessage is one mapped message with its counts.
type GroupMessage struct {
	MsgSeq       uint64 `json:"MsgSeq"`
	MsgId        string `json:"MsgId"`
	EventId      string `json:"EventId"`
	From_Account string `json:"From_Account"`
	MsgTimeStamp int64  `json:"MsgTimeStamp"` // Unix seconds
	// NeedReadReceipt is nil (left out) where it is not known.
	NeedReadReceipt *Bool  `json:"NeedReadReceipt,omitempty"`
	IsPlaceMsg      int    `json:"IsPlaceMsg"` // 0 there, 2 recalled (Tencent's values)
	ReadNum         uint64 `json:"ReadNum"`
	UnreadNum       uint64 `json:"UnreadNum"`
}

// GetGroupMessagesResponse is one page of messages. Next is the ReqMsgSeq of the
// next page; 0 with IsFinished 1 = that was all.
type GetGroupMessagesResponse struct {
	GroupId    string         `json:"GroupId"`
	IsFinished int            `json:"IsFinished"`
	Next       uint64         `json:"Next"`
	RspMsgList []GroupMessage `json:"RspMsgList"`
}
