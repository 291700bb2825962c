package tencent

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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
