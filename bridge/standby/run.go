package standby

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"
	"golang.org/x/time/rate"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/database"
	"github.com/timbridge/timbridge/bridge/webserver"
)

const (
	// beats is how often a leader says that it is there in the time after which it counts as silent.
	beats = 5
	// minLook and maxLook bound how often one that stands by looks who leads.
	minLook = 100 * time.Millisecond
	maxLook = time.Second
	// askWithin bounds a question to the database.
	askWithin = 5 * time.Second
)

// ErrReplaced is for [Lead] to return when another has taken over.
var ErrReplaced = errors.New("another timbridge has taken over this database")

// ErrListen is what [Run] ends with when a listener fails; the error says which, and why.
var ErrListen = errors.New("this replica cannot listen")

// API is a listener that every replica has.
type API struct {
	// Server has everything but the handler.
	Server webserver.Config
	// Refuse answers while nobody leads.
	Refuse func(http.ResponseWriter)
	// Live is the path of the probe that a replica answers itself, "" if the API has none: whether this process lives says nothing of the
	// leader, and who watches it must not end all replicas because nobody leads for a moment.
	Live string
}

// Fit tells whether this program may work on a database as it is; the error is [database.ErrNewer] if a newer one has upgraded it. It
// writes nothing.
type Fit func(ctx context.Context, db *dbutil.Database) error

// Lead works on the database until ctx ends, or until another has taken over (then it returns an error that is ErrReplaced). It closes
// the database.
type Lead func(ctx context.Context, db *dbutil.Database) error

// replica is the life of one process. Its goroutine owns it but for what is atomic.
type replica struct {
	cfg    *config.Config
	apis   []API
	fit    Fit
	lead   Lead
	log    zerolog.Logger
	owner  string
	row    *database.Leadership
	leader atomic.Pointer[target]
	// heard is the leader's last sign of life, heardAt when this one saw it first.
	heard   database.Leader
	heardAt time.Time
	// outdated says now and then that this program is older than the database, double that the leader has this one's address.
	outdated, double rate.Sometimes
}

// Run stands by and leads, in turns, until ctx ends, which is no error. The logger is in ctx. It returns an error where this process
// cannot go on: a listener fails, or leading failed by something that is not another replica.
//
// A program that is older than the database never leads. It goes on to stand by: while one replica after the other is upgraded, the
// others still pass on.
func Run(ctx context.Context, cfg *config.Config, apis []API, fit Fit, lead Lead) error {
	if err := tryPort(ctx, cfg.Replica); err != nil {
		return err
	}
	row, err := database.OpenLeadership(ctx, cfg.Database)
	if err != nil {
		return err
	}
	defer row.Close()
	r := &replica{
		cfg: cfg, apis: apis, fit: fit, lead: lead, log: *zerolog.Ctx(ctx), owner: rand.Text(), row: row,
		outdated: rate.Sometimes{Interval: time.Minute}, double: rate.Sometimes{Interval: time.Minute},
	}
	for ctx.Err() == nil {
		db, err := r.standBy(ctx)
		if err != nil || db == nil {
			return err
		}
		err = r.work(ctx, db)
		switch {
		case ctx.Err() != nil && (errors.Is(err, ErrReplaced) || errors.Is(err, context.Canceled)):
			return nil // ended while it began to lead
		case errors.Is(err, database.ErrNewer): // upgraded since it was looked at
			r.tooOld(err)
		case err != nil && !errors.Is(err, ErrReplaced) && !database.Unreachable(err):
			return err
		case err != nil:
			r.leaveIt(ctx, err, "This replica leads no more")
		}
	}
	return nil
}

// tryPort listens for other replicas for a moment: that another program has the port should be seen now, not when it is this one's turn to
// lead and nobody looks.
func tryPort(ctx context.Context, cfg config.Replica) error {
	address := net.JoinHostPort(cfg.Hostname, strconv.Itoa(int(cfg.Port)))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("%w: failed to listen for replicas on %s: %w", ErrListen, address, err)
	}
	return listener.Close()
}

// standBy passes requests on until it is this one's turn, and returns the database with its lock; nil when ctx has ended.
func (r *replica) standBy(ctx context.Context) (*dbutil.Database, error) {
	base := transport()
	base.MaxIdleConnsPerHost = 100
	defer base.CloseIdleConnections()
	standing, end := context.WithCancel(ctx)
	defer end()
	pass := &passer{secret: Secret(string(r.cfg.AppService.HSToken)), leader: r.leader.Load, standing: standing, base: base, log: r.log}
	failed := make(chan error, len(r.apis))
	var servers []*webserver.Server
	stop := func() {
		within := time.Second
		if ctx.Err() != nil {
			// This one ends, the leader does not: what it is busy with is answered, unless it is silent for as long as makes it none.
			within = min(r.cfg.Bridge.StopTimeout, r.cfg.Replica.Takeover)
		} else {
			r.follow("") // nobody waits for this one to begin: whoever is cut off comes again
		}
		end()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
		defer cancel()
		for _, server := range servers {
			_ = server.Shutdown(ctx)
		}
		r.follow("") // WebSockets are no requests to the servers
	}
	defer stop()
	listening := false
	for {
		db, err := r.tryToLead(ctx)
		if err != nil || db != nil || ctx.Err() != nil {
			return db, err
		}
		if !listening { // not before it is clear that another leads
			listening = true
			for _, api := range r.apis {
				cfg := api.Server
				cfg.Handler = aliveAt(api.Live, pass.handler(cfg.Name, api.Refuse))
				server, err := webserver.Listen(cfg)
				if err != nil {
					return nil, fmt.Errorf("%w: %w", ErrListen, err)
				}
				servers = append(servers, server)
				go func() {
					if err := server.Serve(); err != nil {
						failed <- fmt.Errorf("%w: failed to serve %s: %w", ErrListen, cfg.Name, err)
					}
				}()
			}
			r.log.Info().Msg("Standing by")
		}
		select {
		case <-ctx.Done():
			return nil, nil //nolint:nilnil // as it says
		case err = <-failed:
			return nil, err
		case <-time.After(min(max(r.cfg.Replica.Takeover/beats, minLook), maxLook)):
		}
	}
}

// tryToLead opens the database if nobody works on it, or whoever does has been silent for too long.
func (r *replica) tryToLead(ctx context.Context) (*dbutil.Database, error) {
	ask, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	now, err := r.row.Look(ask)
	if err != nil {
		r.leaveIt(ctx, err, "Failed to look who leads")
		return nil, nil //nolint:nilnil // not its turn
	}
	if r.isDouble(now) {
		r.double.Do(func() {
			r.log.Error().Str("address", now.Address).
				Msg("Another replica leads with this one's replica.address, so nothing can be passed on: each needs an address of its own")
		})
	}
	silent := r.silence(now)
	if now.Locked && silent <= r.cfg.Replica.Takeover {
		r.follow(now.Address)
		return nil, nil //nolint:nilnil // not its turn
	}
	if !now.Locked && r.leader.Load() != nil {
		r.log.Info().Str("address", now.Address).Msg("The leader has ended, or has lost the database")
	}
	r.follow("")
	if !r.fits(ask) {
		return nil, nil //nolint:nilnil // never its turn
	}
	if now.Locked {
		r.log.Warn().Str("address", now.Address).Stringer("silent", silent.Round(time.Millisecond)).Msg("The leader is silent, ending its sessions")
		if err = r.row.Depose(ask, now.Session); err != nil {
			r.leaveIt(ctx, err, "Failed to take the place of a silent leader")
			return nil, nil //nolint:nilnil // not its turn
		}
	}
	db, err := database.Open(ctx, r.cfg.Database)
	switch {
	case errors.Is(err, database.ErrLocked):
		return nil, nil //nolint:nilnil // another was faster
	case err != nil && (database.Unreachable(err) || ctx.Err() != nil):
		r.leaveIt(ctx, err, "Failed to open the database")
		return nil, nil //nolint:nilnil // it may be away
	case err != nil:
		return nil, err
	}
	if err = r.row.Take(ask, r.owner, r.cfg.Replica.Address); err != nil {
		_ = db.Close()
		r.leaveIt(ctx, err, "Failed to take the lead")
		return nil, nil //nolint:nilnil // it may be away
	}
	return db, nil
}

// fits tells whether this program may work on the database. What else is wrong with the database is for who opens it to say.
func (r *replica) fits(ctx context.Context) bool {
	db, err := database.OpenReadOnly(zerolog.Nop().WithContext(ctx), r.cfg.Database)
	if err == nil {
		err = errors.Join(r.fit(ctx, db), db.Close())
	}
	if errors.Is(err, database.ErrNewer) {
		r.tooOld(err)
		return false
	}
	return true
}

func (r *replica) tooOld(err error) {
	r.outdated.Do(func() {
		r.log.Error().Err(err).Msg("This replica is older than the database and does not lead, it only passes on: upgrade it")
	})
}

// isDouble tells whether another that lives leads with this one's address: its sign of life is newer than the last that this one saw. (A row
// with this one's address that nobody renews is what it has left itself when it led before.)
func (r *replica) isDouble(now database.Leader) bool {
	return now.Locked && now.Address == r.cfg.Replica.Address && now.Owner == r.heard.Owner && now.Owner != r.owner && now.Seen.After(r.heard.Seen)
}

// silence is for how long this one has seen the same sign of life of the leader. Its age alone says little: after an outage of the
// database every leader's is old. Another session with the lock is a sign too: that of a replica which has not got round to more.
func (r *replica) silence(now database.Leader) time.Duration {
	if now.Owner != r.heard.Owner || !now.Seen.Equal(r.heard.Seen) || now.Session != r.heard.Session {
		r.heard, r.heardAt = now, time.Now()
	}
	return time.Since(r.heardAt)
}

// follow has requests passed on to an address; to nobody if there is none, or it is this one's own, which has only begun.
func (r *replica) follow(address string) {
	before := r.leader.Load()
	if before != nil && before.url.String() == address {
		return
	}
	var next *target
	if leader, err := url.Parse(address); err == nil && address != "" && address != r.cfg.Replica.Address {
		next = &target{url: leader}
		next.ctx, next.end = context.WithCancel(context.Background())
		r.log.Info().Str("address", address).Msg("Passing on to the leader")
	}
	r.leader.Store(next)
	if before != nil {
		before.end()
	}
}

func (r *replica) leaveIt(ctx context.Context, err error, text string) {
	if ctx.Err() == nil {
		r.log.Warn().Err(err).Msg(text)
	}
}

// work leads until ctx ends or another has taken over.
func (r *replica) work(ctx context.Context, db *dbutil.Database) error {
	r.log.Info().Msg("Leading")
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	defer func() { cancel(nil); <-done }()
	go func() {
		defer close(done)
		r.beat(ctx, cancel)
	}()
	err := r.lead(ctx, db)
	if errors.Is(context.Cause(ctx), ErrReplaced) || errors.Is(err, ErrReplaced) {
		r.log.Warn().Err(err).Msg("Another replica has taken over")
		return ErrReplaced
	}
	return err
}

// beat says that this one is there, until ctx ends; it ends ctx when another has taken the lead.
func (r *replica) beat(ctx context.Context, end context.CancelCauseFunc) {
	ticker := time.NewTicker(r.cfg.Replica.Takeover / beats)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		ask, cancel := context.WithTimeout(ctx, askWithin)
		still, err := r.row.Beat(ask, r.owner)
		cancel()
		switch {
		case err != nil:
			r.leaveIt(ctx, err, "Failed to tell the other replicas that this one is there")
		case !still:
			end(ErrReplaced)
			return
		}
	}
}
