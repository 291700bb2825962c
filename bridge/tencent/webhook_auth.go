package tencent

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxClockSkew is how far RequestTime may be from now. [WH-SIGN]
const maxClockSkew = 60 * time.Second

// Why a request is turned away.
var (
	errSource = errors.New("the source address is not allowed")
	errAppID  = errors.New("the SdkAppid is not ours")
	errSign   = errors.New("neither Sign and RequestTime nor a bearer token are right")
)

// gate lets webhooks in. Sign covers the token and the time only, not the body: whoever has seen a
// request can send another body with its Sign for a minute. [WH-SIGN] That is why HTTPS is needed.
type gate struct {
	sdkAppID string
	token    string
	bearer   string
	sources  []netip.Prefix
	proxies  []netip.Prefix
	now      func() time.Time
}

// admit returns nil for a request that may come in. query is that of r.
func (g *gate) admit(r *http.Request, query url.Values) error {
	if len(g.sources) > 0 && !contains(g.sources, g.source(r)) {
		return errSource
	}
	byBearer := g.bearerOK(r)
	// A backend that passes webhooks on to us may leave the query out.
	if query.Get("SdkAppid") != g.sdkAppID && !(byBearer && !query.Has("SdkAppid")) {
		return errAppID
	}
	if g.token == "" && g.bearer == "" {
		return nil
	}
	if byBearer || g.signOK(query) {
		return nil
	}
	return errSign
}

func (g *gate) bearerOK(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || g.bearer == "" {
		return false
	}
	// Hashes have one length, so that the comparison does not tell that of the secret.
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(g.bearer))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// signOK checks Sign, which is the hexadecimal SHA-256 of the token and RequestTime, one after the
// other, and the time itself. [WH-SIGN]
func (g *gate) signOK(query url.Values) bool {
	if g.token == "" {
		return false
	}
	text := query.Get("RequestTime")
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return false
	}
	want := sha256.Sum256([]byte(g.token + text))
	got, err := hex.DecodeString(query.Get("Sign"))
	if err != nil || subtle.ConstantTimeCompare(got, want[:]) != 1 {
		return false
	}
	// In whole seconds: a time of year 292 billion would overflow a Duration.
	skew := g.now().Unix() - seconds
	return skew <= int64(maxClockSkew/time.Second) && skew >= -int64(maxClockSkew/time.Second)
}

// source returns the address that the request came from: that of the connection, or, behind our own
// proxies, the last one in X-Forwarded-For that is not one of them.
func (g *gate) source(r *http.Request) netip.Addr {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := remote.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && contains(g.proxies, addr); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return addr
		}
		addr = hop.Unmap().WithZone("")
	}
	return addr
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, prefix := range prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}
