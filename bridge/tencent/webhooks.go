package tencent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/time/rate"
)

// Intake takes the events in; the bridge implements it. Both methods are called concurrently.
type Intake interface {
	// Linked tells whether a group is of interest. It is asked for every webhook of the app and must
	// answer from memory: what it says no to costs nothing further.
	Linked(groupID string) bool
	// HandleEvent returns after the event has been stored, nil, or with an error if it has not.
	HandleEvent(ctx context.Context, event Event) error
}

// WebhooksConfig is what Webhooks are made from. Zero durations and counts stand for the defaults.
type WebhooksConfig struct {
	// SDKAppID is the app's; webhooks of other apps are turned away.
	SDKAppID uint64
	// Token is the one set in Tencent's console, BearerToken one agreed with the app's backend. A
	// webhook must show one of those that are set; where neither is, anybody's is taken.
	Token       string
	BearerToken string
	// Sources, if there are any, are the addresses that webhooks may come from. TrustedProxies are
	// ours, whose X-Forwarded-For is believed.
	Sources        []netip.Prefix
	TrustedProxies []netip.Prefix
	// NewGroups hands GroupCreated to the Intake. Such a group cannot be linked yet.
	NewGroups bool
	// Forward, if set, is the URL of the app's backend, which gets every webhook unchanged and
	// whose answer goes back to Tencent. ForwardStrict makes a backend that does not answer in time
	// a failure (HTTP 504, after which Tencent does what the console says); otherwise such a webhook
	// is answered OK.
	Forward       string
	ForwardStrict bool
	// ForwardConcurrency bounds the webhooks passed on at a time. Default 256.
	ForwardConcurrency int
	// AnswerWithin is when the answer is given at the latest. Tencent waits 2 s. [WH] Default 1.5 s.
	AnswerWithin time.Duration
	// HandleWithin bounds HandleEvent, which may go on after the answer: what gets stored late is
	// stored all the same. Default 15 s.
	HandleWithin time.Duration
	// Concurrency bounds the events being handled at a time. Default 1024.
	Concurrency int
	// MaxBody bounds a webhook in bytes. Default 1 MiB, which is 80 times the longest message.
	MaxBody int64
	// Now stands in for time.Now in tests.
	Now func() time.Time
}

func (c *WebhooksConfig) setDefaults() {
	setDefault(&c.ForwardConcurrency, 256)
	setDefault(&c.AnswerWithin, 1500*time.Millisecond)
	setDefault(&c.HandleWithin, 15*time.Second)
	setDefault(&c.Concurrency, 1024)
	setDefault(&c.MaxBody, 1<<20)
	if c.Now == nil {
		c.Now = time.Now
	}
}

// Webhooks is the endpoint that Tencent, or the app's backend, sends webhooks to: one for all
// commands. Safe for concurrent use.
type Webhooks struct {
	cfg     WebhooksConfig
	intake  Intake
	gate    gate
	forward *forwarder // nil without Forward
	slots   chan struct{}
	stats   webhookCounters
	// These keep logs from being filled at the rate of what others send.
	turnedAway, unreadable, dropped, failing rate.Sometimes

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// NewWebhooks makes the endpoint. Close ends it.
func NewWebhooks(cfg WebhooksConfig, intake Intake) (*Webhooks, error) {
	cfg.setDefaults()
	if cfg.SDKAppID == 0 {
		return nil, errors.New("failed to make webhooks: the sdkappid is missing")
	}
	if cfg.AnswerWithin < 0 || cfg.HandleWithin < 0 || cfg.Concurrency < 0 || cfg.ForwardConcurrency < 0 || cfg.MaxBody < 0 {
		return nil, errors.New("failed to make webhooks: durations and counts cannot be negative")
	}
	w := &Webhooks{
		cfg:    cfg,
		intake: intake,
		gate: gate{
			sdkAppID: strconv.FormatUint(cfg.SDKAppID, 10), token: cfg.Token, bearer: cfg.BearerToken,
			sources: cfg.Sources, proxies: cfg.TrustedProxies, now: cfg.Now,
		},
		slots:      make(chan struct{}, cfg.Concurrency),
		turnedAway: rate.Sometimes{Interval: time.Second},
		unreadable: rate.Sometimes{Interval: time.Second},
		dropped:    rate.Sometimes{Interval: time.Second},
		failing:    rate.Sometimes{Interval: time.Second},
	}
	if cfg.Forward != "" {
		var err error
		if w.forward, err = newForwarder(cfg); err != nil {
			return nil, fmt.Errorf("failed to make webhooks: %w", err)
		}
	}
	return w, nil
}

// Close waits until the events being handled are, or until ctx ends, and lets no more begin: they are
// refused. It may be called again.
func (w *Webhooks) Close(ctx context.Context) error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	if w.forward != nil {
		w.forward.close()
	}
	done := make(chan struct{})
	go func() {
		w.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ServeHTTP takes one webhook. It logs to the logger in the request's context.
func (w *Webhooks) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	deadline := time.Now().Add(w.cfg.AnswerWithin)
	if r.Method != http.MethodPost {
		rw.Header().Set("Allow", http.MethodPost)
		answer(rw, http.StatusMethodNotAllowed, "webhooks are POSTs")
		return
	}
	query, _ := url.ParseQuery(r.URL.RawQuery) // what can be read of it
	if err := w.gate.admit(r, query); err != nil {
		w.stats.refused.Add(1)
		w.turnedAway.Do(func() {
			zerolog.Ctx(r.Context()).Warn().Err(err).Str("remote", r.RemoteAddr).Msg("Turned a webhook away")
		})
		answer(rw, http.StatusForbidden, "not admitted")
		return
	}
	body, err := w.read(rw, r, deadline)
	if err != nil {
		w.stats.malformed.Add(1)
		w.report(r.Context(), query.Get("CallbackCommand"), err)
		if w.forward != nil && !w.cfg.ForwardStrict {
			answerOK(rw)
			return
		}
		answer(rw, http.StatusBadRequest, "the body could not be read")
		return
	}
	if w.forward != nil {
		w.front(rw, r, query, body, deadline)
		return
	}
	event, ok := w.event(r.Context(), query, body)
	if !ok {
		answerOK(rw)
		return
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case w.slots <- struct{}{}:
	case <-timer.C:
		w.drop(r.Context(), event)
		answer(rw, http.StatusServiceUnavailable, "too busy")
		return
	}
	select {
	case err = <-w.handle(r.Context(), event):
	case <-timer.C:
		w.stats.late.Add(1)
		err = context.DeadlineExceeded
	}
	if err != nil {
		answer(rw, http.StatusServiceUnavailable, "not stored")
		return
	}
	answerOK(rw)
}

// front serves as the endpoint in front of the app's backend: the answer is the backend's, as soon as
// it is there; our own work goes on beside it. Where there is too much of that, it is given up, as if
// the webhook had never come: the catch-up finds what was missed.
func (w *Webhooks) front(rw http.ResponseWriter, r *http.Request, query url.Values, body []byte, deadline time.Time) {
	if event, ok := w.event(r.Context(), query, body); ok {
		select {
		case w.slots <- struct{}{}:
			w.handle(r.Context(), event)
		default:
			w.drop(r.Context(), event)
		}
	}
	ctx, cancel := context.WithDeadline(r.Context(), deadline)
	defer cancel()
	reply, err := w.forward.pass(ctx, r, body)
	if err == nil {
		w.stats.forwarded.Add(1)
		reply.write(rw)
		return
	}
	w.stats.forwardFailed.Add(1)
	w.dropped.Do(func() {
		zerolog.Ctx(r.Context()).Warn().Err(err).Msg("The app's backend did not answer a webhook in time")
	})
	if w.cfg.ForwardStrict {
		answer(rw, http.StatusGatewayTimeout, "no answer from the app's backend")
		return
	}
	answerOK(rw)
}

// read reads the body, as long as there is time to answer.
func (w *Webhooks) read(rw http.ResponseWriter, r *http.Request, deadline time.Time) ([]byte, error) {
	// Not every ResponseWriter can; then the server's own timeouts hold.
	_ = http.NewResponseController(rw).SetReadDeadline(deadline)
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, w.cfg.MaxBody))
	_ = http.NewResponseController(rw).SetReadDeadline(time.Time{})
	return body, err
}

// answerOK answers a webhook as done, and says yes to one that asks beforehand. [WH]
func answerOK(rw http.ResponseWriter) {
	rw.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(rw, `{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":""}`)
}

// answer answers a webhook as failed. Tencent documents the FAIL; the HTTP status is for those who
// look at that, among them a backend that passes webhooks on and may try again. [WH]
func answer(rw http.ResponseWriter, status int, info string) {
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	_, _ = io.WriteString(rw, `{"ActionStatus":"FAIL","ErrorCode":1,"ErrorInfo":"`+info+`"}`)
}
