package config

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/tencent"
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
		"postgres":           {func(c *Config) { c.Database = postgresAt("postgres://a:" + secretText + "@b/c") }, nil},
		"postgres on a file": {func(c *Config) { c.Database.Type = "postgres" }, []string{"database.uri: is not that of a PostgreSQL server"}},
		"postgres uri":       {func(c *Config) { c.Database.URI = "postgres://a:" + secretText + "@b" }, []string{"database.uri: is that of a PostgreSQL"}},
		"connection times":   {func(c *Config) { c.Database.MaxConnLifetime = -1 }, []string{"max_conn_lifetime cannot be negative"}},
		"start wait":         {func(c *Config) { c.Database.StartWait = -1 }, []string{"database.start_wait: cannot be negative"}},
		"mysql":              {func(c *Config) { c.Database.Type = "mysql" }, []string{"database.type: \"mysql\" is not known"}},
		"sqlite3":            {func(c *Config) { c.Database.Type = "sqlite3" }, nil},
		"no connections":     {func(c *Config) { c.Database.MaxOpenConns = 0 }, []string{"database.max_open_conns"}},
		"policy":             {func(c *Config) { c.Matrix.Policy = "newest" }, []string{"matrix.policy: \"newest\" is not known: use latest or contiguous"}},
		"coalesce":           {func(c *Config) { c.Matrix.Coalesce = time.Hour }, []string{"matrix.coalesce"}},
		"puppet secret":      {func(c *Config) { c.DoublePuppet.Secrets = map[string]Secret{"a.test": secretText} }, []string{"double_puppet.secrets.a.test: has to be \"as_token:\""}},
		"puppet address":     {func(c *Config) { c.DoublePuppet.Secrets = map[string]Secret{"a.test": "as_token:x"} }, []string{"double_puppet.servers"}},
		"puppet domain":      {func(c *Config) { c.DoublePuppet.Secrets = map[string]Secret{"@a:b": "as_token:x"} }, []string{"is not a server name"}},
		"mode":               {func(c *Config) { c.Tencent.Mode = "" }, []string{"tencent.mode: \"\" is not known"}},
		"short key":          {func(c *Config) { c.Tencent.SecretKey = "hunter2" }, []string{"tencent.secret_key: is too short to be safe"}},
		"app id":             {func(c *Config) { c.Tencent.SDKAppID = 1 << 31 }, []string{"tencent.sdk_app_id: has to be from 1 to"}},
		"long admin":         {func(c *Config) { c.Tencent.Admins = []string{"a23456789012345678901234567890123"} }, []string{"tencent.admins"}},
		"no admins":          {func(c *Config) { c.Tencent.Admins = nil }, nil},
		"edition":            {func(c *Config) { c.Tencent.Edition = "gold" }, []string{"tencent.edition: \"gold\" is not known: use one of"}},
		"members":            {func(c *Config) { c.Tencent.MaxMembers = -1 }, []string{"tencent.max_members"}},
		"message over body":  {func(c *Config) { c.V2TIM.MaxMessage = 2 << 20 }, []string{"v2tim.max_message"}},
		"bad signatures":     {func(c *Config) { c.V2TIM.RateLimit.BadSignatures = -1 }, []string{"v2tim.rate_limit.bad_signatures"}},
		"connections":        {func(c *Config) { c.Bridge.MaxConnections = 9 }, []string{"bridge.max_connections"}},
		"certificate alone":  {func(c *Config) { c.AppService.TLS.Cert, c.V2TIM.TLS.Cert = "x", "x" }, []string{"appservice.tls.key", "v2tim.tls.key"}},
		"key alone":          {func(c *Config) { c.AppService.TLS.Key, c.V2TIM.TLS.Key = "x", "x" }, []string{"appservice.tls.cert", "v2tim.tls.cert"}},
		"certificate, key":   {func(c *Config) { c.V2TIM.TLS = TLS{Cert: "x", Key: "y"} }, nil},
		"replicas": {func(c *Config) {
			c.Replica.Enabled, c.Database.Type, c.Database.URI = true, DatabasePostgres, "postgres://h/d"
		}, nil},
		"replicas on SQLite": {func(c *Config) { c.Replica.Enabled = true }, []string{"replica.enabled: needs PostgreSQL"}},
		"lonely replica": {func(c *Config) {
			c.Replica = Replica{Enabled: true}
			c.Database.Type, c.Database.URI = DatabasePostgres, "postgres://h/d"
		}, []string{"replica.port", "replica.address", "replica.takeover"}},
		"replica's port taken": {func(c *Config) {
			c.Replica.Enabled, c.Database.Type, c.Database.URI, c.Replica.Port = true, DatabasePostgres, "postgres://h/d", c.AppService.Port
		}, []string{"replica.port: is that of another listener"}},
		"no burst":           {func(c *Config) { c.V2TIM.RateLimit.Burst = 0 }, []string{"v2tim.rate_limit.burst"}},
		"no limit, no burst": {func(c *Config) { c.V2TIM.RateLimit = RateLimit{} }, nil},
		"sdk version":        {func(c *Config) { c.V2TIM.MinSDKVersion = "v3" }, []string{"v2tim.min_sdk_version"}},
		"linker pattern":     {func(c *Config) { c.Bridge.MayLink = []string{"ops"} }, []string{"bridge.may_link: \"ops\" matches nobody"}},
		"sender pattern":     {func(c *Config) { c.Mapping.StampSenders = []string{"/@[/"} }, []string{"mapping.stamp_senders"}},
		"sender without @":   {func(c *Config) { c.Mapping.StampSenders = []string{"bot:a.test"} }, []string{"matches nobody"}},
		"window":             {func(c *Config) { c.Receipts.Window = 0 }, []string{"receipts.window"}},
		"command prefix":     {func(c *Config) { c.Bridge.CommandPrefix = " " }, []string{"bridge.command_prefix: is empty"}},
		"negative time":      {func(c *Config) { c.Receipts.HoleAfter = -time.Hour }, []string{"receipts.hole_after"}},
		"several": {func(c *Config) { c.Receipts.Window, c.Matrix.Concurrency, c.Homeserver.Domain = 0, 0, "" },
			[]string{"homeserver.domain", "matrix.concurrency", "receipts.window"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := valid(t)
			tc.change(cfg)
			requireProblems(t, cfg, tc.says)
		})
	}
}

// requireProblems tells that a config has just these problems, in this order.
func requireProblems(t *testing.T, cfg *Config, says []string) {
	t.Helper()
	err := cfg.Validate()
	if len(says) == 0 {
		require.NoError(t, err)
		return
	}
	var problems *ProblemsError
	require.True(t, errors.As(err, &problems))
	require.Len(t, problems.Problems, len(says), "%v", problems.Problems)
	for i, text := range says {
		require.Contains(t, problems.Problems[i], text)
	}
	require.NotContains(t, err.Error(), secretText)
}

// validCloud is what an operator has to write for tencent.mode cloud.
func validCloud(t *testing.T) *Config {
	t.Helper()
	res, err := load(t, strings.Replace(minimal, "tencent: {", "tencent: {mode: cloud, webhook: {token: "+secretText+"}, ", 1))
	require.NoError(t, err)
	require.NoError(t, res.Config.Validate())
	return res.Config
}

func TestValidateCloud(t *testing.T) {
	const mediaURL = "https://matrix.test/_matrix/media/v3/download/{server}/{media}"
	cases := map[string]struct {
		change func(*Config)
		says   []string // one for each problem; empty = valid
	}{
		"no admins":         {func(c *Config) { c.Tencent.Admins = nil }, []string{"tencent.admins: is empty"}},
		"no app":            {func(c *Config) { c.Tencent.SDKAppID = 0 }, []string{"tencent.sdk_app_id: is not set: give the app's"}},
		"no key":            {func(c *Config) { c.Tencent.SecretKey = "" }, []string{"tencent.secret_key: is not set: give the app's"}},
		"short key":         {func(c *Config) { c.Tencent.SecretKey = "hunter2" }, []string{"tencent.secret_key: is too short to be safe, it needs 32 characters or more: give the app's"}},
		"no member limit":   {func(c *Config) { c.Tencent.MaxMembers = 0 }, []string{"tencent.max_members: has to be from 1 to 200"}},
		"too many members":  {func(c *Config) { c.Tencent.MaxMembers = 201 }, []string{"tencent.max_members: has to be from 1 to 200"}},
		"negative members":  {func(c *Config) { c.Tencent.MaxMembers = -1 }, []string{"tencent.max_members: cannot be negative"}},
		"fewer members":     {func(c *Config) { c.Tencent.MaxMembers = 50 }, nil},
		"region":            {func(c *Config) { c.Tencent.Region = "france" }, []string{`tencent.region: "france" is not known: use one of "china", "china-backup", `}},
		"other region":      {func(c *Config) { c.Tencent.Region = "singapore" }, nil},
		"base url":          {func(c *Config) { c.Tencent.BaseURL, c.Tencent.Region = "http://127.0.0.1:29390", "" }, nil},
		"bad base url":      {func(c *Config) { c.Tencent.BaseURL = "127.0.0.1:29390" }, []string{"tencent.base_url: has to be an address"}},
		"no calls":          {func(c *Config) { c.Tencent.CallsPerSecond = 0 }, []string{"tencent.calls_per_second: has to be more than 0"}},
		"calls, no number":  {func(c *Config) { c.Tencent.CallsPerSecond = math.NaN() }, []string{"tencent.calls_per_second"}},
		"endless calls":     {func(c *Config) { c.Tencent.CallsPerSecond = math.Inf(1) }, []string{"tencent.calls_per_second"}},
		"raised limit":      {func(c *Config) { c.Tencent.CallsPerSecond = 1000 }, nil},
		"slow calls":        {func(c *Config) { c.Tencent.CallsPerSecond, c.Tencent.AccountCallsPerSecond = 0.5, 0.1 }, nil},
		"no account calls":  {func(c *Config) { c.Tencent.AccountCallsPerSecond = -1 }, []string{"tencent.account_calls_per_second: has to be more than 0"}},
		"account calls":     {func(c *Config) { c.Tencent.AccountCallsPerSecond = 1e6 }, []string{"tencent.account_calls_per_second"}},
		"no concurrency":    {func(c *Config) { c.Tencent.Concurrency = 0 }, []string{"tencent.concurrency: has to be from 1 to 1000"}},
		"too many at once":  {func(c *Config) { c.Tencent.Concurrency = 1001 }, []string{"tencent.concurrency"}},
		"short timeout":     {func(c *Config) { c.Tencent.RequestTimeout = time.Millisecond }, []string{"tencent.request_timeout: has to be from 1s to 1m"}},
		"long timeout":      {func(c *Config) { c.Tencent.RequestTimeout = time.Hour }, []string{"tencent.request_timeout"}},
		"catch-up":          {func(c *Config) { c.Tencent.CatchUpInterval = time.Second }, []string{"tencent.catch_up_interval: has to be 10s or more"}},
		"no catch-up":       {func(c *Config) { c.Tencent.CatchUpMessages = 0 }, []string{"tencent.catch_up_messages: has to be from 1 to 10000"}},
		"long catch-up":     {func(c *Config) { c.Tencent.CatchUpMessages = 10_001 }, []string{"tencent.catch_up_messages"}},
		"no webhook port":   {func(c *Config) { c.Tencent.Webhook.Port = 0 }, []string{"tencent.webhook.port: is not set"}},
		"webhook host":      {func(c *Config) { c.Tencent.Webhook.Hostname = "http://a" }, []string{"tencent.webhook.hostname"}},
		"port of the other": {func(c *Config) { c.Tencent.Webhook.Port = c.AppService.Port }, []string{"tencent.webhook.port: is that of another listener"}},
		"port of the API":   {func(c *Config) { c.Tencent.Webhook.Port = c.V2TIM.Port }, []string{"tencent.webhook.port: is that of another listener"}},
		"no token":          {func(c *Config) { c.Tencent.Webhook.Token = "" }, []string{"tencent.webhook.token: is not set, and bearer_token neither"}},
		"bearer token":      {func(c *Config) { c.Tencent.Webhook.Token, c.Tencent.Webhook.BearerToken = "", secretText }, nil},
		"both tokens":       {func(c *Config) { c.Tencent.Webhook.BearerToken = secretText }, nil},
		"sources":           {func(c *Config) { c.Tencent.Webhook.Sources = []string{"203.0.113.0/24", "2001:db8::/32"} }, nil},
		"bad source":        {func(c *Config) { c.Tencent.Webhook.Sources = []string{"203.0.113.7", "10.0.0.0/8", "x"} }, []string{`tencent.webhook.sources: "203.0.113.7" is not a range`, `tencent.webhook.sources: "x" is not a range`}},
		"bad proxy":         {func(c *Config) { c.Tencent.Webhook.TrustedProxies = []string{"localhost"} }, []string{`tencent.webhook.trusted_proxies: "localhost" is not a range`}},
		"forward": {func(c *Config) {
			c.Tencent.Webhook.Forward, c.Tencent.Webhook.ForwardStrict = "https://app.test/im", true
		}, nil},
		"bad forward":       {func(c *Config) { c.Tencent.Webhook.Forward = "app.test" }, []string{"tencent.webhook.forward: has to be an address"}},
		"media":             {func(c *Config) { c.Relay.MediaURL = mediaURL }, nil},
		"bad media":         {func(c *Config) { c.Relay.MediaURL = "/{server}/{media}" }, []string{"relay.media_url: has to be an address"}},
		"media, no name":    {func(c *Config) { c.Relay.MediaURL = "https://matrix.test/{server}" }, []string{"relay.media_url: lacks {media}"}},
		"no avatars":        {func(c *Config) { c.Relay.Avatars = AvatarsOff }, nil},
		"any avatars":       {func(c *Config) { c.Relay.Avatars = AvatarsAny }, nil},
		"avatars":           {func(c *Config) { c.Relay.Avatars = "all" }, []string{`relay.avatars: "all" is not known: use off, public or any`}},
		"no Matrix members": {func(c *Config) { c.Bridge.MatrixMembers = MatrixMembersNone }, nil},
		"all in the room":   {func(c *Config) { c.Bridge.MatrixMembers = MatrixMembersAll }, nil},
		"Matrix members":    {func(c *Config) { c.Bridge.MatrixMembers = "some" }, []string{`bridge.matrix_members: "some" is not known: use active, all or none`}},
		"invited":           {func(c *Config) { c.Bridge.AutoInvite = []string{"@ops:matrix.test"} }, nil},
		"invited nobody":    {func(c *Config) { c.Bridge.AutoInvite = []string{"ops:matrix.test", "@ops"} }, []string{`bridge.auto_invite: "ops:matrix.test" is not`, `bridge.auto_invite: "@ops" is not`}},
		"several": {func(c *Config) { c.Tencent.Region, c.Relay.Avatars, c.Receipts.Window = "", "", 0 },
			[]string{"tencent.region", "relay.avatars", "receipts.window"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := validCloud(t)
			tc.change(cfg)
			requireProblems(t, cfg, tc.says)
			if cfg.Tencent.SDKAppID != 0 && len(cfg.Tencent.SecretKey) >= minSecretKey && cfg.Tencent.MaxMembers >= 0 && cfg.Receipts.Window > 0 {
				cfg.Tencent.Mode = ModeStandalone
				require.NoError(t, cfg.Validate(), "standalone does not need it")
			}
		})
	}
}

// The two lists are kept apart because this package knows nothing of Tencent's side.
func TestRegionsAreThoseOfTencent(t *testing.T) {
	require.Equal(t, tencent.Regions(), regions())
}

func TestTencentAdmin(t *testing.T) {
	require.Equal(t, "root", Tencent{Admins: []string{"root", "other"}}.Admin())
	require.Empty(t, Tencent{}.Admin())
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

func postgresAt(uri Secret) Database {
	return Database{Type: DatabasePostgres, URI: uri, MaxOpenConns: 4, MaxIdleConns: 4}
}
