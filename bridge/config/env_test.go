package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEnvironmentOverridesTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("from-file\n"), 0o600))
	cases := map[string]struct {
		env  string
		get  func(*Config) any
		want any
	}{
		"text":            {"TIMBRIDGE_APPSERVICE__AS_TOKEN=abc", func(c *Config) any { return string(c.AppService.ASToken) }, "abc"},
		"text like yaml":  {"TIMBRIDGE_TENCENT__SECRET_KEY=*a: [b", func(c *Config) any { return string(c.Tencent.SecretKey) }, "*a: [b"},
		"with equal sign": {"TIMBRIDGE_DATABASE__URI=file:x?a=b", func(c *Config) any { return string(c.Database.URI) }, "file:x?a=b"},
		"from file":       {"TIMBRIDGE_APPSERVICE__HS_TOKEN_FILE=" + file, func(c *Config) any { return string(c.AppService.HSToken) }, "from-file"},
		"number":          {"TIMBRIDGE_APPSERVICE__PORT=1234", func(c *Config) any { return c.AppService.Port }, uint16(1234)},
		"bool":            {"TIMBRIDGE_APPSERVICE__EPHEMERAL_EVENTS=false", func(c *Config) any { return c.AppService.EphemeralEvents }, false},
		"time":            {"TIMBRIDGE_RECEIPTS__PARK_FOR=2d", func(c *Config) any { return c.Receipts.ParkFor }, 48 * time.Hour},
		"deeper":          {"TIMBRIDGE_V2TIM__RATE_LIMIT__PER_SECOND=0.5", func(c *Config) any { return c.V2TIM.RateLimit.PerSecond }, 0.5},
		"bot":             {"TIMBRIDGE_APPSERVICE__BOT__USERNAME=b", func(c *Config) any { return c.AppService.Bot.Username }, "b"},
		"list":            {"TIMBRIDGE_TENCENT__ADMINS=a, b,", func(c *Config) any { return c.Tencent.Admins }, []string{"a", "b"}},
		"list as yaml":    {`TIMBRIDGE_TENCENT__ADMINS=["a,b", c]`, func(c *Config) any { return c.Tencent.Admins }, []string{"a,b", "c"}},
		"no list":         {"TIMBRIDGE_TENCENT__ADMINS=", func(c *Config) any { return len(c.Tencent.Admins) }, 0},
		"map as yaml":     {`TIMBRIDGE_DOUBLE_PUPPET__SECRETS={"b.test": "as_token:y"}`, func(c *Config) any { t, _ := c.DoublePuppet.Token("b.test"); return string(t) }, "y"},
		"map key":         {"TIMBRIDGE_DOUBLE_PUPPET__SECRETS__b.test=as_token:y", func(c *Config) any { t, _ := c.DoublePuppet.Token("b.test"); return string(t) }, "y"},
		"map keeps":       {"TIMBRIDGE_DOUBLE_PUPPET__SECRETS__b.test=as_token:y", func(c *Config) any { t, _ := c.DoublePuppet.Token("a.test"); return string(t) }, "x"},
		"logging":         {"TIMBRIDGE_LOGGING__MIN_LEVEL=error", func(c *Config) any { return c.Logging.MinLevel.String() }, "error"},
		"logging writers": {"TIMBRIDGE_LOGGING__WRITERS=[{type: stderr, format: json}]", func(c *Config) any { return string(c.Logging.Writers[0].Type) }, "stderr"},
		"others' prefix":  {"OTHER_APPSERVICE__PORT=1", func(c *Config) any { return c.AppService.Port }, uint16(29380)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			res, err := load(t, minimal+"double_puppet: {secrets: {a.test: 'as_token:x'}}", tc.env)
			require.NoError(t, err)
			require.Empty(t, res.Warnings)
			require.Equal(t, tc.want, tc.get(res.Config))
		})
	}
}

func TestEnvironmentErrors(t *testing.T) {
	cases := map[string]struct {
		env  []string
		says []string
	}{
		"no such key":     {[]string{"TIMBRIDGE_HOMESERVER__ADRESS=x"}, []string{"TIMBRIDGE_HOMESERVER__ADRESS", "no key adress"}},
		"no such section": {[]string{"TIMBRIDGE_HOME__ADDRESS=x"}, []string{"no key home"}},
		"too deep":        {[]string{"TIMBRIDGE_HOMESERVER__ADDRESS__X=x"}, []string{"no keys of its own"}},
		"wrong type":      {[]string{"TIMBRIDGE_APPSERVICE__PORT=x"}, []string{"TIMBRIDGE_APPSERVICE__PORT", "appservice.port", "whole number"}},
		"no file":         {[]string{"TIMBRIDGE_TENCENT__SECRET_KEY_FILE=/nowhere"}, []string{"TIMBRIDGE_TENCENT__SECRET_KEY", "/nowhere"}},
		"both":            {[]string{"TIMBRIDGE_TENCENT__SECRET_KEY=" + secretText, "TIMBRIDGE_TENCENT__SECRET_KEY_FILE=/nowhere"}, []string{"keep one of them"}},
		"bad yaml":        {[]string{"TIMBRIDGE_DOUBLE_PUPPET__SECRETS=*" + secretText}, []string{"the value is not YAML"}},
		"all at once":     {[]string{"TIMBRIDGE_A__B=x", "TIMBRIDGE_C__D=x"}, []string{"TIMBRIDGE_A__B", "TIMBRIDGE_C__D"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, minimal, tc.env...)
			require.Error(t, err)
			for _, text := range tc.says {
				require.ErrorContains(t, err, text)
			}
			require.NotContains(t, err.Error(), secretText)
		})
	}
}

func TestEnvironmentPrefix(t *testing.T) {
	t.Run("changed", func(t *testing.T) {
		res, err := load(t, minimal+"env_config_prefix: TB_", "TB_APPSERVICE__PORT=1", "TIMBRIDGE_APPSERVICE__ID=x")
		require.NoError(t, err)
		require.Equal(t, uint16(1), res.Config.AppService.Port)
		require.Equal(t, "timbridge", res.Config.AppService.ID)
	})
	t.Run("off", func(t *testing.T) {
		res, err := load(t, minimal+"env_config_prefix: ''", "TIMBRIDGE_APPSERVICE__PORT=1", "APPSERVICE__PORT=1")
		require.NoError(t, err)
		require.Equal(t, uint16(29380), res.Config.AppService.Port)
	})
	t.Run("made by kubernetes for a service named timbridge", func(t *testing.T) {
		res, err := load(t, minimal, "TIMBRIDGE_PORT=tcp://10.0.0.1:29380", "TIMBRIDGE_SERVICE_HOST=10.0.0.1")
		require.NoError(t, err)
		require.Len(t, res.Warnings, 2)
	})
}

// The environment belongs to this run: it never gets into the file.
func TestEnvironmentIsNotSaved(t *testing.T) {
	path := writeConfig(t, minimal)
	res, err := Load(path, Options{Update: true, Environ: []string{"TIMBRIDGE_APPSERVICE__ID=from-env"}})
	require.NoError(t, err)
	require.True(t, res.Updated)
	require.Equal(t, "from-env", res.Config.AppService.ID)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(text), "from-env")
}

// FuzzEnviron sets any variable to any value: it is taken or complained about, and the complaint holds no secret.
func FuzzEnviron(f *testing.F) {
	for _, name := range []string{"TENCENT__SECRET_KEY", "APPSERVICE__PORT", "BRIDGE__MAY_LINK", "DOUBLE_PUPPET__SECRETS", "V2TIM__RATE_LIMIT__BURST", "X", "__", "A__B__C", "LOGGING", "BRIDGE__STOP_TIMEOUT"} {
		for _, value := range []string{"", "x", "7", "7d", "a,b", "{a: b}", "*a", "[", "true", "\n", "- a"} {
			f.Add(name, value)
		}
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		if strings.HasSuffix(name, fileSuffix) { // no files of this machine
			return
		}
		set := func(name, value string) error {
			cfg, err := Default()
			require.NoError(t, err)
			err = applyEnviron(cfg, []string{"TIMBRIDGE_" + name + "=" + value}, &findings{})
			_ = cfg.Validate()
			return err
		}
		_ = set(name, value)
		const secret = "hunter2-hunter2"
		if err := set("TENCENT__SECRET_KEY", secret+value); err != nil {
			require.NotContains(t, err.Error(), secret)
		}
	})
}
