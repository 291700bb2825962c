package v2tim

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/timbridge/timbridge/receipts"
)

// maxQuery bounds the query of a request in bytes: a UserSig and a cursor at their
// longest and some.
const maxQuery = 8192

// authenticate finds out who calls: step 1 of the order of checks, 60002, 60012,
// 60006, 6014 (server API: 60004), 70003, 70009, 70013, 70014, 70001. It touches
// nothing but the query. expires is when the UserSig does.
func (s *Server) authenticate(r *http.Request, f frame) (caller string, expires time.Time, err error) {
	q, err := readQuery(r.URL.RawQuery)
	if err != nil {
		return "", time.Time{}, err
	}
	app := q.Get("sdkappid")
	if app == "" {
		return "", time.Time{}, refuse(receipts.CodeSDKAppIDRequired, "sdkappid is missing")
	}
	if n, err := strconv.ParseUint(app, 10, 64); err != nil || n != s.cfg.SDKAppID {
		return "", time.Time{}, refuse(receipts.CodeSDKAppIDInvalid, "sdkappid is not the one of this app")
	}
	caller, sig := q.Get("identifier"), q.Get("usersig")
	if caller == "" || sig == "" {
		if f == frameServer {
			return "", time.Time{}, refuse(receipts.CodeAccountCheckFailed, "identifier or usersig is missing")
		}
		return "", time.Time{}, refuse(receipts.CodeSDKNotLoggedIn, "not logged in: identifier or usersig is missing")
	}
	if expires, err = s.verifier.verify(caller, sig, s.cfg.Now()); err != nil {
		return "", time.Time{}, s.badSignature(r, err)
	}
	if !plausibleIdentifier(caller) {
		return "", time.Time{}, refuse(receipts.CodeUserSigWrongUser, "the identifier is no user ID")
	}
	return caller, expires, nil
}

// badSignature bounds what wrong signatures from one address can cost: beyond
// Config.SigFailures a minute they get 70050 in place of what is wrong with them,
// and their connection is closed. A right signature is never kept waiting, nor one
// that was right once (70001): behind one address may be a whole mobile network, or
// our own reverse proxy, and guessing a signature is hopeless anyway.
func (s *Server) badSignature(r *http.Request, err error) error {
	var coded *receipts.Error
	if errors.As(err, &coded) && coded.Code == receipts.CodeUserSigExpired {
		return err
	}
	if !s.failures.allow(addressOf(r), s.cfg.Now()) {
		return refuse(receipts.CodeUserSigBlocked, "too many bad signatures, wait a minute")
	}
	return err
}

// addressOf is where a request comes from, as far as addresses are handed out: of
// IPv6 everybody has at least 64 bits to himself.
func addressOf(r *http.Request) string {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	addr := remote.Addr().Unmap().WithZone("")
	if addr.Is6() {
		prefix, _ := addr.Prefix(64) // cannot fail
		return prefix.String()
	}
	return addr.String()
}

// readQuery parses a query. What names the caller must be there once at most:
// which of two counts would otherwise be anyone's guess (and a proxy's).
func readQuery(raw string) (url.Values, error) {
	if len(raw) > maxQuery {
		return nil, refuse(receipts.CodeHTTPParseFailed, "the query is too long")
	}
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, refuse(receipts.CodeHTTPParseFailed, "the query cannot be read")
	}
	for _, name := range [...]string{"sdkappid", "identifier", "usersig", "cursor"} {
		if len(q[name]) > 1 {
			return nil, refuse(receipts.CodeHTTPParseFailed, name+" is there more than once")
		}
	}
	return q, nil
}

// plausibleIdentifier lets through what could be a UserID: 1..32 printable ASCII
// bytes. Which of them are users is for the core to know.
func plausibleIdentifier(id string) bool {
	if id == "" || len(id) > maxIdentifier {
		return false
	}
	for i := range len(id) {
		if id[i] < 0x20 || id[i] > 0x7e {
			return false
		}
	}
	return true
}
