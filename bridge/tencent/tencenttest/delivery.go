package tencenttest

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

var errOutage = errors.New("outage")

// SetHook changes where webhooks go; those under way still go where they went.
func (s *Server) SetHook(hook Hook) { s.locked(func() { s.hooks.hook = hook }) }

// Deliver sets how each webhook goes out from now on: plan gives the delays of its copies, so that none
// is a webhook lost, {0} the normal case, {0, 0} a webhook sent twice. nil is the normal case for all.
// plan must not call the server. See Twice, Lossy and Shuffled.
func (s *Server) Deliver(plan func(Webhook) []time.Duration) {
	s.locked(func() { s.hooks.plan = plan })
}

// Twice is a plan: every webhook comes twice.
func Twice(Webhook) []time.Duration { return []time.Duration{0, 0} }

// Nothing is a plan: no webhook comes.
func Nothing(Webhook) []time.Duration { return nil }

// Lossy returns a plan that loses a part (0 to 1) of all webhooks, the same ones for the same seed and
// order.
func Lossy(seed uint64, part float64) func(Webhook) []time.Duration {
	random := seeded(seed)
	return func(Webhook) []time.Duration {
		if random() < part {
			return nil
		}
		return []time.Duration{0}
	}
}

// Shuffled returns a plan by which webhooks come up to late after their time, in any order, and some of
// them twice.
func Shuffled(seed uint64, late time.Duration) func(Webhook) []time.Duration {
	random := seeded(seed)
	return func(Webhook) []time.Duration {
		delays := []time.Duration{time.Duration(random() * float64(late))}
		if random() < 0.3 {
			delays = append(delays, time.Duration(random()*float64(late)))
		}
		return delays
	}
}

func seeded(seed uint64) func() float64 {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // repeatable, no secret
	return func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return r.Float64()
	}
}

// Hold keeps all webhooks back until Release.
func (s *Server) Hold() { s.locked(func() { s.hooks.holding = true }) }

// Held returns what is held back.
func (s *Server) Held() []Webhook {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.hooks.held)
}

// Release ends Hold and sends what arrange makes of the webhooks held back: put in another order, left
// out, doubled or changed. nil sends them as they are.
func (s *Server) Release(arrange func([]Webhook) []Webhook) {
	held := s.Held()
	out := held
	if arrange != nil {
		out = arrange(slices.Clone(held))
	}
	s.locked(func() {
		// What came between Held and here goes out as well.
		out = append(slices.Clone(out), s.hooks.held[len(held):]...)
		s.hooks.holding, s.hooks.held = false, nil
		for _, w := range out {
			s.dispatch(w)
		}
	})
}

// Fire sends a webhook with any command and body, JSON or not.
func (s *Server) Fire(command, groupID string, body []byte) {
	s.locked(func() { s.emitRaw(command, groupID, "RESTAPI", slices.Clone(body)) })
}

// Webhooks returns what has happened ("" for all commands), delivered or not; the last 100,000 are kept.
func (s *Server) Webhooks(command string) []Webhook {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Webhook
	for _, w := range s.hooks.happened {
		if command == "" || w.Command == command {
			found = append(found, w)
		}
	}
	return found
}

// Deliveries returns the attempts to deliver webhooks ("" for all commands), as they ended; the last
// 100,000 are kept.
func (s *Server) Deliveries(command string) []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Delivery
	for _, d := range s.hooks.done {
		if command == "" || d.Command == command {
			found = append(found, d)
		}
	}
	return found
}

// WaitDelivered waits until no webhook is on its way. Those held back do not count.
func (s *Server) WaitDelivered(ctx context.Context) error {
	return s.Wait(ctx, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.hooks.queue) == 0 && s.hooks.underway == 0 && len(s.hooks.timers) == 0
	})
}

// beforeAnswer is what the app says to a message about to be sent. [CB-BEFORE]
type beforeAnswer struct {
	ActionStatus    string    `json:"ActionStatus"`
	ErrorCode       int       `json:"ErrorCode"`
	ErrorInfo       string    `json:"ErrorInfo"`
	MsgBody         []element `json:"MsgBody"`
	CloudCustomData *string   `json:"CloudCustomData"`
}

func parseBefore(raw []byte) (answer beforeAnswer, err error) {
	err = json.Unmarshal(raw, &answer)
	if err == nil && answer.ActionStatus != "OK" && answer.ActionStatus != "FAIL" {
		err = errors.New("no ActionStatus")
	}
	return answer, err
}
