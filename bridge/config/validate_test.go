package config

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func valid(t *testing.T) *Config {
	t.Helper()
	res, err := load(t, minimal)
	require.NoError(t, err)
	require.NoError(t, res.Config.Validate())
	return res.Config
}

func TestValidate(t *testing.T) {
	cases := map[string]struct {
		change func(*Config)
		says   []string // one for each problem; empty = valid
	}{
		"homeserver address":  {func(c *Config) { c.Homeserver.Address = "localhost:8008" }, []string{"homeserver.address: has to be an address that begins with http://"}},
		"password in address": {func(c *Config) { c.Homeserver.Address = "http://a:" + secretText + "@b" }, []string{"homeserver.address: has to be a plain address"}},
		"https domain":        {func(c *Config) { c.Homeserver.Domain = "https://a.test" }, []string{"homeserver.domain: \"https://a.test\" is not a server name"}},
		"domain with port":    {func(c *Config) { c.Homeserver.Domain = "localhost:8448" }, nil},
		"ipv6 domain":         {func(c *Config) { c.Homeserver.Domain = "[::1]:8448" }, nil},
		"ghost template":      {func(c *Config) { c.AppService.UsernameTemplate = "tim_" }, []string{"appservice.username_template"}},
		"suffix in template":  {func(c *Config) { c.AppService.UsernameTemplate = "{{.}}_tim" }, []string{"appservice.username_template"}},
		"capital template":    {func(c *Config) { c.AppService.UsernameTemplate = "Tim_{{.}}" }, []string{"appservice.username_template"}},
		"spaced template":     {func(c *Config) { c.AppService.UsernameTemplate = "tim_{{ . }}" }, nil},
		"bot is a ghost":      {func(c *Config) { c.AppService.Bot.Username = "tim_bot" }, []string{"appservice.bot.username: \"tim_bot\" begins like the ghosts' names"}},
		"bot with domain":     {func(c *Config) { c.AppService.Bot.Username = "@bot:a.test" }, []string{"appservice.bot.username"}},
		"bot avatar":          {func(c *Config) { c.AppService.Bot.Avatar = "http://a/b.png" }, []string{"appservice.bot.avatar"}},
		"no port":             {func(c *Config) { c.AppService.Port = 0 }, []string{"appservice.port: is not set"}},
		"same ports":          {func(c *Config) { c.V2TIM.Port = c.AppService.Port; c.V2TIM.Hostname = "0.0.0.0" }, []string{"v2tim.port: is the same as appservice.port"}},
		"same ports, other hosts": {func(c *Config) {
			c.V2TIM.Port, c.V2TIM.Hostname = c.AppService.Port, "127.0.0.2"
		}, nil},
		"example token":      {func(c *Config) { c.AppService.ASToken = exampleToken }, []string{"appservice.as_token: is not set: generate the registration"}},
		"equal tokens":       {func(c *Config) { c.AppService.HSToken = c.AppService.ASToken }, []string{"appservice.hs_token: is the same"}},
		"token with blank":   {func(c *Config) { c.AppService.HSToken = secretText + " " }, []string{"appservice.hs_token: holds a blank"}},
		"postgres":           {func(c *Config) { c.Database.Type = "postgres" }, []string{"database.type: postgres comes with a later version"}},
		"postgres uri":       {func(c *Config) { c.Database.URI = "postgres://a:" + secretText + "@b" }, []string{"database.uri: is that of a PostgreSQL"}},
		"mysql":              {func(c *Config) { c.Database.Type = "mysql" }, []string{"database.type: \"mysql\" is not known"}},
		"sqlite3":            {func(c *Config) { c.Database.Type = "sqlite3" }, nil},
		"no connections":     {func(c *Config) { c.Database.MaxOpenConns = 0 }, []string{"database.max_open_conns"}},
		"policy":             {func(c *Config) { c.Matrix.Policy = "newest" }, []string{"matrix.policy: \"newest\" is not known: use latest or contiguous"}},
		"coalesce":           {func(c *Config) { c.Matrix.Coalesce = time.Hour }, []string{"matrix.coalesce"}},
		"puppet secret":      {func(c *Config) { c.DoublePuppet.Secrets = map[string]Secret{"a.test": secretText} }, []string{"double_puppet.secrets.a.test: has to be \"as_token:\""}},
		"puppet address":     {func(c *Config) { c.DoublePuppet.Secrets = map[string]Secret{"a.test": "as_token:x"} }, []string{"double_puppet.servers"}},
		"puppet domain":      {func(c *Config) { c.DoublePuppet.Secrets = map[string]Secret{"@a:b": "as_token:x"} }, []string{"is not a server name"}},
		"cloud":              {func(c *Config) { c.Tencent.Mode = ModeCloud }, []string{"tencent.mode: cloud comes with a later version"}},
		"mode":               {func(c *Config) { c.Tencent.Mode = "" }, []string{"tencent.mode: \"\" is not known"}},
		"short key":          {func(c *Config) { c.Tencent.SecretKey = "hunter2" }, []string{"tencent.secret_key: is too short to be safe"}},
		"app id":             {func(c *Config) { c.Tencent.SDKAppID = 1 << 31 }, []string{"tencent.sdk_app_id: has to be from 1 to"}},
		"long admin":         {func(c *Config) { c.Tencent.Admins = []string{"a23456789012345678901234567890123"} }, []string{"tencent.admins"}},
		"no admins":          {func(c *Config) { c.Tencent.Admins = nil }, nil},
		"edition":            {func(c *Config) { c.Tencent.Edition = "gold" }, []string{"tencent.edition: \"gold\" is not known: use one of"}},
		"members":            {func(c *Config) { c.Tencent.MaxMembers = -1 }, []string{"tencent.max_members"}},
		"message over body":  {func(c *Config) { c.V2TIM.MaxMessage = 2 << 20 }, []string{"v2tim.max_message"}},
		"no burst":           {func(c *Config) { c.V2TIM.RateLimit.Burst = 0 }, []string{"v2tim.rate_limit.burst"}},
		"no limit, no burst": {func(c *Config) { c.V2TIM.RateLimit = RateLimit{} }, nil},
		"sdk version":        {func(c *Config) { c.V2TIM.MinSDKVersion = "v3" }, []string{"v2tim.min_sdk_version"}},
		"sender pattern":     {func(c *Config) { c.Mapping.StampSenders = []string{"/@[/"} }, []string{"mapping.stamp_senders"}},
		"sender without @":   {func(c *Config) { c.Mapping.StampSenders = []string{"bot:a.test"} }, []string{"matches nobody"}},
		"window":             {func(c *Config) { c.Receipts.Window = 0 }, []string{"receipts.window"}},
		"negative time":      {func(c *Config) { c.Receipts.HoleAfter = -time.Hour }, []string{"receipts.hole_after"}},
		"several": {func(c *Config) { c.Receipts.Window, c.Matrix.Concurrency, c.Homeserver.Domain = 0, 0, "" },
			[]string{"homeserver.domain", "matrix.concurrency", "receipts.window"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := valid(t)
			tc.change(cfg)
			err := cfg.Validate()
			if len(tc.says) == 0 {
				require.NoError(t, err)
				return
			}
			var problems *ProblemsError
			require.True(t, errors.As(err, &problems))
			require.Len(t, problems.Problems, len(tc.says), "%v", problems.Problems)
			for i, text := range tc.says {
				require.Contains(t, problems.Problems[i], text)
			}
			require.NotContains(t, err.Error(), secretText)
		})
	}
}

func TestValidateParts(t *testing.T) {
	cfg := valid(t)
	cfg.AppService.ASToken, cfg.Database.Type = "", "mysql"
	require.NoError(t, cfg.Validate(PartRegistration, PartTencent))
	require.ErrorContains(t, cfg.Validate(PartTokens), "as_token")
	require.ErrorContains(t, cfg.Validate(PartDatabase), "mysql")
	require.ErrorContains(t, cfg.Validate(), "2 problems")
}

func TestGhostPrefix(t *testing.T) {
	require.Equal(t, "tim_", AppService{UsernameTemplate: "tim_{{.}}"}.GhostPrefix())
	require.Equal(t, "", AppService{UsernameTemplate: "tim_{{.}}x"}.GhostPrefix())
	require.Equal(t, "", AppService{UsernameTemplate: "tim_{{.ID}}"}.GhostPrefix())
}

func TestEditionHasReceipts(t *testing.T) {
	for edition, want := range map[Edition]bool{
		"flagship": true, "enterprise": true, "intl_pro": true, "intl_pro_plus": true, "intl_enterprise": true, "true": true,
		"pro": false, "trial": false, "intl_free": false, "intl_standard": false, "false": false, "": false, "gold": false,
	} {
		require.Equal(t, want, edition.HasReceipts(), string(edition))
	}
}

func TestSenders(t *testing.T) {
	cases := []struct {
		pattern, mxid string
		want          bool
	}{
		{"@a:b.test", "@a:b.test", true},
		{"@a:b.test", "@a:bxtest", false}, // a dot is a dot
		{"@a:b.test", "x@a:b.test", false},
		{"@a:b.test", "@a:b.test.evil", false},
		{"@im_*:b.test", "@im_1:b.test", true},
		{"@im_*:b.test", "@im_:b.test", true},
		{"@im_?:b.test", "@im_12:b.test", false},
		{"@im_*:b.test", "@other:b.test", false},
		{`/@im_[0-9]+:b\.test/`, "@im_12:b.test", true},
		{`/@im_[0-9]+:b\.test/`, "@im_x:b.test", false},
		{`/@a:b|@c:d/`, "@a:b.evil", false}, // the whole MXID, also with alternatives
	}
	for _, tc := range cases {
		senders, err := CompileSenders([]string{"@nobody:x", tc.pattern})
		require.NoError(t, err)
		require.Equal(t, tc.want, senders.Match(tc.mxid), "%s on %s", tc.pattern, tc.mxid)
	}
	require.False(t, Senders{}.Match("@a:b.test"))
	_, err := CompileSenders([]string{"/[/"})
	require.Error(t, err)
}
