package matrixtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/id"
)

// service is one application service and what is still to be pushed to it.
type service struct {
	reg        *appservice.Registration
	namespaces []namespace
	aliases    []namespace
	url        string
	removed    bool

	lastID    int
	events    []json.RawMessage
	ephemeral []json.RawMessage
	// current is the transaction being sent or sent again.
	current            *pending
	failNext, loseNext int
	done               []Transaction
}

type pending struct {
	id     string
	events []json.RawMessage
	tries  int
}

// Transaction is one transaction that was sent.
type Transaction struct {
	ID   string
	Body json.RawMessage
	// Status is what the application service answered, 0 if it was not reached.
	Status int
	// Events is how many room events it held, Receipts how many ephemeral ones.
	Events, Ephemeral int
}

func newService(reg *appservice.Registration) (*service, error) {
	svc := &service{reg: reg, url: reg.URL}
	var err error
	if svc.namespaces, err = compile(reg.Namespaces.UserIDs); err != nil {
		return nil, err
	}
	svc.aliases, err = compile(reg.Namespaces.RoomAliases)
	return svc, err
}

// interested tells whether an event or receipt in the room concerns the service.
func (svc *service) interested(s *Server, r *room, users ...id.UserID) bool {
	sender := id.NewUserID(svc.reg.SenderLocalpart, s.opts.ServerName)
	for _, user := range append(r.joined(), users...) {
		if user == sender || svc.owns(user, false) {
			return true
		}
	}
	return false
}

// queueEvent puts an event into the queues of the services it concerns. The lock must be held.
func (s *Server) queueEvent(r *room, ev *event) {
	if s.withheld[ev.sender] > 0 {
		s.withheld[ev.sender]--
		return
	}
	users := []id.UserID{ev.sender}
	if ev.typ == "m.room.member" {
		users = append(users, id.UserID(*ev.stateKey))
	}
	for _, svc := range s.services {
		if svc.reg.URL != "" && svc.interested(s, r, users...) && !(s.opts.NoRedactions && ev.typ == "m.room.redaction") {
			svc.events = append(svc.events, ev.encode())
		}
	}
}

// queueReceipt does the same for a receipt. Nothing is kept for a service that cannot be reached, and
// the thread is not told: Synapse does neither.
func (s *Server) queueReceipt(r *room, key receiptKey, set *receipt) {
	if !s.opts.PushReceipts {
		return
	}
	for _, svc := range s.services {
		down := svc.url == "" || s.outage || (svc.current != nil && svc.current.tries > 0)
		if down || !(svc.reg.EphemeralEvents || svc.reg.SoruEphemeralEvents) || !svc.interested(s, r) {
			continue
		}
		content := receiptContent(map[receiptKey]*receipt{key: set}, false)
		svc.ephemeral = append(svc.ephemeral, mustJSON(map[string]any{
			"type": "m.receipt", "room_id": r.id, "content": content,
		}))
	}
}

// push sends one transaction after the other to a service until the server is closed.
func (s *Server) push(svc *service) {
	defer s.pushers.Done()
	for {
		s.mu.Lock()
		changed, epoch := s.changed, s.epoch
		txn, body := s.nextTransaction(svc)
		var fail, lose bool
		if txn != nil {
			fail, lose = s.takePushFault(svc)
		}
		address, removed := svc.url, svc.removed
		s.mu.Unlock()
		if removed {
			return
		}
		if txn == nil {
			select {
			case <-changed:
				continue
			case <-s.closing.Done():
				return
			}
		}
		status := 0
		if !fail {
			status, _, _ = s.put(epoch, svc, address, txn.id, body)
		}
		if pause := s.finish(svc, txn, body, status, lose); pause > 0 {
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-s.closing.Done():
			}
			timer.Stop()
		}
		if s.closing.Err() != nil {
			return
		}
	}
}

func (s *Server) takePushFault(svc *service) (fail, lose bool) {
	if svc.failNext > 0 {
		svc.failNext--
		return true, false
	}
	if svc.loseNext > 0 {
		svc.loseNext--
		return false, true
	}
	return false, false
}

// nextTransaction builds what is to be sent next, nil if nothing is. The lock must be held.
func (s *Server) nextTransaction(svc *service) (*pending, []byte) {
	if svc.url == "" || s.outage {
		return nil, nil
	}
	if svc.current == nil && len(svc.events) == 0 && len(svc.ephemeral) == 0 {
		return nil, nil
	}
	var ephemeral []json.RawMessage
	if svc.current == nil {
		svc.lastID++
		svc.current = &pending{id: strconv.Itoa(svc.lastID)}
		ephemeral, svc.ephemeral = svc.ephemeral, nil
	}
	if svc.current.tries == 0 || s.opts.GrowOnRetry {
		room := min(max(s.opts.MaxEvents-len(svc.current.events), 0), len(svc.events))
		svc.current.events = append(svc.current.events, svc.events[:room]...)
		svc.events = svc.events[room:]
	}
	return svc.current, transactionBody(svc.reg, svc.current.events, ephemeral)
}

func transactionBody(reg *appservice.Registration, events, ephemeral []json.RawMessage) []byte {
	if events == nil {
		events = []json.RawMessage{}
	}
	body := map[string]any{"events": events}
	if len(ephemeral) > 0 {
		if reg.EphemeralEvents {
			body["ephemeral"] = ephemeral
		}
		if reg.SoruEphemeralEvents {
			body["de.sorunome.msc2409.ephemeral"] = ephemeral
		}
	}
	return mustJSON(body)
}

// finish takes the outcome of a transaction and returns the pause before the next.
func (s *Server) finish(svc *service, txn *pending, body []byte, status int, lost bool) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.notify()
	var parsed struct {
		Ephemeral []json.RawMessage `json:"ephemeral"`
	}
	_ = json.Unmarshal(body, &parsed)
	svc.done = append(svc.done, Transaction{
		ID: txn.id, Body: body, Status: status, Events: len(txn.events), Ephemeral: len(parsed.Ephemeral),
	})
	if status == http.StatusOK && !lost {
		svc.current = nil
		return 0
	}
	txn.tries++
	svc.ephemeral = nil
	if len(txn.events) == 0 && !s.opts.GrowOnRetry {
		// Only receipts were in it, and those are lost: an empty transaction remains.
		txn.events = []json.RawMessage{}
	}
	return s.opts.RetryPause << min(txn.tries-1, 4)
}

// put makes one PUT of a transaction.
func (s *Server) put(ctx context.Context, svc *service, address, txnID string, body []byte) (status int, answer []byte, err error) {
	target := fmt.Sprintf("%s/_matrix/app/v1/transactions/%s", address, url.PathEscape(txnID))
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, target, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+svc.reg.ServerToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.pushHTTP.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// service returns the first application service with a URL.
func (s *Server) service() *service {
	for _, svc := range s.services {
		if svc.reg.URL != "" {
			return svc
		}
	}
	return nil
}

// Transactions returns all transactions sent so far, each try by itself.
func (s *Server) Transactions() []Transaction {
	s.mu.Lock()
	defer s.mu.Unlock()
	svc := s.service()
	if svc == nil {
		return nil
	}
	return append([]Transaction(nil), svc.done...)
}

// WaitPushed waits until every transaction has been taken.
func (s *Server) WaitPushed() {
	s.t.Helper()
	s.WaitFor("all transactions to be taken", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, svc := range s.services {
			if svc.current != nil || len(svc.events) > 0 || len(svc.ephemeral) > 0 {
				return false
			}
		}
		return true
	})
}

// PutTransaction sends a transaction of the test's own making, at once and once, with the right token.
func (s *Server) PutTransaction(txnID string, body []byte) (status int, answer []byte) {
	s.t.Helper()
	s.mu.Lock()
	svc := s.service()
	s.mu.Unlock()
	if svc == nil {
		s.t.Fatal("no application service with a URL")
		return 0, nil
	}
	status, answer, err := s.put(s.closing, svc, svc.url, txnID, body)
	if err != nil {
		s.t.Errorf("failed to send transaction: %v", err)
	}
	return status, answer
}

// RepeatLast sends the last transaction that was taken again, under the same id if txnID is empty, with
// more events at its end.
func (s *Server) RepeatLast(txnID string, more ...json.RawMessage) (status int) {
	s.t.Helper()
	var last *Transaction
	for _, txn := range s.Transactions() {
		if txn.Status == http.StatusOK {
			last = &txn
		}
	}
	if last == nil {
		s.t.Fatal("no transaction has been taken yet")
	}
	if txnID == "" {
		txnID = last.ID
	}
	var body map[string][]json.RawMessage
	if err := json.Unmarshal(last.Body, &body); err != nil {
		s.t.Fatalf("last transaction is malformed: %v", err)
	}
	body["events"] = append(body["events"], more...)
	status, _ = s.PutTransaction(txnID, mustJSON(body))
	return status
}

// EventJSON returns an event as it is pushed, for RepeatLast and PutTransaction.
func (s *Server) EventJSON(event id.EventID) json.RawMessage {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	ev := s.events[event]
	if ev == nil {
		s.t.Fatalf("no event %s", event)
	}
	return ev.encode()
}
