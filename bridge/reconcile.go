package bridge

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// reconciler is the one loop behind all output: list what is due, do it with bounded concurrency, never the same key twice at a
// time, sleep until more is due. What is due stands in the database, so there is nothing to lose: after a crash the list is
// simply read again.
//
// The goroutine of run owns all fields but wake.
type reconciler[T any] struct {
	name  string
	limit int                                                // in flight
	due   func(ctx context.Context, limit int) ([]T, error)  // oldest first
	next  func(ctx context.Context) (time.Time, bool, error) // when the next one is due
	key   func(T) string                                     // what must not run twice at a time
	begin func(ctx context.Context, items []T) ([]T, error)  // optional: one commit for all before they run
	ready func(ctx context.Context) error                    // optional, without begin: whether what comes of it can be written down
	do    func(ctx context.Context, item T)                  // must end when ctx does
	clock func() time.Time
	side  *side // optional: to whom it speaks, see side
	wake  chan struct{}

	tried time.Time // when something was begun last
}

const (
	// idlePoll is how often a loop looks although nobody woke it: a safety net, not a schedule.
	idlePoll = time.Minute
	// errorPause is how long a loop rests when the database does not answer; it doubles up to maxErrorPause while it still does not.
	errorPause    = time.Second
	maxErrorPause = 15 * time.Second
	// finishWithin is how long what is under way may take when the loop has to end.
	finishWithin = 10 * time.Second
)

func (r *reconciler[T]) run(ctx context.Context) {
	log := zerolog.Ctx(ctx).With().Str("reconciler", r.name).Logger()
	ctx = log.WithContext(ctx)
	// A request that is dropped may have been taken all the same, so what is under way is brought to its end.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	finished := make(chan string)
	inFlight := make(map[string]struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := ctx.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	pause := errorPause
	for {
		// A key that just finished may be due again, and a place is free.
		wait, err := r.start(ctx, work, inFlight, &wg, finished)
		if err != nil && ctx.Err() == nil {
			log.Error().Err(err).Msg("Failed to look for work")
			wait = pause
			pause = min(2*pause, maxErrorPause)
		} else {
			pause = errorPause
		}
		timer.Reset(wait)
		select {
		case <-stop:
			defer time.AfterFunc(finishWithin, cancel).Stop()
			go func() { wg.Wait(); close(finished) }()
			for range finished {
			}
			return
		case key := <-finished:
			delete(inFlight, key)
			for more := true; more; { // take all that have finished: one look serves them together
				select {
				case key = <-finished:
					delete(inFlight, key)
				default:
					more = false
				}
			}
		case <-r.wake:
		case <-timer.C:
		}
	}
}

// start begins what is due as far as there is room, and says how long to sleep.
func (r *reconciler[T]) start(ctx, work context.Context, inFlight map[string]struct{}, wg *sync.WaitGroup, finished chan<- string) (time.Duration, error) {
	room := r.limit - len(inFlight)
	if room <= 0 {
		return idlePoll, nil // a finished one wakes us
	}
	if rest := r.side.rest(); rest > 0 {
		if wait := rest - time.Since(r.tried); wait > 0 {
			return wait, nil
		}
		room = 1
	}
	// Those in flight may still be listed as due, so ask for as many more.
	items, err := r.due(ctx, r.limit+len(inFlight))
	if err != nil {
		return 0, err
	}
	var chosen []T
	for _, item := range items {
		if _, busy := inFlight[r.key(item)]; !busy && len(chosen) < room {
			chosen = append(chosen, item)
		}
	}
	if r.ready != nil && len(chosen) > 0 {
		if err = r.ready(ctx); err != nil {
			return 0, err
		}
	}
	if r.begin != nil && len(chosen) > 0 {
		if chosen, err = r.begin(ctx, chosen); err != nil {
			return 0, err
		}
	}
	if len(chosen) > 0 {
		r.tried = time.Now()
	}
	for _, item := range chosen {
		key := r.key(item)
		inFlight[key] = struct{}{}
		wg.Go(func() {
			r.do(work, item)
			finished <- key
		})
	}
	if len(inFlight) >= r.limit {
		return idlePoll, nil
	}
	next, ok, err := r.next(ctx)
	if err != nil || !ok {
		return idlePoll, err
	}
	wait := next.Sub(r.clock())
	if wait <= 0 {
		// Due, but in flight or not chosen: what finishes wakes us. Without anything in flight a short rest avoids spinning.
		wait = 50 * time.Millisecond
	}
	return min(wait, idlePoll), nil
}

func (r *reconciler[T]) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

const (
	firstRetry = time.Second
	lastRetry  = 10 * time.Minute
)

// backoff is how long to wait before the next try: doubling, with jitter so that a homeserver coming back is not met by all at
// once, never less than what the other side asked for.
func backoff(attempts int, retryAfter time.Duration) time.Duration {
	wait := lastRetry
	if attempts < 10 {
		wait = min(firstRetry<<attempts, lastRetry)
	}
	wait = wait/2 + rand.N(wait/2+1)
	return max(wait, retryAfter)
}
