package tencenttest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/receipts"
)

// names are n user ids.
func names(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("u%d", i)
	}
	return list
}

func members(list []string) []obj {
	items := []obj{}
	for _, name := range list {
		items = append(items, obj{"Member_Account": name})
	}
	return items
}

// scene has groups g (alice, bob, carol), big (201 members), work, comm, live, and in g the messages
// 1 with receipts, 2 without, 3 online-only, 4 with receipts but gone.
func scene(t *testing.T, opts Options) *Server {
	opts.NumberTransient = true
	s := Start(t, opts)
	s.Group(t, "g", "alice", "bob", "carol")
	s.Group(t, "big", names(min(201, opts.Edition.members()))...)
	for id, typ := range map[string]string{"work": "Work", "comm": "Community", "live": "AVChatRoom"} {
		_, err := s.CreateGroup(GroupSpec{ID: id, Type: typ, Owner: "alice"})
		require.NoError(t, err)
	}
	s.Group(t, "gone", "alice")
	require.NoError(t, s.DestroyGroup("gone"))
	send(t, s, "alice", "g", "one", wanted)
	send(t, s, "alice", "g", "two", SendOptions{})
	send(t, s, "alice", "g", "three", SendOptions{OnlineOnly: true, NeedReadReceipt: true})
	send(t, s, "alice", "g", "four", wanted)
	require.NoError(t, s.Forget("g", 4))
	send(t, s, "u0", "big", "one", wanted)
	s.User("dave")
	return s
}

// refusal is a call and the code that it must get. change is laid over a right body, nil taking a field
// out.
type refusal struct {
	name   string
	change obj
	code   receipts.Code
}

func checkRefusals(t *testing.T, s *Server, path string, right obj, cases []refusal) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			body := obj{}
			for _, from := range []obj{right, tc.change} {
				for name, value := range from {
					body[name] = value
					if value == nil {
						delete(body, name)
					}
				}
			}
			code, answer := call(t, s, path, body)
			require.Equal(t, tc.code, code, "%v", answer)
		})
	}
	// Last, so that it is not the right body that is refused.
	good(t, s, path, right)
}

func many(n int) []obj {
	list := make([]uint64, n)
	for i := range list {
		list[i] = 1
	}
	return seqs(list...)
}

func TestAckRefusals(t *testing.T) {
	s := scene(t, Options{})
	const path = "group_open_http_svc/group_msg_receipt"
	checkRefusals(t, s, path, obj{"GroupId": "g", "From_Account": "bob", "MsgSeqList": seqs(1)}, []refusal{
		{"no group", obj{"GroupId": nil}, 10015},
		{"malformed group", obj{"GroupId": "ü"}, 10015},
		{"long group", obj{"GroupId": strings.Repeat("g", 49)}, 10015},
		{"unknown group", obj{"GroupId": "x"}, 10010},
		{"dismissed group", obj{"GroupId": "gone"}, 10010},
		{"no list", obj{"MsgSeqList": nil}, 10004},
		{"empty list", obj{"MsgSeqList": seqs()}, 10004},
		{"51", obj{"MsgSeqList": many(51)}, 10004},
		{"bare numbers", obj{"MsgSeqList": []int{1}}, 10004},
		{"no reader", obj{"From_Account": nil}, 10004},
		{"unknown reader", obj{"From_Account": "nobody"}, 10019},
		{"no member", obj{"From_Account": "dave"}, 10007},
		{"large group", obj{"GroupId": "big", "From_Account": "u1"}, 10060},
		{"community", obj{"GroupId": "comm", "From_Account": "alice"}, 10007},
		{"live", obj{"GroupId": "live", "From_Account": "alice"}, 10007},
		{"unknown message", obj{"MsgSeqList": seqs(1, 5)}, 10052},
		{"message 0", obj{"MsgSeqList": seqs(0)}, 10052},
		{"no receipt", obj{"MsgSeqList": seqs(1, 2)}, 10062},
		{"online-only", obj{"MsgSeqList": seqs(1, 3)}, 10061},
		{"gone", obj{"MsgSeqList": seqs(1, 4)}, 10062},
	})
	require.Equal(t, []string{"bob"}, s.ReadBy("g", 1), "only the last call counted")
	good(t, s, path, obj{"GroupId": "g", "From_Account": "bob", "MsgSeqList": many(50)})

	poor := scene(t, Options{Edition: EditionPro, ReceiptTypes: []string{"Work"}})
	code, _ := call(t, poor, path, obj{"GroupId": "g", "From_Account": "bob", "MsgSeqList": seqs(1)})
	require.Equal(t, receipts.CodeReceiptNotIncluded, code)
	unticked := scene(t, Options{ReceiptTypes: []string{"Work"}})
	code, _ = call(t, unticked, path, obj{"GroupId": "g", "From_Account": "bob", "MsgSeqList": seqs(1)})
	require.Equal(t, receipts.CodePermissionDeny, code)
}

func TestReceiptQueryRefusals(t *testing.T) {
	s := scene(t, Options{})
	checkRefusals(t, s, "group_open_http_svc/get_group_msg_receipt", obj{"GroupId": "g", "MsgSeqList": many(300)}, []refusal{
		{"no list", obj{"MsgSeqList": nil}, 10004},
		{"unknown group", obj{"GroupId": "x"}, 10010},
		{"large group", obj{"GroupId": "big"}, 10060},
		{"community", obj{"GroupId": "comm"}, 10007},
	})
	checkRefusals(t, s, "group_open_http_svc/get_group_msg_receipt_detail",
		obj{"GroupId": "g", "MsgSeq": 1, "Filter": 0, "Cursor": "", "Count": 200}, []refusal{
			{"no filter", obj{"Filter": nil}, 10004},
			{"filter 2", obj{"Filter": 2}, 10004},
			{"no cursor", obj{"Cursor": nil}, 10004},
			{"made-up cursor", obj{"Cursor": "1"}, 10004},
			{"cursor of another message", obj{"Cursor": "r2.1"}, 10004},
			{"count 0", obj{"Count": 0}, 10004},
			{"count 201", obj{"Count": 201}, 10004},
			{"unknown message", obj{"MsgSeq": 9}, 10052},
			{"no receipt", obj{"MsgSeq": 2}, 10062},
			{"online-only", obj{"MsgSeq": 3}, 10061},
			{"large group", obj{"GroupId": "big"}, 10060},
		})
}

func TestSendRefusals(t *testing.T) {
	s := scene(t, Options{})
	var fifty, more []string
	for _, name := range names(51) {
		if len(fifty) < 50 {
			fifty = append(fifty, name)
		}
		more = append(more, name)
	}
	checkRefusals(t, s, "group_open_http_svc/send_group_msg",
		obj{"GroupId": "g", "From_Account": "dave", "Random": 7, "MsgBody": textMsg("hi"), "NeedReadReceipt": 1}, []refusal{
			{"unknown group", obj{"GroupId": "x"}, 10010},
			{"no random", obj{"Random": nil}, 10004},
			{"random too large", obj{"Random": 4294967296}, 10004},
			{"unknown sender", obj{"From_Account": "nobody"}, 10019},
			{"no body", obj{"MsgBody": nil}, 10004},
			{"empty body", obj{"MsgBody": []obj{}}, 10004},
			{"unknown element", obj{"MsgBody": []obj{{"MsgType": "TIMOther", "MsgContent": obj{}}}}, 10004},
			{"content of another", obj{"MsgBody": []obj{{"MsgType": "TIMTextElem", "MsgContent": obj{"Data": "x"}}}}, 10004},
			{"no content", obj{"MsgBody": []obj{{"MsgType": "TIMTextElem"}}}, 10004},
			{"over 12 KB", obj{"MsgBody": textMsg(strings.Repeat("a", 12*1024))}, 80002},
			{"over 12 KB with custom data", obj{"CloudCustomData": strings.Repeat("a", 12*1024)}, 80002},
			{"C2C spelling", obj{"IsNeedReadReceipt": 1}, 10004},
			{"flag 2", obj{"NeedReadReceipt": 2}, 10004},
			{"flag as bool", obj{"NeedReadReceipt": true}, 10004},
			{"online-only with receipt", obj{"OnlineOnlyFlag": 1}, 10061},
			{"directed with receipt", obj{"To_Account": []string{"bob"}}, 10004},
			{"51 directed", obj{"NeedReadReceipt": 0, "To_Account": more}, 10004},
			{"50 directed", obj{"NeedReadReceipt": 0, "To_Account": fifty}, 0},
			{"receipt in a large group", obj{"GroupId": "big"}, 10060},
			{"no receipt in a large group", obj{"GroupId": "big", "NeedReadReceipt": 0}, 0},
			{"receipt in a community", obj{"GroupId": "comm"}, 10007},
			{"topic of a group without", obj{"TopicId": "t"}, 10007},
			{"control", obj{"SendMsgControl": []string{"Loud"}}, 10004},
			{"callback control", obj{"ForbidCallbackControl": []string{"All"}}, 10004},
			{"priority", obj{"MsgPriority": "Highest"}, 10004},
		})
	poor := scene(t, Options{Edition: EditionPro})
	code, _ := call(t, poor, "group_open_http_svc/send_group_msg",
		obj{"GroupId": "g", "Random": 1, "MsgBody": textMsg("hi"), "NeedReadReceipt": 1})
	require.Equal(t, receipts.CodeReceiptNotIncluded, code)
}

func TestOtherRefusals(t *testing.T) {
	s := scene(t, Options{})
	_, err := s.CreateGroup(GroupSpec{ID: "small", Owner: "alice", MaxMembers: 3, Members: []string{"bob"}})
	require.NoError(t, err)
	g := func(command string) string { return "group_open_http_svc/" + command }
	for _, tc := range []struct {
		path  string
		right obj
		cases []refusal
	}{
		{g("group_msg_recall"), obj{"GroupId": "g", "MsgSeqList": seqs(1)}, []refusal{
			{"11", obj{"MsgSeqList": many(11)}, 10004},
			{"none", obj{"MsgSeqList": seqs()}, 10004},
			{"long reason", obj{"Reason": strings.Repeat("a", 101)}, 10004},
			{"unknown group", obj{"GroupId": "x"}, 10010},
		}},
		{"openim/modify_group_msg", obj{"GroupId": "g", "MsgSeq": 2, "MsgBody": textMsg("new")}, []refusal{
			{"nothing to change", obj{"MsgBody": nil}, 90001},
			{"bad body", obj{"MsgBody": []obj{}}, 90001},
			{"unknown field", obj{"Body": 1}, 90001},
			{"too long", obj{"CloudCustomData": strings.Repeat("a", 12*1024)}, 80002},
			{"unknown message", obj{"MsgSeq": 9}, 10052},
			{"recalled", obj{"MsgSeq": 1}, 20022},
			{"unknown group", obj{"GroupId": "x"}, 10010},
		}},
		{g("group_msg_get_simple"), obj{"GroupId": "g", "ReqMsgNumber": 20}, []refusal{
			{"21", obj{"ReqMsgNumber": 21}, 10004},
			{"0", obj{"ReqMsgNumber": nil}, 10004},
			{"live", obj{"GroupId": "live"}, 10007},
			{"unknown group", obj{"GroupId": "x"}, 10010},
		}},
		{g("get_group_info"), obj{"GroupIdList": []string{"g"}}, []refusal{
			{"none", obj{"GroupIdList": nil}, 10004},
			{"51", obj{"GroupIdList": names(51)}, 10004},
		}},
		{g("get_group_member_info"), obj{"GroupId": "g", "Limit": 200}, []refusal{
			{"201", obj{"Limit": 201}, 10004},
			{"0", obj{"Limit": 0}, 10004},
			{"live", obj{"GroupId": "live"}, 10007},
			{"community without next", obj{"GroupId": "comm"}, 10004},
			{"unknown group", obj{"GroupId": "x"}, 10010},
		}},
		{g("add_group_member"), obj{"GroupId": "small", "MemberList": members([]string{"carol"})}, []refusal{
			{"21", obj{"MemberList": members(names(21))}, 10005},
			{"none", obj{"MemberList": nil}, 10004},
			{"unknown", obj{"MemberList": members([]string{"nobody"})}, 10019},
			{"two for one place", obj{"MemberList": members([]string{"carol", "dave"})}, 10014},
			{"live", obj{"GroupId": "live"}, 10007},
			{"unknown group", obj{"GroupId": "x"}, 10010},
		}},
		{g("delete_group_member"), obj{"GroupId": "g", "MemberToDel_Account": []string{"bob", "nobody"}}, []refusal{
			{"101", obj{"MemberToDel_Account": names(101)}, 10005},
			{"none", obj{"MemberToDel_Account": nil}, 10004},
			{"the owner", obj{"MemberToDel_Account": []string{"bob", "alice"}}, 10007},
			{"live", obj{"GroupId": "live"}, 10004},
			{"unknown group", obj{"GroupId": "x"}, 10010},
		}},
		{g("get_appid_group_list"), obj{}, []refusal{
			{"10001", obj{"Limit": 10001}, 10004},
			{"type", obj{"GroupType": "Other"}, 10004},
		}},
		{g("get_joined_group_list"), obj{"Member_Account": "bob"}, []refusal{{"unknown", obj{"Member_Account": "nobody"}, 10019}}},
		{g("create_group"), obj{"Type": "Public", "Name": "new", "GroupId": "new", "Owner_Account": "alice"}, []refusal{
			{"type", obj{"Type": "Other"}, 10004},
			{"no name", obj{"Name": nil}, 10004},
			{"taken", obj{"GroupId": "g"}, 10021},
			{"Tencent's form", obj{"GroupId": "@TGS#1"}, 10015},
			{"unknown owner", obj{"Owner_Account": "nobody"}, 10019},
			{"too many members", obj{"MaxMemberCount": 2001}, 10004},
			{"full at once", obj{"MaxMemberCount": 1, "MemberList": members([]string{"bob"})}, 10014},
		}},
		{g("import_group"), obj{"Type": "Public", "Name": "new", "GroupId": "old", "CreateTime": 1700000000}, []refusal{{"taken", obj{"GroupId": "g"}, 10021}}},
		{g("modify_group_base_info"), obj{"GroupId": "g", "Name": "G"}, []refusal{
			{"empty name", obj{"Name": ""}, 10004},
			{"too many members", obj{"MaxMemberNum": 2001}, 10004},
			{"unknown group", obj{"GroupId": "x"}, 10010},
		}},
		{g("destroy_group"), obj{"GroupId": "work"}, []refusal{{"unknown group", obj{"GroupId": "x"}, 10010}}},
		{"im_open_login_svc/account_import", obj{"UserID": "erin"}, []refusal{
			{"long", obj{"UserID": strings.Repeat("a", 33)}, 70402},
			{"characters", obj{"UserID": "a b"}, 70402},
			{"none", obj{"UserID": nil}, 70402},
			{"unknown field", obj{"Nickname": "x"}, 70402},
		}},
		{"im_open_login_svc/multiaccount_import", obj{"Accounts": names(100)}, []refusal{
			{"101", obj{"Accounts": names(101)}, 70402},
			{"none", obj{"Accounts": nil}, 70402},
		}},
		{"im_open_login_svc/account_check", obj{"CheckItem": []obj{{"UserID": "bob"}}}, []refusal{{"none", obj{"CheckItem": nil}, 70402}}},
		{"profile/portrait_get", obj{"To_Account": names(100), "TagList": []string{tagNick}}, []refusal{
			{"101", obj{"To_Account": names(101)}, 40001},
			{"no tags", obj{"TagList": nil}, 40001},
		}},
		{"profile/portrait_set", obj{"From_Account": "bob", "ProfileItem": []obj{{"Tag": tagNick, "Value": "Bob"}}}, []refusal{
			{"unknown", obj{"From_Account": "nobody"}, 40003},
			{"no items", obj{"ProfileItem": nil}, 40001},
			{"tag", obj{"ProfileItem": []obj{{"Tag": "Nick", "Value": "Bob"}}}, 40001},
			{"nick no text", obj{"ProfileItem": []obj{{"Tag": tagNick, "Value": 7}}}, 40001},
		}},
	} {
		t.Run(tc.path, func(t *testing.T) { checkRefusals(t, s, tc.path, tc.right, tc.cases) })
	}
}

func TestTrialEdition(t *testing.T) {
	c := newClock()
	s := Start(t, Options{Edition: EditionTrial, Now: c.now, Limits: Limits{Command: -1, Account: -1, Group: -1}})
	for i := range 100 {
		good(t, s, "group_open_http_svc/create_group", obj{"Type": "Public", "Name": "n", "GroupId": fmt.Sprintf("g%d", i)})
	}
	code, _ := call(t, s, "group_open_http_svc/create_group", obj{"Type": "Public", "Name": "n"})
	require.Equal(t, codeTrialGroups, code)
	answer := good(t, s, "im_open_login_svc/multiaccount_import", obj{"Accounts": names(100)})
	require.Equal(t, []any{"u99"}, answer["FailAccounts"], "the administrator is one of a hundred")
	code, _ = call(t, s, "im_open_login_svc/account_import", obj{"UserID": "erin"})
	require.Equal(t, codeTrialAccounts, code)
	for i := range 1000 {
		require.NoError(t, asError(lastOf(s.send("g0", draft{message: message{from: "u1", random: uint32(i), body: textBody("x")}, wantsAnswer: true}))))
	}
	code, _ = call(t, s, "group_open_http_svc/send_group_msg", obj{"GroupId": "g0", "Random": 1, "MsgBody": textMsg("x")})
	require.Equal(t, codeTrialDaily, code)
	c.forward(24 * time.Hour)
	good(t, s, "group_open_http_svc/send_group_msg", obj{"GroupId": "g0", "Random": 1, "MsgBody": textMsg("x")})
}

func lastOf(_ Message, _ bool, refused *receipts.Error) *receipts.Error { return refused }
