package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Tencent's own limits of one command, and of one about accounts, for the whole app
// (https://cloud.tencent.com/document/product/269/9346).
const (
	maxCalls        = 200
	maxAccountCalls = 100
)

// maxReceiptMembers is how many members a group with receipts has at most (https://cloud.tencent.com/document/product/269/75343).
const maxReceiptMembers = 200

// regions are the names that package tencent knows; a test holds the two lists together.
func regions() []string {
	return []string{"china", "china-backup", "germany", "indonesia", "japan", "korea", "saudi", "singapore", "usa"}
}

// checkCloud checks what only tencent.mode cloud needs.
func (c *Config) checkCloud(found *findings) {
	t := c.Tencent
	if len(t.Admins) == 0 {
		found.problem("tencent.admins", "is empty: give an administrator of the app first, timbridge calls Tencent in its name")
	}
	if t.MaxMembers > maxReceiptMembers || t.MaxMembers == 0 {
		found.problem("tencent.max_members", "has to be from 1 to %d: Tencent Cloud has no receipts for larger groups", maxReceiptMembers)
	}
	switch {
	case t.BaseURL != "":
		checkURL(found, "tencent.base_url", t.BaseURL)
	case !slices.Contains(regions(), t.Region):
		found.problem("tencent.region", "%q is not known: use one of %s", t.Region, quoteAll(regions()))
	}
	if !(t.CallsPerSecond > 0) || t.CallsPerSecond > 100*maxCalls {
		found.problem("tencent.calls_per_second", "has to be more than 0 (Tencent's own limit is %d, unless it was raised for the app)", maxCalls)
	}
	if !(t.AccountCallsPerSecond > 0) || t.AccountCallsPerSecond > 100*maxAccountCalls {
		found.problem("tencent.account_calls_per_second", "has to be more than 0 (Tencent's own limit is %d, unless it was raised for the app)", maxAccountCalls)
	}
	if t.Concurrency < 1 || t.Concurrency > 1000 {
		found.problem("tencent.concurrency", "has to be from 1 to 1000")
	}
	if t.RequestTimeout < time.Second || t.RequestTimeout > time.Minute {
		found.problem("tencent.request_timeout", "has to be from 1s to 1m")
	}
	if t.CatchUpInterval < 10*time.Second {
		found.problem("tencent.catch_up_interval", "has to be 10s or more")
	}
	if t.CatchUpMessages < 1 || t.CatchUpMessages > 10_000 {
		found.problem("tencent.catch_up_messages", "has to be from 1 to 10000")
	}
	c.checkWebhook(found)
	c.checkRelay(found)
}

func (c *Config) checkWebhook(found *findings) {
	w := c.Tencent.Webhook
	checkListen(found, "tencent.webhook", w.Hostname, w.Port)
	checkTLS(found, "tencent.webhook.tls", w.TLS)
	if w.Port != 0 && (w.Port == c.AppService.Port || w.Port == c.V2TIM.Port) {
		found.problem("tencent.webhook.port", "is that of another listener: choose another one")
	}
	if w.Token == "" && w.BearerToken == "" {
		found.problem("tencent.webhook.token", "is not set, and bearer_token neither: anybody could tell timbridge anything. Set a token in Tencent's console and here")
	}
	for _, list := range []struct {
		key    string
		values []string
	}{{"tencent.webhook.sources", w.Sources}, {"tencent.webhook.trusted_proxies", w.TrustedProxies}} {
		for _, value := range list.values {
			if _, err := netip.ParsePrefix(value); err != nil {
				found.problem(list.key, "%q is not a range of addresses: write it like 203.0.113.0/24, a single one like 203.0.113.7/32", value)
			}
		}
	}
	if w.Forward != "" {
		checkURL(found, "tencent.webhook.forward", w.Forward)
	}
}

func (c *Config) checkRelay(found *findings) {
	r, b := c.Relay, c.Bridge
	if r.MediaURL != "" {
		checkURL(found, "relay.media_url", strings.NewReplacer("{server}", "server", "{media}", "media").Replace(r.MediaURL))
		if !strings.Contains(r.MediaURL, "{media}") {
			found.problem("relay.media_url", "lacks {media}, in whose place the name of the file comes")
		}
	}
	for _, kind := range r.Unmapped {
		if kind != UnmappedOnlineOnly && kind != UnmappedDirected && kind != UnmappedTopic {
			found.problem("relay.unmapped", "%q is not known: use some of online_only, directed, topic", kind)
		}
	}
	if r.Avatars != AvatarsOff && r.Avatars != AvatarsPublic && r.Avatars != AvatarsAny {
		found.problem("relay.avatars", "%q is not known: use off, public or any", r.Avatars)
	}
	switch b.MatrixMembers {
	case MatrixMembersActive, MatrixMembersAll, MatrixMembersNone:
	default:
		found.problem("bridge.matrix_members", "%q is not known: use active, all or none", b.MatrixMembers)
	}
	for _, mxid := range b.AutoInvite {
		if !strings.HasPrefix(mxid, "@") || !strings.Contains(mxid, ":") {
			found.problem("bridge.auto_invite", "%q is not a Matrix user ID: write it like @somebody:example.com", mxid)
		}
	}
}
