package bridge

import (
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/bridge/tencent"
)

// side is the homeserver, or Tencent, and whether it is there. While it is not, nothing is sent to it but one attempt of each reconciler
// from time to time, and what fails meanwhile is not put off for long: it is not its fault. So there is nothing that waits out a long
// pause when the side is back, and no crowd before it is. What the side itself refuses keeps its own pauses. It is safe for concurrent use.
type side struct {
	log  zerolog.Logger
	back func() // called when it is there again

	mu     sync.Mutex
	failed int       // requests in a row
	since  time.Time // when the first of them failed
}

const (
	// outageAfter is how many requests in a row have to fail before the side counts as away: fewer may be about what was asked.
	outageAfter = 3
	// minRest and maxRest bound the time between two attempts of a reconciler while the side is away; it grows with the outage.
	minRest = time.Second
	maxRest = 15 * time.Second
	// outageAttempts bounds how long work is put off that fails while the side is away, to 16 s.
	outageAttempts = 4
)

func newSide(log zerolog.Logger, name string, back func()) *side {
	return &side{log: log.With().Str("side", name).Logger(), back: back}
}

// outcome takes whether a request was answered.
func (s *side) outcome(answered bool) {
	s.mu.Lock()
	again := answered && s.failed >= outageAfter
	switch {
	case answered:
		s.failed = 0
	default:
		if s.failed == 0 {
			s.since = time.Now() // by the clock that nobody sets
		}
		s.failed++
	}
	away := !answered && s.failed == outageAfter
	s.mu.Unlock()
	if away {
		s.log.Warn().Msg("Requests fail one after the other; one at a time is tried until one is answered")
	}
	if again {
		s.log.Info().Msg("Requests are answered again")
		s.back()
	}
}

// rest is how long a reconciler leaves the side alone between two attempts; 0 if it is there.
func (s *side) rest() time.Duration {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed < outageAfter {
		return 0
	}
	return min(max(time.Since(s.since)/4, minRest), maxRest)
}

// again says how often a piece of work has failed by itself, and how long it waits for its next attempt.
func (s *side) again(attempts int, retryAfter time.Duration) (int, time.Duration) {
	if s.rest() > 0 {
		return max(attempts, 1), backoff(min(attempts, outageAttempts), retryAfter)
	}
	return attempts + 1, backoff(attempts, retryAfter)
}

// again does so for work that has failed with err after so many attempts.
func (b *Bridge) again(attempts int, err error) (int, time.Duration) {
	var there *matrix.TemporaryError
	var here *tencent.TemporaryError
	switch {
	case errors.As(err, &there):
		return b.homeserver.again(attempts, there.RetryAfter)
	case errors.As(err, &here):
		return b.tencent.again(attempts, here.RetryAfter)
	}
	return attempts + 1, backoff(attempts+1, 0)
}
