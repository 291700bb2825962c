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
	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/mapping/mappingdb"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// Bridge is one running timbridge. Its handlers and methods are safe for concurrent use once Start has returned.
//
// Who owns what: all writing to the database goes through commits, whose goroutine owns cursor; everything else is either set
// by New and never changed, or guarded where it is declared.
type Bridge struct {
	cfg          *config.Config
	log          zerolog.Logger
	clock        func() time.Time
	policy       receipts.Policy
	stampSenders config.Senders
	sender       id.UserID // sender_localpart of the registration

	db      *dbutil.Database
	maps    *mappingdb.Store
	reads   *receiptsdb.Store
	own     *bridgedb.Store
	states  *sqlstatestore.SQLStateStore
	hs      *matrix.AppService
	api     *v2tim.Server
	hub     *hub
	mapped  *broadcast
	commits *committer
	cursor  int64
	stats   stats

	markers *reconciler[marker]
	outbox  *reconciler[bridgedb.Outgoing]
	rooms   *reconciler[bridgedb.RoomTask]

	stop     context.CancelFunc
	ctx      context.Context // ends when the bridge stops; for work that no caller waits for
	tasks    sync.WaitGroup
	stopOnce sync.Once

	mu      sync.Mutex
	running map[string]struct{} // background work by name, one of each at a time
}

// stats counts what an operator wants to know of. The numbers start at zero with the process.
type stats struct {
	foreignReceipts, parked, refusedStamps, holes, markersSent, markersRefused atomic.Int64
}

// New builds a bridge on a database that it may share with others (its tables have version tables of their own). Nothing is
// started or asked yet. The database must be SQLite, and no other process may write to the bridge's tables.
func New(cfg *config.Config, db *dbutil.Database, log zerolog.Logger) (*Bridge, error) {
	senders, err := config.CompileSenders(cfg.Mapping.StampSenders)
	if err != nil {
		return nil, fmt.Errorf("failed to read mapping.stamp_senders: %w", err)
	}
	b := &Bridge{
		cfg: cfg, log: log, clock: time.Now, stampSenders: senders, policy: receipts.PolicyLatest,
		db: db, maps: mappingdb.New(db), reads: receiptsdb.New(db), own: bridgedb.New(db),
		states: sqlstatestore.NewSQLStateStore(db, nil, false),
		mapped: newBroadcast(), running: make(map[string]struct{}),
	}
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
		BotLocalpart: cfg.AppService.Bot.Username, GhostPrefix: cfg.AppService.GhostPrefix(), DoublePuppet: puppets,
		Concurrency: cfg.Matrix.Concurrency, RequestTimeout: cfg.Homeserver.RequestTimeout, SyncInterval: cfg.Matrix.SyncInterval,
	}, b.states, b, log)
	if err != nil {
		return nil, fmt.Errorf("failed to set up Matrix side: %w", err)
	}
	b.hub = newHub(b)
	b.api, err = v2tim.New(v2tim.Config{
		SDKAppID: uint64(cfg.Tencent.SDKAppID), SecretKey: string(cfg.Tencent.SecretKey), Admins: cfg.Tencent.Admins,
		MaxBody: cfg.V2TIM.MaxBody, MaxIDs: cfg.V2TIM.MaxIDs, MaxMessage: cfg.V2TIM.MaxMessage,
		RatePerSecond: cfg.V2TIM.RateLimit.PerSecond, RateBurst: cfg.V2TIM.RateLimit.Burst,
		MinSDKVersion: cfg.V2TIM.MinSDKVersion, DenyPlatforms: cfg.V2TIM.DenyPlatforms,
		CoalesceWindow: cfg.V2TIM.CallbackCoalesce, MaxConnections: cfg.V2TIM.MaxConnections,
	}, service{b}, admin{b}, b.hub)
	if err != nil {
		return nil, fmt.Errorf("failed to set up V2TIM API: %w", err)
	}
	b.markers, b.outbox, b.rooms = b.markerReconciler(), b.outboxReconciler(), b.roomReconciler()
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
	if err := b.reads.Release(ctx, b.clock()); err != nil {
		return err
	}
	b.ctx, b.stop = context.WithCancel(b.log.WithContext(context.WithoutCancel(ctx)))
	go b.commits.run()
	b.tasks.Go(func() { b.markers.run(b.ctx) })
	b.tasks.Go(func() { b.outbox.run(b.ctx) })
	b.tasks.Go(func() { b.rooms.run(b.ctx) })
	b.tasks.Go(b.watchParked)
	b.tasks.Go(b.sweep)
	b.tasks.Go(b.enter)
	b.tasks.Go(b.learnImported)
	b.hs.SetReady(true)
	return nil
}

// prepare brings the tables up to date and reads what is kept in memory.
func (b *Bridge) prepare(ctx context.Context) error {
	for _, store := range []interface{ Upgrade(context.Context) error }{b.maps, b.reads, b.own, b.states} {
		if err := store.Upgrade(ctx); err != nil {
			return fmt.Errorf("failed to prepare database: %w", err)
		}
	}
	value, err := b.own.Value(ctx, bridgedb.KeyCursor)
	if err != nil {
		return err
	}
	b.cursor, _ = strconv.ParseInt("0"+value, 10, 64)
	return nil
}

// Stop ends the bridge: no new input is taken, what has been accepted is committed, requests under way get until ctx ends. The
// database stays open; it is its opener's. Stop may be called more than once.
func (b *Bridge) Stop(ctx context.Context) (err error) {
	b.stopOnce.Do(func() {
		b.hs.SetReady(false)
		err = b.api.Close(ctx)
		b.stop()
		b.tasks.Wait()
		b.commits.close()
		b.hs.Close()
	})
	return err
}

// MatrixHandler is the application service API, for the homeserver.
func (b *Bridge) MatrixHandler() http.Handler { return b.hs.Handler() }

// V2TIMHandler is the V2TIM API, for apps and their backends.
func (b *Bridge) V2TIMHandler() http.Handler { return b.api.Handler() }

func (b *Bridge) bot() id.UserID { return b.hs.BotMXID() }

func (b *Bridge) ownBot(mxid id.UserID) bool { return mxid == b.bot() || mxid == b.sender }

func (b *Bridge) wakeReconcilers() {
	b.markers.wakeUp()
	b.outbox.wakeUp()
	b.rooms.wakeUp()
}

// background runs fn for nobody who waits, one of each name at a time. Its failure is logged and left.
func (b *Bridge) background(name string, fn func(ctx context.Context) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, busy := b.running[name]; busy || b.ctx.Err() != nil {
		return
	}
	b.running[name] = struct{}{}
	b.tasks.Go(func() {
		defer func() {
			b.mu.Lock()
			delete(b.running, name)
			b.mu.Unlock()
		}()
		ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
		defer cancel()
		if err := fn(ctx); err != nil && b.ctx.Err() == nil {
			b.log.Warn().Err(err).Str("task", name).Msg("Background task failed")
		}
	})
}

// enter brings the bot to life at the homeserver and then reads /sync until the bridge stops.
func (b *Bridge) enter() {
	for attempt := 0; ; attempt++ {
		err := b.hs.EnsureBot(b.ctx)
		if err == nil {
			break
		}
		if b.ctx.Err() != nil {
			return
		}
		b.log.Error().Err(err).Msg("The homeserver does not accept us; is it running, and is the registration installed?")
		if !sleep(b.ctx, backoff(min(attempt, 5), 0)) {
			return
		}
	}
	bot := b.cfg.AppService.Bot
	if err := b.hs.SetProfile(b.ctx, b.bot(), bot.Displayname, id.ContentURIString(bot.Avatar)); err != nil && b.ctx.Err() == nil {
		b.log.Warn().Err(err).Msg("Failed to set the bot's profile")
	}
	if err := b.hs.Ping(b.ctx); err != nil && b.ctx.Err() == nil && !errors.Is(err, matrix.ErrUnsupported) {
		b.log.Error().Err(err).Msg("The homeserver cannot reach us; check appservice.address in the config and the registration")
	}
	if err := b.refreshAll(b.ctx); err != nil && b.ctx.Err() == nil {
		b.log.Warn().Err(err).Msg("Failed to learn who is in the bridged rooms")
	}
	if err := b.hs.Sync(b.ctx); err != nil && b.ctx.Err() == nil {
		b.log.Error().Err(err).Msg("Reading receipts by /sync has ended")
	}
}

// refreshAll learns who is in every bridged room: members may have come or gone while we were away and the homeserver has given up
// telling us.
func (b *Bridge) refreshAll(ctx context.Context) error {
	for after := ""; ; {
		groups, err := b.maps.Groups(ctx, after, 100)
		if err != nil || len(groups) == 0 {
			return err
		}
		for _, g := range groups {
			if g.RoomID == "" {
				continue
			}
			mxids, err := b.hs.JoinedMembers(ctx, g.RoomID)
			if errors.Is(err, matrix.ErrForbidden) { // an imported group, or an invitation that was missed
				if err = b.hs.JoinBot(ctx, g.RoomID); err == nil {
					mxids, err = b.hs.JoinedMembers(ctx, g.RoomID)
				}
			}
			if err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				b.log.Warn().Err(err).Str("group_id", g.GroupID).Stringer("room_id", g.RoomID).Msg("The bot cannot see who is in a bridged room")
				continue
			}
			err = b.commits.do(ctx, func(ctx context.Context, s *session) error {
				known, err := s.groupOfRoom(ctx, g.RoomID)
				if err != nil || known == nil {
					return err
				}
				return s.members(ctx, known, mxids)
			})
			if err != nil {
				return err
			}
		}
		after = groups[len(groups)-1].GroupID
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func isNotFound(err error) bool { return errors.Is(err, mapping.ErrNotFound) }

func isConflict(err error) bool { return errors.Is(err, mapping.ErrConflict) }

// broadcast wakes everyone who waits. It is safe for concurrent use.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

func newBroadcast() *broadcast { return &broadcast{ch: make(chan struct{})} }

// wait returns a channel that is closed at the next broadcast. Take it before looking, then nothing is missed.
func (w *broadcast) wait() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ch
}

func (w *broadcast) broadcast() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.ch)
	w.ch = make(chan struct{})
}
