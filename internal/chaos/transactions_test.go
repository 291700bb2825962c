package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/appservice"

	"github.com/timbridge/timbridge/bridge"
	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix"
)

// registrations are those of timbridge and of double puppeting.
func (w *world) registrations() []*appservice.Registration {
	cfg, err := config.Default()
	require.NoError(w.t, err)
	cfg.Homeserver.Domain = domain
	cfg.AppService.ASToken, cfg.AppService.HSToken = "as-token", "hs-token"
	cfg.AppService.Bot.Username, cfg.AppService.UsernameTemplate = "timbot", ghostPrefix+"{{.}}"
	cfg.AppService.Address = w.toBridge.URL()
	own, err := bridge.Registration(cfg)
	require.NoError(w.t, err)
	puppet, err := matrix.NewDoublePuppetRegistration("puppet", domain, puppetToken)
	require.NoError(w.t, err)
	return []*appservice.Registration{own, puppet}
}

// transactions keeps what a homeserver pushed, to push it again.
type transactions struct {
	mu    sync.Mutex
	kept  []transaction
	taken map[string]time.Time // event IDs in transactions that were answered 200, when first
	order map[string]int       // the same, in which order from 1 on
	tried map[string]int       // event IDs in transactions that came as far as timbridge, answered or not; likewise
	count atomic.Int64
}

type transaction struct {
	uri    string
	header http.Header
	body   []byte
}

// keptTransactions is how many may be pushed again.
const keptTransactions = 50

// transactionTaken keeps what was answered 200.
func (w *world) transactionTaken(r *http.Request, body []byte, status int) {
	if !strings.Contains(r.URL.Path, "/transactions/") || status != http.StatusOK {
		return
	}
	var txn struct {
		pushedEvents
		Ephemeral []pushedReceipts `json:"ephemeral"`
	}
	_ = json.Unmarshal(body, &txn)
	now := time.Now()
	w.txns.mu.Lock()
	for _, ev := range txn.Events {
		if _, ok := w.txns.taken[ev.ID]; !ok {
			w.txns.taken[ev.ID] = now
			w.txns.order[ev.ID] = len(w.txns.order) + 1
		}
	}
	w.txns.kept = append(w.txns.kept, transaction{uri: r.URL.RequestURI(), header: r.Header.Clone(), body: bytes.Clone(body)})
	if n := len(w.txns.kept); n > keptTransactions {
		w.txns.kept = w.txns.kept[n-keptTransactions:]
	}
	w.txns.mu.Unlock()
	for _, rs := range txn.Ephemeral {
		w.ledger.pushed(rs)
	}
}

// pushedReceipts is an m.receipt event of a transaction.
type pushedReceipts struct {
	RoomID  string                                        `json:"room_id"`
	Content map[string]map[string]map[string]pushedReader `json:"content"` // by event, type and user
}

type pushedReader struct{}

// takenAt is when timbridge had certainly taken an event; the zero time if never.
func (w *world) takenAt(event string) time.Time {
	w.txns.mu.Lock()
	defer w.txns.mu.Unlock()
	return w.txns.taken[event]
}

// handedOver is how many events had come as far as timbridge when this one first did, and how many it had answered for when it did for
// this one, itself among them; 0 if it never did.
func (w *world) handedOver(event string) (first, answered int) {
	w.txns.mu.Lock()
	defer w.txns.mu.Unlock()
	return w.txns.tried[event], w.txns.order[event]
}

// transactionTried notes what is just being handed over.
func (w *world) transactionTried(r *http.Request, body []byte) {
	var txn pushedEvents
	if !strings.Contains(r.URL.Path, "/transactions/") || json.Unmarshal(body, &txn) != nil {
		return
	}
	w.txns.mu.Lock()
	defer w.txns.mu.Unlock()
	for _, ev := range txn.Events {
		if _, ok := w.txns.tried[ev.ID]; !ok {
			w.txns.tried[ev.ID] = len(w.txns.tried) + 1
		}
	}
}

// pushedEvents are the events of a transaction.
type pushedEvents struct {
	Events []struct {
		ID string `json:"event_id"`
	} `json:"events"`
}

// repeat pushes something again that was taken: under the same ID, under another, or under the same with what came after it. A
// homeserver that has lost its memory does so, and so does a proxy that did not hear the answer.
func (w *world) repeat(r *rand.Rand) {
	w.txns.mu.Lock()
	var txn, next transaction
	if n := len(w.txns.kept); n > 0 {
		i := r.IntN(n)
		txn = w.txns.kept[i]
		next = w.txns.kept[min(i+1, n-1)]
	}
	w.txns.mu.Unlock()
	if txn.uri == "" {
		return
	}
	what := "transactions: again, same ID"
	switch r.IntN(3) {
	case 0:
		what = "transactions: again, another ID"
		txn.uri = txn.uri[:strings.LastIndexByte(txn.uri, '/')+1] + fmt.Sprint("again-", w.txns.count.Add(1))
	case 1:
		what = "transactions: again, same ID, more events"
		txn.body = joined(txn.body, next.body)
	}
	w.stats.fault(what)
	// What is answered does not matter: the homeserver that has it answered 200 before.
	_, _, _, _ = w.toBridge.send(w.toBridge.closed, http.MethodPut, txn.uri, txn.header, txn.body)
}

// joined is a transaction with the events of both.
func joined(a, b []byte) []byte {
	var first, second map[string][]json.RawMessage
	if json.Unmarshal(a, &first) != nil || json.Unmarshal(b, &second) != nil {
		return a
	}
	first["events"] = append(first["events"], second["events"]...)
	body, err := json.Marshal(first)
	if err != nil {
		return a
	}
	return body
}
