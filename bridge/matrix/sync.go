package matrix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
)

const (
	// maxSync bounds a /sync response. The first one holds every receipt of every room, of some 100
	// bytes each.
	maxSync = 128 << 20
	// syncFilter asks for receipts, and for redactions because Dendrite 0.15.2 pushes none. The two forms
	// of "nothing" are because "types":[] is not understood alike everywhere.
	syncFilter = `{"presence":{"types":[],"not_types":["*"]},"account_data":{"types":[],"not_types":["*"]},` +
		`"room":{"timeline":{"limit":100,"types":["m.room.redaction"]},` +
		`"state":{"types":[],"not_types":["*"],"lazy_load_members":true},` +
		`"account_data":{"types":[],"not_types":["*"]},"ephemeral":{"types":["m.receipt"]}}}`
	// maxIdlePause bounds the pause after long polls that returned at once with nothing in them, as
	// Dendrite's do for every message. The first idleFree in a row are not followed by a pause.
	maxIdlePause = 100 * time.Millisecond
	idleFree     = 5
	// maxStorePause bounds the pause while what was read cannot be stored: that is our trouble, and no homeserver needs the rest.
	maxStorePause = 5 * time.Second
)

var (
	errNoNextBatch = errors.New("no next_batch")
	errSyncRuns    = errors.New("another Sync is running")
)

// PushState tells what is known about whether the homeserver pushes receipts.
func (a *AppService) PushState() PushState {
	return a.push.current()
}

// SyncNow makes a waiting Sync read /sync at once. It does not cut short a pause after a failure.
func (a *AppService) SyncNow() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Sync reads the bot's /sync and hands its receipts to the intake until ctx ends; then it returns nil.
// No failure ends it: it logs each kind of trouble once, pauses longer and longer (up to
// Config.MaxBackoff) and goes on from the token that was committed last.
//
// While it is unknown whether the homeserver pushes receipts, and when it does not, /sync is
// long-polled; with pushes it is read at the start and every Config.SyncInterval, to find what got
// lost on that way.
func (a *AppService) Sync(ctx context.Context) error {
	if !a.syncing.CompareAndSwap(false, true) {
		return errSyncRuns
	}
	defer a.syncing.Store(false)
	ctx = a.withLog(ctx)
	loop := syncLoop{AppService: a}
	for ctx.Err() == nil {
		pause, awake := loop.turn(ctx)
		if pause > 0 {
			loop.wait(ctx, pause, awake)
		}
	}
	return nil
}

// syncLoop is the state of Sync between two requests.
type syncLoop struct {
	*AppService
	token     string
	haveToken bool
	// caughtUp tells that the last response was taken, so that the next one holds only receipts made
	// since and can be compared with the pushed ones.
	caughtUp bool
	failures int
	trouble  string
	// idle counts the long polls in a row that returned at once with nothing in them.
	idle int
}

// turn reads /sync once and tells how long to pause, and whether SyncNow may end the pause.
func (l *syncLoop) turn(ctx context.Context) (pause time.Duration, awake bool) {
	if !l.haveToken {
		token, err := l.syncToken(ctx)
		if err != nil {
			return min(l.fail(ctx, fmt.Errorf("failed to read the sync token: %w", err)), maxStorePause), false
		}
		l.token, l.haveToken = token, true
	}
	began := time.Now()
	timeout := l.timeout()
	resp, err := l.readSync(ctx, timeout)
	if err != nil {
		return l.refused(ctx, err), false
	}
	if len(resp.receipts) > 0 || resp.nextBatch != l.token {
		if err = l.handleSync(ctx, resp); err != nil {
			l.haveToken = false
			return min(l.fail(ctx, fmt.Errorf("failed to store receipts of /sync: %w", err)), maxStorePause), false
		}
	}
	l.token = resp.nextBatch
	l.recovered(ctx)
	now := time.Now()
	if l.caughtUp {
		l.push.sawSync(resp.receipts, now)
	}
	if l.push.settle(now) {
		zerolog.Ctx(ctx).Info().Stringer("pushes", PushNo).Msg("The homeserver does not push receipts, reading /sync all the time")
	}
	l.caughtUp = true
	if l.push.current() == PushYes {
		return jitter(l.cfg.SyncInterval), true
	}
	if timeout == 0 || len(resp.receipts) > 0 || now.Sub(began) > maxIdlePause {
		l.idle = 0
		return 0, true
	}
	l.idle++
	if l.idle <= idleFree {
		return 0, true
	}
	return min(5*time.Millisecond<<min(l.idle-idleFree, 10), maxIdlePause), true
}

// timeout is how long the homeserver may hold the next request open.
func (l *syncLoop) timeout() time.Duration {
	switch {
	case !l.caughtUp || l.push.current() == PushYes:
		return 0
	case l.push.undecided():
		return min(l.cfg.SyncTimeout, l.cfg.PushGrace)
	default:
		return l.cfg.SyncTimeout
	}
}

func (l *syncLoop) syncToken(ctx context.Context) (token string, err error) {
	defer recovered(ctx, &err)
	return l.intake.SyncToken(ctx)
}

func (l *syncLoop) handleSync(ctx context.Context, resp syncResponse) (err error) {
	defer recovered(ctx, &err)
	return l.intake.HandleSync(ctx, resp.nextBatch, resp.redactions, resp.receipts)
}

func (l *syncLoop) readSync(ctx context.Context, timeout time.Duration) (syncResponse, error) {
	query := url.Values{
		"filter":       {syncFilter},
		"set_presence": {"offline"},
		"timeout":      {strconv.FormatInt(timeout.Milliseconds(), 10)},
	}
	if l.token != "" {
		query.Set("since", l.token)
	}
	var body json.RawMessage
	err := l.call(ctx, l.bot, request{
		method: http.MethodGet,
		path:   mautrix.ClientURLPath{"v3", "sync"},
		query:  query,
		http:   l.syncHTTP,
		limit:  maxSync,
	}, &body)
	if err != nil {
		return syncResponse{}, err
	}
	resp, err := parseSync(body, func(what string, err error) {
		zerolog.Ctx(ctx).Warn().Err(err).Str("what", what).Msg("Dropped a malformed piece of a sync response")
	})
	if err != nil {
		return resp, &TemporaryError{Err: fmt.Errorf("answer is no sync response: %w", err)}
	}
	return resp, nil
}

// wait pauses; SyncNow ends the pause if awake.
func (l *syncLoop) wait(ctx context.Context, pause time.Duration, awake bool) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	var wake <-chan struct{}
	if awake {
		wake = l.wake
	}
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// jitter spreads a pause over 75 to 100 % of its length.
func jitter(d time.Duration) time.Duration {
	return d - time.Duration(rand.Int64N(int64(d/4)+1))
}
