package tencenttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/tencentyun/tls-sig-api-v2-golang/tencentyun"
)

// Server is the fake. All its methods are safe for concurrent use.
type Server struct {
	opts     Options
	listener net.Listener // nil with Options.Transport
	http     *http.Server
	handlers sync.WaitGroup // requests under way
	serving  sync.WaitGroup
	closing  context.Context
	end      context.CancelFunc
	commands map[string]command

	mu sync.Mutex
	// changed is closed and replaced at each change: what Wait waits on.
	changed  chan struct{}
	closed   bool
	accounts map[string]*account
	groups   map[string]*group
	order    []string // group ids as they were made
	joins    int      // numbers memberships
	made     int      // numbers group ids
	rand     *rand.Rand
	sentDay  map[string]int // messages by the server API per day, for the trial
	usage    map[string]*window
	sigFails map[string]*sigFailures
	faults   []*injected
	outage   bool
	latency  time.Duration
	calls    []Call
	hooks    hooks
}

// New starts a server. It must be closed.
func New(opts Options) (*Server, error) {
	opts.setDefaults()
	if _, ok := domains()[opts.Region]; !ok {
		return nil, fmt.Errorf("failed to start fake Tencent Cloud: no region %q", opts.Region)
	}
	var listener net.Listener
	if opts.Transport == nil {
		var err error
		if listener, err = net.Listen("tcp", opts.Listen); err != nil {
			return nil, fmt.Errorf("failed to start fake Tencent Cloud: %w", err)
		}
	}
	s := &Server{
		opts:     opts,
		listener: listener,
		changed:  make(chan struct{}),
		accounts: make(map[string]*account),
		groups:   make(map[string]*group),
		rand:     rand.New(rand.NewPCG(opts.Seed, 0x54494d)), //nolint:gosec // ids, no secrets
		sentDay:  make(map[string]int),
		usage:    make(map[string]*window),
		sigFails: make(map[string]*sigFailures),
	}
	s.closing, s.end = context.WithCancel(context.Background())
	s.commands = s.allCommands()
	for _, admin := range opts.Admins {
		s.addAccount(admin)
	}
	s.startHooks()
	s.http = &http.Server{Handler: http.HandlerFunc(s.serveHTTP), ReadHeaderTimeout: 10 * time.Second}
	if listener != nil {
		s.serving.Go(func() { _ = s.http.Serve(listener) })
	}
	return s, nil
}

// URL is the base of the server API, such as http://127.0.0.1:4711, without a slash at the end.
func (s *Server) URL() string {
	if s.listener == nil {
		return "http://tencent.invalid"
	}
	return "http://" + s.listener.Addr().String()
}

// Handler is the server itself, for Options.Transport.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// SDKAppID is the app's.
func (s *Server) SDKAppID() uint64 { return s.opts.SDKAppID }

// SecretKey is the app's.
func (s *Server) SecretKey() string { return s.opts.SecretKey }

// Admin is the first administrator of the app.
func (s *Server) Admin() string { return s.opts.Admins[0] }

// Close ends all requests, webhooks and goroutines. It may be called more than once.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.stopTimers()
	s.hooks.ready.Broadcast()
	s.mu.Unlock()
	s.end()
	_ = s.http.Close()
	s.serving.Wait()
	s.handlers.Wait()
	s.hooks.workers.Wait()
	s.hooks.client.CloseIdleConnections()
}

// UserSig makes a signature for somebody, good for a day by the clock of the machine (the library knows
// no other).
func (s *Server) UserSig(identifier string) (string, error) {
	sig, err := tencentyun.GenUserSig(int(s.opts.SDKAppID), s.opts.SecretKey, identifier, 86400)
	if err != nil {
		return "", fmt.Errorf("failed to make usersig: %w", err)
	}
	return sig, nil
}

// Wait waits until cond holds or ctx ends. cond is asked at each change in the server and every few
// milliseconds; it may call the server.
func (s *Server) Wait(ctx context.Context, cond func() bool) error {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if cond() {
			return nil
		}
		select {
		case <-changed:
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("failed to wait: %w", ctx.Err())
		}
	}
}

// now is the time of the injected clock.
func (s *Server) now() time.Time { return s.opts.Now() }

// locked runs do under the lock and wakes all waiters.
func (s *Server) locked(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	s.notify()
}

// notify wakes all waiters. The lock must be held.
func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// logKept is how many calls and webhooks the logs keep, so that a server that runs for days does not
// grow without end.
const logKept = 100_000

func appendLog[E any](log []E, e E) []E {
	if len(log) >= logKept {
		log = append(log[:0:0], log[logKept/2:]...)
	}
	return append(log, e)
}
