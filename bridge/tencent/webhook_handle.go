package tencent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"runtime/debug"

	"github.com/rs/zerolog"
)

// event decodes a webhook; ok is false where nothing is to be done.
func (w *Webhooks) event(ctx context.Context, query url.Values, body []byte) (event Event, ok bool) {
	command := query.Get("CallbackCommand")
	if command != "" && newEvent(command) == nil {
		w.stats.ignored.Add(1)
		return nil, false
	}
	var head struct {
		CallbackCommand string
		GroupEvent
	}
	if err := json.Unmarshal(body, &head); err != nil {
		w.stats.malformed.Add(1)
		w.report(ctx, command, err)
		return nil, false
	}
	if command == "" {
		command = head.CallbackCommand
	}
	if command == "" || (head.CallbackCommand != "" && head.CallbackCommand != command) {
		w.stats.malformed.Add(1)
		w.report(ctx, command, errNotCommand)
		return nil, false
	}
	if event = newEvent(command); event == nil {
		w.stats.ignored.Add(1)
		return nil, false
	}
	if err := head.check(); err != nil {
		w.stats.malformed.Add(1)
		w.report(ctx, command, err)
		return nil, false
	}
	_, created := event.(*GroupCreated)
	if !(created && w.cfg.NewGroups) && !w.intake.Linked(head.GroupId) {
		w.stats.unlinked.Add(1)
		return nil, false
	}
	if err := decodeEvent(body, event); err != nil {
		w.stats.malformed.Add(1)
		w.report(ctx, command, err)
		return nil, false
	}
	return event, true
}

// report logs a webhook that cannot be used. It is answered OK all the same: it would not be better
// the next time.
func (w *Webhooks) report(ctx context.Context, command string, err error) {
	w.unreadable.Do(func() {
		zerolog.Ctx(ctx).Warn().Err(err).Str("command", cut(command, 64)).Msg("Dropped a webhook that cannot be read")
	})
}

func (w *Webhooks) drop(ctx context.Context, event Event) {
	w.stats.dropped.Add(1)
	w.dropped.Do(func() {
		zerolog.Ctx(ctx).Warn().Str("group_id", event.Group()).Msg("Too many webhooks at a time, dropped one")
	})
}

// handle hands an event to the intake, on a slot that the caller has taken, and reports its error once.
func (w *Webhooks) handle(ctx context.Context, event Event) <-chan error {
	result := make(chan error, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		<-w.slots
		w.stats.failed.Add(1)
		result <- errClosed
		return result
	}
	w.running.Add(1)
	// The work goes on when Tencent no longer waits: what is stored need not be caught up with.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.cfg.HandleWithin)
	go func() {
		defer w.running.Done()
		defer cancel()
		defer func() { <-w.slots }()
		err := w.handOver(ctx, event)
		if err != nil {
			w.stats.failed.Add(1)
			w.failing.Do(func() {
				zerolog.Ctx(ctx).Error().Err(err).Str("group_id", event.Group()).Msg("Failed to store what a webhook told")
			})
		} else {
			w.stats.handled.Add(1)
		}
		result <- err
	}()
	return result
}

var errClosed = errors.New("the endpoint is closed")

// handOver calls the intake; a panic there becomes an error: one odd event must not end the process.
func (w *Webhooks) handOver(ctx context.Context, event Event) (err error) {
	defer func() {
		if value := recover(); value != nil {
			zerolog.Ctx(ctx).Error().Any("panic", value).Bytes("stack", debug.Stack()).Msg("Intake panicked")
			err = fmt.Errorf("panic in the intake: %v", value)
		}
	}()
	return w.intake.HandleEvent(ctx, event)
}
