package matrix

import (
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/id"
)

// Config is what an AppService is made from. Zero durations and counts stand for the defaults.
type Config struct {
	// Registration needs ID, AppToken, ServerToken and SenderLocalpart; its namespaces are not read.
	Registration *appservice.Registration
	// HomeserverURL is http(s)://… or unix:/path/of/socket.
	HomeserverURL string
	// Domain is the homeserver's server_name.
	Domain       string
	BotLocalpart string
	GhostPrefix  string
	// DoublePuppet holds per server name the secret "as_token:TOKEN" of a double-puppet registration.
	// For servers other than Domain the URL is needed too.
	DoublePuppet    map[string]string
	DoublePuppetURL map[string]string
	// Concurrency bounds the requests in flight, the one to /sync aside. Default 8, where Synapse on
	// SQLite is fastest (523 receipts/s, measured on 2 cores).
	Concurrency int
	// RequestTimeout bounds one request, default 30 s.
	RequestTimeout time.Duration
	// SyncTimeout is how long the homeserver may hold /sync open, default 30 s.
	SyncTimeout time.Duration
	// SyncInterval is the time between two reads of /sync while the homeserver pushes, default 15 s.
	SyncInterval time.Duration
	// PushGrace is how long after /sync a pushed receipt may come and still count as pushed, default 5 s.
	PushGrace time.Duration
	// Transport makes the requests in place of one of our own.
	Transport http.RoundTripper
	// Outcome, if set, is called after requests that show that the homeserver is there, or that it is not.
	Outcome func(there bool)
	// MinBackoff and MaxBackoff bound the pauses of the /sync loop after failures, 1 s and 1 min.
	MinBackoff time.Duration
	MaxBackoff time.Duration
}

func (c *Config) setDefaults() {
	setDefault(&c.Concurrency, 8)
	setDefault(&c.RequestTimeout, 30*time.Second)
	setDefault(&c.SyncTimeout, 30*time.Second)
	setDefault(&c.SyncInterval, 15*time.Second)
	setDefault(&c.PushGrace, 5*time.Second)
	setDefault(&c.MinBackoff, time.Second)
	setDefault(&c.MaxBackoff, time.Minute)
	if c.Outcome == nil {
		c.Outcome = func(bool) {}
	}
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// AppService is the bridge's end of the application service API. All its methods are safe for
// concurrent use, but only one Sync may run at a time.
type AppService struct {
	cfg    Config
	as     *appservice.AppService
	bot    id.UserID
	intake Intake
	log    zerolog.Logger

	syncHTTP *http.Client
	// slots bounds the requests in flight, txnSlot the transactions being handled (to one).
	slots   chan struct{}
	txnSlot chan struct{}
	// lastTxn is the last transaction that was taken, while ids are numbers, and askedAt the outages when one was refused last for the
	// sake of an earlier one. Whoever holds txnSlot owns both.
	lastTxn, askedAt int64
	outages          atomic.Int64
	// joins keeps two calls from joining one ghost to one room at once.
	joins stripes

	handler     http.Handler
	live, ready atomic.Bool
	push        pushWatch
	wake        chan struct{}
	syncing     atomic.Bool
}

// New builds the adapter. Nothing is sent or started. store keeps who is registered and joined, on
// the bridge's own database (sqlstatestore). log is used where no context brings a logger.
func New(cfg Config, store appservice.StateStore, intake Intake, log zerolog.Logger) (*AppService, error) {
	cfg.setDefaults()
	if cfg.Registration == nil {
		return nil, errors.New("no registration given")
	}
	if cfg.Registration.AppToken == "" || cfg.Registration.ServerToken == "" {
		return nil, errors.New("the registration lacks as_token or hs_token")
	}
	if err := checkNames(cfg.Domain, cfg.BotLocalpart, cfg.GhostPrefix); err != nil {
		return nil, err
	}
	if cfg.Registration.SenderLocalpart == cfg.BotLocalpart {
		return nil, errSameAsBot
	}
	for server, secret := range cfg.DoublePuppet {
		if token, ok := strings.CutPrefix(secret, puppetPrefix); !ok || token == "" {
			return nil, fmt.Errorf("double-puppet secret of %q does not read %sTOKEN", server, puppetPrefix)
		}
	}
	as, err := appservice.CreateFull(appservice.CreateOpts{
		Registration:     cfg.Registration,
		HomeserverDomain: cfg.Domain,
		HomeserverURL:    cfg.HomeserverURL,
		StateStore:       store,
	})
	if err != nil {
		return nil, fmt.Errorf("failed to create application service: %w", err)
	}
	a := &AppService{
		cfg:     cfg,
		as:      as,
		bot:     id.NewUserID(cfg.BotLocalpart, cfg.Domain),
		intake:  intake,
		log:     log,
		slots:   make(chan struct{}, cfg.Concurrency),
		txnSlot: make(chan struct{}, 1),
		joins:   newStripes(),
		push:    newPushWatch(cfg.PushGrace, 2*cfg.SyncInterval+cfg.SyncTimeout+time.Minute),
		wake:    make(chan struct{}, 1),
	}
	a.live.Store(true)
	transport := cfg.Transport
	if transport == nil {
		transport = newTransport(cfg)
	}
	// mautrix's own clients wait 180 s and retry four times; the reconcilers retry better.
	as.HTTPClient = &http.Client{Transport: transport, Timeout: cfg.RequestTimeout}
	as.DefaultHTTPRetries = 0
	a.syncHTTP = &http.Client{Transport: transport, Timeout: cfg.SyncTimeout + cfg.RequestTimeout}
	a.handler = a.newHandler()
	return a, nil
}

func newTransport(cfg Config) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     time.Minute,
		MaxIdleConns:        cfg.Concurrency + 4,
		MaxIdleConnsPerHost: cfg.Concurrency + 4,
	}
	if parsed, err := url.Parse(cfg.HomeserverURL); err == nil && parsed.Scheme == "unix" {
		transport.DialContext = unixDialer(dialer, parsed.Path)
	}
	return transport
}

// Close closes idle connections. Sync must have returned and no request be in flight.
func (a *AppService) Close() {
	a.syncHTTP.CloseIdleConnections()
}

// Outages counts the requests that failed as they do when the homeserver is away. A homeserver that was killed may go on in another
// order than that of the rooms, so a count that has changed is a reason to look twice.
func (a *AppService) Outages() int64 { return a.outages.Load() }

// BotMXID returns the user that sits in mapped rooms, invites ghosts and reads /sync.
func (a *AppService) BotMXID() id.UserID {
	return a.bot
}

// IsGhost tells whether the user lies in the namespace of the ghosts.
func (a *AppService) IsGhost(user id.UserID) bool {
	localpart, domain, err := user.Parse()
	return err == nil && domain == a.cfg.Domain && strings.HasPrefix(localpart, a.cfg.GhostPrefix)
}

// CanActAs tells whether requests can be made in the name of the user: he is ours, or his server has
// a double-puppet token. Whether the server agrees only a request will tell.
func (a *AppService) CanActAs(user id.UserID) bool {
	_, err := a.clientOf(user)
	return err == nil
}

func (a *AppService) isOurs(user id.UserID) bool {
	return user == a.bot || a.IsGhost(user) || user == a.senderMXID()
}

func (a *AppService) senderMXID() id.UserID {
	return id.NewUserID(a.cfg.Registration.SenderLocalpart, a.cfg.Domain)
}

// puppetPrefix is how mautrix bridges mark a secret that is the as_token of a double-puppet
// registration, see https://docs.mau.fi/bridges/general/double-puppeting.html
const puppetPrefix = "as_token:"

// clientOf returns a client that acts as user, or ErrNoPuppet.
func (a *AppService) clientOf(user id.UserID) (*mautrix.Client, error) {
	if a.isOurs(user) {
		return a.as.NewMautrixClient(user), nil
	}
	_, server, err := user.Parse()
	if err != nil {
		return nil, fmt.Errorf("%w: malformed user id", ErrNoPuppet)
	}
	token := strings.TrimPrefix(a.cfg.DoublePuppet[server], puppetPrefix)
	if token == "" {
		return nil, ErrNoPuppet
	}
	client := a.as.NewMautrixClient(user)
	client.AccessToken = token
	if server != a.cfg.Domain {
		base := a.cfg.DoublePuppetURL[server]
		if base == "" {
			return nil, fmt.Errorf("%w: no URL configured for the user's server", ErrNoPuppet)
		}
		if client.HomeserverURL, err = mautrix.ParseAndNormalizeBaseURL(base); err != nil {
			return nil, fmt.Errorf("%w: malformed URL of the user's server", ErrNoPuppet)
		}
	}
	return client, nil
}

// stripes is a fixed number of locks, shared out by the hash of what is locked.
type stripes struct {
	seed  maphash.Seed
	locks [64]chan struct{}
}

func newStripes() stripes {
	s := stripes{seed: maphash.MakeSeed()}
	for i := range s.locks {
		s.locks[i] = make(chan struct{}, 1)
	}
	return s
}

func (s *stripes) of(key string) chan struct{} {
	return s.locks[maphash.String(s.seed, key)%uint64(len(s.locks))]
}
