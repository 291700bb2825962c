package v2tim

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxTrackedUsers bounds how many users' buckets are kept in one generation.
const maxTrackedUsers = 10_000

// limiter keeps a token bucket for each user. It remembers two generations of
// users: when the younger is full, the older is forgotten, which is at least
// maxTrackedUsers users ago. Forgetting is harmless: it fills one bucket. Safe for
// concurrent use; a nil limiter allows everything.
type limiter struct {
	rate    rate.Limit
	burst   int
	maximum int

	mu         sync.Mutex
	young, old map[string]*rate.Limiter
}

// newLimiter returns nil (no limit) where perSecond is 0.
func newLimiter(perSecond float64, burst int) *limiter {
	if perSecond <= 0 {
		return nil
	}
	if burst <= 0 {
		burst = int(math.Ceil(perSecond))
	}
	return &limiter{
		rate: rate.Limit(perSecond), burst: burst, maximum: maxTrackedUsers,
		young: make(map[string]*rate.Limiter),
	}
}

// allow takes one token of user, if there is one.
func (l *limiter) allow(user string, now time.Time) bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, ok := l.young[user]
	if !ok {
		if bucket, ok = l.old[user]; !ok {
			bucket = rate.NewLimiter(l.rate, l.burst)
		}
		if len(l.young) >= l.maximum {
			l.old, l.young = l.young, make(map[string]*rate.Limiter)
		}
		l.young[user] = bucket
	}
	return bucket.AllowN(now, 1)
}
