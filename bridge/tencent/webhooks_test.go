package tencent

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
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
		{CommandAfterSendMsg, `{"GroupId":"g","From_Account":"a"}`},
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

func TestOnlineOnlyMessageHasNoSeq(t *testing.T) {
	intake := new(fakeIntake)
	w := newWebhooks(t, intake)
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

const exitBody = `{"CallbackCommand":"Group.CallbackAfterMemberExit","GroupId":"g","ExitMemberList":[{"Member_Account":"a"}]}`

func TestAdmission(t *testing.T) {
	token := func(cfg *WebhooksConfig) {
		cfg.Token = vectorToken
		cfg.Now = func() time.Time { return time.Unix(vectorTime+60, 0) }
	}
	signed := func(r *http.Request, sign, at string) {
		r.URL.RawQuery += "&Sign=" + sign + "&RequestTime=" + at
	}
	at := strconv.Itoa(vectorTime)
	for _, test := range []struct {
		name   string
		config func(*WebhooksConfig)
		change func(*http.Request)
		ok     bool
	}{
		{name: "open", ok: true},
		{name: "GET", change: func(r *http.Request) { r.Method = http.MethodGet }},
		{name: "no app", change: func(r *http.Request) { r.URL.RawQuery = "CallbackCommand=Group.CallbackAfterMemberExit" }},
		{name: "another app", change: func(r *http.Request) {
			r.URL.RawQuery = "SdkAppid=1400000002&CallbackCommand=Group.CallbackAfterMemberExit"
		}},
		{name: "unsigned", config: token},
		{name: "test vector", config: token, change: func(r *http.Request) { signed(r, vectorSign, at) }, ok: true},
		{name: "capitals", config: token, change: func(r *http.Request) { signed(r, strings.ToUpper(vectorSign), at) }, ok: true},
		{name: "wrong sign", config: token, change: func(r *http.Request) { signed(r, "0"+vectorSign[1:], at) }},
		{name: "short sign", config: token, change: func(r *http.Request) { signed(r, vectorSign[:62], at) }},
		{name: "no sign", config: token, change: func(r *http.Request) { signed(r, "", at) }},
		{name: "no hex", config: token, change: func(r *http.Request) { signed(r, "zz", at) }},
		{name: "no time", config: token, change: func(r *http.Request) { signed(r, vectorSign, "") }},
		{name: "other time", config: token, change: func(r *http.Request) { signed(r, vectorSign, strconv.Itoa(vectorTime+1)) }},
		{name: "too old", config: func(cfg *WebhooksConfig) {
			token(cfg)
			cfg.Now = func() time.Time { return time.Unix(vectorTime+61, 0) }
		}, change: func(r *http.Request) { signed(r, vectorSign, at) }},
		{name: "from the future", config: func(cfg *WebhooksConfig) {
			token(cfg)
			cfg.Now = func() time.Time { return time.Unix(vectorTime-61, 0) }
		}, change: func(r *http.Request) { signed(r, vectorSign, at) }},
		{name: "from not too far in the future", config: func(cfg *WebhooksConfig) {
			token(cfg)
			cfg.Now = func() time.Time { return time.Unix(vectorTime-60, 0) }
		}, change: func(r *http.Request) { signed(r, vectorSign, at) }, ok: true},
		{name: "absurd time", config: token, change: func(r *http.Request) {
			signed(r, "1c4f0d4f6d8eb3a3e7b1a3eb5e0c70f9d9ed6c2ba6e0a5c8f2c2d1c1b8e5ab9d", "-9223372036854775808")
		}},
		{name: "bearer", config: bearer, change: func(r *http.Request) { r.Header.Set("Authorization", "Bearer tee") }, ok: true},
		{name: "bearer, no query", config: bearer, change: func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer tee")
			r.URL.RawQuery = ""
		}, ok: true},
		{name: "bearer, another app", config: bearer, change: func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer tee")
			r.URL.RawQuery = "SdkAppid=1"
		}},
		{name: "wrong bearer", config: bearer, change: func(r *http.Request) { r.Header.Set("Authorization", "Bearer te") }},
		{name: "empty bearer", config: bearer, change: func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") }},
		{name: "no bearer, no query", change: func(r *http.Request) { r.URL.RawQuery = "" }},
		{name: "either, by bearer", config: func(cfg *WebhooksConfig) { token(cfg); bearer(cfg) },
			change: func(r *http.Request) { r.Header.Set("Authorization", "Bearer tee") }, ok: true},
		{name: "either, by sign", config: func(cfg *WebhooksConfig) { token(cfg); bearer(cfg) },
			change: func(r *http.Request) { signed(r, vectorSign, at) }, ok: true},
		{name: "right source", config: sources, change: from("10.1.2.3:4"), ok: true},
		{name: "right source, mapped", config: sources, change: from("[::ffff:10.1.2.3]:4"), ok: true},
		{name: "wrong source", config: sources, change: from("11.1.2.3:4")},
		{name: "wrong source, says a right one", config: sources, change: from("11.1.2.3:4", "10.1.2.3")},
		{name: "unreadable source", config: sources, change: from("@")},
		{name: "by a proxy", config: sources, change: from("192.168.0.1:4", "8.8.8.8, 10.1.2.3"), ok: true},
		{name: "by two proxies", config: sources, change: from("192.168.0.1:4", "8.8.8.8, 10.1.2.3", "192.168.0.2"), ok: true},
		{name: "by a proxy, wrong source", config: sources, change: from("192.168.0.1:4", "10.1.2.3, 8.8.8.8")},
		{name: "by a proxy, nonsense", config: sources, change: from("192.168.0.1:4", "x")},
		{name: "by a proxy, nothing", config: sources, change: from("192.168.0.1:4")},
	} {
		t.Run(test.name, func(t *testing.T) {
			intake := new(fakeIntake)
			var configs []func(*WebhooksConfig)
			if test.config != nil {
				configs = append(configs, test.config)
			}
			w := newWebhooks(t, intake, configs...)
			r := request(CommandAfterMemberExit, exitBody)
			if test.change != nil {
				test.change(r)
			}
			rec := post(w, r)
			if test.ok {
				requireOK(t, rec)
				require.Len(t, intake.took(), 1)
				return
			}
			require.Contains(t, []int{http.StatusForbidden, http.StatusMethodNotAllowed}, rec.Code)
			require.Contains(t, rec.Body.String(), bodyFail)
			require.Empty(t, intake.took())
		})
	}
}

func bearer(cfg *WebhooksConfig) { cfg.BearerToken = "tee" }

func sources(cfg *WebhooksConfig) {
	cfg.Sources = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.168.0.0/24")}
}

func from(remote string, forwarded ...string) func(*http.Request) {
	return func(r *http.Request) {
		r.RemoteAddr = remote
		r.Header["X-Forwarded-For"] = forwarded
	}
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
				require.True(t, validID(e.From_Account) && (e.MsgSeq > 0 || bool(e.OnlineOnlyFlag)))
				e.Time()
			case *GroupMsgRecalled:
				require.NotContains(t, e.Seqs(), 0)
			}
		}
	})
}

// FuzzQuery gives any query: nobody gets in without the right Sign.
func FuzzQuery(f *testing.F) {
	good := request(CommandAfterMemberExit, "").URL.RawQuery
	for _, q := range []string{good, good + "&Sign=" + vectorSign + "&RequestTime=1", "SdkAppid=1400000001;Sign=", "%zz", "RequestTime=99999999999999999999"} {
		f.Add(q, "Bearer x", "10.0.0.1")
	}
	w, err := NewWebhooks(WebhooksConfig{SDKAppID: testApp, Token: vectorToken, BearerToken: "secret words", TrustedProxies: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")},
		Sources: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}, new(fakeIntake))
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, query, authorization, forwarded string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(exitBody))
		r.URL.RawQuery = query
		r.Header["Authorization"], r.Header["X-Forwarded-For"] = []string{authorization}, []string{forwarded}
		if strings.Contains(authorization, "secret words") {
			return
		}
		requireFail(t, http.StatusForbidden, post(w, r))
	})
}
