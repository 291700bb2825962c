package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// secretText stands for anything that must never be seen.
const secretText = "s3cr3t-hunter2-0123456789-abcdefghijkl"

// minimal is what an operator has to write.
const minimal = `
homeserver: {address: "http://localhost:8008/", domain: matrix.test}
appservice: {as_token: as-` + secretText + `, hs_token: hs-` + secretText + `}
tencent: {sdk_app_id: 1400000000, secret_key: ` + secretText + `}
`

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func load(t *testing.T, text string, environ ...string) (*Result, error) {
	t.Helper()
	return Load(writeConfig(t, text), Options{Environ: environ})
}

func TestMinimalConfigIsEnough(t *testing.T) {
	res, err := load(t, minimal)
	require.NoError(t, err)
	require.Empty(t, res.Warnings)
	require.NoError(t, res.Config.Validate())
	require.Equal(t, "http://localhost:8008", res.Config.Homeserver.Address, "without the slash at its end")
	require.Equal(t, uint16(29380), res.Config.AppService.Port, "default of the example")
	require.Equal(t, 168*time.Hour, res.Config.Receipts.HoleAfter)
	require.Equal(t, 100*time.Millisecond, res.Config.Matrix.Coalesce)
}

func TestLoadTakesWhatPeopleWrite(t *testing.T) {
	cases := map[string]struct {
		text string
		get  func(*Config) any
		want any
	}{
		"days":               {`receipts: {hole_after: 3d}`, func(c *Config) any { return c.Receipts.HoleAfter }, 72 * time.Hour},
		"days and hours":     {`receipts: {hole_after: 1d12h}`, func(c *Config) any { return c.Receipts.HoleAfter }, 36 * time.Hour},
		"zero":               {`matrix: {coalesce: 0}`, func(c *Config) any { return c.Matrix.Coalesce }, time.Duration(0)},
		"quoted number":      {`appservice: {port: "1234"}`, func(c *Config) any { return c.AppService.Port }, uint16(1234)},
		"number as secret":   {`tencent: {secret_key: 0123456}`, func(c *Config) any { return string(c.Tencent.SecretKey) }, "0123456"},
		"bool as word":       {`tencent: {edition: true}`, func(c *Config) any { return c.Tencent.Edition.HasReceipts() }, true},
		"empty section":      {"matrix:\n", func(c *Config) any { return c.Matrix.Concurrency }, 8},
		"empty number":       {"matrix: {concurrency: }\n", func(c *Config) any { return c.Matrix.Concurrency }, 8},
		"empty text":         {"appservice: {bot: {displayname: }}\n", func(c *Config) any { return c.AppService.Bot.Displayname }, ""},
		"list replaces":      {"tencent: {admins: [a, b]}", func(c *Config) any { return c.Tencent.Admins }, []string{"a", "b"}},
		"numbers in a list":  {"tencent: {admins: [1, 2]}", func(c *Config) any { return c.Tencent.Admins }, []string{"1", "2"}},
		"anchor":             {"x: &a 5s\nhomeserver: {request_timeout: *a}", func(c *Config) any { return c.Homeserver.RequestTimeout }, 5 * time.Second},
		"logging":            {"logging: {min_level: debug}", func(c *Config) any { return c.Logging.MinLevel.String() }, "debug"},
		"empty file":         {"", func(c *Config) any { return c.AppService.ID }, "timbridge"},
		"nothing but remark": {"# hello\n", func(c *Config) any { return c.AppService.ID }, "timbridge"},
		"puppets":            {`double_puppet: {secrets: {a.test: "as_token:x"}}`, func(c *Config) any { return c.DoublePuppet.Tokens() }, map[string]Secret{"a.test": "x"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			res, err := load(t, tc.text)
			require.NoError(t, err)
			require.Equal(t, tc.want, tc.get(res.Config))
		})
	}
}

func TestLoadNamesTheKey(t *testing.T) {
	cases := map[string]struct{ text, says string }{
		"word for number":      {`appservice: {port: http}`, `appservice.port: "http" is not a whole number from 0 to 65535`},
		"too large":            {`appservice: {port: 70000}`, `appservice.port: "70000" is not a whole number from 0 to 65535`},
		"negative id":          {`tencent: {sdk_app_id: -1}`, `tencent.sdk_app_id: "-1" is not a whole number, 0 or more`},
		"no bool":              {`appservice: {ephemeral_events: maybe}`, `appservice.ephemeral_events: "maybe" is not true or false`},
		"no unit":              {`matrix: {coalesce: 100}`, `matrix.coalesce: "100" is no time`},
		"no time":              {`receipts: {park_for: 1week}`, `receipts.park_for: "1week" is no time`},
		"list for text":        {`homeserver: {domain: [a]}`, `homeserver.domain: must be a single value`},
		"text for list":        {`tencent: {admins: root}`, `tencent.admins: must be a list`},
		"text for section":     {`homeserver: here`, `homeserver: must be a section`},
		"text for map":         {`double_puppet: {secrets: x}`, `double_puppet.secrets: must be a list of keys`},
		"list in map":          {`double_puppet: {secrets: {a.test: [x]}}`, `double_puppet.secrets.a.test: must be a single value`},
		"text for logging":     {`logging: loud`, `logging: must be a section`},
		"wrong level":          {`logging: {min_level: loud}`, "loud"},
		"list for everything":  {"- a\n- b\n", "sections like homeserver"},
		"broken":               {"homeserver:\n  address: 'x\n", "yaml"},
		"twice":                {"homeserver: {}\nhomeserver: {}\n", "already defined"},
		"secret like an alias": {`tencent: {secret_key: *` + secretText + `}`, "has to be in quotes"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, tc.text)
			require.ErrorContains(t, err, tc.says)
			require.NotContains(t, err.Error(), secretText)
		})
	}
	t.Run("all at once", func(t *testing.T) {
		_, err := load(t, "appservice: {port: http}\nmatrix: {coalesce: 100, concurrency: many}")
		var problems *ProblemsError
		require.ErrorAs(t, err, &problems)
		require.Len(t, problems.Problems, 3)
	})
	t.Run("no file", func(t *testing.T) {
		_, err := Load("/nowhere/config.yaml", Options{})
		require.ErrorContains(t, err, "there is no file /nowhere/config.yaml (write one with -e")
	})
}

func TestUnknownKeysAreWarnings(t *testing.T) {
	res, err := load(t, minimal+"matrix: {coalesc: 1s}\nreceits: {}\nv2tim: {MaxIDs: 5}\n")
	require.NoError(t, err)
	require.Equal(t, 3, res.Unknown)
	require.Len(t, res.Warnings, 3)
	require.Contains(t, res.Warnings[0], "matrix.coalesc: line ")
	require.Contains(t, res.Warnings[0], "did you mean coalesce?")
	require.Contains(t, res.Warnings[1], "receits: line ")
	require.Contains(t, res.Warnings[2], "did you mean max_ids?")
}

func TestSecretsDoNotShow(t *testing.T) {
	res, err := load(t, minimal+"double_puppet: {secrets: {a.test: 'as_token:"+secretText+"'}}\ndatabase: {uri: 'postgres://x:"+secretText+"@y/z'}")
	require.NoError(t, err)
	asJSON, err := json.Marshal(res.Config)
	require.NoError(t, err)
	shown := map[string]string{"json": string(asJSON), "problems": fmt.Sprint(res.Config.Validate())}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown[verb] = fmt.Sprintf(verb, *res.Config)
	}
	for name, text := range shown {
		require.NotContains(t, text, secretText, name)
		require.NotContains(t, text, fmt.Sprintf("%x", secretText), name)
	}
	require.Empty(t, Secret("").String(), "empty is no secret: it can be told from a set one")
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("<<: {homeserver: 1}"))
	f.Add([]byte("? {a: b}\n: c"))
	f.Add([]byte("logging: {writers: [{type: file}]}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var found findings
		cfg, err := decode(text, &found)
		if err == nil {
			_ = cfg.Validate() // must not panic, whatever is in there
		}
	})
}
