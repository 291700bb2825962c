package matrix

import (
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

// recorder is an Intake that keeps what it is given, as a database would: only what it answered nil to.
type recorder struct {
	mu           sync.Mutex
	transactions [][]Event
	events       []Event
	pushed       []Receipt
	synced       []Receipt
	redactions   []Event
	token        string
	tokens       int
	// before runs at the beginning of each call; an error or a panic is that call's outcome.
	before            func(call string) error
	running, overlaps int
}

func (r *recorder) enter(call string) error {
	r.mu.Lock()
	before := r.before
	r.mu.Unlock()
	if before != nil {
		return before(call)
	}
	return nil
}

func (r *recorder) HandleTransaction(_ context.Context, events []Event, receipts []Receipt) error {
	r.mu.Lock()
	r.running++
	if r.running > 1 {
		r.overlaps++
	}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.running--
		r.mu.Unlock()
	}()
	if err := r.enter("transaction"); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.transactions = append(r.transactions, slices.Clone(events))
	r.events = append(r.events, events...)
	r.pushed = append(r.pushed, receipts...)
	return nil
}

func (r *recorder) HandleSync(_ context.Context, nextBatch string, redactions []Event, receipts []Receipt) error {
	if err := r.enter("sync"); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.token = nextBatch
	r.tokens++
	r.synced = append(r.synced, receipts...)
	r.redactions = append(r.redactions, redactions...)
	return nil
}

func (r *recorder) SyncToken(context.Context) (string, error) {
	if err := r.enter("token"); err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.token, nil
}

func (r *recorder) setBefore(before func(call string) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = before
}

func (r *recorder) hasEvent(event id.EventID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.events, func(ev Event) bool { return ev.ID == event })
}

func (r *recorder) hasSynced(user id.UserID, event id.EventID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.synced, func(x Receipt) bool { return x.UserID == user && x.EventID == event })
}

func (r *recorder) hasPushed(user id.UserID, event id.EventID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.pushed, func(x Receipt) bool { return x.UserID == user && x.EventID == event })
}

func (r *recorder) count() (transactions, synced int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.transactions), len(r.synced)
}

// noTime leaves the time of an event to the homeserver.
var noTime time.Time

var errDisk = errors.New("disk full")

const (
	botLocalpart = "tim"
	ghostPrefix  = "timbridge_"
)

// bench is an adapter connected to a fake homeserver both ways.
type bench struct {
	*AppService
	hs     *matrixtest.Server
	intake *recorder
	reg    *appservice.Registration
	store  appservice.StateStore
	log    *logBuffer
	url    string
}

// logBuffer keeps the lines of a log.
type logBuffer struct {
	mu  sync.Mutex
	all []byte
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, p...)
	return len(p), nil
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.all)
}

func newBench(t *testing.T, opts matrixtest.Options, change ...func(*Config)) *bench {
	t.Helper()
	hs := matrixtest.New(t, opts)
	reg, err := NewRegistration(RegistrationConfig{
		URL: "http://unset.invalid", Domain: hs.Name(), BotLocalpart: botLocalpart, GhostPrefix: ghostPrefix,
	})
	require.NoError(t, err)
	cfg := Config{
		Registration: reg, HomeserverURL: hs.URL(), Domain: hs.Name(), BotLocalpart: botLocalpart, GhostPrefix: ghostPrefix,
		SyncTimeout: 5 * time.Second, SyncInterval: 20 * time.Millisecond, PushGrace: 50 * time.Millisecond,
		MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond,
	}
	for _, do := range change {
		do(&cfg)
	}
	b := &bench{
		hs: hs, intake: &recorder{}, reg: reg, log: &logBuffer{},
		store: mautrix.NewMemoryStateStore().(appservice.StateStore),
	}
	b.AppService, err = New(cfg, b.store, b.intake, zerolog.New(b.log))
	require.NoError(t, err)
	t.Cleanup(b.AppService.Close)
	server := httptest.NewServer(b.Handler())
	t.Cleanup(server.Close)
	b.url = server.URL
	hs.AddAppService(reg)
	hs.SetASURL(reg.ID, server.URL)
	return b
}

// startSync runs Sync until the returned function is called or the test ends.
func (b *bench) startSync(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Sync(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return stop
}

// room returns a room of alice with the bot in it.
func (b *bench) room(t *testing.T) (id.RoomID, *matrixtest.User) {
	t.Helper()
	ctx := context.Background()
	require.NoError(t, b.EnsureBot(ctx))
	alice := b.hs.User("alice")
	room := alice.CreateRoom(matrixtest.RoomOptions{Invite: []id.UserID{b.BotMXID()}})
	require.NoError(t, b.JoinBot(ctx, room))
	return room, alice
}

func (b *bench) ghost(name string) id.UserID {
	return id.NewUserID(ghostPrefix+name, b.hs.Name())
}
