package tencent

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/receipts"
)

func ptr[T any](v T) *T { return &v }

// callTest is one call: what must go out, what comes back, what is made of it. Samples of answers
// are those of Tencent's pages, some with numbers quoted.
type callTest struct {
	name    string
	call    func(context.Context, *Client) (any, error)
	path    string
	request string
	reply   string
	want    any
}

func callTests() []callTest {
	text := []MsgElem{{MsgType: "TIMTextElem", MsgContent: json.RawMessage(`{"Text":"red <packet> & co"}`)}}
	return []callTest{
		{
			name: "group_msg_receipt",
			call: func(ctx context.Context, c *Client) (any, error) {
				return nil, c.GroupMsgReceipt(ctx, "@TGS#2TTV7VSII", "user0", []receipts.MsgSeq{1, 2})
			},
			path:    "/v4/group_open_http_svc/group_msg_receipt",
			request: `{"GroupId":"@TGS#2TTV7VSII","From_Account":"user0","MsgSeqList":[{"MsgSeq":1},{"MsgSeq":2}]}`,
			reply:   `{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":""}`,
		},
		{
			name: "get_group_msg_receipt",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.GetGroupMsgReceipt(ctx, "@TGS#2TTV7VSII", []receipts.MsgSeq{1, 2})
			},
			path:    "/v4/group_open_http_svc/get_group_msg_receipt",
			request: `{"GroupId":"@TGS#2TTV7VSII","MsgSeqList":[{"MsgSeq":1},{"MsgSeq":2}]}`,
			reply: `{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","GroupMsgReceiptList":[
				{"Code":0,"MsgSeq":1,"ReadNum":1,"UnreadNum":6},{"Code":"10062","MsgSeq":"2"}]}`,
			want: []MsgReceipt{{MsgSeq: 1, ReadNum: 1, UnreadNum: 6}, {MsgSeq: 2, Code: 10062}},
		},
		{
			name: "get_group_msg_receipt_detail, more to come",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.GetGroupMsgReceiptDetail(ctx, "@TGS#2TTV7VSII", 1, FilterRead, "", 2)
			},
			path:    "/v4/group_open_http_svc/get_group_msg_receipt_detail",
			request: `{"GroupId":"@TGS#2TTV7VSII","MsgSeq":1,"Filter":0,"Cursor":"","Count":2}`,
			reply:   `{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","MsgSeq":1,"IsFinish":0,"Cursor":"c1","ReadList":[{"Read_Account":"a"},{"Read_Account":"b"}]}`,
			want:    ReceiptDetail{Accounts: Accounts{"a", "b"}, Cursor: "c1"},
		},
		{
			name: "get_group_msg_receipt_detail, IsFinish",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.GetGroupMsgReceiptDetail(ctx, "g", 1, FilterUnread, "c1", 200)
			},
			path:    "/v4/group_open_http_svc/get_group_msg_receipt_detail",
			request: `{"GroupId":"g","MsgSeq":1,"Filter":1,"Cursor":"c1","Count":200}`,
			reply:   `{"ErrorCode":0,"IsFinish":1,"Cursor":"c2","UnreadList":[{"Unread_Account":"a"}]}`,
			want:    ReceiptDetail{Accounts: Accounts{"a"}, Cursor: "c2", Finished: true},
		},
		{
			name: "get_group_msg_receipt_detail, IsFinished",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.GetGroupMsgReceiptDetail(ctx, "g", 1, FilterRead, "", 200)
			},
			path:    "/v4/group_open_http_svc/get_group_msg_receipt_detail",
			request: `{"GroupId":"g","MsgSeq":1,"Filter":0,"Cursor":"","Count":200}`,
			reply:   `{"ErrorCode":0,"IsFinished":"1","Cursor":"c2","ReadList":null}`,
			want:    ReceiptDetail{Cursor: "c2", Finished: true},
		},
		{
			name: "get_group_msg_receipt_detail, the same cursor again",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.GetGroupMsgReceiptDetail(ctx, "g", 1, FilterRead, "c", 200)
			},
			path:    "/v4/group_open_http_svc/get_group_msg_receipt_detail",
			request: `{"GroupId":"g","MsgSeq":1,"Filter":0,"Cursor":"c","Count":200}`,
			reply:   `{"ErrorCode":0,"IsFinished":0,"Cursor":"c"}`,
			want:    ReceiptDetail{Cursor: "c", Finished: true},
		},
		{
			name: "send_group_msg",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.SendGroupMsg(ctx, GroupMsg{
					GroupId: "@TGS#2C5SZEAEF", From_Account: "leckie", Random: 4026038328, MsgBody: text, NeedReadReceipt: true,
					GroupAtInfo:           []GroupAt{{GroupAtAllFlag: true}, {GroupAt_Account: "jared"}},
					ForbidCallbackControl: []string{"ForbidAfterSendMsgCallback"}, CloudCustomData: "your cloud custom data",
				})
			},
			path: "/v4/group_open_http_svc/send_group_msg",
			request: `{"GroupId":"@TGS#2C5SZEAEF","From_Account":"leckie","Random":4026038328,"NeedReadReceipt":1,
				"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"red <packet> & co"}}],"CloudCustomData":"your cloud custom data",
				"GroupAtInfo":[{"GroupAtAllFlag":1},{"GroupAtAllFlag":0,"GroupAt_Account":"jared"}],"ForbidCallbackControl":["ForbidAfterSendMsgCallback"]}`,
			reply: `{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"MsgTime":1497249503,"MsgSeq":1}`,
			want:  SentMsg{MsgSeq: 1, At: time.Unix(1497249503, 0)},
		},
		{
			name: "send_group_msg, online only and dropped",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.SendGroupMsg(ctx, GroupMsg{GroupId: "g", From_Account: "a", MsgBody: text, OnlineOnlyFlag: true})
			},
			path: "/v4/group_open_http_svc/send_group_msg",
			request: `{"GroupId":"g","From_Account":"a","Random":0,"NeedReadReceipt":0,"OnlineOnlyFlag":1,
				"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"red <packet> & co"}}]}`,
			reply: `{"ActionStatus":"OK","ErrorCode":0,"MsgTime":"1497249503","MsgSeq":"0","MsgDropReason":"MsgFreqCtrl"}`,
			want:  SentMsg{At: time.Unix(1497249503, 0), DropReason: "MsgFreqCtrl"},
		},
		{
			name: "group_msg_recall",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.GroupMsgRecall(ctx, "@TGS#2J4SZEAEL", []receipts.MsgSeq{100, 101}, "why")
			},
			path:    "/v4/group_open_http_svc/group_msg_recall",
			request: `{"GroupId":"@TGS#2J4SZEAEL","MsgSeqList":[{"MsgSeq":100},{"MsgSeq":101}],"Reason":"why"}`,
			reply:   `{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"RecallRetList":[{"MsgSeq":100,"RetCode":10030},{"MsgSeq":101,"RetCode":0}]}`,
			want:    []RecallResult{{100, 10030}, {101, 0}},
		},
		{
			name: "modify_group_msg",
			call: func(ctx context.Context, c *Client) (any, error) {
				return nil, c.ModifyGroupMsg(ctx, "@TGS#1HYEP2SHC", 23, text, nil)
			},
			path:    "/v4/openim/modify_group_msg",
			request: `{"GroupId":"@TGS#1HYEP2SHC","MsgSeq":23,"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"red <packet> & co"}}]}`,
			reply:   okReply,
		},
		{
			name: "modify_group_msg, custom data only, emptied",
			call: func(ctx context.Context, c *Client) (any, error) {
				return nil, c.ModifyGroupMsg(ctx, "g", 23, nil, ptr(""))
			},
			path:    "/v4/openim/modify_group_msg",
			request: `{"GroupId":"g","MsgSeq":23,"CloudCustomData":""}`,
			reply:   okReply,
		},
		{
			name: "group_msg_get_simple, newest",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.GroupMsgGetSimple(ctx, "@TGS#15ERQPAER", 0, 2)
			},
			path:    "/v4/group_open_http_svc/group_msg_get_simple",
			request: `{"GroupId":"@TGS#15ERQPAER","ReqMsgNumber":2,"WithRecalledMsg":1}`,
			reply: `{"ActionStatus":"OK","ErrorCode":0,"GroupId":"@TGS#15ERQPAER","IsFinished":1,"RspMsgList":[
				{"From_Account":"144115197276518801","IsPlaceMsg":0,"MsgBody":[{"MsgContent":{"Data":"\b\u0001\u0010\u0006\u001A\u0006猫瞳","Desc":"MIF","Ext":""},"MsgType":"TIMCustomElem"}],
				 "MsgPriority":1,"MsgRandom":51083293,"MsgSeq":7803321,"MsgTimeStamp":1458721802},
				{"From_Account":"144115197276518801","IsPlaceMsg":1,"MsgSeq":7803320}]}`,
			want: History{Next: 7803319, Messages: []HistoryMsg{
				{
					From_Account: "144115197276518801", MsgSeq: 7803321, MsgRandom: 51083293, MsgTimeStamp: 1458721802,
					MsgBody: []MsgElem{{MsgType: "TIMCustomElem", MsgContent: json.RawMessage(`{"Data":"\b\u0001\u0010\u0006\u001A\u0006猫瞳","Desc":"MIF","Ext":""}`)}},
				},
				{From_Account: "144115197276518801", IsPlaceMsg: PlaceGone, MsgSeq: 7803320},
			}},
		},
		{
			name: "group_msg_get_simple, the beginning",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.GroupMsgGetSimple(ctx, "g", 2, 20)
			},
			path:    "/v4/group_open_http_svc/group_msg_get_simple",
			request: `{"GroupId":"g","ReqMsgNumber":20,"ReqMsgSeq":2,"WithRecalledMsg":1}`,
			reply:   `{"ErrorCode":0,"IsFinished":"0","RspMsgList":[{"MsgSeq":2,"IsPlaceMsg":2},{"MsgSeq":"1","NeedReadReceipt":1}]}`,
			want:    History{Messages: []HistoryMsg{{MsgSeq: 2, IsPlaceMsg: PlaceRecalled}, {MsgSeq: 1, NeedReadReceipt: ptr(Flag(true))}}},
		},
		{
			name: "group_msg_get_simple, nothing",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.GroupMsgGetSimple(ctx, "g", 9, 1)
			},
			path:    "/v4/group_open_http_svc/group_msg_get_simple",
			request: `{"GroupId":"g","ReqMsgNumber":1,"ReqMsgSeq":9,"WithRecalledMsg":1}`,
			reply:   `{"ErrorCode":0,"IsFinished":2,"RspMsgList":[]}`,
			want:    History{Messages: []HistoryMsg{}},
		},
		{
			name: "get_group_info",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.GetGroupInfo(ctx, []string{"@TGS#1NVTZEAE4", "@TGS#1CXTZEAET"})
			},
			path: "/v4/group_open_http_svc/get_group_info",
			request: `{"GroupIdList":["@TGS#1NVTZEAE4","@TGS#1CXTZEAET"],"ResponseFilter":{"GroupBaseInfoFilter":
				["Type","Name","Introduction","Notification","FaceUrl","Owner_Account","MemberNum","MaxMemberNum","NextMsgSeq"]}}`,
			reply: `{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"GroupInfo":[
				{"GroupId":"@TGS#1NVTZEAE4","ErrorCode":0,"ErrorInfo":"","Type":"Public","Name":"MyFirstGroup","NextMsgSeq":2,"MemberNum":"2","MaxMemberNum":50,"Owner_Account":"leckie"},
				{"GroupId":"@TGS#1CXTZEAET","ErrorCode":10010,"ErrorInfo":"group not exist"}]}`,
			want: []GroupInfo{
				{GroupId: "@TGS#1NVTZEAE4", Type: "Public", Name: "MyFirstGroup", NextMsgSeq: 2, MemberNum: 2, MaxMemberNum: 50, Owner_Account: "leckie"},
				{GroupId: "@TGS#1CXTZEAET", ErrorCode: 10010},
			},
		},
		{
			name: "get_group_member_info",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.GetGroupMemberInfo(ctx, "@TGS#1NVTZEAE4", 100, 200)
			},
			path:    "/v4/group_open_http_svc/get_group_member_info",
			request: `{"GroupId":"@TGS#1NVTZEAE4","Limit":100,"Offset":200,"MemberInfoFilter":["Role","JoinTime","NameCard"]}`,
			reply:   `{"ActionStatus":"OK","ErrorCode":0,"MemberNum":202,"MemberList":[{"Member_Account":"bob","Role":"Owner","JoinTime":1425976500,"NameCard":"Bob","MsgSeq":1233}]}`,
			want:    MemberPage{MemberNum: 202, MemberList: []MemberInfo{{Member_Account: "bob", Role: "Owner", JoinTime: 1425976500, NameCard: "Bob"}}},
		},
		{
			name: "add_group_member",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.AddGroupMember(ctx, "@TGS#2J4SZEAEL", []string{"tommy", "jared"}, true)
			},
			path:    "/v4/group_open_http_svc/add_group_member",
			request: `{"GroupId":"@TGS#2J4SZEAEL","Silence":1,"MemberList":[{"Member_Account":"tommy"},{"Member_Account":"jared"}]}`,
			reply:   `{"ActionStatus":"OK","ErrorCode":0,"MemberList":[{"Member_Account":"tommy","Result":1},{"Member_Account":"jared","Result":2}]}`,
			want:    []AddResult{{"tommy", AddDone}, {"jared", AddAlready}},
		},
		{
			name: "delete_group_member",
			call: func(ctx context.Context, c *Client) (any, error) {
				return nil, c.DeleteGroupMember(ctx, "@TGS#2J4SZEAEL", []string{"tommy"}, false, "kick reason")
			},
			path:    "/v4/group_open_http_svc/delete_group_member",
			request: `{"GroupId":"@TGS#2J4SZEAEL","Reason":"kick reason","MemberToDel_Account":["tommy"]}`,
			reply:   okReply,
		},
		{
			name: "get_appid_group_list",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.GetAppidGroupList(ctx, 1000, 144115198244471703, "Public")
			},
			path:    "/v4/group_open_http_svc/get_appid_group_list",
			request: `{"Limit":1000,"Next":144115198244471703,"GroupType":"Public"}`,
			reply:   `{"ActionStatus":"OK","ErrorCode":0,"TotalCount":2,"GroupIdList":[{"GroupId":"@TGS#2J4SZEAEL"},{"GroupId":""},{}],"Next":18446744073709551615}`,
			want:    GroupPage{GroupIDs: []string{"@TGS#2J4SZEAEL"}, Next: 1<<64 - 1, Total: 2},
		},
		{
			name: "account_import",
			call: func(ctx context.Context, c *Client) (any, error) {
				return nil, c.AccountImport(ctx, Account{UserID: "test", Nick: "test", FaceUrl: "http://www.qq.com"})
			},
			path:    "/v4/im_open_login_svc/account_import",
			request: `{"UserID":"test","Nick":"test","FaceUrl":"http://www.qq.com"}`,
			reply:   okReply,
		},
		{
			name: "multiaccount_import",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.MultiaccountImport(ctx, []Account{{UserID: "UserID_001", Nick: "Nick_001"}, {UserID: "UserID_002"}})
			},
			path:    "/v4/im_open_login_svc/multiaccount_import",
			request: `{"AccountList":[{"UserID":"UserID_001","Nick":"Nick_001"},{"UserID":"UserID_002"}]}`,
			reply:   `{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","FailAccounts":["UserID_002"]}`,
			want:    []string{"UserID_002"},
		},
		{
			name: "account_check",
			call: func(ctx context.Context, c *Client) (any, error) {
				return c.AccountCheck(ctx, []string{"UserID_1", "UserID_2"})
			},
			path:    "/v4/im_open_login_svc/account_check",
			request: `{"CheckItem":[{"UserID":"UserID_1"},{"UserID":"UserID_2"}]}`,
			reply: `{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","ResultItem":[{"UserID":"UserID_1","ResultCode":0,"ResultInfo":"","AccountStatus":"Imported"},
				{"UserID":"UserID_2","ResultCode":0,"ResultInfo":"","AccountStatus":"NotImported"}]}`,
			want: []AccountStatus{{UserID: "UserID_1", AccountStatus: "Imported"}, {UserID: "UserID_2", AccountStatus: "NotImported"}},
		},
		{
			name:    "portrait_get",
			call:    func(ctx context.Context, c *Client) (any, error) { return c.PortraitGet(ctx, []string{"id1", "id2"}) },
			path:    "/v4/profile/portrait_get",
			request: `{"To_Account":["id1","id2"],"TagList":["Tag_Profile_IM_Nick","Tag_Profile_IM_Image"]}`,
			reply: `{"UserProfileItem":[{"To_Account":"id1","ProfileItem":[{"Tag":"Tag_Profile_IM_Nick","Value":"NickNameTest1"},{"Tag":"Tag_Profile_IM_Image","Value":"http://x/y"},
				{"Tag":"Tag_Profile_IM_Level","Value":7}],"ResultCode":0,"ResultInfo":""},{"To_Account":"id2","ResultCode":40003},{}],"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","ErrorDisplay":""}`,
			want: []Profile{{UserID: "id1", Nick: "NickNameTest1", FaceURL: "http://x/y"}, {UserID: "id2", ResultCode: 40003}},
		},
		{
			name: "portrait_set",
			call: func(ctx context.Context, c *Client) (any, error) {
				return nil, c.PortraitSet(ctx, "id", ptr("MyNickName"), ptr(""))
			},
			path:    "/v4/profile/portrait_set",
			request: `{"From_Account":"id","ProfileItem":[{"Tag":"Tag_Profile_IM_Nick","Value":"MyNickName"},{"Tag":"Tag_Profile_IM_Image","Value":""}]}`,
			reply:   okReply,
		},
	}
}

func TestCalls(t *testing.T) {
	seen := make(map[string]bool)
	for _, test := range callTests() {
		t.Run(test.name, func(t *testing.T) {
			c, server := newCloud(t, nil)
			server.serve = func(w http.ResponseWriter, path string, body []byte) {
				require.Equal(t, test.path, path)
				require.JSONEq(t, test.request, string(body))
				require.NotContains(t, string(body), `\u003c`, "text is sent as it is")
				_, _ = io.WriteString(w, test.reply)
			}
			got, err := test.call(context.Background(), c)
			require.NoError(t, err)
			require.Equal(t, test.want, got)
			server.serve = replyWith(`{"ActionStatus":"FAIL","ErrorCode":10010,"ErrorInfo":"no group","FailAccounts":["a"]}`)
			_, err = test.call(context.Background(), c)
			require.ErrorIs(t, err, ErrGroup)
			require.ErrorContains(t, err, "failed to ")
			server.serve = replyWith(`{"ActionStatus":"OK","ErrorCode":0,"RspMsgList":7,"GroupInfo":7,"GroupMsgReceiptList":7,"MsgSeq":"x","Cursor":7,
				"MemberList":7,"RecallRetList":7,"GroupIdList":7,"FailAccounts":7,"ResultItem":7,"UserProfileItem":7}`)
			if _, err = test.call(context.Background(), c); test.want != nil {
				unclear(t, err)
			} else {
				require.NoError(t, err, "nothing of the answer is needed")
			}
		})
		seen[test.path[strings.LastIndex(test.path, "/")+1:]] = true
	}
	for name := range commands() {
		require.True(t, seen[string(name)], name)
	}
}
