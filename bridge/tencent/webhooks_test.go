package tencent

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// fakeIntake keeps what it is given; it links all groups but those named.
type fakeIntake struct {
	unlinked string
	handle   func(context.Context, Event) error

	mu     sync.Mutex
	events []Event
}

func (f *fakeIntake) Linked(groupID string) bool { return groupID != f.unlinked }

func (f *fakeIntake) HandleEvent(ctx context.Context, event Event) error {
	if f.handle != nil {
		return f.handle(ctx, event)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, event)
	return nil
}

func (f *fakeIntake) took() []Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	events := f.events
	f.events = nil
	return events
}

const (
	bodyOK   = `{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":""}`
	bodyFail = `"ActionStatus":"FAIL"`
	// The only published vector. [WH-SIGN]
	vectorToken = "xxxxyyyy"
	vectorTime  = 1669872112
	vectorSign  = "17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061"
)

func newWebhooks(t testing.TB, intake Intake, change ...func(*WebhooksConfig)) *Webhooks {
	cfg := WebhooksConfig{SDKAppID: testApp, NewGroups: true}
	for _, fn := range change {
		fn(&cfg)
	}
	w, err := NewWebhooks(cfg, intake)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close(context.Background())) })
	return w
}

// request makes a webhook as Tencent sends it.
func request(command, body string) *http.Request {
	q := url.Values{"SdkAppid": {strconv.Itoa(testApp)}, "CallbackCommand": {command}, "contenttype": {"json"}, "ClientIP": {"127.0.0.1"}, "OptPlatform": {"RESTAPI"}}
	return httptest.NewRequest(http.MethodPost, "/tencent?"+q.Encode(), strings.NewReader(body))
}

func post(w *Webhooks, r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec
}

func requireOK(t *testing.T, rec *httptest.ResponseRecorder) {
	require.Equal(t, http.StatusOK, rec.Code)
	require.Equal(t, bodyOK, rec.Body.String())
	require.Equal(t, "application/json", rec.Header().Get("Content-Type"))
}

func requireFail(t *testing.T, status int, rec *httptest.ResponseRecorder) {
	require.Equal(t, status, rec.Code)
	require.Contains(t, rec.Body.String(), bodyFail)
}

func TestPublishedSamples(t *testing.T) {
	for _, sample := range samples() {
		t.Run(sample.name, func(t *testing.T) {
			intake := new(fakeIntake)
			w := newWebhooks(t, intake)
			var log bytes.Buffer
			r := request(sample.command, sample.body)
			requireOK(t, post(w, r.WithContext(zerolog.New(&log).WithContext(r.Context()))))
			switch {
			case sample.malformed:
				require.Empty(t, intake.took())
				require.Equal(t, WebhookStats{Malformed: 1}, w.Stats())
				require.Contains(t, log.String(), sample.command)
			case sample.want == nil:
				require.Empty(t, intake.took())
				require.Equal(t, WebhookStats{Ignored: 1}, w.Stats())
			default:
				require.Equal(t, []Event{sample.want}, intake.took())
				require.Equal(t, WebhookStats{Handled: 1}, w.Stats())
				require.Empty(t, log.String())
			}
		})
	}
}

func TestUnusableEventsAreReported(t *testing.T) {
	for _, test := range []struct{ command, body string }{
		{CommandAfterReadReceipt, `{"GroupId":"g"}`},
		{CommandAfterReadReceipt, `{"GroupId":"g","GroupMsgReceiptList":[{"MsgSeq":0}]}`},
		{CommandAfterReadReceipt, `{"GroupId":"g","GroupMsgReceiptList":[{"MsgSeq":-1}]}`},
		{CommandAfterReadReceipt, `{"GroupId":"g","GroupMsgReceiptList":{"MsgSeq":1}}`},
		{CommandAfterReadReceipt, `{"GroupId":"","GroupMsgReceiptList":[{"MsgSeq":1}]}`},
		{CommandAfterReadReceipt, `{"GroupId":7,"GroupMsgReceiptList":[{"MsgSeq":1}]}`},
		{CommandAfterReadReceipt, `{"GroupId":"a\u0000b","GroupMsgReceiptList":[{"MsgSeq":1}]}`},
		{CommandAfterReadReceipt, `{"CallbackCommand":"State.StateChange","GroupId":"g","GroupMsgReceiptList":[{"MsgSeq":1}]}`},
		{CommandAfterReadReceipt, ``},
		{CommandAfterReadReceipt, `[]`},
		{"", `{"GroupId":"g"}`},
		{CommandAfterSendMsg, `{"GroupId":"g","MsgSeq":1}`},
		{CommandAfterSendMsg, `{"GroupId":"g","From_Account":"a","MsgSeq":"x"}`},
		{CommandAfterSendMsg, `{"GroupId":"g","From_Account":"a","MsgSeq":1,"Random":4294967296}`},
		{CommandAfterRecallMsg, `{"GroupId":"g","MsgSeqList":[]}`},
		{CommandAfterNewMemberJoin, `{"GroupId":"g","NewMemberList":[{}]}`},
		{CommandAfterMemberExit, `{"GroupId":"g"}`},
		{CommandAfterGroupDestroyed, `{}`},
		{CommandAfterCreateGroup, `{"GroupId":"g","MemberList":"bob"}`},
		{CommandAfterGroupInfoChanged, `{"GroupId":"g","Name":7}`},
	} {
		intake := new(fakeIntake)
		w := newWebhooks(t, intake)
		requireOK(t, post(w, request(test.command, test.body)))
		require.Equal(t, WebhookStats{Malformed: 1}, w.Stats(), test.body)
		require.Empty(t, intake.took(), test.body)
	}
}

func TestMessagesWithoutSeq(t *testing.T) {
	intake := new(fakeIntake)
	w := newWebhooks(t, intake)
	requireOK(t, post(w, request(CommandAfterSendMsg, `{"GroupId":"g","From_Account":"a","To_Account":["b"]}`)))
	require.Equal(t, []Event{&GroupMsgSent{GroupEvent: GroupEvent{GroupId: "g"}, From_Account: "a", To_Account: Accounts{"b"}}}, intake.took())
	requireOK(t, post(w, request(CommandAfterSendMsg, `{"GroupId":"g","From_Account":"a","OnlineOnlyFlag":"1","MsgId":"\u0000","NeedReadReceipt":1}`)))
	require.Equal(t, []Event{&GroupMsgSent{GroupEvent: GroupEvent{GroupId: "g"}, From_Account: "a", OnlineOnlyFlag: true, NeedReadReceipt: ptr(Flag(true))}}, intake.took())
}

func TestUnlinkedGroups(t *testing.T) {
	intake := &fakeIntake{unlinked: "@TGS#2J4SZEAEL"}
	w := newWebhooks(t, intake, func(cfg *WebhooksConfig) { cfg.NewGroups = false })
	asked := newWebhooks(t, intake)
	for _, sample := range samples() {
		if sample.want != nil && sample.want.Group() == intake.unlinked {
			requireOK(t, post(w, request(sample.command, sample.body)))
			require.Empty(t, intake.took(), sample.name)
			requireOK(t, post(asked, request(sample.command, sample.body)))
			if _, created := sample.want.(*GroupCreated); created {
				require.Equal(t, []Event{sample.want}, intake.took(), "with NewGroups, a new group is told of")
			} else {
				require.Empty(t, intake.took(), sample.name)
			}
		}
	}
	require.Positive(t, w.Stats().Unlinked)
	require.Equal(t, w.Stats().Unlinked-1, asked.Stats().Unlinked)
	require.Zero(t, w.Stats().Handled)
}

func TestCommandFromTheBody(t *testing.T) {
	intake := new(fakeIntake)
	w := newWebhooks(t, intake)
	r := request("", `{"CallbackCommand":"Group.CallbackAfterMemberExit","GroupId":"g","ExitMemberList":[{"Member_Account":"a"}]}`)
	requireOK(t, post(w, r))
	require.Len(t, intake.took(), 1)
	requireOK(t, post(w, request("", `{"CallbackCommand":"C2C.CallbackAfterSendMsg","GroupId":"g"}`)))
	require.EqualValues(t, 1, w.Stats().Ignored)
}

func TestNewWebhooksRefusesBadConfig(t *testing.T) {
	for name, cfg := range map[string]WebhooksConfig{
		"no app":      {},
		"negative":    {SDKAppID: 1, Concurrency: -1},
		"bad forward": {SDKAppID: 1, Forward: "backend:80"},
	} {
		_, err := NewWebhooks(cfg, new(fakeIntake))
		require.Error(t, err, name)
	}
}

func TestFailures(t *testing.T) {
	var log bytes.Buffer
	intake := &fakeIntake{handle: func(context.Context, Event) error { return errors.New("disk full") }}
	w := newWebhooks(t, intake)
	r := request(CommandAfterMemberExit, exitBody)
	requireFail(t, http.StatusServiceUnavailable, post(w, r.WithContext(zerolog.New(&log).WithContext(r.Context()))))
	require.Contains(t, log.String(), "disk full")
	intake.handle = func(context.Context, Event) error { panic("odd event") }
	requireFail(t, http.StatusServiceUnavailable, post(w, request(CommandAfterMemberExit, exitBody)))
	require.Equal(t, WebhookStats{Failed: 2}, w.Stats())
}

func TestTooLargeBody(t *testing.T) {
	w := newWebhooks(t, new(fakeIntake), func(cfg *WebhooksConfig) { cfg.MaxBody = 50 })
	requireFail(t, http.StatusBadRequest, post(w, request(CommandAfterMemberExit, exitBody)))
	require.Equal(t, WebhookStats{Malformed: 1}, w.Stats())
}

func TestAnswerIsInTime(t *testing.T) {
	release, done := make(chan struct{}), make(chan error, 1)
	intake := &fakeIntake{handle: func(ctx context.Context, _ Event) error {
		<-release
		done <- ctx.Err()
		return nil
	}}
	w := newWebhooks(t, intake, func(cfg *WebhooksConfig) { cfg.AnswerWithin, cfg.Concurrency = 30*time.Millisecond, 1 })
	began := time.Now()
	requireFail(t, http.StatusServiceUnavailable, post(w, request(CommandAfterMemberExit, exitBody)))
	require.EqualValues(t, 1, w.Stats().Late)
	// The one slot is taken, so that the next is not even begun.
	requireFail(t, http.StatusServiceUnavailable, post(w, request(CommandAfterMemberExit, exitBody)))
	require.EqualValues(t, 1, w.Stats().Dropped)
	require.Less(t, time.Since(began), time.Second)
	closing, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, w.Close(closing), context.DeadlineExceeded, "the event is still being handled")
	close(release)
	require.NoError(t, <-done, "the work goes on after the answer")
	require.NoError(t, w.Close(context.Background()))
	require.EqualValues(t, 1, w.Stats().Handled)
	requireFail(t, http.StatusServiceUnavailable, post(w, request(CommandAfterMemberExit, exitBody)))
}

func TestSlowBody(t *testing.T) {
	w := newWebhooks(t, new(fakeIntake), func(cfg *WebhooksConfig) { cfg.AnswerWithin = 30 * time.Millisecond })
	server := httptest.NewServer(w)
	defer server.Close()
	body, feed := newPipe()
	defer feed.Close()
	go func() { _, _ = feed.Write([]byte(`{"GroupId":`)) }()
	resp, err := server.Client().Post(server.URL+"?SdkAppid="+strconv.Itoa(testApp), "application/json", body)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
}

func TestServedOverHTTP(t *testing.T) {
	intake := new(fakeIntake)
	server := httptest.NewServer(newWebhooks(t, intake))
	defer server.Close()
	for range 3 { // on one connection, of which the read deadline is taken off each time
		resp, err := server.Client().Post(server.URL+"?SdkAppid="+strconv.Itoa(testApp), "application/json", strings.NewReader(exitBody))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
	require.Len(t, intake.took(), 3)
}

// FuzzWebhook gives any body under any command: it is answered OK, and what gets through is usable.
func FuzzWebhook(f *testing.F) {
	commands := []string{
		CommandAfterReadReceipt, CommandAfterSendMsg, CommandAfterRecallMsg, CommandAfterNewMemberJoin, CommandAfterMemberExit,
		CommandAfterGroupDestroyed, CommandAfterCreateGroup, CommandAfterGroupInfoChanged, "", "Group.CallbackBeforeSendMsg",
	}
	for _, sample := range samples() {
		for i, command := range commands {
			if command == sample.command {
				f.Add(uint8(i), []byte(sample.body))
			}
		}
		f.Add(uint8(8), []byte(sample.body))
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		intake := new(fakeIntake)
		w, err := NewWebhooks(WebhooksConfig{SDKAppID: testApp, NewGroups: true}, intake)
		require.NoError(t, err)
		rec := post(w, request(commands[int(which)%len(commands)], string(body)))
		requireOK(t, rec)
		events := intake.took()
		stats := w.Stats()
		require.EqualValues(t, 1, stats.Handled+stats.Malformed+stats.Ignored)
		require.Len(t, events, int(stats.Handled))
		for _, event := range events {
			require.True(t, validID(event.Group()))
			switch e := event.(type) {
			case *ReadReceipt:
				require.NotEmpty(t, e.GroupMsgReceiptList)
				for _, m := range e.GroupMsgReceiptList {
					require.NotZero(t, m.MsgSeq)
				}
			case *GroupMsgSent:
				require.True(t, validID(e.From_Account))
				e.Time()
			case *GroupMsgRecalled:
				require.NotContains(t, e.Seqs(), 0)
			}
		}
	})
}
