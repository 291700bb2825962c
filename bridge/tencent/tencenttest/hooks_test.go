package tencenttest

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/receipts"
)

// delivered waits until all webhooks are out.
func delivered(t *testing.T, s *Server) {
	t.Helper()
	require.NoError(t, s.WaitDelivered(t.Context()))
}

func TestSignVector(t *testing.T) {
	require.Equal(t, "17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061", Sign("xxxxyyyy", "1669872112"))
}

func TestWebhookFrame(t *testing.T) {
	b := newBackend(t)
	c := newClock()
	s := Start(t, Options{Now: c.now})
	s.Group(t, "g", "alice", "bob")
	require.Len(t, s.Webhooks(AfterCreateGroup), 1, "it happened")
	require.Empty(t, s.Deliveries(""), "but goes nowhere")
	s.SetHook(Hook{URL: b.url})
	send(t, s, "alice", "g", "hi", SendOptions{})
	delivered(t, s)
	got := b.of(AfterSendMsg)
	require.Len(t, got, 1)
	q := got[0].query
	require.Equal(t, "7", q.Get("tenant"), "what the URL had before")
	require.Equal(t, []string{strconv.Itoa(DefaultSDKAppID), AfterSendMsg, "json", "Android"},
		[]string{q.Get("SdkAppid"), q.Get("CallbackCommand"), q.Get("contenttype"), q.Get("OptPlatform")})
	require.NotEmpty(t, q.Get("ClientIP"))
	require.False(t, q.Has("Sign") || q.Has("RequestTime"))
}

func TestWebhookSign(t *testing.T) {
	b := newBackend(t)
	c := newClock()
	s := Start(t, Options{Now: c.now, Hook: Hook{URL: b.url, Token: "secret", Header: http.Header{"Authorization": {"Bearer x"}}}})
	s.Group(t, "g", "alice", "bob")
	delivered(t, s)
	got := b.of(AfterCreateGroup)
	require.Len(t, got, 1)
	at := strconv.FormatInt(c.now().Unix(), 10)
	require.Equal(t, at, got[0].query.Get("RequestTime"))
	require.Equal(t, Sign("secret", at), got[0].query.Get("Sign"))
	require.Equal(t, "Bearer x", got[0].header.Get("Authorization"))
}

// TestPayloads holds the body of every webhook against the contract, section 4.2.
func TestPayloads(t *testing.T) {
	c := newClock()
	s := Start(t, Options{Now: c.now})
	ms := float64(c.now().UnixMilli())
	s.Group(t, "g", "alice", "bob")
	m := send(t, s, "alice", "g", "hi", SendOptions{NeedReadReceipt: true, CloudCustomData: "c", At: []string{"bob"}})
	require.NoError(t, s.User("bob").Ack("g", 1))
	good(t, s, sendPath, obj{"GroupId": "g", "From_Account": "bob", "Random": 9, "MsgBody": textMsg("x"), "NeedReadReceipt": 1,
		"ForbidCallbackControl": []string{"ForbidAfterSendMsgCallback"}})
	good(t, s, "group_open_http_svc/group_msg_recall", obj{"GroupId": "g", "MsgSeqList": seqs(2, 1)})
	s.User("carol")
	good(t, s, "group_open_http_svc/add_group_member", obj{"GroupId": "g", "Silence": 1, "MemberList": members([]string{"bob", "carol", "carol"})})
	require.NoError(t, s.User("dave").Join("g"))
	require.NoError(t, s.User("dave").Leave("g"))
	good(t, s, "group_open_http_svc/delete_group_member", obj{"GroupId": "g", "MemberToDel_Account": []string{"carol", "dave"}})
	require.NoError(t, s.SetGroupName("g", "G"))
	require.NoError(t, s.SetGroupName("g", "G"), "no change, no webhook")
	require.NoError(t, s.DestroyGroup("g"))

	body := []any{obj{"MsgType": "TIMTextElem", "MsgContent": obj{"Text": "hi"}}}
	admin := s.Admin()
	acc := func(names ...string) []any {
		list := []any{}
		for _, name := range names {
			list = append(list, obj{"Member_Account": name})
		}
		return list
	}
	receipt := func(seq, read, unread float64, who ...string) obj {
		return obj{"GroupMsgReceiptList": []any{obj{"MsgSeq": seq, "ReadNum": read, "UnreadNum": unread, "ReadReceiptMembers": acc(who...)}}}
	}
	want := []struct {
		command, platform string
		body              obj
	}{
		{AfterCreateGroup, "Android", obj{"Operator_Account": "alice", "Owner_Account": "alice", "Name": "group g", "MemberList": acc("alice", "bob"), "UserDefinedDataList": []any{}}},
		{AfterSendMsg, "Android", obj{"From_Account": "alice", "Operator_Account": "alice", "Random": float64(m.Random), "MsgSeq": 1.0, "MsgId": m.MsgID,
			"MsgTime": float64(m.Time.Unix()), "OnlineOnlyFlag": 0.0, "MsgBody": body, "CloudCustomData": "c",
			"GroupAtInfo": []any{obj{"GroupAtAllFlag": 0.0, "GroupAt_Account": "bob"}}}},
		{AfterReadReceipt, "Android", receipt(1, 0, 1)},
		{AfterReadReceipt, "Android", receipt(1, 1, 0, "bob")},
		{AfterReadReceipt, "RESTAPI", receipt(2, 0, 1)},
		{AfterRecallMsg, "RESTAPI", obj{"Operator_Account": admin, "MsgSeqList": []any{obj{"MsgSeq": 2.0}, obj{"MsgSeq": 1.0}}}},
		{AfterNewMemberJoin, "RESTAPI", obj{"JoinType": "Invited", "Operator_Account": admin, "NewMemberList": acc("carol")}},
		{AfterNewMemberJoin, "Android", obj{"JoinType": "Apply", "Operator_Account": "dave", "NewMemberList": acc("dave")}},
		{AfterMemberExit, "Android", obj{"ExitType": "Quit", "Operator_Account": "dave", "ExitMemberList": acc("dave")}},
		{AfterMemberExit, "RESTAPI", obj{"ExitType": "Kicked", "Operator_Account": admin, "ExitMemberList": acc("carol")}},
		{AfterGroupInfoChanged, "Android", obj{"Operator_Account": "alice", "Name": "G"}},
		{AfterGroupDestroyed, "Android", obj{"Owner_Account": "alice", "Name": "G", "MemberList": acc("alice", "bob")}},
	}
	happened := s.Webhooks("")
	require.Len(t, happened, len(want))
	for i, w := range want {
		require.Equal(t, w.command, happened[i].Command)
		require.Equal(t, w.platform, happened[i].Platform, w.command)
		require.Equal(t, i+1, happened[i].No)
		w.body["CallbackCommand"], w.body["GroupId"], w.body["Type"], w.body["EventTime"] = w.command, "g", "Public", ms
		require.JSONEq(t, string(mustJSON(w.body)), string(happened[i].Body))
	}
}

func TestPayloadPoints(t *testing.T) {
	fire := func(points Points) (sent, receipt obj) {
		s := Start(t, Options{Points: points})
		s.Group(t, "g", "alice", "bob", "carol")
		send(t, s, "alice", "g", "hi", wanted)
		require.NoError(t, s.User("bob").Ack("g", 1))
		require.NoError(t, s.User("carol").Ack("g", 1))
		all := s.Webhooks(AfterReadReceipt)
		return bodyOf(t, s.Webhooks(AfterSendMsg)[0]), obj{"sent": entry(t, all[0]), "last": entry(t, all[2])}
	}
	message, receipt := fire(Points{EventTimeString: true, NoMsgID: true, FlagInWebhook: true, WholeMembers: true, SentMembers: SentMembersAbsent})
	require.IsType(t, "", message["EventTime"])
	require.NotContains(t, message, "MsgId")
	require.Equal(t, 1.0, message["NeedReadReceipt"])
	require.NotContains(t, receipt["sent"], "ReadReceiptMembers")
	require.Len(t, receipt["last"].(obj)["ReadReceiptMembers"], 2)

	message, receipt = fire(Points{SentMembers: SentMembersNull, ClientSkew: -time.Hour})
	require.NotContains(t, message, "NeedReadReceipt")
	require.Contains(t, receipt["sent"], "ReadReceiptMembers")
	require.Nil(t, receipt["sent"].(obj)["ReadReceiptMembers"])
	require.Len(t, receipt["last"].(obj)["ReadReceiptMembers"], 1)
	require.Contains(t, message["MsgId"], "-"+strconv.Itoa(int(message["MsgTime"].(float64))-3600)+"-")

	s := Start(t, Options{Points: Points{OneSeqPerWebhook: true, DirectedInWebhook: true}})
	s.Group(t, "g", "alice", "bob")
	send(t, s, "alice", "g", "hi", SendOptions{To: []string{"bob"}})
	require.Equal(t, []any{"bob"}, bodyOf(t, s.Webhooks(AfterSendMsg)[0])["To_Account"])
	send(t, s, "alice", "g", "one", wanted)
	send(t, s, "alice", "g", "two", wanted)
	require.NoError(t, s.User("bob").Ack("g", 1, 2))
	require.Len(t, s.Webhooks(AfterReadReceipt), 4)
}

func bodyOf(t *testing.T, w Webhook) obj {
	t.Helper()
	var body obj
	require.NoError(t, json.Unmarshal(w.Body, &body))
	return body
}

func entry(t *testing.T, w Webhook) obj {
	t.Helper()
	list := bodyOf(t, w)["GroupMsgReceiptList"].([]any)
	require.Len(t, list, 1)
	return list[0].(obj)
}

func TestGatheredReaders(t *testing.T) {
	b := newBackend(t)
	s := Start(t, Options{Hook: Hook{URL: b.url}, Points: Points{GatherReaders: 10 * time.Millisecond}})
	s.Group(t, "g", "alice", "bob", "carol")
	send(t, s, "alice", "g", "one", wanted)
	send(t, s, "alice", "g", "two", wanted)
	require.NoError(t, s.User("bob").Ack("g", 1, 2))
	require.NoError(t, s.User("carol").Ack("g", 2))
	delivered(t, s)
	readers := make(map[float64]int)
	for _, one := range b.of(AfterReadReceipt) {
		for _, item := range one.body["GroupMsgReceiptList"].([]any) {
			list, _ := item.(obj)["ReadReceiptMembers"].([]any)
			readers[item.(obj)["MsgSeq"].(float64)] += len(list)
		}
	}
	require.Equal(t, map[float64]int{1: 1, 2: 2}, readers)
	require.Less(t, len(b.of(AfterReadReceipt)), 4)
}

func TestDeliveryPlans(t *testing.T) {
	b := newBackend(t)
	s := Start(t, Options{Hook: Hook{URL: b.url}, Webhooks: []string{AfterSendMsg}})
	s.Group(t, "g", "alice")
	text := func() { send(t, s, "alice", "g", "hi", SendOptions{}) }
	count := func() int { delivered(t, s); return len(b.of(AfterSendMsg)) }
	text()
	require.Equal(t, 1, count())
	s.Deliver(Twice)
	text()
	require.Equal(t, 3, count())
	s.Deliver(Nothing)
	text()
	require.Equal(t, 3, count())
	s.Deliver(Lossy(1, 0.5))
	for range 20 {
		text()
	}
	lossy := count() - 3
	require.Positive(t, lossy)
	require.Less(t, lossy, 20)
	s.Deliver(Shuffled(1, 10*time.Millisecond))
	before := count()
	for range 10 {
		text()
	}
	all := count() - before
	require.Greater(t, all, 10, "all of them, some twice")
	require.Len(t, s.Webhooks(""), 33, "nothing but what the console has enabled")
	require.Len(t, s.Deliveries(AfterSendMsg), before+all)
	require.Equal(t, []any{"OK", http.StatusOK}, []any{s.Deliveries("")[0].ActionStatus, s.Deliveries("")[0].Status})
}

func TestHoldAndRelease(t *testing.T) {
	b := newBackend(t)
	s := Start(t, Options{Hook: Hook{URL: b.url}, Points: Points{WebhookWorkers: 1}})
	s.Hold()
	s.Group(t, "g", "alice")
	for range 3 {
		send(t, s, "alice", "g", "hi", SendOptions{})
	}
	require.Len(t, s.Held(), 4)
	delivered(t, s)
	require.Zero(t, b.count())
	s.Release(func(held []Webhook) []Webhook {
		slices.Reverse(held)
		return append(held[:2], held[0]) // the last two, and the very last again
	})
	s.Fire("State.StateChange", "", []byte(`{"no JSON"`))
	delivered(t, s)
	require.Equal(t, 4, b.count())
	var order []float64
	for _, one := range b.of(AfterSendMsg) {
		order = append(order, one.body["MsgSeq"].(float64))
	}
	require.Equal(t, []float64{3, 2, 3}, order)
	require.Equal(t, `{"no JSON"`, b.of("State.StateChange")[0].raw)
	s.Hold()
	send(t, s, "alice", "g", "hi", SendOptions{})
	s.Release(nil)
	delivered(t, s)
	require.Len(t, b.of(AfterSendMsg), 4)
}

func TestWebhookTimeoutAndRetry(t *testing.T) {
	b := newBackend(t)
	var asked atomic.Int32
	free := make(chan struct{})
	b.setAnswer(func(received) (int, string) {
		if asked.Add(1) < 3 {
			<-free
		}
		return http.StatusOK, `{"ActionStatus":"OK","ErrorCode":0}`
	})
	s := Start(t, Options{Hook: Hook{URL: b.url}, WebhookTimeout: 20 * time.Millisecond, Points: Points{WebhookRetries: 5}})
	s.Group(t, "g", "alice")
	delivered(t, s)
	close(free)
	attempts := s.Deliveries(AfterCreateGroup)
	require.Len(t, attempts, 3)
	require.ErrorIs(t, attempts[0].Err, context.DeadlineExceeded)
	require.NoError(t, attempts[2].Err)
	require.Equal(t, 3, attempts[2].Attempt)

	s.SetOutage(true)
	send(t, s, "alice", "g", "hi", SendOptions{})
	delivered(t, s)
	require.Len(t, s.Deliveries(AfterSendMsg), 6)
	require.ErrorIs(t, s.Deliveries(AfterSendMsg)[5].Err, errOutage)
	require.Equal(t, 2*time.Second, Start(t, Options{}).opts.WebhookTimeout)
}

func TestWebhooksPerSecond(t *testing.T) {
	b := newBackend(t)
	s := Start(t, Options{Hook: Hook{URL: b.url}, Points: Points{WebhooksPerSecond: 200}})
	s.Group(t, "g", "alice")
	start := time.Now()
	for range 10 {
		send(t, s, "alice", "g", "hi", SendOptions{})
	}
	delivered(t, s)
	require.GreaterOrEqual(t, time.Since(start), 45*time.Millisecond)
}

func TestBeforeCallback(t *testing.T) {
	b := newBackend(t)
	s := Start(t, Options{Hook: Hook{URL: b.url}, BeforeSend: true, WebhookTimeout: 50 * time.Millisecond})
	s.Group(t, "g", "alice")
	random := 0
	try := func(answer string) (receipts.Code, int) {
		random++
		b.setAnswer(func(r received) (int, string) {
			if r.query.Get("CallbackCommand") == BeforeSendMsg {
				return http.StatusOK, answer
			}
			return http.StatusOK, `{"ActionStatus":"OK","ErrorCode":0}`
		})
		code, _ := call(t, s, sendPath, obj{"GroupId": "g", "Random": random, "MsgBody": textMsg(answer)})
		return code, len(s.Messages("g"))
	}
	for _, tc := range []struct {
		answer string
		code   receipts.Code
		count  int
	}{
		{`{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}`, 0, 1},
		{`{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":1}`, 10016, 1},
		{`{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":2}`, 0, 1},
		{`{"ActionStatus":"OK","ErrorInfo":"ours","ErrorCode":10123}`, 10123, 1},
		{`not JSON`, 0, 2},
		{`{"ActionStatus":"OK","ErrorCode":0,"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"other"}}],"CloudCustomData":"c"}`, 0, 3},
	} {
		code, count := try(tc.answer)
		require.Equal(t, tc.code, code, tc.answer)
		require.Equal(t, tc.count, count, tc.answer)
	}
	last, _ := s.Message("g", 3)
	require.Equal(t, []string{"other", "c"}, []string{last.Text, last.CloudCustomData})
	require.NotContains(t, b.of(BeforeSendMsg)[0].body, "MsgSeq")
	asked := len(b.of(BeforeSendMsg))
	good(t, s, sendPath, obj{"GroupId": "g", "Random": 99, "MsgBody": textMsg("x"), "ForbidCallbackControl": []string{"ForbidBeforeSendMsgCallback"}})
	require.Len(t, b.of(BeforeSendMsg), asked)

	deny := Start(t, Options{Hook: Hook{URL: b.url}, BeforeSend: true, BeforeSendDeny: true})
	deny.Group(t, "g", "alice")
	b.setAnswer(func(received) (int, string) { return http.StatusInternalServerError, "" })
	code, _ := call(t, deny, sendPath, obj{"GroupId": "g", "Random": 1, "MsgBody": textMsg("x")})
	require.Equal(t, codeBeforeDenied, code)
}
