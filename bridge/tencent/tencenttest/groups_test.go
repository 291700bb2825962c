package tencenttest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGroupCommands(t *testing.T) {
	s := Start(t, Options{})
	for _, name := range []string{"alice", "bob"} {
		good(t, s, "im_open_login_svc/account_import", obj{"UserID": name})
	}
	answer := good(t, s, "group_open_http_svc/create_group", obj{
		"Type": "Private", "Name": "friends", "Owner_Account": "alice", "MemberList": []obj{{"Member_Account": "bob", "Role": "Admin"}}, "FaceUrl": "http://x/y",
	})
	id := answer["GroupId"].(string)
	require.True(t, strings.HasPrefix(id, "@TGS#"))
	require.Len(t, s.Webhooks(AfterCreateGroup), 1)
	good(t, s, "group_open_http_svc/import_group", obj{"Type": "Public", "Name": "old", "GroupId": "a custom/id?", "CreateTime": 1700000000})
	require.Len(t, s.Webhooks(""), 1, "an import fires nothing")

	good(t, s, "group_open_http_svc/modify_group_base_info", obj{"GroupId": id, "Notification": "hear", "MaxMemberNum": 50})
	send(t, s, "alice", id, "hi", SendOptions{})
	answer = good(t, s, "group_open_http_svc/get_group_info", obj{"GroupIdList": []string{id, "x", "ü", "a custom/id?"}})
	list := answer["GroupInfo"].([]any)
	first := list[0].(obj)
	for field, value := range (obj{
		"GroupId": id, "ErrorCode": 0.0, "Type": "Private", "Name": "friends", "Notification": "hear", "FaceUrl": "http://x/y",
		"Owner_Account": "alice", "NextMsgSeq": 2.0, "MemberNum": 2.0, "MaxMemberNum": 50.0,
	}) {
		require.Equal(t, value, first[field], field)
	}
	require.Len(t, first["MemberList"], 2)
	require.Equal(t, []any{10010.0, 10015.0}, []any{list[1].(obj)["ErrorCode"], list[2].(obj)["ErrorCode"]})
	require.Equal(t, 1700000000.0, list[3].(obj)["CreateTime"])
	answer = good(t, s, "group_open_http_svc/get_group_info", obj{"GroupIdList": []string{id}, "ResponseFilter": obj{"GroupBaseInfoFilter": []string{"Name"}}})
	require.Equal(t, obj{"GroupId": id, "ErrorCode": 0.0, "ErrorInfo": "", "Name": "friends"}, answer["GroupInfo"].([]any)[0])

	require.Equal(t, []string{id, "a custom/id?"}, s.Groups())
	answer = good(t, s, "group_open_http_svc/get_appid_group_list", obj{"Limit": 1})
	require.Equal(t, []any{2.0, 1.0, []any{obj{"GroupId": id}}}, []any{answer["TotalCount"], answer["Next"], answer["GroupIdList"]})
	answer = good(t, s, "group_open_http_svc/get_appid_group_list", obj{"Limit": 1, "Next": 1})
	require.Equal(t, []any{0.0, []any{obj{"GroupId": "a custom/id?"}}}, []any{answer["Next"], answer["GroupIdList"]})
	answer = good(t, s, "group_open_http_svc/get_appid_group_list", obj{"GroupType": "Work"})
	require.Equal(t, []any{obj{"GroupId": id}}, answer["GroupIdList"])
	answer = good(t, s, "group_open_http_svc/get_joined_group_list", obj{"Member_Account": "bob"})
	require.Equal(t, []any{obj{"GroupId": id}}, answer["GroupIdList"])

	good(t, s, "group_open_http_svc/destroy_group", obj{"GroupId": id})
	require.Equal(t, []string{"a custom/id?"}, s.Groups())
	require.Empty(t, s.Messages(id))
}

func TestMemberCommands(t *testing.T) {
	s := Start(t, Options{})
	s.Group(t, "g", names(150)...)
	s.User("new")
	answer := good(t, s, "group_open_http_svc/add_group_member", obj{"GroupId": "g", "MemberList": members([]string{"u3", "new"})})
	require.Equal(t, []any{obj{"Member_Account": "u3", "Result": 2.0}, obj{"Member_Account": "new", "Result": 1.0}}, answer["MemberList"])
	answer = good(t, s, "group_open_http_svc/get_group_member_info", obj{"GroupId": "g"})
	require.Equal(t, 151.0, answer["MemberNum"])
	require.Len(t, answer["MemberList"], 100)
	answer = good(t, s, "group_open_http_svc/get_group_member_info", obj{"GroupId": "g", "Limit": 200, "Offset": 149, "MemberInfoFilter": []string{"Role"}})
	require.Equal(t, []any{obj{"Member_Account": "u149", "Role": "Member"}, obj{"Member_Account": "new", "Role": "Member"}}, answer["MemberList"])
	answer = good(t, s, "group_open_http_svc/get_group_member_info", obj{"GroupId": "g", "MemberRoleFilter": []string{"Owner"}})
	require.Equal(t, "u0", answer["MemberList"].([]any)[0].(obj)["Member_Account"])
	require.Len(t, answer["MemberList"], 1)
	good(t, s, "group_open_http_svc/delete_group_member", obj{"GroupId": "g", "MemberToDel_Account": []string{"u3", "stranger"}})
	require.Len(t, s.Members("g"), 150)
	require.NotContains(t, s.Members("g"), "u3")
	good(t, s, "group_open_http_svc/delete_group_member", obj{"GroupId": "g", "MemberToDel_Account": []string{"stranger"}})
	require.Len(t, s.Webhooks(AfterMemberExit), 1)

	_, err := s.CreateGroup(GroupSpec{ID: "c", Type: "Community", Owner: "u0", Members: []string{"u1", "u2"}})
	require.NoError(t, err)
	var users []any
	for next := ""; ; {
		answer = good(t, s, "group_open_http_svc/get_group_member_info", obj{"GroupId": "c", "Limit": 2, "Next": next})
		for _, item := range answer["MemberList"].([]any) {
			users = append(users, item.(obj)["Member_Account"])
		}
		if next = answer["Next"].(string); next == "" {
			break
		}
	}
	require.Equal(t, []any{"u0", "u1", "u2"}, users)
}

func TestAccounts(t *testing.T) {
	s := Start(t, Options{})
	good(t, s, "im_open_login_svc/account_import", obj{"UserID": "alice", "Nick": "Alice", "FaceUrl": "http://a"})
	good(t, s, "im_open_login_svc/account_import", obj{"UserID": "alice", "Nick": "Alicia"})
	answer := good(t, s, "im_open_login_svc/multiaccount_import", obj{"AccountList": []obj{{"UserID": "bob", "Nick": "Bob"}, {"UserID": "no good"}}})
	require.Equal(t, []any{"no good"}, answer["FailAccounts"])
	answer = good(t, s, "im_open_login_svc/account_check", obj{"CheckItem": []obj{{"UserID": "bob"}, {"UserID": "carol"}}})
	require.Equal(t, []any{
		obj{"UserID": "bob", "ResultCode": 0.0, "ResultInfo": "", "AccountStatus": "Imported"},
		obj{"UserID": "carol", "ResultCode": 0.0, "ResultInfo": "", "AccountStatus": "NotImported"},
	}, answer["ResultItem"])
	good(t, s, "profile/portrait_set", obj{"From_Account": "bob", "ProfileItem": []obj{{"Tag": tagImage, "Value": "http://b"}, {"Tag": "Tag_Profile_IM_Level", "Value": 3}}})
	answer = good(t, s, "profile/portrait_get", obj{"To_Account": []string{"bob", "carol"}, "TagList": []string{tagNick, tagImage, "Tag_Profile_IM_Level", "Tag_Profile_IM_Gender"}})
	list := answer["UserProfileItem"].([]any)
	require.Equal(t, []any{
		obj{"Tag": tagNick, "Value": "Bob"}, obj{"Tag": tagImage, "Value": "http://b"}, obj{"Tag": "Tag_Profile_IM_Level", "Value": 3.0},
	}, list[0].(obj)["ProfileItem"])
	require.Equal(t, 40003.0, list[1].(obj)["ResultCode"])
	require.Equal(t, []any{"carol"}, answer["Fail_Account"])
	require.Contains(t, answer, "ErrorDisplay")

	nick, face, ok := s.Profile("alice")
	require.Equal(t, []any{"Alicia", "http://a", true}, []any{nick, face, ok})
	s.User("alice").SetProfile("Al", "")
	nick, face, _ = s.Profile("alice")
	require.Equal(t, []any{"Al", ""}, []any{nick, face})
	_, _, ok = s.Profile("nobody")
	require.False(t, ok)
}
