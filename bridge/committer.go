package bridge

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/database"
)

// errStopped is returned to whoever wants to commit after the bridge has stopped.
var errStopped = errors.New("the bridge has stopped")

// maxBatch is how many inputs ride in one commit at most. It bounds the time that the first of them waits.
const maxBatch = 256

// change is what one input does within a transaction. It may run again (alone, or because the transaction met another), so it keeps nothing outside s
// except what it sets anew each time.
type change func(ctx context.Context, s *session) error

// committer is the one way into the database: inputs that arrive together share one commit (a disk can do few commits a second
// but large ones), and because they run one after the other no input sees another half done.
//
// One goroutine (run) owns all writing. do is safe for concurrent use.
type committer struct {
	bridge *Bridge
	db     *dbutil.Database
	log    zerolog.Logger
	fence  *fence             // nil on SQLite
	opts   *dbutil.TxnOptions // how transactions are begun

	queue chan *queuedChange
	mu    sync.RWMutex // guards stopped against senders on queue
	stop  bool
	done  chan struct{}

	failing atomic.Bool // the last commit did not go through
}

type queuedChange struct {
	change change
	ask    *ask        // what it will ask; nil: it may write anything
	err    chan error  // buffered: the committer never waits for the caller
	taken  atomic.Bool // by the committer, to run it, or by the caller, to withdraw it
}

func newCommitter(b *Bridge) *committer {
	c := &committer{bridge: b, db: b.db, log: b.log, fence: newFence(b), queue: make(chan *queuedChange, maxBatch), done: make(chan struct{})}
	if c.fence != nil {
		// On SQLite a transaction has the database to itself from its beginning. Here it must at least not notice that it has not.
		c.opts = &dbutil.TxnOptions{Isolation: sql.LevelSerializable}
	}
	return c
}

// do runs fn in a transaction and returns when it is durable. An error means that nothing was committed. A change that is still
// waiting when ctx ends is withdrawn; one that has begun is finished, which takes no longer than a commit, so fn never runs after
// do has returned.
func (c *committer) do(ctx context.Context, fn change) error {
	return c.enqueue(ctx, &queuedChange{change: fn, err: make(chan error, 1)})
}

// doAsking is do for a change that finds in session.ahead what it asks, read together with what others ask that come at the same time.
// Such a change writes receipts: what the lookups keep it must leave alone, or have them forget.
func (c *committer) doAsking(ctx context.Context, asked ask, fn change) error {
	return c.enqueue(ctx, &queuedChange{change: fn, ask: &asked, err: make(chan error, 1)})
}

func (c *committer) enqueue(ctx context.Context, q *queuedChange) error {
	c.mu.RLock()
	if c.stop {
		c.mu.RUnlock()
		return errStopped
	}
	select {
	case c.queue <- q:
		c.mu.RUnlock()
	case <-ctx.Done():
		c.mu.RUnlock()
		return ctx.Err()
	}
	select {
	case err := <-q.err:
		return err
	case <-ctx.Done():
		if q.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		return <-q.err
	}
}

// run commits until close is called and everything accepted has been committed.
func (c *committer) run() {
	defer close(c.done)
	for first := range c.queue {
		batch := []*queuedChange{first}
	fill:
		for len(batch) < maxBatch {
			select {
			case next, ok := <-c.queue:
				if !ok {
					break fill
				}
				batch = append(batch, next)
			default:
				break fill
			}
		}
		batch = slices.DeleteFunc(batch, func(q *queuedChange) bool { return !q.taken.CompareAndSwap(false, true) })
		if len(batch) > 0 {
			c.commit(batch)
		}
	}
}

// close lets run finish what it has accepted and waits for it. It may be called more than once.
func (c *committer) close() {
	c.mu.Lock()
	if !c.stop {
		c.stop = true
		close(c.queue)
	}
	c.mu.Unlock()
	<-c.done
}

func (c *committer) commit(batch []*queuedChange) {
	err := c.transact(batch)
	if err == nil || len(batch) == 1 || c.fence != nil && isNobodysFault(err) {
		for _, q := range batch {
			q.err <- err
		}
		return
	}
	// One of them is the culprit. Alone, each gets its own outcome.
	c.log.Debug().Err(err).Int("changes", len(batch)).Msg("Repeating a failed batch one by one")
	for _, q := range batch {
		q.err <- c.transact([]*queuedChange{q})
	}
}

// isNobodysFault tells that no change is to blame: alone each would fare the same, after as long a wait.
func isNobodysFault(err error) bool {
	return database.Unreachable(err) || errors.Is(err, errOutcome) || errors.Is(err, errTakenOver)
}

// maxConflicts is how often a transaction is begun anew that met another one.
const maxConflicts = 20

func (c *committer) transact(batch []*queuedChange) (err error) {
	for try := 1; ; try++ {
		if err = c.try(batch); !database.Conflicted(err) || try == maxConflicts {
			c.failing.Store(err != nil)
			return err
		}
	}
}

// try does the changes in one transaction, and nothing if there is an error. Each time begins from what the database says.
func (c *committer) try(batch []*queuedChange) error {
	ctx := c.log.WithContext(context.Background())
	if c.fence != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, commitTimeout)
		defer cancel()
	}
	if err := c.fence.before(ctx); err != nil {
		return err
	}
	s := newSession(c.bridge)
	err := c.db.DoTxn(ctx, c.opts, func(ctx context.Context) error {
		for i, q := range batch {
			err := runChange(ctx, s, func(ctx context.Context, s *session) error {
				if err := s.lookAhead(ctx, batch[i:]); err != nil {
					return err
				}
				return q.change(ctx, s)
			})
			if err != nil {
				return err
			}
		}
		if err := s.flush(ctx); err != nil {
			return err
		}
		return c.fence.within(ctx)
	})
	if err = c.fence.ended(c.log.WithContext(context.Background()), err); err != nil {
		return err
	}
	s.announce()
	return nil
}

const (
	// recordTries is how often record tries, and recordPause how long it waits before the second time; the pause doubles. Together that
	// is some eight seconds.
	recordTries = 6
	recordPause = 250 * time.Millisecond
)

// record is do for what has come of a request that was made. What is not written down is done once more when its lease has run out,
// which takes minutes; so a database that takes nothing for a moment is tried again before that. When ctx ends, or another timbridge
// writes, there is no further try.
func (c *committer) record(ctx context.Context, fn change) error {
	for try, pause := 1, recordPause; ; try, pause = try+1, 2*pause {
		err := c.do(context.WithoutCancel(ctx), fn)
		if err == nil || errors.Is(err, errStopped) || errors.Is(err, errTakenOver) || try == recordTries || !c.rest(ctx, pause) {
			return err
		}
	}
}

// rest is sleep, of which another timbridge that writes makes an end: what is asked next says so.
func (c *committer) rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.fence.takenOver():
	case <-ctx.Done():
		return false
	}
	return true
}

// writable is an error if the database takes nothing now. Reconcilers ask it before they do what they could not write down: a disk may
// be full for hours, and whatever was sent in vain would be sent again every few seconds. As long as commits go through it costs nothing.
func (c *committer) writable(ctx context.Context) error {
	if !c.failing.Load() {
		return nil
	}
	return c.do(ctx, func(ctx context.Context, s *session) error {
		return s.b.own.SetValue(ctx, bridgedb.KeyTried, strconv.FormatInt(s.now.UnixMilli(), 10))
	})
}

// runChange turns a panic in one change into that change's error: a single bad input must not end the bridge.
func runChange(ctx context.Context, s *session, fn change) (err error) {
	defer func() {
		if r := recover(); r != nil {
			zerolog.Ctx(ctx).Error().Interface("panic", r).Bytes("stack", debug.Stack()).Msg("Change panicked")
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return fn(ctx, s)
}
