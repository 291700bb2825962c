package bridge

import (
	"context"
	"sync"
	"time"
)

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
