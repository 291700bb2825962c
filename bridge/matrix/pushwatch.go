package matrix

import (
	"sync"
	"time"

	"maunium.net/go/mautrix/id"
)

const (
	// maxPushed bounds the pushed receipts remembered, some 3 MB.
	maxPushed = 20_000
	// maxWaiting bounds the receipts of /sync whose push is waited for; one is evidence enough.
	maxWaiting = 100
)

// pushWatch finds out whether the homeserver pushes receipts, by comparing what comes on both ways.
// A receipt that came by /sync and was not pushed within grace says no, any pushed one says yes.
type pushWatch struct {
	grace, keep time.Duration

	mu      sync.Mutex
	state   PushState
	pushed  map[receiptKey]time.Time
	waiting map[receiptKey]time.Time
	// blindUntil is set when more was pushed than is remembered: until then /sync proves nothing.
	blindUntil time.Time
}

type receiptKey struct {
	room  id.RoomID
	user  id.UserID
	event id.EventID
}

func keyOf(r Receipt) receiptKey {
	return receiptKey{room: r.RoomID, user: r.UserID, event: r.EventID}
}

// newPushWatch makes a watch that remembers pushed receipts for keep.
func newPushWatch(grace, keep time.Duration) pushWatch {
	return pushWatch{
		grace:   grace,
		keep:    keep,
		pushed:  make(map[receiptKey]time.Time),
		waiting: make(map[receiptKey]time.Time),
	}
}

// current returns the state.
func (w *pushWatch) current() PushState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// sawPush takes the receipts of a transaction and tells whether the state changed.
func (w *pushWatch) sawPush(receipts []Receipt, now time.Time) (changed bool) {
	if len(receipts) == 0 {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pushed)+len(receipts) > maxPushed {
		w.forgetOld(now)
	}
	for _, receipt := range receipts {
		key := keyOf(receipt)
		delete(w.waiting, key)
		if len(w.pushed) >= maxPushed {
			clear(w.pushed)
			w.blindUntil = now.Add(w.keep)
		}
		w.pushed[key] = now
	}
	changed = w.state != PushYes
	w.state = PushYes
	return changed
}

func (w *pushWatch) forgetOld(now time.Time) {
	for key, at := range w.pushed {
		if now.Sub(at) > w.keep {
			delete(w.pushed, key)
		}
	}
}

// sawSync takes the receipts that came by /sync just after they were made (not those of a catch-up).
func (w *pushWatch) sawSync(receipts []Receipt, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state == PushNo || now.Before(w.blindUntil) {
		return
	}
	for _, receipt := range receipts {
		key := keyOf(receipt)
		if at, ok := w.pushed[key]; ok && now.Sub(at) <= w.keep {
			continue
		}
		if _, ok := w.waiting[key]; !ok && len(w.waiting) < maxWaiting {
			w.waiting[key] = now
		}
	}
}

// settle looks for receipts whose push has not come in time, and tells whether the state changed.
func (w *pushWatch) settle(now time.Time) (changed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, since := range w.waiting {
		if now.Sub(since) >= w.grace {
			clear(w.waiting)
			changed = w.state != PushNo
			w.state = PushNo
			return changed
		}
	}
	return false
}

// undecided tells whether a push is being waited for.
func (w *pushWatch) undecided() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waiting) > 0
}
