package tencenttest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tencentyun/tls-sig-api-v2-golang/tencentyun"

	"github.com/timbridge/timbridge/receipts"
)

func TestFrameRefusals(t *testing.T) {
	s := Start(t, Options{})
	sig := func(app int, key, user string, expire int) string {
		out, err := tencentyun.GenUserSig(app, key, user, expire)
		require.NoError(t, err)
		return out
	}
	set := func(name, value string) func(url.Values) {
		return func(q url.Values) { q.Set(name, value) }
	}
	const path, list = "/v4/group_open_http_svc/get_appid_group_list", "{}"
	for _, tc := range []struct {
		name, path, body string
		change           func(url.Values)
		code             receipts.Code
	}{
		{"right", path, list, nil, 0},
		{"no sdkappid", path, list, func(q url.Values) { q.Del("sdkappid") }, 60012},
		{"other app", path, list, set("sdkappid", "1"), 60006},
		{"sdkappid no number", path, list, set("sdkappid", "x"), 60006},
		{"no identifier", path, list, func(q url.Values) { q.Del("identifier") }, 60004},
		{"no usersig", path, list, func(q url.Values) { q.Del("usersig") }, 70002},
		{"usersig cut off", path, list, set("usersig", "eJw"), 70003},
		{"usersig endless", path, list, set("usersig", strings.Repeat("a", 5000)), 70003},
		{"wrong key", path, list, set("usersig", sig(DefaultSDKAppID, "other", DefaultAdmin, 60)), 70009},
		{"other user's", path, list, set("usersig", sig(DefaultSDKAppID, DefaultSecretKey, "alice", 60)), 70013},
		{"other app's", path, list, set("usersig", sig(7, DefaultSecretKey, DefaultAdmin, 60)), 70014},
		{"expired", path, list, set("usersig", sig(DefaultSDKAppID, DefaultSecretKey, DefaultAdmin, -5)), 70001},
		{"no admin", path, list, func(q url.Values) {
			q.Set("identifier", "alice")
			q.Set("usersig", sig(DefaultSDKAppID, DefaultSecretKey, "alice", 60))
		}, 60010},
		{"no random", path, list, func(q url.Values) { q.Del("random") }, 60025},
		{"random too large", path, list, set("random", "4294967296"), 60025},
		{"random negative", path, list, set("random", "-1"), 60025},
		{"no contenttype", path, list, func(q url.Values) { q.Del("contenttype") }, 60025},
		{"contenttype", path, list, set("contenttype", "xml"), 60025},
		{"empty body", path, "", nil, 60003},
		{"no JSON", path, "{", nil, 60003},
		{"no object", path, "[]", nil, 60003},
		{"too large", path, `{"GroupType":"` + strings.Repeat("a", maxBody) + `"}`, nil, 60003},
		{"unknown field", path, `{"Limits":1}`, nil, 10004},
		{"field in other case", path, `{"limit":1}`, nil, 10004},
		{"field of another type", path, `{"Limit":"1"}`, nil, 10004},
		{"null", path, `{"Limit":null}`, nil, 10004},
		{"unknown command", "/v4/group_open_http_svc/nothing", list, nil, 10003},
		{"unknown service", "/v4/nothing/nothing", list, nil, 60009},
		{"short path", "/v4/group_open_http_svc", list, nil, 60009},
		{"other path", "/", list, nil, 60009},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := query(t, s)
			if tc.change != nil {
				tc.change(q)
			}
			resp, out, err := request(t, s, tc.path, q, []byte(tc.body))
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, resp.StatusCode, "the status says nothing")
			code, _ := parse(t, out)
			require.Equal(t, tc.code, code, "%s", out)
		})
	}
}

func TestFrameMethodAndRegion(t *testing.T) {
	s := Start(t, Options{Region: "singapore"})
	target := s.URL() + "/v4/group_open_http_svc/get_appid_group_list?" + query(t, s).Encode()
	for _, tc := range []struct {
		method, host string
		code         receipts.Code
	}{
		{http.MethodPost, "", 0},
		{http.MethodPost, "adminapisgp.im.qcloud.com", 0},
		{http.MethodPost, "console.tim.qq.com", 60026},
		{http.MethodPost, "adminapiusa.im.qcloud.com:443", 60026},
		{http.MethodGet, "", 60002},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tc.method, target, strings.NewReader("{}"))
		require.NoError(t, err)
		req.Host = tc.host
		_, out, err := roundTrip(t, req)
		require.NoError(t, err)
		code, _ := parse(t, out)
		require.Equal(t, tc.code, code, "%+v", tc)
	}
	_, err := New(Options{Region: "atlantis"})
	require.Error(t, err)
}

func TestTooManyBadSignatures(t *testing.T) {
	c := newClock()
	s := Start(t, Options{Now: c.now})
	bad := query(t, s)
	bad.Set("usersig", "eJw")
	try := func(q url.Values) receipts.Code {
		_, out, err := request(t, s, "/v4/group_open_http_svc/get_appid_group_list", q, []byte("{}"))
		require.NoError(t, err)
		code, _ := parse(t, out)
		return code
	}
	for range sigFailuresMax {
		require.Equal(t, receipts.CodeUserSigIllegal, try(bad))
	}
	require.Equal(t, receipts.CodeUserSigBlocked, try(query(t, s)), "even a good one")
	c.forward(time.Minute)
	require.Zero(t, try(query(t, s)))
}

func TestCommandRates(t *testing.T) {
	c := newClock()
	s := Start(t, Options{Now: c.now, Limits: Limits{Command: 3, Account: 2}})
	const list, check = "group_open_http_svc/get_appid_group_list", "im_open_login_svc/account_check"
	for range 3 {
		good(t, s, list, obj{})
	}
	code, _ := call(t, s, list, obj{})
	require.Equal(t, receipts.CodeCommandFrequencyLimit, code)
	item := obj{"CheckItem": []obj{{"UserID": "alice"}}}
	good(t, s, check, item) // each command for itself
	good(t, s, check, item)
	code, _ = call(t, s, check, item)
	require.Equal(t, receipts.CodeCommandFrequencyLimit, code)
	c.forward(time.Second - time.Nanosecond)
	code, _ = call(t, s, list, obj{})
	require.Equal(t, receipts.CodeCommandFrequencyLimit, code, "any second, not that of the clock")
	c.forward(time.Nanosecond)
	good(t, s, list, obj{})
	require.Equal(t, 6, s.Calls("get_appid_group_list"))
	require.Equal(t, 5, s.PeakRate("get_appid_group_list"))
	require.Equal(t, map[receipts.Code]int{0: 4, 60007: 2}, s.Codes("get_appid_group_list"))

	require.Equal(t, Limits{Command: 200, Account: 100, Group: 40}, Start(t, Options{}).opts.Limits)
}

func TestFaults(t *testing.T) {
	s := Start(t, Options{})
	s.Group(t, "g", "alice", "bob")
	message := obj{"GroupId": "g", "Random": 1, "From_Account": "alice", "MsgBody": textMsg("hi")}
	const path = "group_open_http_svc/send_group_msg"
	post := func() (*http.Response, []byte, error) {
		return request(t, s, "/v4/"+path, query(t, s), mustJSON(message))
	}

	s.FailNext("send_group_msg", 2, Fault{Code: receipts.CodeGroupInternalError})
	for range 2 {
		code, _ := call(t, s, path, message)
		require.Equal(t, receipts.CodeGroupInternalError, code)
	}
	s.FailNext("", 1, Fault{Status: http.StatusBadGateway})
	resp, _, err := post()
	require.NoError(t, err)
	require.Equal(t, http.StatusBadGateway, resp.StatusCode)
	require.Empty(t, s.Messages("g"), "nothing done so far")

	s.FailNext("send_group_msg", 1, Fault{Drop: true, Acted: true})
	_, _, err = post()
	require.Error(t, err)
	require.Len(t, s.Messages("g"), 1, "done, but the caller cannot know")
	s.FailNext("send_group_msg", 1, Fault{Half: true})
	_, _, err = post()
	require.Error(t, err)
	s.FailNext("group_msg_recall", 1, Fault{Drop: true})
	good(t, s, path, message) // another command's fault, and the same message again
	require.Len(t, s.Messages("g"), 1)

	s.SetOutage(true)
	_, _, err = post()
	require.Error(t, err)
	s.SetOutage(false)
	s.StopFailing()
	good(t, s, "group_open_http_svc/group_msg_recall", obj{"GroupId": "g", "MsgSeqList": seqs(1)})
	require.Equal(t, 6, s.Calls("send_group_msg"), "not those of the outage")
	last := s.CallLog("group_msg_recall")[0]
	require.JSONEq(t, `{"GroupId":"g","MsgSeqList":[{"MsgSeq":1}]}`, string(last.Body))
	require.Equal(t, s.Admin(), last.Identifier)
	s.ClearCalls()
	require.Zero(t, s.Calls(""))
}

func TestHangEndsWithClientOrServer(t *testing.T) {
	s := Start(t, Options{})
	s.FailNext("get_appid_group_list", 2, Fault{Hang: true})
	ended := make(chan error, 1)
	go func() {
		_, _, err := request(t, s, "/v4/group_open_http_svc/get_appid_group_list", query(t, s), []byte("{}"))
		ended <- err
	}()
	s.WaitFor(t, "the call", func() bool { return s.Calls("get_appid_group_list") == 1 })
	s.Close()
	require.Error(t, <-ended)
	s.Close() // a second time does no harm
}

func TestLatency(t *testing.T) {
	s := Start(t, Options{})
	s.SetLatency(20 * time.Millisecond)
	start := time.Now()
	good(t, s, "group_open_http_svc/get_appid_group_list", obj{})
	require.GreaterOrEqual(t, time.Since(start), 20*time.Millisecond)
}
