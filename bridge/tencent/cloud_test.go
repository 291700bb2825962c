package tencent_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/receipts"
)

// The tests of this file hold the package against tencenttest, which was written from the same
// contract by somebody else.

// collector is an intake that keeps everything.
type collector struct {
	mu     sync.Mutex
	events []tencent.Event
}

func (c *collector) Linked(string) bool { return true }

func (c *collector) HandleEvent(_ context.Context, event tencent.Event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, event)
	return nil
}

// find returns the events of one kind for which ok holds.
func find[E tencent.Event](c *collector, ok func(E) bool) []E {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []E
	for _, event := range c.events {
		if e, is := event.(E); is && ok(e) {
			found = append(found, e)
		}
	}
	return found
}

// inCloud starts a fake cloud, our client of it, and our endpoint for its webhooks.
func inCloud(t *testing.T, opts tencenttest.Options) (*tencenttest.Server, *tencent.Client, *collector) {
	intake := new(collector)
	hooks, err := tencent.NewWebhooks(tencent.WebhooksConfig{SDKAppID: tencenttest.DefaultSDKAppID, Token: "hook-token", NewGroups: true}, intake)
	require.NoError(t, err)
	endpoint := httptest.NewServer(hooks)
	t.Cleanup(func() {
		endpoint.Close()
		require.NoError(t, hooks.Close(context.Background()))
		require.Zero(t, hooks.Stats().Malformed)
		require.Zero(t, hooks.Stats().Refused)
	})
	opts.Hook = tencenttest.Hook{URL: endpoint.URL, Token: "hook-token"}
	cloud := tencenttest.Start(t, opts)
	client, err := tencent.New(tencent.Config{
		SDKAppID: tencenttest.DefaultSDKAppID, SecretKey: tencenttest.DefaultSecretKey, Identifier: cloud.Admin(), BaseURL: cloud.URL(),
	})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return cloud, client, intake
}

func text(s string) []tencent.MsgElem {
	content, _ := json.Marshal(map[string]string{"Text": s})
	return []tencent.MsgElem{{MsgType: "TIMTextElem", MsgContent: content}}
}

// TestAgainstTheFakeCloud goes once through everything, in every variant of what Tencent leaves open.
func TestAgainstTheFakeCloud(t *testing.T) {
	for name, opts := range tencenttest.Variants(tencenttest.Options{}) {
		t.Run(name, func(t *testing.T) { goThrough(t, opts) })
	}
}

func goThrough(t *testing.T, opts tencenttest.Options) {
	ctx := context.Background()
	cloud, c, intake := inCloud(t, opts)
	failed, err := c.MultiaccountImport(ctx, []tencent.Account{{UserID: "mx_alice", Nick: "Alice", FaceUrl: "https://x/a.png"}, {UserID: "mx_bob"}})
	require.NoError(t, err)
	require.Empty(t, failed)
	require.NoError(t, c.AccountImport(ctx, tencent.Account{UserID: "mx_carol"}))
	statuses, err := c.AccountCheck(ctx, []string{"mx_alice", "nobody"})
	require.NoError(t, err)
	require.True(t, statuses[0].Imported())
	require.False(t, statuses[1].Imported())
	nick := "Bob"
	require.NoError(t, c.PortraitSet(ctx, "mx_bob", &nick, nil))
	profiles, err := c.PortraitGet(ctx, []string{"mx_alice", "mx_bob"})
	require.NoError(t, err)
	require.Equal(t, []tencent.Profile{{UserID: "mx_alice", Nick: "Alice", FaceURL: "https://x/a.png"}, {UserID: "mx_bob", Nick: "Bob"}}, profiles)

	jared := cloud.User("jared")
	cloud.User("leckie")
	cloud.Group(t, "my group/1", "leckie", "jared")
	cloud.WaitFor(t, "the new group", func() bool {
		return len(find(intake, func(e *tencent.GroupCreated) bool { return e.GroupId == "my group/1" && e.Owner_Account == "leckie" })) == 1
	})
	page, err := c.GetAppidGroupList(ctx, 10, 0, "")
	require.NoError(t, err)
	require.Equal(t, tencent.GroupPage{GroupIDs: []string{"my group/1"}, Total: 1}, page)
	added, err := c.AddGroupMember(ctx, "my group/1", []string{"mx_alice", "mx_bob"}, true)
	require.NoError(t, err)
	require.ElementsMatch(t, []tencent.AddResult{{Member_Account: "mx_alice", Result: tencent.AddDone}, {Member_Account: "mx_bob", Result: tencent.AddDone}}, added)
	var members []string
	for len(members) < 4 { // pages may be shorter than asked for
		page, err := c.GetGroupMemberInfo(ctx, "my group/1", 100, len(members))
		require.NoError(t, err)
		require.EqualValues(t, 4, page.MemberNum)
		require.NotEmpty(t, page.MemberList)
		for _, m := range page.MemberList {
			members = append(members, m.Member_Account)
		}
	}
	require.ElementsMatch(t, []string{"leckie", "jared", "mx_alice", "mx_bob"}, members)

	sent, err := jared.Send("my group/1", "hello", tencenttest.SendOptions{NeedReadReceipt: true})
	require.NoError(t, err)
	seq := receipts.MsgSeq(sent.Seq)
	cloud.WaitFor(t, "the message and that it wants receipts", func() bool {
		return len(find(intake, func(e *tencent.GroupMsgSent) bool {
			return e.From_Account == "jared" && receipts.MsgSeq(e.MsgSeq) == seq && !e.Time().IsZero()
		})) > 0 && len(find(intake, func(e *tencent.ReadReceipt) bool { return named(e, seq) })) > 0
	})
	_, err = jared.Send("my group/1", "psst", tencenttest.SendOptions{OnlineOnly: true})
	require.NoError(t, err)
	cloud.WaitFor(t, "the message without a place", func() bool {
		return len(find(intake, func(e *tencent.GroupMsgSent) bool { return bool(e.OnlineOnlyFlag) })) == 1
	})

	require.NoError(t, c.GroupMsgReceipt(ctx, "my group/1", "mx_alice", []receipts.MsgSeq{seq}))
	require.NoError(t, cloud.User("mx_bob").Ack("my group/1", uint64(seq)))
	cloud.WaitFor(t, "the reader", func() bool {
		return len(find(intake, func(e *tencent.ReadReceipt) bool {
			return slices.ContainsFunc(e.GroupMsgReceiptList, func(m tencent.ReadMsg) bool { return slices.Contains(m.ReadReceiptMembers, "mx_bob") })
		})) > 0
	})
	counts, err := c.GetGroupMsgReceipt(ctx, "my group/1", []receipts.MsgSeq{seq})
	require.NoError(t, err)
	require.Len(t, counts, 1)
	require.Equal(t, tencent.MsgReceipt{MsgSeq: tencent.Uint(seq), ReadNum: 2, UnreadNum: 1}, counts[0])
	var readers []string
	for cursor, finished := "", false; !finished; {
		detail, err := c.GetGroupMsgReceiptDetail(ctx, "my group/1", seq, tencent.FilterRead, cursor, 1)
		require.NoError(t, err)
		readers = append(readers, detail.Accounts...)
		cursor, finished = detail.Cursor, detail.Finished
	}
	require.ElementsMatch(t, []string{"mx_alice", "mx_bob"}, readers)

	answer, err := c.SendGroupMsg(ctx, tencent.GroupMsg{GroupId: "my group/1", From_Account: "mx_alice", Random: 4026038328, MsgBody: text("<hi> & bye"), NeedReadReceipt: true})
	require.NoError(t, err)
	require.Greater(t, answer.MsgSeq, seq)
	require.False(t, answer.At.IsZero())
	cloud.WaitFor(t, "our own message", func() bool {
		return len(find(intake, func(e *tencent.GroupMsgSent) bool { return e.From_Account == "mx_alice" && e.Random == 4026038328 })) > 0
	})
	require.Contains(t, history(t, c, "my group/1"), answer.MsgSeq)
	require.NoError(t, c.ModifyGroupMsg(ctx, "my group/1", answer.MsgSeq, text("hi"), nil))
	recalled, err := c.GroupMsgRecall(ctx, "my group/1", []receipts.MsgSeq{answer.MsgSeq}, "")
	require.NoError(t, err)
	require.Equal(t, []tencent.RecallResult{{MsgSeq: tencent.Uint(answer.MsgSeq)}}, recalled)
	cloud.WaitFor(t, "the recall", func() bool {
		return len(find(intake, func(e *tencent.GroupMsgRecalled) bool { return slices.Contains(e.Seqs(), answer.MsgSeq) })) > 0
	})
	require.EqualValues(t, tencent.PlaceRecalled, history(t, c, "my group/1")[answer.MsgSeq].IsPlaceMsg)

	infos, err := c.GetGroupInfo(ctx, []string{"my group/1", "@TGS#gone"})
	require.NoError(t, err)
	require.EqualValues(t, 4, infos[0].MemberNum)
	require.Greater(t, receipts.MsgSeq(infos[0].NextMsgSeq), answer.MsgSeq)
	require.ErrorIs(t, tencent.Classify(receipts.Code(infos[1].ErrorCode)), tencent.ErrGroup)
	require.NoError(t, c.DeleteGroupMember(ctx, "my group/1", []string{"mx_bob"}, true, ""))
	require.NoError(t, jared.Leave("my group/1"))
	cloud.WaitFor(t, "that jared left", func() bool {
		return len(find(intake, func(e *tencent.MembersLeft) bool { return slices.Contains(e.ExitMemberList, "jared") })) > 0
	})
}

func named(e *tencent.ReadReceipt, seq receipts.MsgSeq) bool {
	return slices.ContainsFunc(e.GroupMsgReceiptList, func(m tencent.ReadMsg) bool { return receipts.MsgSeq(m.MsgSeq) == seq })
}

// history reads all of a group's history.
func history(t *testing.T, c *tencent.Client, groupID string) map[receipts.MsgSeq]tencent.HistoryMsg {
	all := make(map[receipts.MsgSeq]tencent.HistoryMsg)
	for from, first := receipts.MsgSeq(0), true; first || from > 0; first = false {
		h, err := c.GroupMsgGetSimple(context.Background(), groupID, from, tencent.MaxHistory)
		require.NoError(t, err)
		for _, m := range h.Messages {
			all[receipts.MsgSeq(m.MsgSeq)] = m
		}
		from = h.Next
	}
	return all
}

// TestRefusals lets the fake cloud refuse, and looks at the classes.
func TestRefusals(t *testing.T) {
	ctx := context.Background()
	cloud, c, _ := inCloud(t, tencenttest.Options{})
	jared := cloud.User("jared")
	cloud.User("stranger")
	cloud.Group(t, "g", "jared", "tommy")
	plain, err := jared.Send("g", "no receipt", tencenttest.SendOptions{})
	require.NoError(t, err)
	wanted, err := jared.Send("g", "receipt", tencenttest.SendOptions{NeedReadReceipt: true})
	require.NoError(t, err)
	ack := func(groupID, who string, seq uint64) error {
		return c.GroupMsgReceipt(ctx, groupID, who, []receipts.MsgSeq{receipts.MsgSeq(seq)})
	}
	require.ErrorIs(t, ack("g", "tommy", plain.Seq), tencent.ErrMessage)
	require.ErrorIs(t, ack("g", "tommy", wanted.Seq+100), tencent.ErrMessage)
	require.ErrorIs(t, ack("g", "stranger", wanted.Seq), tencent.ErrPerson)
	require.ErrorIs(t, ack("@TGS#gone", "tommy", wanted.Seq), tencent.ErrGroup)
	require.NoError(t, ack("g", "tommy", wanted.Seq))
	_, err = c.SendGroupMsg(ctx, tencent.GroupMsg{GroupId: "g", From_Account: "tommy", Random: 1, MsgBody: text(string(make([]byte, 13<<10)))})
	require.ErrorIs(t, err, tencent.ErrMessage)
	cloud.FailNext("group_msg_receipt", 1, tencenttest.Fault{Code: 60011})
	err = ack("g", "tommy", wanted.Seq)
	var temporary *tencent.TemporaryError
	require.ErrorAs(t, err, &temporary)
	require.ErrorIs(t, err, tencent.ErrFrequency)
	require.InDelta(t, 50, c.Rate("send_group_msg"), 0)

	small, err := tencent.New(tencent.Config{SDKAppID: tencenttest.DefaultSDKAppID, SecretKey: "another", Identifier: cloud.Admin(), BaseURL: cloud.URL()})
	require.NoError(t, err)
	defer small.Close()
	require.ErrorIs(t, small.GroupMsgReceipt(ctx, "g", "tommy", []receipts.MsgSeq{1}), tencent.ErrOurs)
	nobody, err := tencent.New(tencent.Config{SDKAppID: tencenttest.DefaultSDKAppID, SecretKey: tencenttest.DefaultSecretKey, Identifier: "tommy", BaseURL: cloud.URL()})
	require.NoError(t, err)
	defer nobody.Close()
	require.ErrorIs(t, nobody.GroupMsgReceipt(ctx, "g", "tommy", []receipts.MsgSeq{1}), tencent.ErrOurs)
}

// TestBackendInFront: the app's backend has the URL and passes the body on with a bearer token.
func TestBackendInFront(t *testing.T) {
	intake := new(collector)
	hooks, err := tencent.NewWebhooks(tencent.WebhooksConfig{SDKAppID: tencenttest.DefaultSDKAppID, Token: "hook-token", BearerToken: "tee"}, intake)
	require.NoError(t, err)
	endpoint := httptest.NewServer(hooks)
	defer endpoint.Close()
	cloud := tencenttest.Start(t, tencenttest.Options{Hook: tencenttest.Hook{URL: endpoint.URL, Header: http.Header{"Authorization": {"Bearer tee"}}}})
	cloud.User("jared")
	cloud.Group(t, "g", "jared")
	_, err = cloud.User("jared").Send("g", "hello", tencenttest.SendOptions{})
	require.NoError(t, err)
	cloud.WaitFor(t, "the message", func() bool { return len(find(intake, func(*tencent.GroupMsgSent) bool { return true })) == 1 })
	require.NoError(t, hooks.Close(context.Background()))
}

// TestRateIsKept: the configured rate is used, and not passed.
func TestRateIsKept(t *testing.T) {
	const perSecond, calls = 100, 100
	cloud := tencenttest.Start(t, tencenttest.Options{Limits: tencenttest.Limits{Command: -1}})
	cloud.User("jared")
	c, err := tencent.New(tencent.Config{
		SDKAppID: tencenttest.DefaultSDKAppID, SecretKey: tencenttest.DefaultSecretKey, Identifier: cloud.Admin(), BaseURL: cloud.URL(), CallsPerSecond: perSecond,
	})
	require.NoError(t, err)
	defer c.Close()
	began := time.Now()
	var wg sync.WaitGroup
	for range calls {
		wg.Go(func() {
			_, err := c.PortraitGet(context.Background(), []string{"jared"})
			require.NoError(t, err)
		})
	}
	wg.Wait()
	took := time.Since(began)
	require.GreaterOrEqual(t, took, 880*time.Millisecond, "all but the first tenth of a second's worth had to wait")
	require.Less(t, took, 1400*time.Millisecond)
	t.Logf("%d calls in %s, %.0f %% of the rate", calls, took, calls/took.Seconds()/perSecond*100)
}
