package matrixtest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"
)

// Request is one request that the server got.
type Request struct {
	Method string
	// Path is the decoded path.
	Path string
	// User is in whose name it was made, as far as the token and user_id tell.
	User id.UserID
	Body json.RawMessage
}

// Match tells whether a request is meant.
type Match func(method, path string, user id.UserID) bool

// Path matches requests whose path holds all the given parts, such as "/receipt/".
func Path(parts ...string) Match {
	return func(_, path string, _ id.UserID) bool {
		for _, part := range parts {
			if !strings.Contains(path, part) {
				return false
			}
		}
		return true
	}
}

type fault struct {
	match Match
	left  int
	err   *matrixError
}

// FailRequests makes the next n requests that match fail with a status and an errcode. An empty errcode
// gives a body that is no JSON, as a proxy's; a status of 0 closes the connection without an answer.
// retryAfter is sent along if it is not zero.
func (s *Server) FailRequests(match Match, n, status int, errcode string, retryAfter time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &fault{match: match, left: n, err: &matrixError{
		Status: status, Code: errcode, Message: "made to fail", RetryAfter: retryAfter,
	}})
}

// takeFault returns the failure that this request shall have, if any. The lock must be held.
func (s *Server) takeFault(method, path string, user id.UserID) *matrixError {
	for _, f := range s.faults {
		if f.left > 0 && f.match(method, path, user) {
			f.left--
			return f.err
		}
	}
	return nil
}

// StopFailing takes back all FailRequests, FailTransactions and LoseAnswers.
func (s *Server) StopFailing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
	for _, svc := range s.services {
		svc.failNext, svc.loseNext = 0, 0
	}
	s.notify()
}

// Requests returns the requests that match, oldest first. Those made to fail are among them.
func (s *Server) Requests(match Match) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Request
	for _, r := range s.log {
		if match(r.Method, r.Path, r.User) {
			found = append(found, r)
		}
	}
	return found
}

// FailTransactions makes the next n transactions fail before they reach the application service.
func (s *Server) FailTransactions(n int) {
	s.eachService(func(svc *service) { svc.failNext = n })
}

// Withhold makes that the next n events of a user are in the room and never in a transaction, as was seen of Synapse 1.160.0 when it
// was restarted under load.
func (s *Server) Withhold(user id.UserID, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.withheld[user] += n
}

// LoseAnswers makes the next n transactions reach the application service but count as failed, so
// that it gets them again.
func (s *Server) LoseAnswers(n int) {
	s.eachService(func(svc *service) { svc.loseNext = n })
}

func (s *Server) eachService(do func(*service)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, svc := range s.services {
		do(svc)
	}
	s.notify()
}

// SetOutage cuts (or restores) the connection to application services, both ways. Users given by
// Server.User go on all the same.
func (s *Server) SetOutage(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outage = on
	if on {
		s.newEpoch()
	}
	s.notify()
}

// Restart does what a restart of the homeserver does: open requests end, waiting receipts are lost,
// transaction ids of events sent are forgotten, and pushed ones begin at 1 if Options.RestartIDs.
func (s *Server) Restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newEpoch()
	s.sent = make(map[string]id.EventID)
	for _, svc := range s.services {
		svc.ephemeral = nil
		if s.opts.RestartIDs {
			svc.lastID = 0
		}
	}
	s.notify()
}

// ForgetSyncTokens makes the server refuse (400 M_UNKNOWN) all sync tokens given out so far, as a
// homeserver does whose database was set up anew.
func (s *Server) ForgetSyncTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuseBefore = s.next()
	s.notify()
}

func (s *Server) newEpoch() {
	s.endEpoch()
	s.epoch, s.endEpoch = context.WithCancel(s.closing)
}

// bound ends a request with the epoch in which it began.
func (s *Server) bound(r *http.Request) (context.Context, context.CancelFunc) {
	s.mu.Lock()
	epoch := s.epoch
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(epoch, cancel)
	return ctx, func() { stop(); cancel() }
}

var errOutage = errors.New("outage")

// ClearLog forgets the requests that Requests returns.
func (s *Server) ClearLog() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
}
