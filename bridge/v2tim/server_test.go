package v2tim_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/bridge/v2tim/v2timtest"
)

const (
	appID  = 1400000001
	secret = "a secret for tests"
)

// bed is a server on fakes.
type bed struct {
	t      testing.TB
	core   *fakeCore
	events *fakeEvents
	server *v2tim.Server
	http   *httptest.Server
}

func newBed(t testing.TB, change ...func(*v2tim.Config)) *bed {
	cfg := v2tim.Config{SDKAppID: appID, SecretKey: secret, Admins: []string{"administrator"}, CoalesceWindow: 30 * time.Millisecond}
	for _, f := range change {
		f(&cfg)
	}
	b := &bed{t: t, core: &fakeCore{t: t}, events: newFakeEvents()}
	var err error
	b.server, err = v2tim.New(cfg, b.core, fakeAdmin{b.core}, b.events)
	require.NoError(t, err)
	b.http = httptest.NewServer(b.server.Handler())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, b.server.Close(ctx))
		b.http.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return b
}

func (b *bed) client(user string) *v2timtest.Client {
	c, err := v2timtest.New(b.http.URL, appID, secret, user)
	require.NoError(b.t, err)
	return c
}

// query is a good query of user, with changes: a value "" takes a parameter out.
func query(t testing.TB, user string, change map[string]string) string {
	sig, err := v2tim.GenUserSig(appID, secret, user, time.Hour)
	require.NoError(t, err)
	q := url.Values{"sdkappid": {"1400000001"}, "identifier": {user}, "usersig": {sig}, "random": {"1"}, "contenttype": {"json"}}
	for name, value := range change {
		if value == "" {
			q.Del(name)
		} else {
			q.Set(name, value)
		}
	}
	return q.Encode()
}

// reply is an answer in either frame.
type reply struct {
	code   int
	desc   string
	fields map[string]json.RawMessage
}

// ask sends a request as it is and checks the frame of its answer.
func (b *bed) ask(method, path, query string, body io.Reader, header ...string) reply {
	b.t.Helper()
	req, err := http.NewRequest(method, b.http.URL+path+"?"+query, body)
	require.NoError(b.t, err)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(b.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	require.Equal(b.t, http.StatusOK, resp.StatusCode, string(text))
	require.Equal(b.t, "application/json", resp.Header.Get("Content-Type"))
	if method == http.MethodHead {
		return reply{}
	}
	return parseReply(b.t, strings.HasPrefix(path, "/v4/v2tim/"), text)
}

func parseReply(t testing.TB, sdk bool, text []byte) reply {
	t.Helper()
	var r reply
	require.NoError(t, json.Unmarshal(text, &r.fields), string(text))
	code, desc := "ErrorCode", "ErrorInfo"
	if sdk {
		code, desc = "code", "desc"
	}
	require.Contains(t, r.fields, code, string(text))
	require.Contains(t, r.fields, desc, string(text))
	require.NoError(t, json.Unmarshal(r.fields[code], &r.code))
	require.NoError(t, json.Unmarshal(r.fields[desc], &r.desc))
	if !sdk {
		want := `"OK"`
		if r.code != 0 {
			want = `"FAIL"`
		}
		require.Equal(t, want, string(r.fields["ActionStatus"]))
	}
	require.Equal(t, r.code != 0, r.desc != "", "a description stands with a failure and only there")
	return r
}

// sdkBodies are good bodies of every call of an app, adminBodies of every call of
// an administrator.
func sdkBodies() map[string]string {
	return map[string]string{
		"/v4/v2tim/sendMessageReadReceipts":       `{"messageIDList":["m1"]}`,
		"/v4/v2tim/getMessageReadReceipts":        `{"messageIDList":["m1"]}`,
		"/v4/v2tim/getGroupMessageReadMemberList": `{"messageID":"m1"}`,
		"/v4/v2tim/sendMessage":                   `{"groupID":"g1","text":"hi"}`,
	}
}

func adminBodies() map[string]string {
	return map[string]string{
		"/v4/group_open_http_svc/group_msg_receipt":            `{"GroupId":"g1","From_Account":"bob","MsgSeqList":[{"MsgSeq":1}]}`,
		"/v4/group_open_http_svc/get_group_msg_receipt":        `{"GroupId":"g1","MsgSeqList":[{"MsgSeq":1}]}`,
		"/v4/group_open_http_svc/get_group_msg_receipt_detail": `{"GroupId":"g1","MsgSeq":1,"Filter":0,"Cursor":"","Count":10}`,
		"/v4/group_open_http_svc/add_group_member":             `{"GroupId":"g1","MemberList":[{"Member_Account":"bob"}]}`,
		"/v4/group_open_http_svc/delete_group_member":          `{"GroupId":"g1","MemberToDel_Account":["bob"]}`,
		"/v4/group_open_http_svc/get_group_member_info":        `{"GroupId":"g1"}`,
		"/v4/timbridge/add_group_member":                       `{"GroupId":"g1","MemberList":[{"Member_Account":"bob"}]}`,
		"/v4/timbridge/delete_group_member":                    `{"GroupId":"g1","MemberToDel_Account":["bob"]}`,
		"/v4/timbridge/get_group_member_info":                  `{"GroupId":"g1"}`,
		"/v4/timbridge/map_group":                              `{"GroupId":"g1","RoomId":"!r:x"}`,
		"/v4/timbridge/unmap_group":                            `{"GroupId":"g1"}`,
		"/v4/timbridge/map_messages":                           `{"GroupId":"g1","MessageList":[{"EventId":"$e"}]}`,
		"/v4/timbridge/link_user":                              `{"UserID":"bob","MXID":"@bob:x"}`,
		"/v4/timbridge/unlink_user":                            `{"UserID":"bob"}`,
		"/v4/timbridge/get_groups":                             `{}`,
		"/v4/timbridge/get_group_messages":                     `{"GroupId":"g1"}`,
	}
}

// eachCall runs f once for every call with a user who may make it.
func eachCall(t *testing.T, f func(t *testing.T, path, user, body string)) {
	for path, body := range sdkBodies() {
		t.Run(path, func(t *testing.T) { f(t, path, "alice", body) })
	}
	for path, body := range adminBodies() {
		t.Run(path, func(t *testing.T) { f(t, path, "administrator", body) })
	}
}

func TestEveryCallWorksWithGoodInput(t *testing.T) {
	b := newBed(t)
	eachCall(t, func(t *testing.T, path, user, body string) {
		b.t = t
		r := b.ask(http.MethodPost, path, query(t, user, nil), strings.NewReader(body))
		require.Zero(t, r.code, r.desc)
		require.Len(t, b.core.took(), 1)
	})
}

func TestEveryCallRefusesBadCallers(t *testing.T) {
	b := newBed(t)
	sign := func(app uint64, key, user string, life time.Duration) string {
		sig, err := v2tim.GenUserSig(app, key, user, life)
		require.NoError(t, err)
		return sig
	}
	for path, bodies := range allBodies() {
		sdk := strings.HasPrefix(path, "/v4/v2tim/")
		user, absent := "administrator", 60004
		if sdk {
			user, absent = "alice", 6014
		}
		cases := map[string]struct {
			change map[string]string
			code   int
		}{
			"no sdkappid":            {map[string]string{"sdkappid": ""}, 60012},
			"other sdkappid":         {map[string]string{"sdkappid": "7"}, 60006},
			"sdkappid is no number":  {map[string]string{"sdkappid": "x"}, 60006},
			"no identifier":          {map[string]string{"identifier": ""}, absent},
			"no usersig":             {map[string]string{"usersig": ""}, absent},
			"usersig is garbage":     {map[string]string{"usersig": "garbage"}, 70003},
			"usersig is cut off":     {map[string]string{"usersig": sign(appID, secret, user, time.Hour)[:100]}, 70003},
			"another key":            {map[string]string{"usersig": sign(appID, "other", user, time.Hour)}, 70009},
			"usersig of another":     {map[string]string{"usersig": sign(appID, secret, "mallory", time.Hour)}, 70013},
			"identifier of another":  {map[string]string{"identifier": "mallory"}, 70013},
			"identifier too long":    {map[string]string{"identifier": strings.Repeat("x", 33)}, 70013},
			"identifier with breaks": {map[string]string{"identifier": "a\nTLS.sdkappid:1"}, 70013},
			"usersig of another app": {map[string]string{"usersig": sign(appID+1, secret, user, time.Hour)}, 70014},
			"all wrong: app first":   {map[string]string{"sdkappid": "7", "usersig": "", "identifier": ""}, 60006},
		}
		for name, c := range cases {
			t.Run(path+" "+name, func(t *testing.T) {
				b.t = t
				r := b.ask(http.MethodPost, path, query(t, user, c.change), strings.NewReader(bodies))
				require.Equal(t, c.code, r.code, r.desc)
				require.Empty(t, b.core.took())
			})
		}
	}
}

func allBodies() map[string]string {
	all := sdkBodies()
	for path, body := range adminBodies() {
		all[path] = body
	}
	return all
}

func TestExpiredUserSig(t *testing.T) {
	b := newBed(t, func(c *v2tim.Config) { c.Now = func() time.Time { return time.Now().Add(2 * time.Hour) } })
	eachCall(t, func(t *testing.T, path, user, body string) {
		b.t = t
		r := b.ask(http.MethodPost, path, query(t, user, nil), strings.NewReader(body))
		require.Equal(t, 70001, r.code, r.desc)
		require.Empty(t, b.core.took())
	})
}

func TestServerCallsNeedAnAdministrator(t *testing.T) {
	b := newBed(t)
	paths := adminBodies()
	paths["/v4/timbridge/no_such_thing"] = `{}` // he must not find out what there is
	for path, body := range paths {
		t.Run(path, func(t *testing.T) {
			b.t = t
			r := b.ask(http.MethodPost, path, query(t, "alice", nil), strings.NewReader(body))
			require.Equal(t, 60010, r.code, r.desc)
			require.Empty(t, b.core.took())
		})
	}
}

func TestEveryCallRefusesBadBodies(t *testing.T) {
	b := newBed(t, func(c *v2tim.Config) { c.MaxBody = 64 << 10 })
	eachCall(t, func(t *testing.T, path, user, _ string) {
		b.t = t
		invalid := 10004
		if strings.HasPrefix(path, "/v4/v2tim/") {
			invalid = 6017
		}
		cases := map[string]struct {
			body string
			code int
		}{
			"empty":         {"", 60003},
			"not JSON":      {"hello", 60003},
			"cut off":       {`{"messageIDList":["m1"`, 60003},
			"two values":    {`{} {}`, 60003},
			"nested deeply": {strings.Repeat(`{"a":`, 10_001) + "1" + strings.Repeat("}", 10_001), 60003},
			"open brackets": {strings.Repeat("[", 60_000), 60003},
			"too large":     {`{"x":"` + strings.Repeat("x", 64<<10) + `"}`, 60003},
			"a list":        {`[]`, invalid},
			"a number":      {`7`, invalid},
			"a string":      {`"x"`, invalid},
			"wrong type of lists": {`{"messageIDList":7,"messageID":{},"groupID":[],"MsgSeqList":"x","GroupId":7,"MemberList":{},` +
				`"MemberToDel_Account":{},"Limit":[],"MessageList":1,"UserID":1}`, invalid},
		}
		for name, c := range cases {
			r := b.ask(http.MethodPost, path, query(t, user, nil), strings.NewReader(c.body))
			require.Equal(t, c.code, r.code, "%s: %s", name, r.desc)
			require.Empty(t, b.core.took(), name)
		}
	})
}

func TestPathsMethodsAndQueries(t *testing.T) {
	b := newBed(t)
	cases := map[string]struct {
		method, path, query string
		code                int
	}{
		"unknown service":    {http.MethodPost, "/v4/openim/sendmsg", query(t, "alice", nil), 60009},
		"no version":         {http.MethodPost, "/v2tim/sendMessageReadReceipts", query(t, "alice", nil), 60009},
		"other version":      {http.MethodPost, "/v5/v2tim/sendMessage", query(t, "alice", nil), 60009},
		"root":               {http.MethodGet, "/", "", 60009},
		"only the version":   {http.MethodPost, "/v4/", "", 60009},
		"unknown of v2tim":   {http.MethodPost, "/v4/v2tim/markAllAsRead", query(t, "alice", nil), 10003},
		"no command":         {http.MethodPost, "/v4/v2tim/", query(t, "alice", nil), 10003},
		"deeper":             {http.MethodPost, "/v4/v2tim/sendMessage/x", query(t, "alice", nil), 10003},
		"other case":         {http.MethodPost, "/v4/v2tim/sendmessage", query(t, "alice", nil), 10003},
		"unknown of group":   {http.MethodPost, "/v4/group_open_http_svc/create_group", query(t, "administrator", nil), 10003},
		"unknown of ours":    {http.MethodPost, "/v4/timbridge/x", query(t, "administrator", nil), 10003},
		"not of that":        {http.MethodPost, "/v4/group_open_http_svc/map_group", query(t, "administrator", nil), 10003},
		"GET":                {http.MethodGet, "/v4/v2tim/sendMessage", query(t, "alice", nil), 60002},
		"PUT":                {http.MethodPut, "/v4/timbridge/map_group", query(t, "administrator", nil), 60002},
		"OPTIONS":            {http.MethodOptions, "/v4/v2tim/sendMessage", query(t, "alice", nil), 60002},
		"POST to events":     {http.MethodPost, "/v4/v2tim/events", query(t, "alice", nil), 60002},
		"events unupgraded":  {http.MethodGet, "/v4/v2tim/events", query(t, "alice", nil), 60002},
		"query cut off":      {http.MethodPost, "/v4/v2tim/sendMessage", "sdkappid=%", 60002},
		"query with ;":       {http.MethodPost, "/v4/v2tim/sendMessage", "a;b", 60002},
		"query too long":     {http.MethodPost, "/v4/v2tim/sendMessage", query(t, "alice", nil) + "&x=" + strings.Repeat("x", 8192), 60002},
		"two identifiers":    {http.MethodPost, "/v4/v2tim/sendMessage", query(t, "alice", nil) + "&identifier=bob", 60002},
		"two usersigs":       {http.MethodPost, "/v4/v2tim/sendMessage", query(t, "alice", nil) + "&usersig=x", 60002},
		"no query":           {http.MethodPost, "/v4/v2tim/sendMessage", "", 60012},
		"no query for admin": {http.MethodPost, "/v4/timbridge/map_group", "", 60012},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b.t = t
			r := b.ask(c.method, c.path, c.query, strings.NewReader(`{"groupID":"g1","text":"hi"}`))
			require.Equal(t, c.code, r.code, r.desc)
			require.Empty(t, b.core.took())
		})
	}
}

func TestUnusualButFine(t *testing.T) {
	b := newBed(t)
	// Neither random nor contenttype is needed, and unknown parameters and fields
	// are left alone: Tencent adds some now and then.
	r := b.ask(http.MethodPost, "/v4/v2tim/sendMessageReadReceipts",
		query(t, "alice", map[string]string{"random": "", "contenttype": "", "extra": "1"}),
		strings.NewReader(`{"messageIDList":["m1","m2","m1"],"extra":{"a":[1]}}`))
	require.Zero(t, r.code, r.desc)
	requireCalls(t, b.core, `ack alice ["m1" "m2"]`)
	require.NotContains(t, r.fields, "data")
}
