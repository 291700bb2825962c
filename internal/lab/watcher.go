package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"
)

// WaitTimeout is how long a wait of a [Watcher] or a [JSClient] lasts when its context has no deadline.
const WaitTimeout = 30 * time.Second

// timelineLimit is how many events of a room one answer to /sync brings. Of a burst larger than that between two answers
// a watcher sees only the last ones.
const timelineLimit = 1000

// Event is an event as a client sees it in /sync.
type Event struct {
	ID       id.EventID      `json:"event_id"`
	Type     string          `json:"type"`
	Sender   id.UserID       `json:"sender"`
	StateKey *string         `json:"state_key"`
	Content  json.RawMessage `json:"content"`
	Redacts  id.EventID      `json:"redacts"`
	// Timestamp is when the homeserver made it, in milliseconds.
	Timestamp int64 `json:"origin_server_ts"`
}

// Body returns the text of a message, "" if there is none.
func (e Event) Body() string {
	var content struct {
		Body string `json:"body"`
	}
	_ = json.Unmarshal(e.Content, &content) // a strange content has no text
	return content.Body
}

// Receipt is a receipt as a client sees it in /sync.
type Receipt struct {
	User   id.UserID
	Event  id.EventID
	Type   string // "m.read", or "m.read.private" (one's own only)
	Thread string // "", "main" or the event ID of a thread's root
	At     time.Time
}

// Watcher is a user's client that stands there with an open /sync and remembers everything it is told from its start
// on: what other people see of what timbridge does. It goes on through restarts of the homeserver. Close ends it.
// It is safe for concurrent use.
type Watcher struct {
	user   *User
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever something below changes
	rooms   map[id.RoomID]*watchedRoom
	lastErr error // of the last /sync, nil if it went well
}

type watchedRoom struct {
	events      []Event
	members     map[id.UserID]string
	receipts    []Receipt
	unread      int
	accountData map[string]json.RawMessage
}

// Watch starts a watcher for this user. It returns after the first, complete answer to /sync. ctx bounds only that.
func (u *User) Watch(ctx context.Context) (*Watcher, error) {
	w := &Watcher{user: u, done: make(chan struct{}), changed: make(chan struct{}), rooms: map[id.RoomID]*watchedRoom{}}
	since, err := w.sync(ctx, "", 0)
	if err != nil {
		return nil, fmt.Errorf("failed to start watching as %s: %w", u.ID, err)
	}
	loop, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w.cancel = cancel
	go w.loop(loop, since)
	return w, nil
}

// Close ends the watcher and waits for its end. Closing twice is fine.
func (w *Watcher) Close() {
	w.cancel()
	<-w.done
}

func (w *Watcher) loop(ctx context.Context, since string) {
	defer close(w.done)
	for ctx.Err() == nil {
		next, err := w.sync(ctx, since, 20*time.Second)
		w.mu.Lock()
		w.lastErr = err
		w.mu.Unlock()
		if err == nil {
			since = next
		} else if sleep(ctx, 4*pollInterval) != nil { // the homeserver may be restarting
			return
		}
	}
}

// sync asks once and takes in the answer.
func (w *Watcher) sync(ctx context.Context, since string, timeout time.Duration) (next string, err error) {
	query := url.Values{
		"timeout":      {fmt.Sprint(timeout.Milliseconds())},
		"set_presence": {"offline"},
		"filter":       {fmt.Sprintf(`{"room":{"timeline":{"limit":%d}},"presence":{"not_types":["*"]}}`, timelineLimit)},
	}
	if since != "" {
		query.Set("since", since)
	}
	var answer syncAnswer
	if err = w.user.Do(ctx, http.MethodGet, "/_matrix/client/v3/sync", query, nil, &answer); err != nil {
		return "", fmt.Errorf("failed to sync: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.take(answer)
	close(w.changed)
	w.changed = make(chan struct{})
	return answer.NextBatch, nil
}

// room returns what is known of a room. The lock must be held.
func (w *Watcher) room(room id.RoomID) *watchedRoom {
	r := w.rooms[room]
	if r == nil {
		r = &watchedRoom{members: map[id.UserID]string{}, accountData: map[string]json.RawMessage{}}
		w.rooms[room] = r
	}
	return r
}

// Receipts returns, per user, the event of the receipt that came last (m.read, of any thread).
func (w *Watcher) Receipts(room id.RoomID) map[id.UserID]id.EventID {
	latest := map[id.UserID]id.EventID{}
	for _, r := range w.ReceiptLog(room) {
		if r.Type == "m.read" {
			latest[r.User] = r.Event
		}
	}
	return latest
}

// ReceiptLog returns every receipt that came, in the order in which they came.
func (w *Watcher) ReceiptLog(room id.RoomID) []Receipt {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.room(room).receipts)
}

// Events returns every event that came in a room's timeline, in that order.
func (w *Watcher) Events(room id.RoomID) []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.room(room).events)
}

// Members returns the last known membership of everybody ("join", "invite", "leave", "ban", "knock").
func (w *Watcher) Members(room id.RoomID) map[id.UserID]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.room(room).members)
}

// Unread returns the number of unread notifications as the homeserver counts them for this user. Build no test on it with
// Dendrite 0.15.2: it counts the invitation too, in the background, and was seen to stay above 0 after a receipt.
func (w *Watcher) Unread(room id.RoomID) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.room(room).unread
}

// AccountData returns the content of a piece of the user's own data in a room (m.fully_read, say), nil if there is none.
func (w *Watcher) AccountData(room id.RoomID, eventType string) json.RawMessage {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.room(room).accountData[eventType])
}
