package bridge

import (
	"context"
	"sync"
	"time"
)

// background runs fn for nobody who waits, one of each name at a time: who asks while it runs gets it run once more afterwards, as it may
// have looked before what he has seen. Its failure is logged and left.
func (b *Bridge) background(name string, fn func(ctx context.Context) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx.Err() != nil {
		return
	}
	if _, busy := b.running[name]; busy {
		b.running[name] = true
		return
	}
	b.running[name] = false
	b.tasks.Go(func() {
		for again := true; again; again = b.runAgain(name) {
			ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
			if err := fn(ctx); err != nil && b.ctx.Err() == nil {
				b.log.Warn().Err(err).Str("task", name).Msg("Background task failed")
			}
			cancel()
		}
	})
}

// runAgain tells whether somebody has asked for background work since it began, and forgets it if not.
func (b *Bridge) runAgain(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	again := b.running[name] && b.ctx.Err() == nil
	if again {
		b.running[name] = false
	} else {
		delete(b.running, name)
	}
	return again
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
