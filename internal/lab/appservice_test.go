package lab

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"
)

// pushed takes what a homeserver pushes to an application service.
type pushed struct {
	mu        sync.Mutex
	changed   chan struct{}
	events    []Event
	ephemeral []Event
}

func (p *pushed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer lab-hs-token" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	var body struct {
		Events    []Event `json:"events"`
		Ephemeral []Event `json:"ephemeral"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	p.events = append(p.events, body.Events...)
	p.ephemeral = append(p.ephemeral, body.Ephemeral...)
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
	fmt.Fprint(w, "{}")
}

// wait waits until ok is true of what was pushed.
func (p *pushed) wait(t *testing.T, ok func(events, ephemeral []Event) bool) {
	t.Helper()
	deadline := time.After(WaitTimeout)
	for {
		p.mu.Lock()
		good, changed := ok(p.events, p.ephemeral), p.changed
		p.mu.Unlock()
		if good {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("not pushed in time; %d events and %d ephemeral ones came", len(p.events), len(p.ephemeral))
		}
	}
}

func writeRegistration(t *testing.T, url string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a registration.yaml")
	require.NoError(t, os.WriteFile(path, []byte(`id: lab
url: `+url+`
as_token: lab-as-token
hs_token: lab-hs-token
sender_localpart: lab_sender
rate_limited: false
receive_ephemeral: true
de.sorunome.msc2409.push_ephemeral: true
namespaces:
  users: [{regex: '@lab_.*:localhost', exclusive: true}]
  aliases: []
  rooms: []
`), 0o600))
	return path
}

// What bridge/matrix builds on: events are pushed by both, receipts by Synapse alone; a ghost's receipt reaches people;
// /sync works for a service's user on both, but on Synapse not for sender_localpart.
func TestAppService(t *testing.T) {
	onEach(t, func(t *testing.T, kind Kind) {
		ctx := t.Context()
		service := &pushed{changed: make(chan struct{})}
		server := httptest.NewServer(service)
		defer server.Close()
		hs := Run(t, kind, Options{AppServices: []string{writeRegistration(t, server.URL)}})

		bot := hs.AppServiceUser("lab-as-token", "@lab_bot:localhost")
		ghost := hs.AppServiceUser("lab-as-token", "@lab_ghost:localhost")
		require.NoError(t, bot.RegisterGhost(ctx, "lab_bot"))
		require.NoError(t, ghost.RegisterGhost(ctx, "lab_ghost"))
		alice, bob, aliceSees, bobSees, room := twoInARoom(t, hs)
		for _, u := range []*User{bot, ghost} {
			require.NoError(t, alice.Invite(ctx, room, u.ID))
			require.NoError(t, u.Join(ctx, room))
		}
		botSees := NewWatcher(t, bot)
		require.Equal(t, "join", botSees.Members(room)[bot.ID])

		event, err := alice.SendText(ctx, room, "to the service")
		require.NoError(t, err)
		service.wait(t, func(events, _ []Event) bool { return has(events, event) })

		require.NoError(t, ghost.Receipt(ctx, room, event))
		_, err = aliceSees.WaitReceipt(ctx, room, ghost.ID, event)
		require.NoError(t, err)
		_, err = bobSees.WaitReceipt(ctx, room, ghost.ID, event)
		require.NoError(t, err)

		require.NoError(t, bob.Receipt(ctx, room, event))
		_, err = botSees.WaitReceipt(ctx, room, bob.ID, event)
		require.NoError(t, err)
		isBobs := func(events []Event) bool {
			for _, e := range events {
				for _, r := range parseReceipts(e.Content) {
					if r.User == bob.ID && r.Event == event {
						return true
					}
				}
			}
			return false
		}
		if kind == Synapse {
			service.wait(t, func(_, ephemeral []Event) bool { return isBobs(ephemeral) })
		} else {
			// By the time a later event is pushed, a receipt would have been.
			later, err := alice.SendText(ctx, room, "later")
			require.NoError(t, err)
			service.wait(t, func(events, _ []Event) bool { return has(events, later) })
			service.wait(t, func(_, ephemeral []Event) bool { return len(ephemeral) == 0 })
		}

		var refusal *HTTPError
		if kind == Synapse {
			_, err = hs.AppServiceUser("lab-as-token", "").Watch(ctx)
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, http.StatusInternalServerError, refusal.Status)
		}
		err = hs.AppServiceUser("lab-as-token", "@alice:localhost").Receipt(ctx, room, event)
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, http.StatusForbidden, refusal.Status, "outside of the namespace")
	})
}

func has(events []Event, event id.EventID) bool {
	for _, e := range events {
		if e.ID == event {
			return true
		}
	}
	return false
}
