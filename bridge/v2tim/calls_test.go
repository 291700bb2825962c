package v2tim_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/bridge/v2tim/v2timtest"
)

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

func request(t testing.TB, method, path, user, body string) *http.Request {
	return httptest.NewRequest(method, path+"?"+query(t, user, nil), strings.NewReader(body))
}

// record makes a call without a network.
func record(t testing.TB, s *v2tim.Server, path, user, body string, log zerolog.Logger) reply {
	req, w := request(t, http.MethodPost, path, user, body), newRecorder()
	s.Handler().ServeHTTP(w, req.WithContext(log.WithContext(req.Context())))
	require.Equal(t, http.StatusOK, w.Code)
	return parseReply(t, strings.HasPrefix(path, "/v4/v2tim/"), w.Body.Bytes())
}

func TestCallsOfAnApp(t *testing.T) {
	b, ctx := newBed(t), t.Context()
	alice := b.client("alice")

	require.NoError(t, alice.SendMessageReadReceipts(ctx, "m1", "m2"))
	requireCalls(t, b.core, `ack alice ["m1" "m2"]`)

	b.core.receipts = []v2tim.MessageReceipt{receipt("m1", 2, 3)}
	list, err := alice.GetMessageReadReceipts(ctx, "m1")
	require.NoError(t, err)
	require.Equal(t, b.core.receipts, list)
	requireCalls(t, b.core, `counts alice ["m1"]`)

	b.core.members = v2tim.MemberList{NextSeq: 5, IsFinished: true, MemberInfoList: []v2tim.MemberInfo{{UserID: "bob"}}}
	page, err := alice.GetGroupMessageReadMemberList(ctx, "m1", v2tim.FilterUnread, 4, 2)
	require.NoError(t, err)
	require.Equal(t, b.core.members, page)
	requireCalls(t, b.core, "members alice m1 1 4 2")
	all, err := alice.ReadMembers(ctx, "m1", v2tim.FilterRead)
	require.NoError(t, err)
	require.Equal(t, []string{"bob"}, all)
	requireCalls(t, b.core, "members alice m1 0 0 100")

	sent, err := alice.SendMessage(ctx, v2tim.OutgoingMessage{GroupID: "g1", CustomData: "{}", OnlineUserOnly: true, Random: 9, HasRandom: true})
	require.NoError(t, err)
	require.Equal(t, v2tim.SentMessage{MsgID: "m-7", Seq: 7, GroupID: "g1"}, sent)
	requireCalls(t, b.core, "send alice {GroupID:g1 Text: CustomData:{} NeedReadReceipt:false OnlineUserOnly:true Random:9 HasRandom:true}")
}

func TestFormOfAnswersOfAnApp(t *testing.T) {
	b := newBed(t)
	ask := func(command, body string) map[string]string {
		r := b.ask(http.MethodPost, "/v4/v2tim/"+command, query(t, "alice", nil), strings.NewReader(body))
		require.Zero(t, r.code, r.desc)
		out := make(map[string]string)
		for name, raw := range r.fields {
			out[name] = string(raw)
		}
		return out
	}
	require.Equal(t, map[string]string{"code": "0", "desc": `""`}, ask("sendMessageReadReceipts", `{"messageIDList":["m1"]}`))
	require.Equal(t, "[]", ask("getMessageReadReceipts", `{"messageIDList":["m1"]}`)["data"], "an empty list, not null")
	b.core.receipts = []v2tim.MessageReceipt{receipt("m1", 2, 3)}
	require.JSONEq(t, `[{"msgID":"m1","groupID":"g1","userID":"","timestamp":0,"readCount":2,"unreadCount":3,"isPeerRead":false}]`,
		ask("getMessageReadReceipts", `{"messageIDList":["m1"]}`)["data"])
	require.JSONEq(t, `{"nextSeq":0,"isFinished":false,"memberInfoList":[]}`, ask("getGroupMessageReadMemberList", `{"messageID":"m1"}`)["data"])
	require.JSONEq(t, `{"msgID":"m-7","seq":"7","groupID":"g1"}`, ask("sendMessage", `{"groupID":"g1","text":"hi"}`)["data"])
}

func TestSDKArguments(t *testing.T) {
	b := newBed(t)
	cases := map[string]struct {
		command, body string
		code          int
		call          string
	}{
		"defaults of a page":  {"getGroupMessageReadMemberList", `{"messageID":"m1"}`, 0, "members alice m1 0 0 100"},
		"numbers as strings":  {"getGroupMessageReadMemberList", `{"messageID":"m1","filter":"1","nextSeq":"7","count":"3"}`, 0, "members alice m1 1 7 3"},
		"large count":         {"getGroupMessageReadMemberList", `{"messageID":"m1","count":1000}`, 0, "members alice m1 0 0 100"},
		"count 0":             {"getGroupMessageReadMemberList", `{"messageID":"m1","count":0}`, 6017, ""},
		"negative count":      {"getGroupMessageReadMemberList", `{"messageID":"m1","count":-1}`, 6017, ""},
		"negative nextSeq":    {"getGroupMessageReadMemberList", `{"messageID":"m1","nextSeq":-1}`, 6017, ""},
		"fraction":            {"getGroupMessageReadMemberList", `{"messageID":"m1","count":1.5}`, 6017, ""},
		"filter 2":            {"getGroupMessageReadMemberList", `{"messageID":"m1","filter":2}`, 6017, ""},
		"no message":          {"getGroupMessageReadMemberList", `{}`, 6017, ""},
		"text":                {"sendMessage", `{"groupID":"g1","text":"hi","needReadReceipt":true}`, 0, "send alice {GroupID:g1 Text:hi CustomData: NeedReadReceipt:true OnlineUserOnly:false Random:0 HasRandom:false}"},
		"truth as a number":   {"sendMessage", `{"groupID":"g1","text":"hi","needReadReceipt":1,"onlineUserOnly":"0","random":"5"}`, 0, "send alice {GroupID:g1 Text:hi CustomData: NeedReadReceipt:true OnlineUserOnly:false Random:5 HasRandom:true}"},
		"nulls":               {"sendMessage", `{"groupID":"g1","text":"hi","needReadReceipt":null,"random":null,"customData":null}`, 0, "send alice {GroupID:g1 Text:hi CustomData: NeedReadReceipt:false OnlineUserOnly:false Random:0 HasRandom:false}"},
		"no truth":            {"sendMessage", `{"groupID":"g1","text":"hi","needReadReceipt":2}`, 6017, ""},
		"random of 33 bits":   {"sendMessage", `{"groupID":"g1","text":"hi","random":4294967296}`, 6017, ""},
		"text and customData": {"sendMessage", `{"groupID":"g1","text":"hi","customData":"x"}`, 6017, ""},
		"neither":             {"sendMessage", `{"groupID":"g1"}`, 6017, ""},
		"no group":            {"sendMessage", `{"text":"hi"}`, 6017, ""},
		"12 KiB":              {"sendMessage", `{"groupID":"g1","text":"` + strings.Repeat("x", 12<<10) + `"}`, 0, "send alice {GroupID:g1 Text:" + strings.Repeat("x", 12<<10) + " CustomData: NeedReadReceipt:false OnlineUserOnly:false Random:0 HasRandom:false}"},
		"above 12 KiB":        {"sendMessage", `{"groupID":"g1","text":"` + strings.Repeat("x", 12<<10+1) + `"}`, 8001, ""},
		"customData above":    {"sendMessage", `{"groupID":"g1","customData":"` + strings.Repeat("x", 12<<10+1) + `"}`, 8001, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b.t = t
			r := b.ask(http.MethodPost, "/v4/v2tim/"+c.command, query(t, "alice", nil), strings.NewReader(c.body))
			require.Equal(t, c.code, r.code, r.desc)
			if c.call == "" {
				require.Empty(t, b.core.took())
			} else {
				requireCalls(t, b.core, c.call)
			}
		})
	}
}

func TestRateLimitIsEachUsersOwn(t *testing.T) {
	now := time.Now()
	b := newBed(t, func(c *v2tim.Config) {
		c.RatePerSecond, c.RateBurst = 1, 2
		c.Now = func() time.Time { return now }
	})
	ask := func(user, body string) int {
		return b.ask(http.MethodPost, "/v4/v2tim/sendMessageReadReceipts", query(t, user, nil), strings.NewReader(body)).code
	}
	const good = `{"messageIDList":["m1"]}`
	require.Equal(t, []int{0, 0, 7008}, []int{ask("alice", good), ask("alice", good), ask("alice", good)})
	require.Equal(t, 7008, ask("alice", "{"), "what is not JSON is not even looked at")
	require.Equal(t, 7008, ask("alice", `{"messageIDList":7}`), "the rate comes before the list")
	require.Zero(t, ask("bob", good))
	now = now.Add(time.Second)
	require.Zero(t, ask("alice", good))
	for range 5 { // administrators are not limited
		require.Zero(t, b.ask(http.MethodPost, "/v4/timbridge/get_groups", query(t, "administrator", nil), strings.NewReader("{}")).code)
	}
}

func TestClientHints(t *testing.T) {
	b := newBed(t, func(c *v2tim.Config) { c.MinSDKVersion, c.DenyPlatforms = "3.9.3", []string{"Web"} })
	cases := map[string]struct {
		header []string
		code   int
	}{
		"silent":        {nil, 0},
		"just so":       {[]string{"X-TIM-SDK-Version", "3.9.3"}, 0},
		"later":         {[]string{"X-TIM-SDK-Version", "3.10"}, 0},
		"with a suffix": {[]string{"X-TIM-SDK-Version", "8.6.7021+3"}, 0},
		"earlier":       {[]string{"X-TIM-SDK-Version", "3.9.2"}, 7013},
		"shorter":       {[]string{"X-TIM-SDK-Version", "3.9"}, 7013},
		"no version":    {[]string{"X-TIM-SDK-Version", "new"}, 7013},
		"iOS":           {[]string{"X-TIM-Platform", "iOS"}, 0},
		"web":           {[]string{"X-TIM-Platform", "web"}, 7013},
	}
	for name, c := range cases {
		for path, body := range sdkBodies() {
			r := b.ask(http.MethodPost, path, query(t, "alice", nil), strings.NewReader(body), c.header...)
			if path == "/v4/v2tim/sendMessage" {
				require.Zero(t, r.code, "hints are about receipts")
			} else {
				require.Equal(t, c.code, r.code, name+" "+path)
			}
		}
	}
	b.core.took()
	r := b.ask(http.MethodPost, "/v4/v2tim/sendMessageReadReceipts", query(t, "alice", nil), bytes.NewReader(nil), "X-TIM-Platform", "web")
	require.Equal(t, 7013, r.code, "hints come before the body")
	r = b.ask(http.MethodPost, "/v4/v2tim/sendMessageReadReceipts", query(t, "alice", map[string]string{"usersig": "x"}), bytes.NewReader(nil), "X-TIM-Platform", "web")
	require.Equal(t, 70003, r.code, "the UserSig comes before hints")
}

func TestCallsOfTheServerAPI(t *testing.T) {
	b, ctx := newBed(t), t.Context()
	admin := b.client("administrator")

	require.NoError(t, admin.GroupMsgReceipt(ctx, "g1", "bob", 3, 1, 3))
	requireCalls(t, b.core, "group ack g1 bob [3 1]")

	list, err := admin.GetGroupMsgReceipt(ctx, "g1", 1, 404)
	require.NoError(t, err)
	require.Equal(t, []v2tim.SeqReceipt{{MsgSeq: 1, ReadNum: 2, UnreadNum: 3}, {MsgSeq: 404, Code: 10062}}, list)
	requireCalls(t, b.core, "group counts g1 [1 404]")

	b.core.detail = v2tim.ReceiptDetail{Members: []string{"bob", "carol"}, Cursor: "2", IsFinished: true}
	for _, filter := range []int{v2tim.FilterRead, v2tim.FilterUnread} {
		detail, err := admin.GetGroupMsgReceiptDetail(ctx, "g1", 7, filter, "c", 200)
		require.NoError(t, err)
		require.Equal(t, b.core.detail, detail)
	}
	requireCalls(t, b.core, `group detail g1 7 0 "c" 200`, `group detail g1 7 1 "c" 200`)
}

func TestFormOfAnswersOfTheServerAPI(t *testing.T) {
	b := newBed(t)
	b.core.detail = v2tim.ReceiptDetail{Members: []string{"bob"}, Cursor: "2", IsFinished: true}
	cases := []struct{ path, body, want string }{
		{"group_open_http_svc/group_msg_receipt", `{"GroupId":"g1","From_Account":"bob","MsgSeqList":[{"MsgSeq":"5"}]}`,
			`{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}`},
		{"group_open_http_svc/get_group_msg_receipt", `{"GroupId":"g1","MsgSeqList":[{"MsgSeq":"5"},{"MsgSeq":404}]}`,
			`{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"GroupMsgReceiptList":[{"MsgSeq":5,"Code":0,"ReadNum":2,"UnreadNum":3},{"MsgSeq":404,"Code":10062,"ReadNum":0,"UnreadNum":0}]}`},
		{"group_open_http_svc/get_group_msg_receipt_detail", `{"GroupId":"g1","MsgSeq":5,"Filter":0,"Cursor":"","Count":"100"}`,
			`{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"MsgSeq":5,"IsFinish":1,"IsFinished":1,"Cursor":"2","ReadList":[{"Read_Account":"bob"}]}`},
		{"group_open_http_svc/get_group_msg_receipt_detail", `{"GroupId":"g1","MsgSeq":5,"Filter":"1"}`,
			`{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"MsgSeq":5,"IsFinish":1,"IsFinished":1,"Cursor":"2","UnreadList":[{"Unread_Account":"bob"}]}`},
		{"group_open_http_svc/add_group_member", `{"GroupId":"g1","Silence":1,"MemberList":[{"Member_Account":"bob"}]}`,
			`{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"MemberList":[{"Member_Account":"bob","Result":1}]}`},
		{"timbridge/get_group_member_info", `{"GroupId":"g1","Limit":"10","Offset":0}`,
			`{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"MemberNum":1,"MemberList":[{"Member_Account":"bob","Role":"Member","JoinTime":0,"MsgSeq":0,"MsgFlag":"","LastSendMsgTime":0,"MuteUntil":0,"NameCard":""}]}`},
		{"timbridge/get_groups", `{}`, `{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"TotalCount":0,"GroupList":[],"Next":""}`},
		{"timbridge/get_group_messages", `{"GroupId":"g1"}`,
			`{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"GroupId":"g1","IsFinished":1,"Next":0,"RspMsgList":[]}`},
		{"timbridge/map_group", `{"GroupId":"g1","RoomId":"!r:x"}`,
			`{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"GroupId":"g1","RoomId":"!r:x","Type":"","Name":"","SeqSource":"","MemberList":[]}`},
	}
	for _, c := range cases {
		req, w := request(t, http.MethodPost, "/v4/"+c.path, "administrator", c.body), newRecorder()
		b.server.Handler().ServeHTTP(w, req)
		require.JSONEq(t, c.want, w.Body.String(), c.path)
	}
}

func TestServerArguments(t *testing.T) {
	b := newBed(t)
	cases := map[string]struct {
		path, body string
		code       int
		call       string
	}{
		"no group":          {"group_open_http_svc/group_msg_receipt", `{"From_Account":"b","MsgSeqList":[{"MsgSeq":1}]}`, 10004, ""},
		"no reader":         {"group_open_http_svc/group_msg_receipt", `{"GroupId":"g","MsgSeqList":[{"MsgSeq":1}]}`, 10004, ""},
		"no seqs":           {"group_open_http_svc/group_msg_receipt", `{"GroupId":"g","From_Account":"b"}`, 10004, ""},
		"seq 0":             {"group_open_http_svc/group_msg_receipt", `{"GroupId":"g","From_Account":"b","MsgSeqList":[{"MsgSeq":0}]}`, 10004, ""},
		"seq missing":       {"group_open_http_svc/get_group_msg_receipt", `{"GroupId":"g","MsgSeqList":[{}]}`, 10004, ""},
		"seq too large":     {"group_open_http_svc/get_group_msg_receipt", `{"GroupId":"g","MsgSeqList":[{"MsgSeq":9223372036854775808}]}`, 10004, ""},
		"seq beyond 64 bit": {"group_open_http_svc/get_group_msg_receipt", `{"GroupId":"g","MsgSeqList":[{"MsgSeq":18446744073709551616}]}`, 10004, ""},
		"largest seq":       {"group_open_http_svc/get_group_msg_receipt", `{"GroupId":"g","MsgSeqList":[{"MsgSeq":9223372036854775807}]}`, 0, "group counts g [9223372036854775807]"},
		"detail Count 201":  {"group_open_http_svc/get_group_msg_receipt_detail", `{"GroupId":"g","MsgSeq":1,"Count":201}`, 10004, ""},
		"detail Count 0":    {"group_open_http_svc/get_group_msg_receipt_detail", `{"GroupId":"g","MsgSeq":1,"Count":0}`, 10004, ""},
		"detail Filter 2":   {"group_open_http_svc/get_group_msg_receipt_detail", `{"GroupId":"g","MsgSeq":1,"Filter":2}`, 10004, ""},
		"detail no seq":     {"group_open_http_svc/get_group_msg_receipt_detail", `{"GroupId":"g"}`, 10004, ""},
		"empty member":      {"timbridge/add_group_member", `{"GroupId":"g","MemberList":[{}]}`, 10004, ""},
		"no members":        {"timbridge/add_group_member", `{"GroupId":"g"}`, 10004, ""},
		"no one to go":      {"timbridge/delete_group_member", `{"GroupId":"g"}`, 10004, ""},
		"info defaults":     {"timbridge/get_group_member_info", `{"GroupId":"g"}`, 0, "get_group_member_info {GroupId:g Limit:100 Offset:0}"},
		"info Limit":        {"timbridge/get_group_member_info", `{"GroupId":"g","Limit":201}`, 10004, ""},
		"info Offset":       {"timbridge/get_group_member_info", `{"GroupId":"g","Offset":4294967296}`, 10004, ""},
		"map without room":  {"timbridge/map_group", `{"GroupId":"g"}`, 10004, ""},
		"map with members":  {"timbridge/map_group", `{"GroupId":"g","RoomId":"!r","SeqSource":"own","MemberList":[{"Member_Account":"b"}]}`, 0, "map_group {GroupId:g RoomId:!r Type: Name: SeqSource:own MemberList:[{Member_Account:b}]}"},
		"unmap nothing":     {"timbridge/unmap_group", `{}`, 10004, ""},
		"map messages":      {"timbridge/map_messages", `{"GroupId":"g","MessageList":[{"EventId":"$1","MsgSeq":"5","MsgId":"m","From_Account":"b","NeedReadReceipt":1},{"EventId":"$2","NeedReadReceipt":false},{"EventId":"$3"}]}`, 0, "map_messages g $1=5/m/b/true $2=0///false $3=0///?"},
		"no event":          {"timbridge/map_messages", `{"GroupId":"g","MessageList":[{"MsgSeq":1}]}`, 10004, ""},
		"no messages":       {"timbridge/map_messages", `{"GroupId":"g","MessageList":[]}`, 10004, ""},
		"link":              {"timbridge/link_user", `{"UserID":"b","MXID":"@b:x"}`, 0, "link_user {UserID:b MXID:@b:x}"},
		"link to nobody":    {"timbridge/link_user", `{"UserID":"b"}`, 10004, ""},
		"unlink nobody":     {"timbridge/unlink_user", `{}`, 10004, ""},
		"groups":            {"timbridge/get_groups", `{"Next":"g7","Limit":5}`, 0, "get_groups {Limit:5 Next:g7}"},
		"groups Limit":      {"timbridge/get_groups", `{"Limit":101}`, 10004, ""},
		"messages":          {"timbridge/get_group_messages", `{"GroupId":"g"}`, 0, "get_group_messages {GroupId:g ReqMsgSeq:0 Next:0 ReqMsgNumber:20}"},
		"messages by Next":  {"timbridge/get_group_messages", `{"GroupId":"g","Next":"9","ReqMsgNumber":100}`, 0, "get_group_messages {GroupId:g ReqMsgSeq:9 Next:9 ReqMsgNumber:100}"},
		"messages Number":   {"timbridge/get_group_messages", `{"GroupId":"g","ReqMsgNumber":101}`, 10004, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b.t = t
			r := b.ask(http.MethodPost, "/v4/"+c.path, query(t, "administrator", nil), strings.NewReader(c.body))
			require.Equal(t, c.code, r.code, r.desc)
			if c.call == "" {
				require.Empty(t, b.core.took())
			} else {
				requireCalls(t, b.core, c.call)
			}
		})
	}
}

func TestAdminClient(t *testing.T) {
	b, ctx := newBed(t), t.Context()
	admin := b.client("administrator")
	mapped, err := admin.MapGroup(ctx, v2tim.MapGroupRequest{GroupId: "g", RoomId: "!r", MemberList: v2timtest.Accounts("a", "b")})
	require.NoError(t, err)
	require.Equal(t, "!r", mapped.RoomId)
	results, err := admin.AddGroupMember(ctx, "g", "a")
	require.NoError(t, err)
	require.Equal(t, []v2tim.MemberResult{{Member_Account: "a", Result: v2tim.MemberAdded}}, results)
	require.NoError(t, admin.DeleteGroupMember(ctx, "g", "a"))
	info, err := admin.GetGroupMemberInfo(ctx, v2tim.GetGroupMemberInfoRequest{GroupId: "g"})
	require.NoError(t, err)
	require.Equal(t, 1, info.MemberNum)
	yes := v2tim.Bool(true)
	messages, err := admin.MapMessages(ctx, v2tim.MapMessagesRequest{GroupId: "g", MessageList: []v2tim.MessageMapping{{EventId: "$1", MsgSeq: 4, NeedReadReceipt: &yes}}})
	require.NoError(t, err)
	require.Equal(t, uint64(4), messages.MessageList[0].MsgSeq)
	require.NoError(t, admin.LinkUser(ctx, "b", "@b:x"))
	require.NoError(t, admin.UnlinkUser(ctx, "b"))
	_, err = admin.GetGroups(ctx, v2tim.GetGroupsRequest{})
	require.NoError(t, err)
	_, err = admin.GetGroupMessages(ctx, v2tim.GetGroupMessagesRequest{GroupId: "g"})
	require.NoError(t, err)
	require.NoError(t, admin.UnmapGroup(ctx, "g"))
	require.Len(t, b.core.took(), 10)
}
