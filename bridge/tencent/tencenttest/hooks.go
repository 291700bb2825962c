package tencenttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Webhook is one event for the app's backend.
type Webhook struct {
	// No numbers them as they happened, from 1.
	No int
	// Command is the CallbackCommand, GroupID the group it is about, if any.
	Command, GroupID string
	// Platform and ClientIP are OptPlatform and ClientIP of the query.
	Platform, ClientIP string
	// Body is the JSON. It may be exchanged by who delivers.
	Body json.RawMessage
}

// Delivery is one attempt to deliver a webhook.
type Delivery struct {
	Webhook
	// Attempt is 1 for the first.
	Attempt int
	Took    time.Duration
	// Status and ActionStatus are what the backend answered; Err what went wrong, a timeout for example.
	Status       int
	ActionStatus string
	Err          error
}

// hooks is the sending side of the webhooks, under the lock of the server.
type hooks struct {
	hook      Hook
	plan      func(Webhook) []time.Duration
	holding   bool
	held      []Webhook
	happened  []Webhook
	count     int
	done      []Delivery
	queue     []queued
	ready     *sync.Cond
	underway  int
	slot      time.Time // when the next may go, with WebhooksPerSecond
	gathering map[string][]gathered
	timers    map[int]*time.Timer
	lastTimer int
	client    *http.Client
	workers   sync.WaitGroup
}

type queued struct {
	Webhook
	attempt int
}

func (s *Server) startHooks() {
	n := s.opts.WebhookWorkers
	s.hooks = hooks{
		hook:      s.opts.Hook,
		ready:     sync.NewCond(&s.mu),
		gathering: make(map[string][]gathered),
		timers:    make(map[int]*time.Timer),
		client:    &http.Client{Transport: s.opts.Transport},
	}
	if s.opts.Transport == nil {
		s.hooks.client.Transport = &http.Transport{MaxIdleConnsPerHost: n}
	}
	for range n {
		s.hooks.workers.Go(s.work)
	}
}

// emit lets a webhook happen. The lock must be held.
func (s *Server) emit(command, groupID, platform string, fields reply) {
	if !s.opts.enabled(command) {
		return
	}
	fields["CallbackCommand"] = command
	s.emitRaw(command, groupID, platform, mustJSON(fields))
}

func (s *Server) emitRaw(command, groupID, platform string, body json.RawMessage) {
	s.hooks.count++
	w := Webhook{No: s.hooks.count, Command: command, GroupID: groupID, Platform: platform, ClientIP: "203.0.113.7", Body: body}
	s.hooks.happened = appendLog(s.hooks.happened, w)
	if s.hooks.holding {
		s.hooks.held = append(s.hooks.held, w)
		return
	}
	s.dispatch(w)
}

// dispatch queues the copies of a webhook that the plan wants.
func (s *Server) dispatch(w Webhook) {
	if s.hooks.hook.URL == "" {
		return
	}
	delays := []time.Duration{0}
	if s.hooks.plan != nil {
		delays = s.hooks.plan(w)
	}
	for _, d := range delays {
		if d <= 0 {
			s.enqueue(queued{Webhook: w, attempt: 1})
		} else {
			s.after(d, func() { s.enqueue(queued{Webhook: w, attempt: 1}) })
		}
	}
}

func (s *Server) enqueue(q queued) {
	s.hooks.queue = append(s.hooks.queue, q)
	s.hooks.ready.Signal()
}

// work sends webhooks until the server is closed.
func (s *Server) work() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.hooks.queue) == 0 && !s.closed {
			s.hooks.ready.Wait()
		}
		if s.closed {
			return
		}
		q := s.hooks.queue[0]
		s.hooks.queue = s.hooks.queue[1:]
		s.hooks.underway++
		hook, outage, wait := s.hooks.hook, s.outage, s.takeSlot()
		s.mu.Unlock()
		d := s.post(hook, q, outage, wait)
		s.mu.Lock()
		s.hooks.underway--
		s.hooks.done = appendLog(s.hooks.done, d)
		if d.Err != nil && q.attempt <= s.opts.WebhookRetries {
			q.attempt++
			s.enqueue(q)
		}
		s.notify()
	}
}

// takeSlot tells how long to wait for WebhooksPerSecond.
func (s *Server) takeSlot() time.Duration {
	if s.opts.WebhooksPerSecond <= 0 {
		return 0
	}
	now := time.Now()
	if s.hooks.slot.Before(now) {
		s.hooks.slot = now
	}
	wait := s.hooks.slot.Sub(now)
	s.hooks.slot = s.hooks.slot.Add(time.Second / time.Duration(s.opts.WebhooksPerSecond))
	return wait
}

// post sends one webhook as Tencent does.
func (s *Server) post(hook Hook, q queued, outage bool, wait time.Duration) Delivery {
	d := Delivery{Webhook: q.Webhook, Attempt: q.attempt}
	if outage {
		d.Err = fmt.Errorf("failed to send webhook: %w", errOutage)
		return d
	}
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.closing.Done():
		}
	}
	start := time.Now()
	var answer []byte
	d.Status, answer, d.Err = s.exchange(hook, q.Webhook)
	d.Took = time.Since(start)
	var parsed struct{ ActionStatus string }
	if d.Err == nil && json.Unmarshal(answer, &parsed) == nil {
		d.ActionStatus = parsed.ActionStatus
	}
	return d
}

// exchange posts a webhook and returns status and body of the answer.
func (s *Server) exchange(hook Hook, w Webhook) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(s.closing, s.opts.WebhookTimeout)
	defer cancel()
	target, err := url.Parse(hook.URL)
	if err != nil {
		return 0, nil, fmt.Errorf("failed to read webhook URL: %w", err)
	}
	query := target.Query()
	query.Set("SdkAppid", strconv.FormatUint(s.opts.SDKAppID, 10))
	query.Set("CallbackCommand", w.Command)
	query.Set("contenttype", "json")
	query.Set("ClientIP", w.ClientIP)
	query.Set("OptPlatform", w.Platform)
	if hook.Token != "" {
		requestTime := strconv.FormatInt(s.now().Unix(), 10)
		query.Set("RequestTime", requestTime)
		query.Set("Sign", Sign(hook.Token, requestTime))
	}
	target.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(w.Body))
	if err != nil {
		return 0, nil, fmt.Errorf("failed to make webhook: %w", err)
	}
	for name, values := range hook.Header {
		req.Header[name] = slices.Clone(values)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.hooks.client.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("failed to send webhook: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return resp.StatusCode, nil, fmt.Errorf("failed to read answer to webhook: %w", err)
	}
	return resp.StatusCode, answer, nil
}

// Sign is what Tencent puts into the query beside RequestTime (seconds): the hex SHA-256 of both. [WH-SIGN]
func Sign(token, requestTime string) string {
	sum := sha256.Sum256([]byte(token + requestTime))
	return hex.EncodeToString(sum[:])
}
