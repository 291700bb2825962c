package v2timtest

import (
	"context"

	"github.com/timbridge/timbridge/bridge/v2tim"
)

// MapGroup maps a group to a room. This and the calls below need an administrator.
func (c *Client) MapGroup(ctx context.Context, req v2tim.MapGroupRequest) (v2tim.MapGroupResponse, error) {
	return get[v2tim.MapGroupResponse](ctx, c, ServiceBridge, "map_group", req)
}

// UnmapGroup ends the mapping of a group.
func (c *Client) UnmapGroup(ctx context.Context, groupID string) error {
	return c.Call(ctx, ServiceBridge, "unmap_group", v2tim.UnmapGroupRequest{GroupId: groupID}, nil)
}

// AddGroupMember adds members to a group.
func (c *Client) AddGroupMember(ctx context.Context, groupID string, userIDs ...string) ([]v2tim.MemberResult, error) {
	out, err := get[v2tim.AddGroupMemberResponse](ctx, c, ServiceGroup, "add_group_member",
		v2tim.AddGroupMemberRequest{GroupId: groupID, MemberList: Accounts(userIDs...)})
	return out.MemberList, err
}

// Accounts makes a MemberList of user IDs.
func Accounts(userIDs ...string) []v2tim.MemberAccount {
	list := make([]v2tim.MemberAccount, len(userIDs))
	for i, userID := range userIDs {
		list[i].Member_Account = userID
	}
	return list
}

// DeleteGroupMember takes members out of a group.
func (c *Client) DeleteGroupMember(ctx context.Context, groupID string, userIDs ...string) error {
	return c.Call(ctx, ServiceGroup, "delete_group_member",
		v2tim.DeleteGroupMemberRequest{GroupId: groupID, MemberToDel_Account: userIDs}, nil)
}

// GetGroupMemberInfo lists members of a group.
func (c *Client) GetGroupMemberInfo(ctx context.Context, req v2tim.GetGroupMemberInfoRequest) (v2tim.GetGroupMemberInfoResponse, error) {
	return get[v2tim.GetGroupMemberInfoResponse](ctx, c, ServiceGroup, "get_group_member_info", req)
}

// MapMessages maps messages to events.
func (c *Client) MapMessages(ctx context.Context, req v2tim.MapMessagesRequest) (v2tim.MapMessagesResponse, error) {
	return get[v2tim.MapMessagesResponse](ctx, c, ServiceBridge, "map_messages", req)
}

// LinkUser makes a Tencent user and a Matrix user one person.
func (c *Client) LinkUser(ctx context.Context, userID, mxid string) error {
	return c.Call(ctx, ServiceBridge, "link_user", v2tim.LinkUserRequest{UserID: userID, MXID: mxid}, nil)
}

// UnlinkUser undoes LinkUser.
func (c *Client) UnlinkUser(ctx context.Context, userID string) error {
	return c.Call(ctx, ServiceBridge, "unlink_user", v2tim.UnlinkUserRequest{UserID: userID}, nil)
}

// GetGroups lists groups.
func (c *Client) GetGroups(ctx context.Context, req v2tim.GetGroupsRequest) (v2tim.GetGroupsResponse, error) {
	return get[v2tim.GetGroupsResponse](ctx, c, ServiceBridge, "get_groups", req)
}

// GetGroupMessages lists messages of a group, newest first.
func (c *Client) GetGroupMessages(ctx context.Context, req v2tim.GetGroupMessagesRequest) (v2tim.GetGroupMessagesResponse, error) {
	return get[v2tim.GetGroupMessagesResponse](ctx, c, ServiceBridge, "get_group_messages", req)
}
