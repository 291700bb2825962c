package chaos

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/internal/lab"
)

// realHomeserver is a Synapse or a Dendrite. What it has come to is what the first user's client was told.
type realHomeserver struct {
	w    *world
	kind lab.Kind
	port int
	lab  *lab.Homeserver

	mu       sync.Mutex
	first    *lab.User // the first user, who is in all rooms
	eyes     *lab.Watcher
	history  map[id.RoomID][]lab.Event // as last fetched
	order    [orders]map[id.EventID]int64
	redacted map[id.EventID]bool
	late     map[id.EventID]bool // handed over after what came later
	skipped  map[id.EventID]bool // not handed over, though what came later was
	before   map[id.EventID]bool // events from before timbridge was to be told of them

	// oneAtATime spares Dendrite on SQLite, which gives up when it has much to do at a time.
	oneAtATime sync.Mutex
}

// In which orders events may stand.
const (
	told   = iota // in which timbridge answered that it had them
	tried         // in which it was first told of them: it may have been killed before it answered
	inRoom        // the room's own: timbridge looks for what it was not told of
	orders
)

func newRealHomeserver(w *world) *realHomeserver {
	lab.Require(w.t, w.kind.real)
	hs := &realHomeserver{
		w: w, kind: w.kind.real, port: freePort(w.t), redacted: make(map[id.EventID]bool),
		late: make(map[id.EventID]bool), skipped: make(map[id.EventID]bool),
		before: make(map[id.EventID]bool), history: make(map[id.RoomID][]lab.Event),
	}
	for i := range orders {
		hs.order[i] = make(map[id.EventID]int64)
	}
	return hs
}

// withoutURL has a registration say that nothing is to be pushed. With "" Synapse tries to.
func withoutURL(registration string) string {
	return strings.Replace(registration, `url: ""`, "url: null", 1)
}

func (hs *realHomeserver) URL() string { return local(hs.port) }

func (hs *realHomeserver) Close() {
	if hs.eyes != nil {
		hs.eyes.Close()
	}
}

// start starts a real homeserver, which reads its application services at its start.
func (hs *realHomeserver) start(t *testing.T, registrations []*appservice.Registration) {
	dir := t.TempDir()
	opts := lab.Options{Port: hs.port}
	for _, reg := range registrations {
		text, err := reg.YAML()
		require.NoError(t, err)
		if reg.URL == "" {
			text = withoutURL(text)
		}
		path := filepath.Join(dir, reg.ID+".yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		opts.AppServices = append(opts.AppServices, path)
	}
	hs.lab = lab.Run(t, hs.kind, opts)
}

// User registers somebody. The first one's client watches.
func (hs *realHomeserver) User(localpart string) *matrixUser {
	u, err := hs.lab.RegisterUser(hs.w.t.Context(), localpart)
	require.NoError(hs.w.t, err)
	if hs.eyes == nil {
		hs.first = u
		hs.eyes, err = u.Watch(hs.w.t.Context())
		require.NoError(hs.w.t, err)
	}
	return &matrixUser{ID: u.ID, matrixClient: &realUser{u, hs}}
}

// fetch reads a room's whole history: killed at the wrong moment Dendrite never tells in /sync of an event that it has.
func (hs *realHomeserver) fetch(ctx context.Context, room id.RoomID) error {
	var page struct {
		Chunk []lab.Event `json:"chunk"`
		End   string      `json:"end"`
	}
	var events []lab.Event
	path := "/_matrix/client/v3/rooms/" + url.PathEscape(string(room)) + "/messages"
	for query := (url.Values{"dir": {"b"}, "limit": {"500"}}); ; query.Set("from", page.End) {
		page.Chunk, page.End = nil, ""
		if err := hs.first.Do(ctx, http.MethodGet, path, query, nil, &page); err != nil {
			return fmt.Errorf("failed to read the history of %s: %w", room, err)
		}
		events = append(events, page.Chunk...)
		if len(page.Chunk) == 0 || page.End == "" {
			break
		}
	}
	slices.Reverse(events)
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.history[room] = events
	return nil
}

// look reads what the watcher was told of a room, and what else is known of it, in the room's order.
func (hs *realHomeserver) look(room id.RoomID) (events []lab.Event) {
	all := hs.eyes.Events(room)
	hs.mu.Lock()
	defer hs.mu.Unlock()
	all = append(all, hs.history[room]...)
	seen := make(map[id.EventID]bool, len(all))
	var last [orders]int64
	for _, ev := range all {
		if seen[ev.ID] {
			continue
		}
		seen[ev.ID] = true
		events = append(events, ev)
		// What timbridge is never told of (redactions, by Dendrite) stands after what it came after.
		first, answered := hs.w.handedOver(string(ev.ID))
		for i, n := range [orders]int{answered, first, len(events)} {
			if last[i]++; n > 0 {
				last[i] = int64(n) * 1000
			}
			hs.order[i][ev.ID] = last[i]
		}
		if target := redacts(ev); target != "" {
			hs.redacted[target] = true
		}
	}
	next := [orders]int64{math.MaxInt64, math.MaxInt64, math.MaxInt64}
	for _, ev := range slices.Backward(events) {
		_, answered := hs.w.handedOver(string(ev.ID))
		hs.skipped[ev.ID], hs.late[ev.ID] = answered == 0 && next[told] < math.MaxInt64, false
		for i := range orders {
			at := hs.order[i][ev.ID]
			hs.late[ev.ID] = hs.late[ev.ID] || at > next[i]
			if !hs.skipped[ev.ID] {
				next[i] = min(next[i], at)
			}
		}
	}
	for i := range events {
		if hs.redacted[events[i].ID] {
			events[i].Content = json.RawMessage(`{}`)
		}
	}
	return events
}

func redacts(ev lab.Event) id.EventID {
	if ev.Type != "m.room.redaction" {
		return ""
	}
	var content struct {
		Redacts id.EventID `json:"redacts"`
	}
	_ = json.Unmarshal(ev.Content, &content)
	return cmp.Or(ev.Redacts, content.Redacts)
}

func (hs *realHomeserver) Timeline(room id.RoomID) (list []matrixtest.Event) {
	for _, ev := range hs.look(room) {
		if ev.StateKey == nil {
			list = append(list, matrixtest.Event{ID: ev.ID, Sender: ev.Sender, Type: ev.Type, Content: ev.Content, TS: ev.Timestamp})
		}
	}
	slices.SortStableFunc(list, func(a, b matrixtest.Event) int { return cmp.Compare(hs.place(a.ID), hs.place(b.ID)) })
	return list
}

func (hs *realHomeserver) MemberChanges(room id.RoomID) (list []matrixtest.MemberChange) {
	for _, ev := range hs.look(room) {
		if ev.Type == "m.room.member" && ev.StateKey != nil {
			var content struct {
				Membership string `json:"membership"`
			}
			_ = json.Unmarshal(ev.Content, &content)
			list = append(list, matrixtest.MemberChange{Event: ev.ID, User: id.UserID(*ev.StateKey), Membership: content.Membership, At: time.UnixMilli(ev.Timestamp)})
		}
	}
	return list
}

// Members asks the homeserver: what /sync says of who is in a room was seen to be out of date for good (Synapse 1.160.0, ended while
// somebody left). While it is away, that has to do.
func (hs *realHomeserver) Members(room id.RoomID) (list []id.UserID) {
	list, err := hs.first.JoinedMembers(hs.w.t.Context(), room)
	if err == nil {
		return list
	}
	for user, membership := range hs.eyes.Members(room) {
		if membership == "join" {
			list = append(list, user)
		}
	}
	slices.Sort(list)
	return list
}

func (hs *realHomeserver) Membership(room id.RoomID, user id.UserID) string {
	if slices.Contains(hs.Members(room), user) {
		return "join"
	}
	return "leave"
}

// Receipts are the last ones of everybody, type and thread.
func (hs *realHomeserver) Receipts(room id.RoomID) (list []matrixtest.Receipt) {
	type key struct {
		user         id.UserID
		kind, thread string
	}
	last := make(map[key]id.EventID)
	for _, r := range hs.eyes.ReceiptLog(room) {
		last[key{r.User, r.Type, r.Thread}] = r.Event
	}
	for k, event := range last {
		list = append(list, matrixtest.Receipt{User: k.user, Event: event, Type: k.kind, Thread: k.thread})
	}
	slices.SortFunc(list, func(a, b matrixtest.Receipt) int {
		return strings.Compare(string(a.User)+a.Type+a.Thread, string(b.User)+b.Type+b.Thread)
	})
	return list
}

func (hs *realHomeserver) Redacted(event id.EventID) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return hs.redacted[event]
}

func (hs *realHomeserver) place(event id.EventID) int64 { return hs.places(event)[told] }

func (hs *realHomeserver) places(event id.EventID) []int64 {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := make([]int64, orders)
	for i := range orders {
		list[i] = hs.order[i][event]
	}
	return list
}

// tooLate tells whether timbridge was told of an event after others that came later in the room. Dendrite does so when it was stopped in
// the middle of telling.
func (hs *realHomeserver) tooLate(event id.EventID) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return hs.late[event]
}

// isOwn tells whether timbridge sent it. What it sent itself it may be told of or not: its own stores say what it waits for.
func isOwn(user id.UserID) bool {
	return strings.HasPrefix(string(user), "@"+ghostPrefix) || user == botMXID
}

// missing are the events of people that timbridge has still to be told of.
func (hs *realHomeserver) missing() (list []string) {
	for _, g := range hs.w.groups {
		for _, ev := range hs.look(g.room) {
			_, answered := hs.w.handedOver(string(ev.ID))
			heard := hs.before[ev.ID] || answered > 0
			hs.mu.Lock()
			// Killed while it tells, Synapse does not know that it has; it tells again when it next fails to, if ever.
			heard = heard || hs.kind == lab.Synapse && hs.skipped[ev.ID]
			hs.mu.Unlock()
			unheard := hs.kind == lab.Dendrite && ev.Type == "m.room.redaction" // Dendrite never pushes them (0.15.2)
			if !heard && !unheard && !isOwn(ev.Sender) {
				list = append(list, fmt.Sprintf("%s (%s of %s)", ev.ID, ev.Type, ev.Sender))
			}
		}
	}
	return list
}

func (hs *realHomeserver) underWay() string {
	if list := hs.missing(); len(list) > 0 {
		return fmt.Sprint("transactions with ", list[:min(len(list), 3)])
	}
	return ""
}

// begins notes which events timbridge need not be told of any more: from before it was in the rooms.
func (hs *realHomeserver) begins() {
	for _, g := range hs.w.groups {
		for _, ev := range hs.look(g.room) {
			hs.before[ev.ID] = true
		}
	}
}
