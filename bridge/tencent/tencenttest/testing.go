package tencenttest

import (
	"context"
	"time"
)

// TB is what a test must be able to do. [testing.TB] can.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// waitLimit is how long WaitFor waits.
const waitLimit = 20 * time.Second

// Start starts a server that is closed when the test ends.
func Start(t TB, opts Options) *Server {
	t.Helper()
	s, err := New(opts)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// WaitFor waits until cond holds and fails the test if it does not within 20 seconds; see Wait.
func (s *Server) WaitFor(t TB, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	if err := s.Wait(ctx, cond); err != nil {
		t.Fatalf("waited %s in vain for: %s", waitLimit, what)
	}
}

// Group makes a group of the type Public with these members, the first of whom owns it.
func (s *Server) Group(t TB, id string, members ...string) {
	t.Helper()
	spec := GroupSpec{ID: id}
	if len(members) > 0 {
		spec.Owner, spec.Members = members[0], members[1:]
	}
	if _, err := s.CreateGroup(spec); err != nil {
		t.Fatalf("could not make group %s: %v", id, err)
	}
}
