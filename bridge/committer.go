package bridge

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/bridge/bridgedb"
)

// errStopped is returned to whoever wants to commit after the bridge has stopped.
var errStopped = errors.New("the bridge has stopped")

// maxBatch is how many inputs ride in one commit at most. It bounds the time that the first of them waits.
const maxBatch = 256

// change is what one input does within a transaction. It may run twice (the second time alone), so it keeps nothing outside s
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

	queue chan *queuedChange
	mu    sync.RWMutex // guards stopped against senders on queue
	stop  bool
	done  chan struct{}

	failing atomic.Bool // the last commit did not go through
}

type queuedChange struct {
	change change
	err    chan error  // buffered: the committer never waits for the caller
	taken  atomic.Bool // by the committer, to run it, or by the caller, to withdraw it
}

func newCommitter(b *Bridge) *committer {
	return &committer{bridge: b, db: b.db, log: b.log, queue: make(chan *queuedChange, maxBatch), done: make(chan struct{})}
}

// do runs fn in a transaction and returns when it is durable. An error means that nothing was committed. A change that is still
// waiting when ctx ends is withdrawn; one that has begun is finished, which takes no longer than a commit, so fn never runs after
// do has returned.
func (c *committer) do(ctx context.Context, fn change) error {
	q := &queuedChange{change: fn, err: make(chan error, 1)}
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
	if err == nil || len(batch) == 1 {
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

func (c *committer) transact(batch []*queuedChange) error {
	ctx := c.log.WithContext(context.Background())
	s := newSession(c.bridge)
	err := c.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		for _, q := range batch {
			if err := runChange(ctx, s, q.change); err != nil {
				return err
			}
		}
		return s.flush(ctx)
	})
	c.failing.Store(err != nil)
	if err != nil {
		return err
	}
	s.announce()
	return nil
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
