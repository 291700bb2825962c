package v2tim

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"github.com/timbridge/timbridge/receipts"
)

const (
	// maxClientFrame bounds what a client sends; nothing it sends means anything.
	maxClientFrame = 4 << 10
	// A client that chatters above this is dropped: frames per second, and at once.
	clientFrameRate  = 10
	clientFrameBurst = 100
	// closeGrace is how long a client has to answer our goodbye.
	closeGrace = time.Second
)

// Why a WebSocket ends, other than that its events cannot be had.
var (
	errServerStops    = errors.New("the server stops")
	errUserSigExpired = errors.New("the usersig has expired")
	errClientChatters = errors.New("the client sends too much")
	errClientLost     = errors.New("the client is gone or too slow")
)

// serveEvents is GET v2tim/events. Everything that can be refused is refused
// before the upgrade, in the frame.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request) {
	caller, cursor, expires, err := s.checkListener(r)
	if err != nil {
		s.answer(w, r, frameSDK, nil, err)
		return
	}
	release, err := s.conns.acquire(caller)
	if err != nil {
		s.answer(w, r, frameSDK, nil, err)
		return
	}
	defer release()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		// Any origin may connect: what lets a caller in is the UserSig in the
		// query, which a browser never adds by itself.
		InsecureSkipVerify: true,
	})
	if err != nil { // already answered
		zerolog.Ctx(r.Context()).Debug().Err(err).Msg("Failed to accept WebSocket")
		return
	}
	err = s.listen(r.Context(), conn, caller, cursor, expires)
	zerolog.Ctx(r.Context()).Debug().Err(err).Str("user_id", caller).Msg("Listener ended")
}

// checkListener checks a listener like a call, and that it asks for a WebSocket.
func (s *Server) checkListener(r *http.Request) (caller, cursor string, expires time.Time, err error) {
	if r.Method != http.MethodGet {
		return "", "", time.Time{}, refuse(receipts.CodeHTTPParseFailed, "this call is a GET that opens a WebSocket")
	}
	caller, expires, err = s.authenticate(r, frameSDK)
	if err != nil {
		return "", "", time.Time{}, err
	}
	switch {
	case s.events == nil:
		err = refuse(receipts.CodeInterfaceNotSupported, "events are not offered here")
	case !asksForWebSocket(r):
		err = refuse(receipts.CodeHTTPParseFailed, "this call is a GET that opens a WebSocket (version 13)")
	case !s.limiter.allow(caller, s.cfg.Now()):
		err = refuse(receipts.CodeAPICallFrequencyLimit, "too many calls, slow down")
	}
	// authenticate has read this query before, so it can be read. A cursor that
	// cannot be one of ours is unknown to Read and ends in a resync, as it should.
	return caller, r.URL.Query().Get("cursor"), expires, err
}

// asksForWebSocket looks for what websocket.Accept would refuse with an HTTP
// status, which is not how this API answers.
func asksForWebSocket(r *http.Request) bool {
	has := func(name, token string) bool {
		for _, line := range r.Header.Values(name) {
			for _, t := range strings.Split(line, ",") {
				if strings.EqualFold(strings.TrimSpace(t), token) {
					return true
				}
			}
		}
		return false
	}
	keys := r.Header.Values("Sec-WebSocket-Key")
	if len(keys) != 1 || !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1 {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0]))
	return err == nil && len(key) == 16 && r.Header.Get("Sec-WebSocket-Version") == "13" &&
		has("Connection", "upgrade") && has("Upgrade", "websocket")
}

// listen serves one WebSocket to its end. Beside the listener's own goroutine
// there are one that reads (and so notices that the client left) and one that
// pings; all have ended when it returns.
func (s *Server) listen(ctx context.Context, conn *websocket.Conn, user, cursor string, expires time.Time) error {
	// alive ends when the connection is to be cut, at once and without a word;
	// serving ends when there is a reason to say goodbye.
	alive, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	defer context.AfterFunc(s.conns.cut, cut)()
	serving, stop := context.WithCancelCause(alive)
	defer stop(nil)
	defer context.AfterFunc(s.conns.leave, func() { stop(errServerStops) })()
	expiry := time.AfterFunc(expires.Add(time.Second).Sub(s.cfg.Now()), func() { stop(errUserSigExpired) })
	defer expiry.Stop()

	var wg sync.WaitGroup
	wg.Go(func() { stop(readAndIgnore(alive, conn)) })
	wg.Go(func() { stop(s.ping(serving, conn)) })

	l := &listener{user: user, events: s.events, window: s.cfg.CoalesceWindow}
	l.send = func(_ context.Context, e Event) error { return s.write(alive, conn, e) }
	if len(cursor) > maxCursor {
		cursor = cursor[:maxCursor] // still unknown, but small
	}
	err := l.run(serving, cursor)
	if serving.Err() != nil { // whatever failed then, failed because of this
		err = context.Cause(serving)
	}
	stop(err)
	s.goodbye(ctx, alive, conn, cut, l.sent, err)
	cut()
	wg.Wait()
	return err
}

// readAndIgnore reads until the client leaves or misbehaves.
func readAndIgnore(ctx context.Context, conn *websocket.Conn) error {
	conn.SetReadLimit(maxClientFrame)
	frames := rate.NewLimiter(clientFrameRate, clientFrameBurst)
	for {
		_, r, err := conn.Reader(ctx)
		if err != nil {
			return fmt.Errorf("%w: failed to read: %w", errClientLost, err)
		}
		if _, err = io.Copy(io.Discard, r); err != nil {
			return fmt.Errorf("%w: failed to read: %w", errClientLost, err)
		}
		if !frames.Allow() {
			return errClientChatters
		}
	}
}

// ping finds out that a client is gone which did not say so.
func (s *Server) ping(ctx context.Context, conn *websocket.Conn) error {
	tick := time.NewTicker(s.cfg.PingInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		pong, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
		err := conn.Ping(pong)
		cancel()
		if err != nil {
			return fmt.Errorf("%w: failed to ping: %w", errClientLost, err)
		}
	}
}

// write sends one frame. A client that does not take it in time is lost: the
// connection is closed by the library when the context ends.
func (s *Server) write(alive context.Context, conn *websocket.Conn, e Event) error {
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("failed to encode event: %w", err)
	}
	ctx, cancel := context.WithTimeout(alive, s.cfg.WriteTimeout)
	defer cancel()
	if err = conn.Write(ctx, websocket.MessageText, body); err != nil {
		return fmt.Errorf("%w: failed to write: %w", errClientLost, err)
	}
	return nil
}

// goodbye ends a connection politely where there is something to say, within
// closeGrace.
func (s *Server) goodbye(ctx, alive context.Context, conn *websocket.Conn, cut context.CancelFunc, cursor string, why error) {
	var code websocket.StatusCode
	var reason string
	switch {
	case errors.Is(why, errServerStops):
		code, reason = websocket.StatusGoingAway, "the server stops, come back with your cursor"
	case errors.Is(why, errUserSigExpired):
		_ = s.write(alive, conn, Event{Event: EventUserSigExpired, Cursor: cursor})
		code, reason = websocket.StatusPolicyViolation, "70001 the usersig has expired"
	case errors.Is(why, errClientChatters):
		code, reason = websocket.StatusPolicyViolation, "too many frames"
	case errors.Is(why, errClientLost) || alive.Err() != nil:
		_ = conn.CloseNow()
		return
	default:
		zerolog.Ctx(ctx).Warn().Err(why).Msg("Failed to serve listener")
		code, reason = websocket.StatusTryAgainLater, "try again with your cursor"
	}
	grace := time.AfterFunc(closeGrace, cut)
	defer grace.Stop()
	_ = conn.Close(code, reason)
}
