package tencent

import "encoding/json"

// sample is a payload that Tencent publishes, without its comments, and what it says.
type sample struct {
	name, command, body string
	want                Event // nil: of no interest
	malformed           bool
}

func samples() []sample {
	public := GroupEvent{GroupId: "@TGS#2J4SZEAEL", Type: "Public", EventTime: 1670574414123}
	redPacket := []MsgElem{{MsgType: "TIMTextElem", MsgContent: json.RawMessage(`{"Text": "red packet"}`)}}
	return []sample{
		{
			name: "read receipt, as published: a comma is missing", command: CommandAfterReadReceipt, malformed: true,
			body: `{"CallbackCommand": "Group.CallbackAfterReadReceipt", "GroupId": "@TGS#2TTV7VSII", "Type": "Public",
				"GroupMsgReceiptList": [
					{"MsgSeq": 1, "ReadNum": 1, "UnreadNum": 6 "ReadReceiptMembers":[{"Member_Account":"user0"}]},
					{"MsgSeq": 2, "ReadNum": 1, "UnreadNum": 6, "ReadReceiptMembers":[{"Member_Account":"user0"}]}],
				"EventTime":"1670574414123"}`,
		},
		{
			name: "read receipt", command: CommandAfterReadReceipt,
			body: `{"CallbackCommand": "Group.CallbackAfterReadReceipt", "GroupId": "@TGS#2TTV7VSII", "Type": "Public",
				"GroupMsgReceiptList": [
					{"MsgSeq": 1, "ReadNum": 1, "UnreadNum": 6, "ReadReceiptMembers":[{"Member_Account":"user0"}]},
					{"MsgSeq": 2, "ReadNum": 1, "UnreadNum": 6, "ReadReceiptMembers":[{"Member_Account":"user0"}]}],
				"EventTime":"1670574414123"}`,
			want: &ReadReceipt{
				GroupEvent: GroupEvent{GroupId: "@TGS#2TTV7VSII", Type: "Public", EventTime: 1670574414123},
				GroupMsgReceiptList: []ReadMsg{
					{MsgSeq: 1, ReadNum: 1, UnreadNum: 6, ReadReceiptMembers: Accounts{"user0"}},
					{MsgSeq: 2, ReadNum: 1, UnreadNum: 6, ReadReceiptMembers: Accounts{"user0"}},
				},
			},
		},
		{
			name: "read receipt of a message just sent", command: CommandAfterReadReceipt,
			body: `{"CallbackCommand":"Group.CallbackAfterReadReceipt","GroupId":"g","Type":"Work","GroupMsgReceiptList":[
				{"MsgSeq":"7","ReadNum":0,"UnreadNum":"6"},{"MsgSeq":8,"ReadReceiptMembers":null},{"MsgSeq":9,"ReadReceiptMembers":[]},{"MsgSeq":0}],"EventTime":1670574414123}`,
			want: &ReadReceipt{
				GroupEvent:          GroupEvent{GroupId: "g", Type: "Work", EventTime: 1670574414123},
				GroupMsgReceiptList: []ReadMsg{{MsgSeq: 7, UnreadNum: 6}, {MsgSeq: 8}, {MsgSeq: 9}},
			},
		},
		{
			name: "message", command: CommandAfterSendMsg,
			body: `{"CallbackCommand": "Group.CallbackAfterSendMsg", "GroupId": "@TGS#2J4SZEAEL", "Type": "Public", "From_Account": "jared", "Operator_Account":"admin",
				"Random": 123456, "MsgSeq": 123, "MsgId": "144115233406643804-1727580296-4026038328", "MsgTime": 1490686222, "OnlineOnlyFlag": 1,
				"MsgBody": [{"MsgType": "TIMTextElem", "MsgContent": {"Text": "red packet"}}], "CloudCustomData": "your cloud custom data", "EventTime": 1670574414123,
				"GroupAtInfo" : [{"GroupAtAllFlag" : 1}, {"GroupAtAllFlag" : 0, "GroupAt_Account" : "brennan"}]}`,
			want: &GroupMsgSent{
				GroupEvent: public, From_Account: "jared", Operator_Account: "admin", Random: 123456, MsgSeq: 123,
				MsgId: "144115233406643804-1727580296-4026038328", MsgTime: 1490686222, OnlineOnlyFlag: true, MsgBody: redPacket,
				CloudCustomData: "your cloud custom data", GroupAtInfo: []GroupAt{{GroupAtAllFlag: true}, {GroupAt_Account: "brennan"}},
			},
		},
		{
			name: "message, older page: no MsgId, EventTime quoted", command: CommandAfterSendMsg,
			body: `{"CallbackCommand": "Group.CallbackAfterSendMsg", "GroupId": "@TGS#2J4SZEAEL", "Type": "Public", "From_Account": "jared", "Operator_Account":"admin",
				"Random": 123456, "MsgSeq": 123, "MsgTime": 1490686222, "OnlineOnlyFlag": 0,
				"MsgBody": [{"MsgType": "TIMTextElem", "MsgContent": {"Text": "red packet"}}], "CloudCustomData": "your cloud custom data", "EventTime":"1670574414123"}`,
			want: &GroupMsgSent{
				GroupEvent: public, From_Account: "jared", Operator_Account: "admin", Random: 123456, MsgSeq: 123, MsgTime: 1490686222,
				MsgBody: redPacket, CloudCustomData: "your cloud custom data",
			},
		},
		{
			name: "message, oldest page: no EventTime", command: CommandAfterSendMsg,
			body: `{"CallbackCommand": "Group.CallbackAfterSendMsg", "GroupId": "@TGS#2J4SZEAEL", "Type": "Public", "From_Account": "jared", "Operator_Account":"admin",
				"Random": 123456, "MsgSeq": 123, "MsgTime": 1490686222, "MsgBody": [{"MsgType": "TIMTextElem", "MsgContent": {"Text": "red packet"}}]}`,
			want: &GroupMsgSent{
				GroupEvent: GroupEvent{GroupId: "@TGS#2J4SZEAEL", Type: "Public"}, From_Account: "jared", Operator_Account: "admin",
				Random: 123456, MsgSeq: 123, MsgTime: 1490686222, MsgBody: redPacket,
			},
		},
		{
			name: "recall", command: CommandAfterRecallMsg,
			body: `{"CallbackCommand":"Group.CallbackAfterRecallMsg", "Operator_Account":"admin", "Type":"Community", "GroupId":"1213456",
				"MsgSeqList":[{"MsgSeq":130, "MsgId":"144115213033478435-1739361321-2512805311"}],
				"TopicId":"@TGS#_@TGS#cQVLVHIM62CJ@TOPIC#_TestTopic", "EventTime": 1670574414123}`,
			want: &GroupMsgRecalled{
				GroupEvent: GroupEvent{GroupId: "1213456", Type: "Community", EventTime: 1670574414123}, Operator_Account: "admin",
				MsgSeqList: []RecalledMsg{{130, "144115213033478435-1739361321-2512805311"}}, TopicId: "@TGS#_@TGS#cQVLVHIM62CJ@TOPIC#_TestTopic",
			},
		},
		{
			name: "recall, older page", command: CommandAfterRecallMsg,
			body: `{"CallbackCommand":"Group.CallbackAfterRecallMsg", "Operator_Account":"admin", "Type": "Public", "GroupId":"1213456", "MsgSeqList":[{"MsgSeq":130}]}`,
			want: &GroupMsgRecalled{GroupEvent: GroupEvent{GroupId: "1213456", Type: "Public"}, Operator_Account: "admin", MsgSeqList: []RecalledMsg{{130, ""}}},
		},
		{
			name: "join", command: CommandAfterNewMemberJoin,
			body: `{"CallbackCommand": "Group.CallbackAfterNewMemberJoin", "GroupId" : "@TGS#2J4SZEAEL", "Type": "Public", "JoinType": "Apply", "Operator_Account": "leckie",
				"NewMemberList": [{"Member_Account": "jared"}, {"Member_Account": "tommy"}], "EventTime":"1670574414123"}`,
			want: &MembersJoined{GroupEvent: public, JoinType: "Apply", Operator_Account: "leckie", NewMemberList: Accounts{"jared", "tommy"}},
		},
		{
			name: "join, as published in Japanese: a quote is missing", command: CommandAfterNewMemberJoin, malformed: true,
			body: `{"CallbackCommand": "Group.CallbackAfterNewMemberJoin", GroupId": "@TGS#2J4SZEAEL","Type": "Public","JoinType": "Apply",
				"Operator_Account": "leckie","NewMemberList": [{"Member_Account": "jared"}],"EventTime":"1670574414123"}`,
		},
		{
			name: "exit", command: CommandAfterMemberExit,
			body: `{"CallbackCommand": "Group.CallbackAfterMemberExit", "GroupId": "@TGS#2J4SZEAEL", "Type": "Public", "ExitType": "Kicked", "Operator_Account": "leckie",
				"ExitMemberList": [{"Member_Account": "jared"}, {"Member_Account": "tommy"}], "EventTime": 1670574414123}`,
			want: &MembersLeft{GroupEvent: public, ExitType: "Kicked", Operator_Account: "leckie", ExitMemberList: Accounts{"jared", "tommy"}},
		},
		{
			name: "dismissed", command: CommandAfterGroupDestroyed,
			body: `{"CallbackCommand": "Group.CallbackAfterGroupDestroyed", "GroupId" : "@TGS#2J4SZEAEL", "Type": "Public", "Owner_Account": "leckie", "Name": "MyFirstGroup",
				"MemberList" : [{"Member_Account": "leckie"}, {"Member_Account": "peter"}, {"Member_Account": "bob"}], "EventTime":"1670574414123"}`,
			want: &GroupDestroyed{GroupEvent: public, Owner_Account: "leckie", Name: "MyFirstGroup", MemberList: Accounts{"leckie", "peter", "bob"}},
		},
		{
			name: "created", command: CommandAfterCreateGroup,
			body: `{"CallbackCommand": "Group.CallbackAfterCreateGroup", "GroupId" : "@TGS#2J4SZEAEL", "Operator_Account": "group_root", "Owner_Account": "leckie", "Type": "Public",
				"Name": "MyFirstGroup", "MemberList": [{"Member_Account": "bob"}, {"Member_Account": "peter"}],
				"UserDefinedDataList": [{"Key": "UserDefined1", "Value": "hello"}, {"Key": "UserDefined2", "Value": "world"}], "EventTime":"1670574414123"}`,
			want: &GroupCreated{GroupEvent: public, Operator_Account: "group_root", Owner_Account: "leckie", Name: "MyFirstGroup", MemberList: Accounts{"bob", "peter"}},
		},
		{
			name: "changed", command: CommandAfterGroupInfoChanged,
			body: `{"CallbackCommand": "Group.CallbackAfterGroupInfoChanged", "GroupId" : "@TGS#2J4SZEAEL", "Type": "Public", "Operator_Account": "leckie",
				"Notification": "NewNotification", "EventTime":"1670574414123"}`,
			want: &GroupInfoChanged{GroupEvent: public, Operator_Account: "leckie", Notification: ptr("NewNotification")},
		},
		{
			name: "before a message", command: "Group.CallbackBeforeSendMsg",
			body: `{"CallbackCommand": "Group.CallbackBeforeSendMsg", "GroupId": "@TGS#2J4SZEAEL", "Type": "Public", "From_Account": "jared", "Random": 123456}`,
		},
		{
			name: "somebody went online", command: "State.StateChange",
			body: `{"CallbackCommand": "State.StateChange", "EventTime": 1629883332497, "Info": {"Action": "Login", "To_Account": "testuser316", "Reason": "Register"},
				"KickedDevice": [{"Platform": "Windows"}, {"Platform": "Android"}]}`,
		},
	}
}
