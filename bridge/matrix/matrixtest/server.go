package matrixtest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/id"
)

// Server is the fake homeserver. All its methods are safe for concurrent use.
type Server struct {
	t    testing.TB
	opts Options
	http *httptest.Server // nil with Options.Transport

	mu sync.Mutex
	// changed is closed and replaced at each change: what /sync and WaitFor wait on.
	changed chan struct{}
	// stream numbers everything that happens, for sync tokens.
	stream  int64
	users   map[id.UserID]*account
	rooms   map[id.RoomID]*room
	events  map[id.EventID]*event
	aliases map[id.RoomAlias]id.RoomID
	media   map[id.ContentURI]*Media
	sent    map[string]id.EventID
	faults  []*fault
	// withheld counts events, by sender, that are not to be pushed, see Withhold.
	withheld map[id.UserID]int
	log      []Request
	// refuseBefore is the stream number below which sync tokens are refused, see ForgetSyncTokens.
	refuseBefore int64
	outage       bool
	services     []*service
	// epoch ends with each Restart and outage, and with it all open requests.
	epoch    context.Context
	endEpoch context.CancelFunc
	closing  context.Context
	endAll   context.CancelFunc
	pushers  sync.WaitGroup
	pushHTTP *http.Client
}

// account is a user known to the server.
type account struct {
	id          id.UserID
	displayName string
	avatarURL   string
}

// New starts a homeserver and closes it when the test ends.
func New(t testing.TB, opts Options) *Server {
	opts.setDefaults()
	s := &Server{
		t:        t,
		opts:     opts,
		changed:  make(chan struct{}),
		users:    make(map[id.UserID]*account),
		rooms:    make(map[id.RoomID]*room),
		events:   make(map[id.EventID]*event),
		aliases:  make(map[id.RoomAlias]id.RoomID),
		media:    make(map[id.ContentURI]*Media),
		sent:     make(map[string]id.EventID),
		withheld: make(map[id.UserID]int),
		pushHTTP: &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second},
	}
	s.closing, s.endAll = context.WithCancel(context.Background())
	s.epoch, s.endEpoch = context.WithCancel(s.closing)
	if opts.Transport != nil {
		s.pushHTTP.Transport = opts.Transport
	} else {
		s.http = httptest.NewServer(s.handler())
	}
	t.Cleanup(s.Close)
	return s
}

// URL is the server's address.
func (s *Server) URL() string {
	if s.http == nil {
		return "http://" + s.opts.ServerName
	}
	return s.http.URL
}

// Handler is the server itself, for Options.Transport.
func (s *Server) Handler() http.Handler { return s.handler() }

// Name is the server's server_name.
func (s *Server) Name() string { return s.opts.ServerName }

// Close ends all requests, pushes and goroutines. It may be called more than once.
func (s *Server) Close() {
	s.endAll()
	if s.http != nil {
		s.http.CloseClientConnections()
		s.http.Close()
	}
	s.pushers.Wait()
	s.pushHTTP.CloseIdleConnections()
}

// AddAppService installs a registration. One with a URL gets transactions from now on; its
// sender_localpart exists from now on.
func (s *Server) AddAppService(reg *appservice.Registration) {
	s.t.Helper()
	svc, err := newService(reg)
	if err != nil {
		s.t.Fatalf("malformed registration: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.services = append(s.services, svc)
	s.addUser(id.NewUserID(reg.SenderLocalpart, s.opts.ServerName))
	s.pushers.Add(1)
	go s.push(svc)
}

// SetASURL changes where the transactions of an application service go; "" stops them, and what
// happens meanwhile is kept for later (receipts excepted).
func (s *Server) SetASURL(asID, url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, svc := range s.services {
		if svc.reg.ID == asID {
			svc.url = url
			s.notify()
			return
		}
	}
	s.t.Errorf("no application service %q", asID)
}

// RemoveAppService uninstalls a registration: its token is unknown from now on.
func (s *Server) RemoveAppService(asID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, svc := range s.services {
		if svc.reg.ID == asID {
			svc.removed = true
			s.services = append(s.services[:i:i], s.services[i+1:]...)
			s.notify()
			return
		}
	}
	s.t.Errorf("no application service %q", asID)
}

// notify wakes all waiters. The lock must be held.
func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// next counts the stream on. The lock must be held.
func (s *Server) next() int64 {
	s.stream++
	return s.stream
}

func (s *Server) addUser(user id.UserID) *account {
	acc, ok := s.users[user]
	if !ok {
		acc = &account{id: user}
		s.users[user] = acc
	}
	return acc
}

// waitLimit is how long WaitFor waits.
const waitLimit = 20 * time.Second

// WaitFor waits until cond holds and fails the test if it does not within 20 seconds. cond is asked
// again at every change on the server and every few milliseconds; it may call the server.
func (s *Server) WaitFor(what string, cond func() bool) {
	s.t.Helper()
	limit := time.NewTimer(waitLimit)
	defer limit.Stop()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if cond() {
			return
		}
		select {
		case <-changed:
		case <-ticker.C:
		case <-limit.C:
			s.t.Fatalf("waited %s in vain for: %s", waitLimit, what)
		}
	}
}

// matrixError is a refusal in the form of the client-server API.
type matrixError struct {
	Status     int
	Code       string
	Message    string
	RetryAfter time.Duration
}

func (e *matrixError) Error() string {
	return fmt.Sprintf("HTTP %d %s: %s", e.Status, e.Code, e.Message)
}

func forbidden(text string) *matrixError {
	return &matrixError{Status: http.StatusForbidden, Code: "M_FORBIDDEN", Message: text}
}

func notFound(text string) *matrixError {
	return &matrixError{Status: http.StatusNotFound, Code: "M_NOT_FOUND", Message: text}
}

func badParam(text string) *matrixError {
	return &matrixError{Status: http.StatusBadRequest, Code: "M_INVALID_PARAM", Message: text}
}
