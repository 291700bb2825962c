package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func TestUpgradeOfExampleChangesNothing(t *testing.T) {
	path := writeConfig(t, timbridge.ExampleConfig())
	res, err := Load(path, Options{Update: true})
	require.NoError(t, err)
	require.Empty(t, res.Warnings)
	require.False(t, res.Updated)
	require.Equal(t, timbridge.ExampleConfig(), read(t, path))
}

// everyKey is an old-looking file in which every value differs from the example.
const everyKey = `
logging:
    min_level: trace
    writers: [{type: file, format: json, filename: /x.log}]  # mine
env_config_prefix: TB_
bridge: {mapping_wait: 2s, event_wait: 11s, stop_timeout: 21s}
receipts: {hole_after: 8d, gap_after: 11m, window: 101, park_for: 200h}
mapping:
    stamp_senders:
    - "@a*:b.test"   # the other bridge
    - /@c[0-9]+:b\.test/
v2tim:
    hostname: 0.0.0.0
    port: 81
    max_ids: 31
    max_body: 5000
    max_message: 4000
    max_connections: 7
    rate_limit: {per_second: 1.5, burst: 3}
    min_sdk_version: 3.9.3
    deny_platforms: [web]
    callback_coalesce: 1s
    callback_keep: 8d
tencent: {mode: standalone, sdk_app_id: 14, secret_key: 01234567890123456789012345678901, admins: [x, y], edition: intl_pro, max_members: 0}
double_puppet: {secrets: {b.test: "as_token:z"}}
matrix: {coalesce: 0, concurrency: 9, sync_interval: 16s, policy: contiguous}
database: {type: sqlite3, uri: /data/x.db, max_open_conns: 5, max_idle_conns: 3}
appservice:
    address: http://me:80
    hostname: 0.0.0.0
    port: 80
    id: other
    bot: {username: b, displayname: , avatar: mxc://b.test/x}
    username_template: t_{{.}}
    ephemeral_events: false
    as_token: aaa
    hs_token: hhh
homeserver: {address: http://hs, domain: b.test, request_timeout: 31s}
`

func TestUpgradeKeepsEveryValue(t *testing.T) {
	path := writeConfig(t, everyKey)
	before, err := Load(path, Options{})
	require.NoError(t, err)
	require.Zero(t, before.Unknown)
	require.NoError(t, before.Config.Validate())
	def, err := Default()
	require.NoError(t, err)
	require.NotEqual(t, def.Matrix, before.Config.Matrix)

	res, err := Load(path, Options{Update: true})
	require.NoError(t, err)
	require.Empty(t, res.Warnings)
	require.True(t, res.Updated)
	require.Equal(t, before.Config, res.Config)

	text := read(t, path)
	require.True(t, strings.HasPrefix(text, "# timbridge: group read receipts"), "newest comments")
	require.Less(t, strings.Index(text, "\nhomeserver:"), strings.Index(text, "\nlogging:"), "newest order")
	require.Contains(t, text, "hole_after: 8d", "as the operator wrote it")
	require.Contains(t, text, "# the other bridge", "his comments in lists stay")

	again, err := Load(path, Options{Update: true})
	require.NoError(t, err)
	require.False(t, again.Updated, "a second time there is nothing to do")
	require.Equal(t, before.Config, again.Config)
}

func TestUpgradeIsForbiddenOrImpossible(t *testing.T) {
	cases := map[string]struct {
		text    string
		update  bool
		prepare func(t *testing.T, path string)
		warning string
	}{
		"no update": {text: minimal},
		"unknown keys would be lost": {
			text: minimal + "mistyped: 1\n", update: true, warning: "would be lost",
		},
		"anchors": {
			text: minimal + "v2tim: {port: &p 80}\nmatrix: {concurrency: *p}\nlogging: {metadata: {x: &x 1, y: *x}}\n", update: true, warning: "",
		},
		"file is read only": {
			text: minimal, update: true, warning: "permission denied",
			prepare: func(t *testing.T, path string) { require.NoError(t, os.Chmod(path, 0o400)) },
		},
		"folder is read only": {
			text: minimal, update: true, warning: "permission denied",
			prepare: func(t *testing.T, path string) {
				if os.Geteuid() == 0 {
					t.Skip("root may write everywhere")
				}
				dir := filepath.Dir(path)
				require.NoError(t, os.Chmod(dir, 0o500))
				t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			path := writeConfig(t, tc.text)
			if tc.prepare != nil {
				tc.prepare(t, path)
			}
			res, err := Load(path, Options{Update: tc.update})
			require.NoError(t, err, "it runs all the same")
			require.Equal(t, "matrix.test", res.Config.Homeserver.Domain)
			after, err := Load(path, Options{})
			require.NoError(t, err)
			require.Equal(t, res.Config, after.Config, "whatever is in the file now means the same")
			if tc.warning != "" {
				require.Contains(t, strings.Join(res.Warnings, "\n"), tc.warning)
			}
			if !res.Updated {
				require.Equal(t, tc.text, read(t, path))
			}
			entries, err := os.ReadDir(filepath.Dir(path))
			require.NoError(t, err)
			require.Len(t, entries, 1, "no temporary files left behind")
		})
	}
}

func TestUpgradeKeepsPermissionsAndLink(t *testing.T) {
	path := writeConfig(t, minimal)
	require.NoError(t, os.Chmod(path, 0o640))
	link := filepath.Join(t.TempDir(), "link.yaml")
	require.NoError(t, os.Symlink(path, link))
	res, err := Load(link, Options{Update: true})
	require.NoError(t, err)
	require.True(t, res.Updated)
	info, err := os.Lstat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640), info.Mode())
	target, err := os.Readlink(link)
	require.NoError(t, err)
	require.Equal(t, path, target)
}

func TestSaveTokens(t *testing.T) {
	const before = "homeserver: {domain: b.test}\nappservice: {as_token: old, hs_token: old2}\n"
	path := writeConfig(t, before)
	require.NoError(t, SaveTokens(path, "new", ""))
	res, err := Load(path, Options{})
	require.NoError(t, err)
	require.Equal(t, Secret("new"), res.Config.AppService.ASToken)
	require.Equal(t, Secret("old2"), res.Config.AppService.HSToken, "left alone")
	require.Equal(t, "b.test", res.Config.Homeserver.Domain)

	path = writeConfig(t, before+"mistyped: 1\n")
	require.ErrorIs(t, SaveTokens(path, secretText, secretText), errUnknownKeys)
	require.Contains(t, read(t, path), "mistyped")
}
