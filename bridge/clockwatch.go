package bridge

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// When work is due is kept by the clock on the wall, so that it outlives the process. Should that clock be set back, what was planned
// before would wait for the time to come once more: it is made due at once instead, as at every start.

const (
	// clockPoll is how often is looked whether the clock was set back.
	clockPoll = 10 * time.Second
	// clockBack is how far it has to go: what waits longer by less does not matter.
	clockBack = 5 * time.Second
)

// clockWatch compares a clock with the one that nobody sets, whenever it is read, so that it knows the latest time by which anything can
// have been planned. It is safe for concurrent use.
type clockWatch struct {
	clock       func() time.Time
	began, wall time.Time // the same moment by the two

	mu   sync.Mutex
	most time.Duration // that the clock has been ahead since
}

func watched(clock func() time.Time) *clockWatch {
	return &clockWatch{clock: clock, began: time.Now(), wall: clock().Round(0)}
}

func (w *clockWatch) now() time.Time {
	now, _ := w.read()
	return now
}

// read also says how far the clock has gone back.
func (w *clockWatch) read() (now time.Time, back time.Duration) {
	now = w.clock()
	ahead := now.Round(0).Sub(w.wall) - time.Since(w.began)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.most = max(w.most, ahead)
	return now, w.most - ahead
}

// taken says that nothing is left of what was planned before the clock went back so far.
func (w *clockWatch) taken(back time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.most -= back
}

// release makes due what waits, whatever for. What may not go yet finds that out again.
func (b *Bridge) release(ctx context.Context) error {
	now := b.clock()
	if err := b.reads.Release(ctx, now); err != nil {
		return err
	}
	return b.own.Release(ctx, now)
}

// watchClock looks whether the clock was set back.
func (b *Bridge) watchClock() {
	for sleep(b.ctx, clockPoll) {
		_, back := b.watch.read()
		if back < clockBack {
			continue
		}
		if err := b.clockSetBack(); err != nil {
			if b.ctx.Err() == nil {
				b.log.Error().Err(err).Msg("Failed to make due what was planned before the clock was set back")
			}
			continue
		}
		b.watch.taken(back)
		b.log.Warn().Stringer("by", back.Round(time.Second)).Msg("The clock was set back; what waits is tried at once")
	}
}

func (b *Bridge) clockSetBack() error {
	err := b.commits.do(b.ctx, func(ctx context.Context, s *session) error {
		// Rows changed in this commit are written before, all are read anew after.
		if err := s.writeRows(ctx); err != nil {
			return err
		}
		clear(s.rows)
		s.work = true
		return b.release(ctx)
	})
	if err != nil {
		return fmt.Errorf("failed to release what waits: %w", err)
	}
	return nil
}
