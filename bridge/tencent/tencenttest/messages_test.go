package tencenttest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/receipts"
)

const (
	sendPath    = "group_open_http_svc/send_group_msg"
	historyPath = "group_open_http_svc/group_msg_get_simple"
)

func TestSendByServer(t *testing.T) {
	s := Start(t, Options{})
	s.Group(t, "g", "alice", "bob")
	s.User("guest")
	answer := good(t, s, sendPath, obj{"GroupId": "g", "From_Account": "guest", "Random": 4026038328, "MsgBody": textMsg("hi"), "NeedReadReceipt": 1, "CloudCustomData": "x"})
	require.Equal(t, 1.0, answer["MsgSeq"])
	require.NotContains(t, answer, "MsgId")
	m, ok := s.Message("g", 1)
	require.True(t, ok)
	require.Equal(t, float64(m.Time.Unix()), answer["MsgTime"])
	require.Equal(t, "guest", m.From)
	require.Equal(t, s.Admin(), m.Operator)
	require.Equal(t, "hi", m.Text)
	require.Equal(t, "x", m.CloudCustomData)
	require.True(t, m.HasReceipt)
	require.Equal(t, []string{"alice", "bob"}, s.UnreadBy("g", 1))
	good(t, s, sendPath, obj{"GroupId": "g", "Random": 1, "MsgBody": textMsg("hi")})
	require.Equal(t, s.Admin(), s.Messages("g")[1].From, "without From_Account")
	require.Len(t, s.User("bob").Messages("g"), 2)
	require.Empty(t, s.User("guest").Messages("g"))
}

func TestDuplicates(t *testing.T) {
	for _, hides := range []bool{false, true} {
		c := newClock()
		s := Start(t, Options{Now: c.now, Points: Points{DuplicateHidesSeq: hides}})
		s.Group(t, "g", "alice", "bob")
		message := obj{"GroupId": "g", "From_Account": "alice", "Random": 7, "MsgBody": textMsg("hi")}
		good(t, s, sendPath, message)
		c.forward(5*time.Minute - time.Second)
		answer := good(t, s, sendPath, message)
		require.Equal(t, map[bool]float64{false: 1, true: 0}[hides], answer["MsgSeq"])
		require.Len(t, s.Messages("g"), 1)
		require.Len(t, s.Webhooks(AfterSendMsg), 1)
		good(t, s, sendPath, obj{"GroupId": "g", "From_Account": "alice", "Random": 7, "MsgBody": textMsg("other")})
		good(t, s, sendPath, obj{"GroupId": "g", "From_Account": "bob", "Random": 7, "MsgBody": textMsg("hi")})
		require.Len(t, s.Messages("g"), 3)
		c.forward(time.Second)
		good(t, s, sendPath, message)
		require.Len(t, s.Messages("g"), 4, "after five minutes it is another message")
	}
}

func TestGroupRate(t *testing.T) {
	c := newClock()
	s := Start(t, Options{Now: c.now})
	s.Group(t, "g", "alice")
	s.Group(t, "h", "alice")
	for i := range 39 {
		send(t, s, "alice", "g", fmt.Sprint(i), SendOptions{})
	}
	good(t, s, sendPath, obj{"GroupId": "g", "Random": 1, "MsgBody": textMsg("hi")})
	code, _ := call(t, s, sendPath, obj{"GroupId": "g", "Random": 2, "MsgBody": textMsg("hi")})
	require.Equal(t, receipts.CodeGroupSendFreqLimit, code)
	_, err := s.User("alice").Send("g", "hi", SendOptions{})
	requireCode(t, receipts.CodeGroupSendFreqLimit, err)
	send(t, s, "alice", "h", "hi", SendOptions{})
	c.forward(time.Second)
	send(t, s, "alice", "g", "hi", SendOptions{})
}

func TestMessagesWithoutNumber(t *testing.T) {
	for _, numbered := range []bool{false, true} {
		s := Start(t, Options{Points: Points{NumberTransient: numbered, TipSeqs: numbered}})
		s.Group(t, "g", "alice", "bob", "carol")
		require.NoError(t, s.User("dave").Join("g"))
		online := send(t, s, "alice", "g", "one", SendOptions{OnlineOnly: true})
		direct := send(t, s, "alice", "g", "two", SendOptions{To: []string{"bob"}})
		last := send(t, s, "alice", "g", "three", SendOptions{})
		require.Len(t, s.User("bob").Messages("g"), 3)
		require.Len(t, s.User("carol").Messages("g"), 2)
		want := []uint64{0, 0, 1}
		if numbered {
			want = []uint64{2, 3, 4}
		}
		require.Equal(t, want, []uint64{online.Seq, direct.Seq, last.Seq})
		answer := good(t, s, historyPath, obj{"GroupId": "g", "ReqMsgNumber": 20})
		list := answer["RspMsgList"].([]any)
		require.Len(t, list, len(s.Messages("g"))-2+map[bool]int{true: 3}[numbered])
		for i, entry := range list {
			require.Equal(t, map[bool]float64{true: 0, false: 1}[i == 0], entry.(obj)["IsPlaceMsg"])
		}
	}
}

func TestTopicsHaveNumbersOfTheirOwn(t *testing.T) {
	s := Start(t, Options{})
	_, err := s.CreateGroup(GroupSpec{ID: "c", Type: "Community", Owner: "alice"})
	require.NoError(t, err)
	require.Equal(t, uint64(1), send(t, s, "alice", "c", "one", SendOptions{}).Seq)
	require.Equal(t, uint64(1), send(t, s, "alice", "c", "two", SendOptions{TopicID: "t"}).Seq)
	require.Equal(t, uint64(2), send(t, s, "alice", "c", "three", SendOptions{}).Seq)
}

func TestHistory(t *testing.T) {
	c := newClock()
	s := Start(t, Options{Now: c.now, Limits: Limits{Group: -1}, Points: Points{FlagInHistory: true}})
	s.Group(t, "g", "alice", "bob")
	for i := range 25 {
		send(t, s, "alice", "g", fmt.Sprint(i+1), SendOptions{NeedReadReceipt: i%2 == 0, Random: uint32(100 + i), CloudCustomData: "c"})
	}
	require.NoError(t, s.User("alice").Recall("g", 24))
	require.NoError(t, s.Forget("g", 23))
	answer := good(t, s, historyPath, obj{"GroupId": "g", "ReqMsgNumber": 3})
	require.Equal(t, "g", answer["GroupId"])
	require.Equal(t, 1.0, answer["IsFinished"])
	list := answer["RspMsgList"].([]any)
	require.Equal(t, obj{
		"From_Account": "alice", "IsPlaceMsg": 0.0, "MsgPriority": 2.0, "MsgRandom": 124.0, "MsgSeq": 25.0, "NeedReadReceipt": 1.0,
		"MsgTimeStamp": float64(c.now().Unix()), "CloudCustomData": "c",
		"MsgBody": []any{obj{"MsgType": "TIMTextElem", "MsgContent": obj{"Text": "25"}}},
	}, list[0])
	require.Equal(t, []any{2.0, []any{}}, []any{list[1].(obj)["IsPlaceMsg"], list[1].(obj)["MsgBody"]})
	require.Equal(t, []any{1.0, 23.0, ""}, []any{list[2].(obj)["IsPlaceMsg"], list[2].(obj)["MsgSeq"], list[2].(obj)["From_Account"]})
	answer = good(t, s, historyPath, obj{"GroupId": "g", "ReqMsgNumber": 1, "ReqMsgSeq": 24, "WithRecalledMsg": 1})
	require.NotEmpty(t, answer["RspMsgList"].([]any)[0].(obj)["MsgBody"])
	answer = good(t, s, historyPath, obj{"GroupId": "g", "ReqMsgNumber": 20, "ReqMsgSeq": 2})
	require.Len(t, answer["RspMsgList"], 2)

}

func TestHistoryIsFinished(t *testing.T) {
	c := newClock()
	s := Start(t, Options{Now: c.now, Points: Points{HistoryMax: 5, FinishedAtStart: true}})
	s.Group(t, "g", "alice")
	for range 9 {
		send(t, s, "alice", "g", "old", SendOptions{})
	}
	c.forward(30*24*time.Hour + time.Second)
	send(t, s, "alice", "g", "new", SendOptions{})
	for _, tc := range []struct {
		from           uint64
		entries, state int
	}{
		{10, 5, 0},
		{9, 5, 2}, // all of them expired
		{5, 5, 1}, // down to the first
		{0, 0, 1},
	} {
		// Not by HTTP: a month ago the signature was good.
		s.mu.Lock()
		rep, refused := s.groupMsgGetSimple(caller{}, groupMsgGetSimpleRequest{GroupID: "g", ReqMsgSeq: &tc.from, ReqMsgNumber: 6})
		s.mu.Unlock()
		require.Nil(t, refused)
		require.Equal(t, tc.state, rep["IsFinished"], "%+v", tc)
		require.Len(t, rep["RspMsgList"], tc.entries)
	}
}

func TestRecallAndModifyByServer(t *testing.T) {
	s := Start(t, Options{})
	s.Group(t, "g", "alice", "bob")
	send(t, s, "alice", "g", "one", SendOptions{})
	send(t, s, "alice", "g", "two", SendOptions{})
	good(t, s, "openim/modify_group_msg", obj{"GroupId": "g", "MsgSeq": 2, "MsgBody": textMsg("zwei"), "CloudCustomData": "c"})
	m, _ := s.Message("g", 2)
	require.Equal(t, []any{"zwei", "c", true}, []any{m.Text, m.CloudCustomData, m.Edited})
	answer := good(t, s, "group_open_http_svc/group_msg_recall", obj{"GroupId": "g", "MsgSeqList": seqs(1, 9), "Reason": "wrong"})
	require.Equal(t, []any{obj{"MsgSeq": 1.0, "RetCode": 0.0}, obj{"MsgSeq": 9.0, "RetCode": 10030.0}}, answer["RecallRetList"])
	m, _ = s.Message("g", 1)
	require.True(t, m.Recalled)
}

func TestWhatUsersMayNot(t *testing.T) {
	c := newClock()
	s := Start(t, Options{Now: c.now})
	s.Group(t, "g", "alice", "bob", "carol")
	_, err := s.CreateGroup(GroupSpec{ID: "w", Type: "Work", Owner: "alice"})
	require.NoError(t, err)
	send(t, s, "bob", "g", "one", SendOptions{})
	dave := s.User("dave")
	_, err = dave.Send("g", "hi", SendOptions{})
	requireCode(t, receipts.CodePermissionDeny, err)
	_, err = dave.Send("x", "hi", SendOptions{})
	requireCode(t, receipts.CodeGroupNotFound, err)
	_, err = s.User("bob").Send("g", "", SendOptions{Body: []byte("{")})
	require.Error(t, err)
	requireCode(t, receipts.CodePermissionDeny, dave.Join("w"))
	requireCode(t, receipts.CodePermissionDeny, dave.Leave("g"))
	requireCode(t, receipts.CodePermissionDeny, dave.Invite("g", "erin"))
	requireCode(t, receipts.CodePermissionDeny, s.User("bob").Kick("g", "carol"))
	requireCode(t, receipts.CodePermissionDeny, s.User("alice").Leave("g"))
	requireCode(t, receipts.CodePermissionDeny, s.User("carol").Edit("g", 1, "x"))
	requireCode(t, codeRecallDenied, s.User("carol").Recall("g", 1))
	requireCode(t, codeRecallNotFound, s.User("carol").Recall("g", 2))
	c.forward(recallTime + 1)
	requireCode(t, codeRecallTooLate, s.User("bob").Recall("g", 1))
	require.NoError(t, s.User("alice").Recall("g", 1), "the owner can, at any time")
	require.NoError(t, s.User("alice").Kick("g", "carol"))
	require.NoError(t, s.User("alice").Invite("w", "carol", "dave", "carol"))
	require.Equal(t, []string{"alice", "carol", "dave"}, s.Members("w"))
}
