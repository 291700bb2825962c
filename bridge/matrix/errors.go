package matrix

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.mau.fi/util/retryafter"
	"maunium.net/go/mautrix"
)

// What a caller branches on. Everything a homeserver refuses in its own words (with an errcode) is
// final; everything else is a *TemporaryError.
var (
	// ErrForbidden: the homeserver said 403 M_FORBIDDEN. The user is not in the room, may not see the
	// event, or may not do this. It will not get better by trying again.
	ErrForbidden = errors.New("forbidden by the homeserver")
	// ErrNotFound: the homeserver said M_NOT_FOUND, or 404 M_UNKNOWN.
	ErrNotFound = errors.New("not found on the homeserver")
	// ErrUnsupported: the homeserver has no such endpoint (M_UNRECOGNIZED, or a bare 404 or 405 to
	// Ping). Dendrite 0.15.2 answers so to Ping.
	ErrUnsupported = errors.New("not supported by the homeserver")
	// ErrUnknownToken: the homeserver does not know the as_token. It comes inside a *TemporaryError:
	// all work waits until an operator installs the registration.
	ErrUnknownToken = errors.New("as_token unknown to the homeserver")
	// ErrNoPuppet: the user is neither ours nor of a server with a double-puppet token, so that
	// nothing can be done in his name.
	ErrNoPuppet = errors.New("no way to act as this user")
	// ErrBotCannotInvite: the bot may not invite into the room, because its power level is too low or
	// because it is not in the room. errors.Is(err, ErrForbidden) holds too.
	ErrBotCannotInvite = errors.New("bot may not invite into the room")
	// ErrTooLarge: what was to be sent is larger than we or the homeserver (M_TOO_LARGE) allow.
	ErrTooLarge = errors.New("too large")
	// ErrExclusive: the homeserver said M_EXCLUSIVE, the name lies outside what our registration claims.
	// One that was written before the bridge made rooms lacks the aliases: it has to be written anew. (Synapse; Dendrite
	// 0.15.2 does not mind.)
	ErrExclusive = errors.New("outside the namespaces of the registration")
	// ErrAliasInUse: the alias of a group's room leads to a room that is not ours.
	ErrAliasInUse = errors.New("alias leads to a room that the bot did not make or has left")
	// ErrInvalid: what the caller wants is malformed, nothing was sent.
	ErrInvalid = errors.New("malformed")
)

// TemporaryError is a failure that may be gone at the next try: a network error, a timeout, 429, 5xx,
// an answer that does not come from a homeserver at all, an as_token not (yet) known.
type TemporaryError struct {
	// RetryAfter is how long the homeserver asked to wait, 0 if it did not say.
	RetryAfter time.Duration
	Err        error
}

// Error returns the text of the cause.
func (e *TemporaryError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *TemporaryError) Unwrap() error { return e.Err }

// RequestError is a refusal by the homeserver. It matches ErrForbidden, ErrNotFound, ErrUnsupported,
// ErrTooLarge, ErrExclusive and ErrUnknownToken under errors.Is.
type RequestError struct {
	// Status is the HTTP status.
	Status int
	// Code is the errcode, such as M_INVALID_PARAM; empty if the answer had none.
	Code string
	// Message is the homeserver's text, at most 200 bytes of it.
	Message string
}

// Error returns status, errcode and the homeserver's text.
func (e *RequestError) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("HTTP %d without an errcode", e.Status)
	}
	return fmt.Sprintf("HTTP %d %s: %s", e.Status, e.Code, e.Message)
}

// Is implements the match with the sentinels.
func (e *RequestError) Is(target error) bool {
	switch target {
	case ErrForbidden:
		return e.Code == "M_FORBIDDEN" || (e.Status == http.StatusForbidden && e.Code != "")
	case ErrNotFound:
		// Synapse 1.160.0 says M_UNKNOWN in /context of an event that is in another room.
		return e.Code == "M_NOT_FOUND" || (e.Status == http.StatusNotFound && e.Code == "M_UNKNOWN")
	case ErrUnsupported:
		return e.Code == "M_UNRECOGNIZED"
	case ErrTooLarge:
		return e.Code == "M_TOO_LARGE"
	case ErrExclusive:
		return e.Code == "M_EXCLUSIVE"
	case ErrUnknownToken:
		return e.Code == "M_UNKNOWN_TOKEN" || e.Code == "M_MISSING_TOKEN"
	}
	return false
}

const maxErrorText = 200

// classify turns what mautrix returned into the errors above. A homeserver is believed only where it
// says an errcode: proxies in front of one answer 403 and 404 on their own while it restarts.
func classify(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	var httpErr mautrix.HTTPError
	if !errors.As(err, &httpErr) || httpErr.Response == nil {
		return &TemporaryError{Err: withoutURL(err)}
	}
	status := httpErr.Response.StatusCode
	if status >= 200 && status < 300 {
		// The body could not be read, is too large or is no JSON.
		return &TemporaryError{Err: withoutURL(err)}
	}
	reqErr := &RequestError{Status: status}
	var wait time.Duration
	if header := httpErr.Response.Header.Get("Retry-After"); header != "" {
		wait = max(0, retryafter.Parse(header, 0))
	}
	if httpErr.RespError != nil {
		reqErr.Code = cut(httpErr.RespError.ErrCode, 64)
		reqErr.Message = cut(httpErr.RespError.Err, maxErrorText)
		if ms, ok := httpErr.RespError.ExtraData["retry_after_ms"].(float64); ok && wait == 0 && ms > 0 && ms < 1e9 {
			wait = time.Duration(ms) * time.Millisecond
		}
	}
	wait = min(wait, maxRetryAfter)
	switch {
	case reqErr.Code == "", status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout,
		reqErr.Code == "M_LIMIT_EXCEEDED", errors.Is(reqErr, ErrUnknownToken):
		return &TemporaryError{RetryAfter: wait, Err: reqErr}
	}
	return reqErr
}

// maxRetryAfter bounds what a homeserver may ask us to wait.
const maxRetryAfter = 10 * time.Minute

// withoutURL strips the request from an error of net/http: its URL names users and rooms, which
// belong into fields of the log and not into its texts.
func withoutURL(err error) error {
	var httpErr mautrix.HTTPError
	if errors.As(err, &httpErr) && httpErr.WrappedError != nil {
		err = httpErr.WrappedError
	}
	var urlErr interface {
		error
		Timeout() bool
		Unwrap() error
	}
	if errors.As(err, &urlErr) && urlErr.Unwrap() != nil {
		return urlErr.Unwrap()
	}
	return err
}

func cut(s string, limit int) string {
	if len(s) > limit {
		return s[:limit]
	}
	return s
}
