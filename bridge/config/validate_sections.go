package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// minSecretKey is the shortest secret key taken. Tencent's own have 64 characters.
const minSecretKey = 32

// maxUserID is the longest Tencent UserID in bytes (https://trtc.io/zh/document/34381).
const maxUserID = 32

func (c *Config) checkMatrix(found *findings) {
	m := c.Matrix
	if c.Homeserver.RequestTimeout < time.Second {
		found.problem("homeserver.request_timeout", "has to be 1s or more")
	}
	if m.Coalesce < 0 || m.Coalesce > time.Minute {
		found.problem("matrix.coalesce", "has to be from 0s to 1m")
	}
	if m.Concurrency < 1 || m.Concurrency > 1000 {
		found.problem("matrix.concurrency", "has to be from 1 to 1000")
	}
	if m.SyncInterval < time.Second {
		found.problem("matrix.sync_interval", "has to be 1s or more")
	}
	if m.Policy != PolicyLatest && m.Policy != PolicyContiguous {
		found.problem("matrix.policy", "%q is not known: use latest or contiguous", m.Policy)
	}
	for _, server := range slices.Sorted(maps.Keys(c.DoublePuppet.Secrets)) {
		key := joinKey("double_puppet.secrets", server)
		_, isToken := c.DoublePuppet.Token(server)
		_, hasAddress := c.DoublePuppet.Servers[server]
		switch {
		case !isServerName(server):
			found.problem(key, "%q is not a server name: give the part after the colon in user IDs", server)
		case !isToken:
			found.problem(key, `has to be "as_token:" followed by the as_token of the second registration on that server`)
		case !hasAddress && server != c.Homeserver.Domain:
			found.problem(key, "is another server than homeserver.domain: give its address in double_puppet.servers")
		}
	}
	for _, server := range slices.Sorted(maps.Keys(c.DoublePuppet.Servers)) {
		checkURL(found, joinKey("double_puppet.servers", server), c.DoublePuppet.Servers[server])
	}
}

func (c *Config) checkTencent(found *findings) {
	t := c.Tencent
	switch t.Mode {
	case ModeStandalone:
	case ModeCloud:
		c.checkCloud(found)
	default:
		found.problem("tencent.mode", "%q is not known: use standalone or cloud", t.Mode)
	}
	whichApp, whichKey := "choose any number, apps have to give the same", "make one with openssl rand -hex 32, apps' UserSigs are signed with it"
	if t.Mode == ModeCloud {
		whichApp, whichKey = "give the app's SDKAppID, it is in Tencent's console", "give the app's secret key, it is in Tencent's console"
	}
	switch {
	case t.SDKAppID == 0:
		found.problem("tencent.sdk_app_id", "is not set: %s", whichApp)
	case t.SDKAppID > 1<<31-1: // the limit of the UserSig library
		found.problem("tencent.sdk_app_id", "has to be from 1 to 2147483647")
	}
	switch {
	case t.SecretKey == "":
		found.problem("tencent.secret_key", "is not set: %s", whichKey)
	case len(t.SecretKey) < minSecretKey:
		found.problem("tencent.secret_key", "is too short to be safe, it needs %d characters or more: %s", minSecretKey, whichKey)
	}
	for _, admin := range t.Admins {
		if admin == "" || len(admin) > maxUserID {
			found.problem("tencent.admins", "%q will not do: an identifier has 1 to %d bytes", admin, maxUserID)
		}
	}
	if _, known := editions()[t.Edition]; !known {
		var words []string
		for word := range editions() {
			words = append(words, string(word))
		}
		slices.Sort(words)
		found.problem("tencent.edition", "%q is not known: use one of %s", t.Edition, quoteAll(words))
	}
	if t.MaxMembers < 0 {
		found.problem("tencent.max_members", "cannot be negative (0 = no limit)")
	}
}

func (c *Config) checkV2TIM(found *findings) {
	v := c.V2TIM
	checkListen(found, "v2tim", v.Hostname, v.Port)
	checkTLS(found, "v2tim.tls", v.TLS)
	if v.Port != 0 && v.Port == c.AppService.Port && (v.Hostname == c.AppService.Hostname || isWildcard(v.Hostname) || isWildcard(c.AppService.Hostname)) {
		found.problem("v2tim.port", "is the same as appservice.port: two listeners cannot share one, choose another")
	}
	if v.MaxIDs < 1 || v.MaxIDs > 1000 {
		found.problem("v2tim.max_ids", "has to be from 1 to 1000")
	}
	const minBody, maxBody = 1 << 10, 64 << 20
	if v.MaxBody < minBody || v.MaxBody > maxBody {
		found.problem("v2tim.max_body", "has to be from %d to %d (bytes)", minBody, maxBody)
	}
	if v.MaxMessage < 1 || int64(v.MaxMessage) > v.MaxBody {
		found.problem("v2tim.max_message", "has to be 1 or more and no more than v2tim.max_body")
	}
	if v.MaxConnections < 1 {
		found.problem("v2tim.max_connections", "has to be 1 or more")
	}
	if v.RateLimit.PerSecond < 0 {
		found.problem("v2tim.rate_limit.per_second", "cannot be negative (0 = no limit)")
	}
	if v.RateLimit.BadSignatures < 0 {
		found.problem("v2tim.rate_limit.bad_signatures", "cannot be negative")
	}
	if v.RateLimit.PerSecond > 0 && v.RateLimit.Burst < 1 {
		found.problem("v2tim.rate_limit.burst", "has to be 1 or more, or no call is ever allowed")
	}
	if v.MinSDKVersion != "" && !regexp.MustCompile(`^[0-9]+(\.[0-9]+){0,3}$`).MatchString(v.MinSDKVersion) {
		found.problem("v2tim.min_sdk_version", "%q is not a version: write it like 3.9.3", v.MinSDKVersion)
	}
	if slices.ContainsFunc(v.DenyPlatforms, func(p string) bool { return strings.TrimSpace(p) == "" }) {
		found.problem("v2tim.deny_platforms", "holds an empty name: remove it")
	}
	if v.CallbackCoalesce < 0 || v.CallbackCoalesce > time.Minute {
		found.problem("v2tim.callback_coalesce", "has to be from 0s to 1m")
	}
	if v.CallbackKeep < time.Minute {
		found.problem("v2tim.callback_keep", "has to be 1m or more")
	}
	if v.CallbackURL != "" {
		checkURL(found, "v2tim.callback_url", v.CallbackURL)
	}
}

func isWildcard(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

func checkSenders(found *findings, key string, patterns []string) {
	for _, pattern := range patterns {
		if _, err := CompileSenders([]string{pattern}); err != nil {
			found.problem(key, "%v", err)
		} else if !strings.HasPrefix(pattern, "@") && !strings.HasPrefix(pattern, "/") {
			found.problem(key, "%q matches nobody: user IDs begin with @ (a regular expression stands between slashes)", pattern)
		}
	}
}

func (c *Config) checkRules(found *findings) {
	if strings.TrimSpace(c.Bridge.CommandPrefix) == "" {
		found.problem("bridge.command_prefix", "is empty, so that every message would be a command: use for instance !tim")
	}
	checkSenders(found, "mapping.stamp_senders", c.Mapping.StampSenders)
	checkSenders(found, "bridge.may_link", c.Bridge.MayLink)
	for _, item := range []struct {
		key   string
		value time.Duration
		least time.Duration
	}{
		{"receipts.hole_after", c.Receipts.HoleAfter, time.Minute},
		{"receipts.gap_after", c.Receipts.GapAfter, time.Second},
		{"receipts.park_for", c.Receipts.ParkFor, time.Minute},
		{"bridge.mapping_wait", c.Bridge.MappingWait, 0},
		{"bridge.event_wait", c.Bridge.EventWait, 0},
		{"bridge.stop_timeout", c.Bridge.StopTimeout, time.Second},
	} {
		if item.value < item.least {
			found.problem(item.key, "has to be %s or more", item.least)
		}
	}
	if c.Bridge.MaxConnections < 10 || c.Bridge.MaxConnections > 1_000_000 {
		found.problem("bridge.max_connections", "has to be from 10 to 1000000")
	}
	if c.Receipts.Window < 1 || c.Receipts.Window > 10000 {
		found.problem("receipts.window", "has to be from 1 to 10000")
	}
}
