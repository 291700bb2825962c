package v2tim_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/v2tim"
)

// FuzzCallBody sends any body to any call. The strict fake fails the test when a
// bad argument gets past the decoder; every answer must be in its frame, and a
// refusal must be one of the codes of the table in doc.go.
func FuzzCallBody(f *testing.F) {
	bodies := allBodies()
	paths := make([]string, 0, len(bodies))
	for path := range bodies {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for i, path := range paths {
		f.Add(uint8(i), []byte(bodies[path]))
		f.Add(uint8(i), []byte(`null`))
	}
	f.Add(uint8(0), []byte(`{"messageIDList":["a","a",null,7]}`))
	core := &fakeCore{}
	s, err := v2tim.New(v2tim.Config{SDKAppID: appID, SecretKey: secret, Admins: []string{"administrator"}, MaxMessage: 64}, core, fakeAdmin{core}, nil)
	require.NoError(f, err)
	app, admin := query(f, "alice", nil), query(f, "administrator", nil)
	known := []int{0, 6017, 8001, 10004, 10005, 60003}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		path := paths[int(which)%len(paths)]
		_, sdk := sdkBodies()[path]
		q := admin
		if sdk {
			q = app
		}
		core.t = t
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, path+"?"+q, bytes.NewReader(body)))
		r := parseReply(t, sdk, w.Body.Bytes())
		if !slices.Contains(known, r.code) {
			t.Fatalf("code %d is not in the table: %s", r.code, w.Body)
		}
		if calls := len(core.took()); (r.code == 0) != (calls == 1) || calls > 1 {
			t.Fatalf("code %d after %d calls", r.code, calls)
		}
	})
}

// FuzzQuery sends any query: nobody gets in without the good one.
func FuzzQuery(f *testing.F) {
	good := query(f, "alice", nil)
	for _, q := range []string{good, good + "&a=%", "sdkappid=1400000001", "sdkappid=1400000001&identifier=a&usersig=b", ";", "%zz"} {
		f.Add(q)
	}
	s, err := v2tim.New(v2tim.Config{SDKAppID: appID, SecretKey: secret}, idle{}, nil, newFakeEvents())
	require.NoError(f, err)
	// 70001: kept inputs hold UserSigs that have expired by now.
	known := []int{60002, 60006, 60012, 6014, 70001, 70003, 70009, 70013, 70014}
	f.Fuzz(func(t *testing.T, q string) {
		req := httptest.NewRequest(http.MethodPost, "/v4/v2tim/sendMessageReadReceipts", bytes.NewReader([]byte(`{"messageIDList":["m"]}`)))
		req.URL.RawQuery = q
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, req)
		code := parseReply(t, true, w.Body.Bytes()).code
		got := req.URL.Query()
		if code == 0 && got.Get("identifier") == "alice" && got.Get("sdkappid") != "" {
			return // another spelling of the good one
		}
		if !slices.Contains(known, code) {
			t.Fatalf("code %d is not in the table", code)
		}
	})
}

// FuzzClientHints sends any hints: they let a client in or keep it out, and a version is never below itself.
func FuzzClientHints(f *testing.F) {
	for _, v := range []string{"3.9.3", "3.9.3+2", "4", "", "3.9.2", "x", "1.2.3.4.5.6.7.8.9", "18446744073709551616", "3..9", "-1"} {
		f.Add(v, "Web", "3.9.3")
		f.Add("3.9.3", v, v)
	}
	f.Fuzz(func(t *testing.T, version, platform, minimum string) {
		s, err := v2tim.New(v2tim.Config{SDKAppID: appID, SecretKey: secret, MinSDKVersion: minimum, DenyPlatforms: []string{"web"}}, idle{}, nil, nil)
		if err != nil {
			return
		}
		ask := func(version string) int {
			req := httptest.NewRequest(http.MethodPost, "/v4/v2tim/sendMessageReadReceipts?"+query(t, "alice", nil), bytes.NewReader([]byte(`{"messageIDList":["m"]}`)))
			req.Header["X-Tim-Sdk-Version"], req.Header["X-Tim-Platform"] = []string{version}, []string{platform}
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, req)
			return parseReply(t, true, w.Body.Bytes()).code
		}
		denied := ask("") == 7013 // for the platform
		require.Equal(t, strings.EqualFold(platform, "web"), denied)
		if code := ask(version); code != 0 && code != 7013 {
			t.Fatalf("code %d", code)
		}
		if !denied && minimum != "" {
			require.Zero(t, ask(minimum))
		}
	})
}
