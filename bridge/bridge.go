package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/id"
	"maunium.net/go/mautrix/sqlstatestore"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/database"
	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/mapping/mappingdb"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// Bridge is one running timbridge. Its handlers and methods are safe for concurrent use once Start has returned.
//
// Who owns what: all writing to the database goes through commits, whose goroutine owns cursor and unseen; everything else is either set
// by New and never changed, or guarded where it is declared. The committer's goroutine also owns private once Start has returned.
type Bridge struct {
	cfg          *config.Config
	log          zerolog.Logger
	clock        func() time.Time
	watch        *clockWatch       // of clock
	transport    http.RoundTripper // to the homeserver and Tencent; nil: the adapters' own
	policy       receipts.Policy
	stampSenders config.Senders
	linkers      config.Senders // who may link rooms, see mayLink
	sender       id.UserID      // sender_localpart of the registration

	db      *dbutil.Database
	maps    *mappingdb.Store
	reads   *receiptsdb.Store
	own     *bridgedb.Store
	states  *sqlstatestore.SQLStateStore
	hs      *matrix.AppService
	api     *v2tim.Server
	hub     *hub
	backend *v2tim.Backend // nil: nobody is told
	mapped  *broadcast     // a message got its place, or somebody became a member
	called  *broadcast     // there are callbacks
	commits *committer
	cursor  int64
	unseen  map[reader]unseen
	private map[mapping.UserKey]bool // their receipts do not cross
	strange *strangers               // the committer's goroutine owns it
	stats   stats
	damages damageLog
	cloud   *cloud // nil in standalone
	// homeserver and tencent are the two sides as far as they are there.
	homeserver, tencent *side
	commands            commands

	markers *reconciler[marker]
	outbox  *reconciler[bridgedb.Outgoing]
	rooms   *reconciler[bridgedb.RoomTask]

	stop     context.CancelFunc
	ctx      context.Context // ends when the bridge stops; for work that no caller waits for
	tasks    sync.WaitGroup
	stopOnce sync.Once

	mu      sync.Mutex
	running map[string]bool // background work by name, one of each at a time; true: to be done once more
	// awaiting is what we have sent and what has not come back; the database has it too, for the next start.
	awaiting map[id.EventID]awaited
	inOrder  map[id.RoomID]inOrder
}

// stats counts what an operator wants to know of. The numbers start at zero with the process.
type stats struct {
	acksSent, acksRefused, foreignReceipts, parked, refusedStamps, holes, markersSent, markersRefused atomic.Int64
}

// Option changes how a bridge is built.
type Option func(*Bridge)

// WithTransport has all requests to the homeserver and to Tencent made by a transport of the caller's: through his proxy, with his
// certificates, or within one process.
func WithTransport(transport http.RoundTripper) Option {
	return func(b *Bridge) { b.transport = transport }
}

// New builds a bridge on a database that it may share with others (its tables have version tables of their own). Nothing is
// started or asked yet. The database is SQLite or PostgreSQL, and no other process may write to the bridge's tables.
func New(cfg *config.Config, db *dbutil.Database, log zerolog.Logger, opts ...Option) (*Bridge, error) {
	senders, err := config.CompileSenders(cfg.Mapping.StampSenders)
	if err != nil {
		return nil, fmt.Errorf("failed to read mapping.stamp_senders: %w", err)
	}
	linkers, err := config.CompileSenders(cfg.Bridge.MayLink)
	if err != nil {
		return nil, fmt.Errorf("failed to read bridge.may_link: %w", err)
	}
	b := &Bridge{
		cfg: cfg, log: log, clock: time.Now, stampSenders: senders, linkers: linkers, policy: receipts.PolicyLatest,
		db: db, maps: mappingdb.New(db), reads: receiptsdb.New(db), own: bridgedb.New(db),
		states: sqlstatestore.NewSQLStateStore(db, nil, false),
		mapped: newBroadcast(), called: newBroadcast(), running: make(map[string]bool), unseen: make(map[reader]unseen),
		awaiting: make(map[id.EventID]awaited),
		inOrder:  make(map[id.RoomID]inOrder),
		private:  make(map[mapping.UserKey]bool), strange: newStrangers(),
	}
	b.homeserver, b.tencent = newSide(log, "homeserver", b.wakeReconcilers), newSide(log, "Tencent", b.wakeReconcilers)
	for _, opt := range opts {
		opt(b)
	}
	b.watch = watched(b.clock)
	b.clock = b.watch.now
	if cfg.Matrix.Policy == config.PolicyContiguous {
		b.policy = receipts.PolicyContiguous
	}
	registration, err := Registration(cfg)
	if err != nil {
		return nil, err
	}
	b.sender = id.NewUserID(registration.SenderLocalpart, cfg.Homeserver.Domain)
	puppets := make(map[string]string)
	for server, secret := range cfg.DoublePuppet.Secrets {
		puppets[server] = string(secret)
	}
	b.hs, err = matrix.New(matrix.Config{
		Registration: registration, HomeserverURL: cfg.Homeserver.Address, Domain: cfg.Homeserver.Domain,
		BotLocalpart: cfg.AppService.Bot.Username, GhostPrefix: cfg.AppService.GhostPrefix(), DoublePuppet: puppets, DoublePuppetURL: cfg.DoublePuppet.Servers,
		Concurrency: cfg.Matrix.Concurrency, RequestTimeout: cfg.Homeserver.RequestTimeout, SyncInterval: cfg.Matrix.SyncInterval,
		Transport: b.transport, Outcome: b.homeserver.outcome,
	}, b.states, b, log)
	if err != nil {
		return nil, fmt.Errorf("failed to set up Matrix side: %w", err)
	}
	b.hub = newHub(b)
	b.api, err = v2tim.New(v2tim.Config{
		SDKAppID: uint64(cfg.Tencent.SDKAppID), SecretKey: string(cfg.Tencent.SecretKey), Admins: cfg.Tencent.Admins,
		MaxBody: cfg.V2TIM.MaxBody, MaxIDs: cfg.V2TIM.MaxIDs, MaxMessage: cfg.V2TIM.MaxMessage,
		RatePerSecond: cfg.V2TIM.RateLimit.PerSecond, RateBurst: cfg.V2TIM.RateLimit.Burst,
		SigFailures:   cfg.V2TIM.RateLimit.BadSignatures,
		MinSDKVersion: cfg.V2TIM.MinSDKVersion, DenyPlatforms: cfg.V2TIM.DenyPlatforms,
		CoalesceWindow: cfg.V2TIM.CallbackCoalesce, MaxConnections: cfg.V2TIM.MaxConnections,
	}, service{b}, admin{b}, b.hub)
	if err != nil {
		return nil, fmt.Errorf("failed to set up V2TIM API: %w", err)
	}
	if cfg.V2TIM.CallbackURL != "" {
		b.backend, err = v2tim.NewBackend(cfg.V2TIM.CallbackURL, string(cfg.V2TIM.CallbackToken), cfg.Tencent.SDKAppID)
		if err != nil {
			return nil, fmt.Errorf("failed to set up v2tim.callback_url: %w", err)
		}
	}
	if cfg.Tencent.Mode == config.ModeCloud {
		if b.cloud, err = newCloud(b); err != nil {
			return nil, err
		}
	}
	b.markers, b.outbox, b.rooms = b.markerReconciler(), b.outboxReconciler(), b.roomReconciler()
	b.markers.side, b.outbox.side, b.rooms.side = b.homeserver, b.homeserver, b.homeserver
	b.commits = newCommitter(b)
	return b, nil
}

// Registration is what the homeserver has to be told of us, made from the configuration alone: the same configuration gives the
// same registration.
func Registration(cfg *config.Config) (*appservice.Registration, error) {
	registration, err := matrix.NewRegistration(matrix.RegistrationConfig{
		ID: cfg.AppService.ID, URL: cfg.AppService.Address, Domain: cfg.Homeserver.Domain, BotLocalpart: cfg.AppService.Bot.Username,
		GhostPrefix: cfg.AppService.GhostPrefix(), ASToken: string(cfg.AppService.ASToken), HSToken: string(cfg.AppService.HSToken),
		SenderLocalpart: SenderLocalpart(cfg),
	})
	if err != nil {
		return nil, fmt.Errorf("failed to build registration: %w", err)
	}
	registration.EphemeralEvents = cfg.AppService.EphemeralEvents
	return registration, nil
}

// SenderLocalpart is the sender_localpart of the registration: a user of its own that does nothing but own the registration,
// because Synapse refuses /sync to it.
func SenderLocalpart(cfg *config.Config) string {
	return cfg.AppService.Bot.Username + "_as"
}

// Start prepares the database and begins to work: the reconcilers take up what was left, the reader of /sync goes on where it
// stopped. It asks nothing of the homeserver itself, so that it also succeeds while that is down. Start is called once.
func (b *Bridge) Start(ctx context.Context) error {
	if err := b.prepare(ctx); err != nil {
		return err
	}
	if err := b.release(ctx); err != nil {
		return err
	}
	if b.cloud != nil {
		if err := b.cloud.prepare(ctx); err != nil {
			return err
		}
	}
	b.ctx, b.stop = context.WithCancel(b.log.WithContext(context.WithoutCancel(ctx)))
	go b.commits.run()
	b.tasks.Go(func() { b.markers.run(b.ctx) })
	b.tasks.Go(func() { b.outbox.run(b.ctx) })
	b.tasks.Go(func() { b.rooms.run(b.ctx) })
	b.tasks.Go(b.watchParked)
	b.tasks.Go(b.watchAwaited)
	b.tasks.Go(b.sweep)
	b.tasks.Go(b.watchClock)
	b.tasks.Go(b.enter)
	b.tasks.Go(b.learnImported)
	if b.backend != nil {
		b.tasks.Go(b.tellBackend)
	}
	if b.cloud != nil {
		b.cloud.start(b.ctx, &b.tasks)
	}
	b.hs.SetReady(true)
	return nil
}

// prepare brings the tables up to date and reads what is kept in memory.
func (b *Bridge) prepare(ctx context.Context) error {
	if err := CheckSchema(ctx, b.db); err != nil {
		return err
	}
	// First of all, so that whoever worked before, and may still be in the middle of a commit, writes nothing more in his older form beneath
	// an upgrade. Where there are no tables yet there is nobody.
	version, _, err := database.Version(ctx, b.own.Schema())
	if err == nil && version > 0 {
		err = b.commits.fence.claim(ctx)
	}
	if err != nil {
		return err
	}
	for _, store := range []interface{ Upgrade(context.Context) error }{b.maps, b.reads, b.own, b.states} {
		if err := store.Upgrade(ctx); err != nil {
			return fmt.Errorf("failed to prepare database: %w", err)
		}
	}
	if version == 0 {
		if err = b.commits.fence.claim(ctx); err != nil {
			return err
		}
	}
	value, err := b.own.Value(ctx, bridgedb.KeyCursor)
	if err != nil {
		return err
	}
	b.cursor, _ = strconv.ParseInt("0"+value, 10, 64)
	return b.loadPrivate(ctx)
}

// Stop ends the bridge: no new input is taken, what has been accepted is committed, listeners get until ctx ends to say goodbye.
// Requests to the homeserver that are under way get ten seconds; the next start makes again what was cut off. The database stays
// open; it is its opener's. Stop may be called more than once.
func (b *Bridge) Stop(ctx context.Context) (err error) {
	b.stopOnce.Do(func() {
		b.hs.SetReady(false)
		err = b.api.Close(ctx)
		if b.cloud != nil {
			err = errors.Join(err, b.cloud.hooks.Close(ctx))
		}
		b.mu.Lock() // background work is begun before, or not at all
		b.stop()
		b.mu.Unlock()
		b.tasks.Wait()
		b.commits.close()
		b.hs.Close()
		if b.cloud != nil {
			b.cloud.client.Close()
		}
	})
	return err
}

// MatrixHandler is the application service API, for the homeserver.
func (b *Bridge) MatrixHandler() http.Handler { return b.hs.Handler() }

// WebhookHandler takes the webhooks of Tencent Cloud; nil in standalone.
func (b *Bridge) WebhookHandler() http.Handler {
	if b.cloud == nil {
		return nil
	}
	return b.cloud.hooks
}

// V2TIMHandler is the V2TIM API, for apps and their backends.
func (b *Bridge) V2TIMHandler() http.Handler { return b.api.Handler() }

func (b *Bridge) writable(ctx context.Context) error { return b.commits.writable(ctx) }

func (b *Bridge) bot() id.UserID { return b.hs.BotMXID() }

func (b *Bridge) ownBot(mxid id.UserID) bool { return mxid == b.bot() || mxid == b.sender }

func (b *Bridge) wakeReconcilers() {
	b.markers.wakeUp()
	b.outbox.wakeUp()
	b.rooms.wakeUp()
	if b.cloud != nil {
		b.cloud.wakeUp()
	}
}

func isNotFound(err error) bool { return errors.Is(err, mapping.ErrNotFound) }

func isConflict(err error) bool { return errors.Is(err, mapping.ErrConflict) }
