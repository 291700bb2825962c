package tencent

import (
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// slowPause is how long a command rests after Tencent said that calls are too frequent, and how
	// long complaints count as one: those of calls that were under way at the time.
	slowPause = time.Second
	// slowFloor is the part of the rate that is always left.
	slowFloor = 1.0 / 16
	// slowRecovery is the part of the rate that comes back in every slowPause without a complaint.
	slowRecovery = 1.0 / 20
)

// limiter is the rate limit of one command. When Tencent complains, the rate is halved, and it grows
// back evenly: what is left over of a limit that we share with the app's backend is found by trying.
// Safe for concurrent use.
type limiter struct {
	base   rate.Limit
	bucket *rate.Limiter
	now    func() time.Time

	mu      sync.Mutex
	changed time.Time // when the rate last changed; zero while it is the base
	resume  time.Time
}

// newLimiter lets through perSecond calls, at most a tenth of a second's worth at once: Tencent
// counts within seconds, and a full second's worth on top would be twice the rate.
func newLimiter(perSecond float64, now func() time.Time) *limiter {
	burst := int(math.Max(1, perSecond/10))
	return &limiter{base: rate.Limit(perSecond), bucket: rate.NewLimiter(rate.Limit(perSecond), burst), now: now}
}

// wait returns when a call may go out, or when ctx ends, or at once when ctx would end before that.
func (l *limiter) wait(ctx context.Context) error {
	for {
		pause := l.recover()
		if pause <= 0 {
			break
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < pause {
			return context.DeadlineExceeded
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	if err := l.bucket.Wait(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return context.DeadlineExceeded // rate says in words of its own that ctx would end before
	}
	return nil
}

// recover lets the rate grow by the time that has passed and returns how long the command still rests.
func (l *limiter) recover() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed.IsZero() {
		return 0
	}
	now := l.now()
	if pause := l.resume.Sub(now); pause > 0 {
		return pause
	}
	if steps := now.Sub(l.changed) / slowPause; steps > 0 {
		grown := l.bucket.Limit() + rate.Limit(float64(l.base)*slowRecovery*float64(steps))
		l.changed = l.changed.Add(steps * slowPause)
		if grown >= l.base {
			grown, l.changed = l.base, time.Time{}
		}
		l.bucket.SetLimit(grown)
	}
	return 0
}

// slow halves the rate, unless that was just done.
func (l *limiter) slow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if !l.changed.IsZero() && now.Before(l.resume) {
		return
	}
	l.bucket.SetLimit(max(l.base*slowFloor, l.bucket.Limit()/2))
	l.changed, l.resume = now, now.Add(slowPause)
}

// rate returns the calls per second that are let through now.
func (l *limiter) rate() float64 {
	l.recover()
	return float64(l.bucket.Limit())
}
