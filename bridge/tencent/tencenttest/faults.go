package tencenttest

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/timbridge/timbridge/receipts"
)

// Call is one request that the server got. Those made to fail are among them, those of an outage not.
type Call struct {
	Service, Command, Identifier string
	Body                         json.RawMessage
	// Code and Status are what was answered, 0 for no answer at all.
	Code   receipts.Code
	Status int
	// Failed: told to fail by FailNext.
	Failed bool
	At     time.Time
}

// Fault is how a request shall fail. Combine Acted with one of the others for a request that did its
// work although the caller cannot know.
type Fault struct {
	// Code is the ErrorCode of the answer.
	Code receipts.Code
	// Status is the HTTP status, with a body that is no JSON, as a proxy's.
	Status int
	// Hang never answers, until the client gives up or the server is closed.
	Hang bool
	// Half cuts the answer in the middle.
	Half bool
	// Drop closes the connection without an answer.
	Drop bool
	// Acted does the work first.
	Acted bool
}

type injected struct {
	command string
	left    int
	fault   Fault
}

// FailNext makes the next n calls of a command (its bare name; "" for any) fail. Later faults wait for
// earlier ones of the same command.
func (s *Server) FailNext(command string, n int, fault Fault) {
	s.locked(func() { s.faults = append(s.faults, &injected{command: command, left: n, fault: fault}) })
}

// StopFailing takes back all FailNext.
func (s *Server) StopFailing() { s.locked(func() { s.faults = nil }) }

// SetOutage cuts (or restores) the network: requests get no answer and webhooks do not get out. The
// app's users go on.
func (s *Server) SetOutage(on bool) { s.locked(func() { s.outage = on }) }

// SetLatency makes each answer of the server API take that long.
func (s *Server) SetLatency(d time.Duration) { s.locked(func() { s.latency = d }) }

func (s *Server) takeFault(command string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.left > 0 && (f.command == "" || f.command == command) {
			f.left--
			return &f.fault
		}
	}
	return nil
}

// overrule makes the answer of a fault from the true one.
func (f *Fault) overrule(service string, out []byte, code receipts.Code) ([]byte, receipts.Code, int) {
	switch {
	case f.Hang, f.Drop:
		return nil, 0, 0
	case f.Status != 0:
		return []byte("<html>made to fail</html>"), 0, f.Status
	case f.Half:
		if out == nil {
			out = failure(service, receipts.NewError(receipts.CodeGroupInternalError, "made to fail"))
		}
		return out, code, http.StatusOK
	default:
		return failure(service, refuse(f.Code, "made to fail")), f.Code, http.StatusOK
	}
}

// Calls counts the requests of a command (its bare name; "" for all).
func (s *Server) Calls(command string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.calls {
		if command == "" || c.Command == command {
			n++
		}
	}
	return n
}

// CallLog returns the requests of a command ("" for all), oldest first; the last 100,000 are kept.
func (s *Server) CallLog(command string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Call
	for _, c := range s.calls {
		if command == "" || c.Command == command {
			found = append(found, c)
		}
	}
	return found
}

// ClearCalls forgets the requests counted so far.
func (s *Server) ClearCalls() { s.locked(func() { s.calls = nil }) }

// PeakRate is how many calls of a command there were in the busiest second.
func (s *Server) PeakRate(command string) int {
	calls := s.CallLog(command)
	slices.SortStableFunc(calls, func(a, b Call) int { return a.At.Compare(b.At) })
	peak, first := 0, 0
	for i, c := range calls {
		for c.At.Sub(calls[first].At) >= time.Second {
			first++
		}
		peak = max(peak, i-first+1)
	}
	return peak
}
