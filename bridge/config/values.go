package config

import (
	"fmt"
	"regexp"
	"strings"
)

// Edition is the edition of the Tencent application. Message receipts of groups
// belong to: flagship and enterprise (China site), Pro, Pro Plus and Enterprise
// (international site). The Chinese "pro" edition does not have them. True and
// false are accepted as well. Sources:
// https://cloud.tencent.com/document/product/269/75343 and https://trtc.io/document/48022.
type Edition string

// editions tells which words are known and whether they include receipts.
func editions() map[Edition]bool {
	return map[Edition]bool{
		"trial": false, "pro": false, "flagship": true, "enterprise": true,
		"intl_free": false, "intl_standard": false, "intl_pro": true, "intl_pro_plus": true, "intl_enterprise": true,
		"true": true, "false": false,
	}
}

// HasReceipts reports whether the edition includes receipts of group messages.
// An unknown word has none; [Config.Validate] refuses it.
func (e Edition) HasReceipts() bool { return editions()[e] }

// GhostPrefix is the localpart of a ghost without the encoded Tencent UserID,
// for instance "tim_" for the template "tim_{{.}}". It is empty if the template
// is not a prefix followed by {{.}}, which [Config.Validate] refuses.
func (a AppService) GhostPrefix() string {
	prefix, rest, found := strings.Cut(a.UsernameTemplate, "{{")
	inner, after, closed := strings.Cut(rest, "}}")
	if !found || !closed || after != "" || strings.TrimSpace(inner) != "." {
		return ""
	}
	return prefix
}

// asTokenPrefix marks the one kind of double puppet secret that there is.
const asTokenPrefix = "as_token:"

// Token returns the application service token with which users of the server
// can be acted for, and false if the config has none for it.
func (d DoublePuppet) Token(server string) (Secret, bool) {
	token, ok := strings.CutPrefix(string(d.Secrets[server]), asTokenPrefix)
	return Secret(token), ok && token != ""
}

// Tokens returns all tokens by server name.
func (d DoublePuppet) Tokens() map[string]Secret {
	out := make(map[string]Secret, len(d.Secrets))
	for server := range d.Secrets {
		if token, ok := d.Token(server); ok {
			out[server] = token
		}
	}
	return out
}

// Senders decides whose stamps count. The zero value matches nobody. It is
// immutable and safe for concurrent use.
type Senders struct{ patterns []*regexp.Regexp }

// CompileSenders compiles patterns of MXIDs: a glob in which * stands for any
// characters and ? for one, or, between slashes, a regular expression (Go
// syntax). Both have to match the whole MXID.
func CompileSenders(patterns []string) (Senders, error) {
	var out Senders
	for _, pattern := range patterns {
		expr, isRegex := strings.CutPrefix(pattern, "/")
		if isRegex && strings.HasSuffix(expr, "/") {
			expr = strings.TrimSuffix(expr, "/")
		} else {
			expr = regexp.QuoteMeta(pattern)
			expr = strings.ReplaceAll(expr, `\*`, ".*")
			expr = strings.ReplaceAll(expr, `\?`, ".")
		}
		compiled, err := regexp.Compile(`^(?s:` + expr + `)$`)
		if err != nil {
			return Senders{}, fmt.Errorf("failed to compile sender pattern %q: %w", pattern, err)
		}
		out.patterns = append(out.patterns, compiled)
	}
	return out, nil
}

// Match reports whether the MXID matches one of the patterns.
func (s Senders) Match(mxid string) bool {
	for _, pattern := range s.patterns {
		if pattern.MatchString(mxid) {
			return true
		}
	}
	return false
}
