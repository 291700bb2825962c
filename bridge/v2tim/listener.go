package v2tim

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The names of pushed events; all but EventResync are V2TIM's.
const (
	EventConnectSuccess = "onConnectSuccess"
	EventReadReceipts   = "onRecvMessageReadReceipts"
	EventNewMessage     = "onRecvNewMessage"
	EventUserSigExpired = "onUserSigExpired" // then the connection ends
	EventResync         = "resync"           // what was missed is not known: ask getMessageReadReceipts
)

const (
	maxCursor      = 256  // bytes
	eventBatch     = 200  // items asked for in one Read
	maxPending     = 1000 // receipts held back before reading pauses
	readsPerWindow = 10   // while woken all the time
)

// Event is one pushed frame. Cursor stands after everything delivered so far: who
// connects with it gets all that came later. What came in the last moments may be
// repeated, nothing is left out; a message is known again by its msgID, and a
// count never falls.
type Event struct {
	Event       string           `json:"event"`
	Cursor      string           `json:"cursor"`
	ReceiptList []MessageReceipt `json:"receiptList,omitempty"`
	Message     *NewMessage      `json:"message,omitempty"`
}

// errEventsEnded says that the source of events has closed its wake-up channel.
var errEventsEnded = errors.New("the source of events has ended")

// listener turns a user's events into frames. New messages go out as they come.
// Receipts go out at once when none did for a window, else they wait for its end
// and only the latest counts of each message are sent. One goroutine owns it.
type listener struct {
	user   string
	events Events
	window time.Duration
	send   func(ctx context.Context, e Event) error

	// read stands after all that was read, sent after all that was delivered:
	// while receipts are held back it stays where the oldest of them was still to
	// come.
	read, sent string
	pending    []MessageReceipt
	index      map[string]int // place in pending by msgID
	resynced   bool           // by the read before: twice in a row is a fault
}

// run serves until ctx ends, send fails or there are no events any more, and says
// which. cursor "" means from now on.
func (l *listener) run(ctx context.Context, cursor string) error {
	// Subscribed before anything is read: what comes in between is found or wakes.
	wake, cancel := l.events.Subscribe(l.user)
	defer cancel()
	l.index = make(map[string]int)
	if cursor == "" {
		now, err := l.events.Now(ctx)
		if err != nil {
			return fmt.Errorf("failed to get cursor: %w", err)
		}
		cursor = now
	}
	l.read, l.sent = cursor, cursor
	if err := l.send(ctx, Event{Event: EventConnectSuccess, Cursor: cursor}); err != nil {
		return err
	}

	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var nextRead, nextFlush time.Time
	for hungry := true; ; {
		now := time.Now()
		// Reads have a small distance, so that a storm of wake-ups is a few reads.
		if hungry && len(l.pending) < maxPending && !now.Before(nextRead) {
			more, err := l.pull(ctx)
			if err != nil {
				return err
			}
			hungry = more
			if !more {
				nextRead = now.Add(l.window / readsPerWindow)
			}
		}
		if len(l.pending) > 0 && !now.Before(nextFlush) {
			if err := l.flush(ctx); err != nil {
				return err
			}
			nextFlush = time.Now().Add(l.window)
		}
		timer.Reset(l.pause(hungry, nextRead, nextFlush))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case _, open := <-wake:
			if !open {
				return errEventsEnded
			}
			hungry = true
		case <-timer.C:
		}
	}
}

// pause is how long there is nothing to do unless woken.
func (l *listener) pause(hungry bool, nextRead, nextFlush time.Time) time.Duration {
	d := time.Hour
	if hungry && len(l.pending) < maxPending {
		d = time.Until(nextRead)
	}
	if len(l.pending) > 0 {
		d = min(d, time.Until(nextFlush))
	}
	return max(d, 0)
}

// pull reads one batch, sends its messages and holds its receipts back.
func (l *listener) pull(ctx context.Context) (more bool, err error) {
	batch, err := l.events.Read(ctx, l.user, l.read, eventBatch)
	if errors.Is(err, ErrCursorTooOld) && !l.resynced {
		return true, l.resync(ctx)
	}
	if err != nil {
		return false, fmt.Errorf("failed to read events: %w", err)
	}
	l.resynced = false
	l.read = batch.Cursor
	for _, r := range batch.Receipts {
		if i, ok := l.index[r.MsgID]; ok {
			l.pending[i] = r
			continue
		}
		l.index[r.MsgID] = len(l.pending)
		l.pending = append(l.pending, r)
	}
	for i := range batch.Messages {
		if i == len(batch.Messages)-1 && len(l.pending) == 0 {
			l.sent = l.read
		}
		if err = l.send(ctx, Event{Event: EventNewMessage, Cursor: l.sent, Message: &batch.Messages[i]}); err != nil {
			return false, err
		}
	}
	if len(l.pending) == 0 {
		l.sent = l.read
	}
	return batch.More, nil
}

// flush sends the receipts held back.
func (l *listener) flush(ctx context.Context) error {
	l.sent = l.read
	list := l.pending
	l.pending = nil
	clear(l.index)
	return l.send(ctx, Event{Event: EventReadReceipts, Cursor: l.sent, ReceiptList: list})
}

// resync tells the client that events are missing and goes on from now.
func (l *listener) resync(ctx context.Context) error {
	l.resynced = true
	now, err := l.events.Now(ctx)
	if err != nil {
		return fmt.Errorf("failed to get cursor: %w", err)
	}
	l.read, l.sent, l.pending = now, now, nil
	clear(l.index)
	return l.send(ctx, Event{Event: EventResync, Cursor: now})
}
