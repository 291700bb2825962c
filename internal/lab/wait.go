package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"maunium.net/go/mautrix/id"
)

// errNotYet makes a wait go on.
var errNotYet = errors.New("not yet")

// wait returns when check returns nil, at the latest when ctx or WaitTimeout is over. check is called with the lock held,
// whenever something came; what it says at the end tells how far things had got.
func (w *Watcher) wait(ctx context.Context, what string, check func() error) error {
	ctx, cancel := withWaitTimeout(ctx)
	defer cancel()
	for {
		w.mu.Lock()
		err, changed, syncErr := check(), w.changed, w.lastErr
		w.mu.Unlock()
		if err == nil {
			return nil
		}
		select {
		case <-changed:
		case <-w.done:
			return fmt.Errorf("failed to wait as %s for %s: the watcher was closed", w.user.ID, what)
		case <-ctx.Done():
			err = fmt.Errorf("failed to wait as %s for %s: %w (%w)", w.user.ID, what, ctx.Err(), err)
			if syncErr != nil {
				err = fmt.Errorf("%w; the last /sync failed: %w", err, syncErr)
			}
			return err
		}
	}
}

// WaitReceipt waits until a public receipt of user on event came, or returns at once if it came before, even if the user
// has a later one by now. Where markers are coalesced, wait for the last event.
func (w *Watcher) WaitReceipt(ctx context.Context, room id.RoomID, user id.UserID, event id.EventID) (Receipt, error) {
	return w.WaitReceiptFunc(ctx, room, fmt.Sprintf("receipt of %s on %s", user, event), func(r Receipt) bool {
		return r.User == user && r.Event == event && r.Type == "m.read"
	})
}

// WaitReceiptFunc waits for the first receipt, of those that came and will come, for which ok is true. what is for the
// error. ok must not call the watcher.
func (w *Watcher) WaitReceiptFunc(ctx context.Context, room id.RoomID, what string, ok func(Receipt) bool) (found Receipt, err error) {
	err = w.wait(ctx, what, func() error {
		receipts := w.room(room).receipts
		if i := slices.IndexFunc(receipts, ok); i >= 0 {
			found = receipts[i]
			return nil
		}
		return fmt.Errorf("%w: %d receipts came: %v", errNotYet, len(receipts), lastFew(receipts))
	})
	return found, err
}

// WaitEvent waits until the event came in the room's timeline.
func (w *Watcher) WaitEvent(ctx context.Context, room id.RoomID, event id.EventID) (Event, error) {
	return w.WaitEventFunc(ctx, room, "event "+string(event), func(e Event) bool { return e.ID == event })
}

// WaitText waits for a message with this text.
func (w *Watcher) WaitText(ctx context.Context, room id.RoomID, body string) (Event, error) {
	return w.WaitEventFunc(ctx, room, fmt.Sprintf("message %q", body), func(e Event) bool {
		return e.Type == "m.room.message" && e.Body() == body
	})
}

// WaitEventFunc waits for the first event, of those that came and will come, for which ok is true. what is for the error.
// ok must not call the watcher.
func (w *Watcher) WaitEventFunc(ctx context.Context, room id.RoomID, what string, ok func(Event) bool) (found Event, err error) {
	err = w.wait(ctx, what, func() error {
		events := w.room(room).events
		if i := slices.IndexFunc(events, ok); i >= 0 {
			found = events[i]
			return nil
		}
		return fmt.Errorf("%w: %d events came", errNotYet, len(events))
	})
	return found, err
}

// WaitMember waits until the user's membership is this one: "join", "invite", "leave", "ban".
func (w *Watcher) WaitMember(ctx context.Context, room id.RoomID, user id.UserID, membership string) error {
	return w.wait(ctx, fmt.Sprintf("%s of %s", membership, user), func() error {
		if now := w.room(room).members[user]; now != membership {
			return fmt.Errorf("%w: it is %q", errNotYet, now)
		}
		return nil
	})
}

// WaitUnread waits until the homeserver counts n unread notifications for the watching user. For Synapse alone, see
// Unread.
func (w *Watcher) WaitUnread(ctx context.Context, room id.RoomID, n int) error {
	return w.wait(ctx, fmt.Sprintf("%d unread", n), func() error {
		if now := w.room(room).unread; now != n {
			return fmt.Errorf("%w: it is %d", errNotYet, now)
		}
		return nil
	})
}

// withWaitTimeout gives ctx an end if it has none.
func withWaitTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, bounded := ctx.Deadline(); bounded {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, WaitTimeout)
}

func lastFew(receipts []Receipt) []Receipt { return receipts[max(0, len(receipts)-5):] }
