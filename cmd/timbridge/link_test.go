package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/v2tim"
)

// adminAPI is a running bridge as link and unlink see it: it takes one call and answers what it is told.
type adminAPI struct {
	*httptest.Server
	answer string
	// What came: the path, who called, the body.
	path, caller string
	body         map[string]any
	err          error
}

func startAdminAPI(t *testing.T, answer string) *adminAPI {
	a := &adminAPI{answer: answer}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		a.path, a.caller = r.URL.Path, q.Get("identifier")
		_, a.err = v2tim.VerifyUserSig(1400000000, testSecret, a.caller, q.Get("usersig"), time.Now())
		if a.err == nil {
			a.err = json.NewDecoder(r.Body).Decode(&a.body)
		}
		_, _ = io.WriteString(w, a.answer)
	}))
	t.Cleanup(a.Close)
	return a
}

// config is that of the bridge.
func (a *adminAPI) config(t *testing.T, more string) string {
	t.Helper()
	u, err := url.Parse(a.URL)
	require.NoError(t, err)
	return strings.Replace(testConfig, "tencent: {", "tencent: {admins: [root, other], "+more, 1) + "v2tim: {port: " + u.Port() + "}\n"
}

const cloudKeys = "mode: cloud, webhook: {token: " + testSecret + "}, "

func TestLink(t *testing.T) {
	const mapped = `{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"GroupId":"@TGS#1","RoomId":"!r:matrix.test","Type":"Public","Name":"Team","SeqSource":"cloud","MemberList":[]}`
	cases := map[string]struct {
		args   []string
		cloud  bool
		answer string
		path   string
		body   map[string]any
		code   int
		says   string
	}{
		"room": {
			args: []string{"link", "@TGS#1", "!r:matrix.test"}, cloud: true, answer: mapped, path: "/v4/timbridge/map_group",
			body: map[string]any{"GroupId": "@TGS#1", "RoomId": "!r:matrix.test"},
			says: "Linked group @TGS#1 (\"Team\", Public) with room !r:matrix.test.\nWrite \"!tim status\" in the room to see how it goes.\n",
		},
		"alias": {
			args: []string{"link", "@TGS#1", "#team:matrix.test"}, cloud: true, answer: mapped, path: "/v4/timbridge/map_group",
			body: map[string]any{"GroupId": "@TGS#1", "RoomId": "#team:matrix.test"}, says: "with room !r:matrix.test.",
		},
		"standalone": {
			args: []string{"link", "team", "!r"}, answer: `{"ActionStatus":"OK","ErrorCode":0,"GroupId":"team","RoomId":"!r"}`, path: "/v4/timbridge/map_group",
			body: map[string]any{"GroupId": "team", "RoomId": "!r"}, says: "Linked group team with room !r.\n",
		},
		"unlink": {
			args: []string{"unlink", "@TGS#1"}, cloud: true, answer: `{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}`, path: "/v4/timbridge/unmap_group",
			body: map[string]any{"GroupId": "@TGS#1"}, says: "Group @TGS#1 has no room now. What was read is kept; it can be linked again.\n",
		},
		"unknown group": {
			args: []string{"link", "@TGS#2", "!r:matrix.test"}, answer: fail(10010, "Tencent says: 10010 (no such group)"), path: "/v4/timbridge/map_group",
			code: exitRefused, says: "timbridge: failed to link group @TGS#2: Tencent says: 10010 (no such group): the app has no such group; its ID is the one in Tencent's console, like @TGS#…, in single quotes\n",
		},
		"never linked": {
			args: []string{"unlink", "@TGS#2"}, answer: fail(10010, "no such group"), path: "/v4/timbridge/unmap_group",
			code: exitRefused, says: "timbridge: failed to unlink group @TGS#2: timbridge knows no such group (10010: no such group)\n",
		},
		"no administrator at Tencent": {
			args: []string{"link", "@TGS#1", "!r:matrix.test"}, answer: fail(60010, "Tencent says: 60010"), path: "/v4/timbridge/map_group",
			code: exitRefused, says: "Tencent says: 60010: root, the first of tencent.admins, is no administrator",
		},
		"wrong region": {
			args: []string{"link", "@TGS#1", "!r:matrix.test"}, answer: fail(60026, "Tencent says: 60026"), path: "/v4/timbridge/map_group",
			code: exitRefused, says: "tencent.region is not where the app lives",
		},
		"wrong key at Tencent": {
			args: []string{"link", "@TGS#1", "!r:matrix.test"}, answer: fail(70009, "Tencent says: 70009"), path: "/v4/timbridge/map_group",
			code: exitRefused, says: "tencent.sdk_app_id or tencent.secret_key is not the app's",
		},
		"overload at Tencent": {
			args: []string{"link", "@TGS#1", "!r:matrix.test"}, answer: fail(60022, "Tencent says: 60022"), path: "/v4/timbridge/map_group",
			code: exitRefused, says: "see the codes in docs/tencent-cloud.md",
		},
		"bot stays outside": {
			args: []string{"link", "@TGS#1", "!r:matrix.test"}, answer: fail(10004, "the bot @timbridgebot:matrix.test cannot join the room: invite it first (M_FORBIDDEN)"), path: "/v4/timbridge/map_group",
			code: exitRefused, says: "timbridge: failed to link group @TGS#1: the bot @timbridgebot:matrix.test cannot join the room: invite it first (M_FORBIDDEN)\n",
		},
		"homeserver away": {
			args: []string{"link", "@TGS#1", "#r:matrix.test"}, answer: fail(10002, "the homeserver failed, try again"), path: "/v4/timbridge/map_group",
			code: exitRefused, says: "failed to link group @TGS#1: the homeserver failed, try again\n",
		},
		"broken": {
			args: []string{"unlink", "team"}, answer: fail(10002, "internal error, try again"), path: "/v4/timbridge/unmap_group",
			code: exitRefused, says: "failed to unlink group team: internal error, try again (timbridge's log says more)\n",
		},
		"package": {
			args: []string{"link", "@TGS#1", "!r:matrix.test"}, answer: fail(10059, "not in this package"), path: "/v4/timbridge/map_group",
			code: exitRefused, says: "10059: not in this package",
		},
		"another key": {
			args: []string{"unlink", "team"}, answer: fail(70009, "usersig was not made with the secret key of this app"), path: "/v4/timbridge/unmap_group",
			code: exitRefused, says: "failed to unlink group team: the running timbridge has another sdk_app_id or secret_key than config.yaml",
		},
		"no administrator": {
			args: []string{"unlink", "team"}, answer: fail(60010, "not an administrator"), path: "/v4/timbridge/unmap_group",
			code: exitRefused, says: "does not know root as an administrator",
		},
		"something else": {
			args: []string{"unlink", "team"}, answer: "<html>", path: "/v4/timbridge/unmap_group",
			code: exitNotRunning, says: "is no timbridge",
		},
		"no room":        {args: []string{"link", "team", "general"}, code: exitUsage, says: `"general" is not a room`},
		"half an alias":  {args: []string{"link", "team", "#general"}, code: exitUsage, says: `"#general" is not a room`},
		"no group":       {args: []string{"link", "!r:matrix.test"}, code: exitUsage, says: "usage: timbridge link GROUPID ROOM"},
		"unlink nothing": {args: []string{"unlink"}, code: exitUsage, says: "usage: timbridge unlink GROUPID"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := startAdminAPI(t, tc.answer)
			dir, more := t.TempDir(), ""
			if tc.cloud {
				more = cloudKeys
			}
			write(t, dir, "config.yaml", a.config(t, more))
			got := call(t, dir, nil, tc.args...)
			require.Equal(t, tc.code, got.code, "%s%s", got.stdout, got.stderr)
			require.Contains(t, got.stdout+got.stderr, tc.says)
			require.NotContains(t, got.stdout+got.stderr, testSecret)
			require.Equal(t, tc.path, a.path)
			if tc.path == "" {
				return
			}
			require.NoError(t, a.err)
			require.Equal(t, "root", a.caller, "the first administrator")
			for key, value := range tc.body {
				require.Equal(t, value, a.body[key])
			}
		})
	}
}

func fail(code int, info string) string {
	return fmt.Sprintf(`{"ActionStatus":"FAIL","ErrorInfo":%q,"ErrorCode":%d}`, info, code)
}

func TestLinkWithoutBridge(t *testing.T) {
	dir := t.TempDir()
	port := freePorts(t, 1)[0]
	write(t, dir, "config.yaml", testConfig+fmt.Sprintf("v2tim: {port: %d}\n", port))
	for _, args := range [][]string{{"link", "team", "!r:matrix.test"}, {"unlink", "team"}} {
		got := call(t, dir, nil, args...)
		require.Equal(t, exitNotRunning, got.code, got.stderr)
		require.Contains(t, got.stderr, fmt.Sprintf("no timbridge answers at http://127.0.0.1:%d", port))
		require.NotContains(t, got.stderr, "usersig=")
	}
	// What answers and breaks off is not taken for it either, and nothing of the URL is shown: it holds a UserSig.
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}))
	defer broken.Close()
	a := &adminAPI{Server: broken}
	write(t, dir, "config.yaml", a.config(t, ""))
	got := call(t, dir, nil, "unlink", "team")
	require.Equal(t, exitNotRunning, got.code, got.stderr)
	require.Contains(t, got.stderr, "it has just stopped")
	require.NotContains(t, got.stderr, "usersig")

	write(t, dir, "config.yaml", strings.Replace(testConfig, "tencent: {", "tencent: {admins: [], ", 1))
	got = call(t, dir, nil, "unlink", "team")
	require.Equal(t, exitInvalidConfig, got.code)
	require.Contains(t, got.stderr, "tencent.admins is empty")
}

func TestLocalAddress(t *testing.T) {
	for hostname, want := range map[string]string{
		"": "127.0.0.1:1", "0.0.0.0": "127.0.0.1:1", "::": "[::1]:1", "[::1]": "[::1]:1", "10.0.0.1": "10.0.0.1:1", "localhost": "localhost:1",
	} {
		require.Equal(t, want, localAddress(hostname, 1), hostname)
	}
}
