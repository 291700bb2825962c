package tencent

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// clock is a time that tests move.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.nanos.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

func TestLimiterSlowsAndRecovers(t *testing.T) {
	c := newClock()
	l := newLimiter(100, c.now)
	require.InDelta(t, 100, l.rate(), 0)
	l.slow()
	l.slow() // of a call that was under way: one complaint
	require.InDelta(t, 50, l.rate(), 0)
	require.Equal(t, slowPause, l.recover())
	c.advance(slowPause)
	l.slow()
	require.InDelta(t, 25, l.rate(), 0)
	c.advance(3 * slowPause)
	require.InDelta(t, 40, l.rate(), 1e-9)
	require.Zero(t, l.recover())
	c.advance(12*slowPause - 1)
	require.InDelta(t, 95, l.rate(), 1e-9)
	c.advance(1)
	require.InDelta(t, 100, l.rate(), 1e-9)
	c.advance(time.Hour)
	require.InDelta(t, 100, l.rate(), 0)
	for range 20 {
		l.slow()
		c.advance(slowPause)
	}
	require.Greater(t, l.rate(), 100*slowFloor-1e-9)
	require.Less(t, l.rate(), 100*slowFloor+6)
}

func TestLimiterWaitsNoLongerThanItsContext(t *testing.T) {
	l := newLimiter(1, time.Now)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	require.NoError(t, l.wait(ctx))
	began := time.Now()
	require.ErrorIs(t, l.wait(ctx), context.DeadlineExceeded)
	require.Less(t, time.Since(began), 40*time.Millisecond, "it is known at once that the deadline will not be met")
	l.slow()
	require.ErrorIs(t, l.wait(ctx), context.DeadlineExceeded)
	canceled, stop := context.WithCancel(context.Background())
	stop()
	require.ErrorIs(t, l.wait(canceled), context.Canceled)
}

func TestLimiterKeepsTheRate(t *testing.T) {
	l := newLimiter(1000, time.Now)
	began := time.Now()
	calls := 0
	for time.Since(began) < 200*time.Millisecond {
		require.NoError(t, l.wait(context.Background()))
		calls++
	}
	elapsed := time.Since(began).Seconds()
	require.LessOrEqual(t, float64(calls), elapsed*1000+101)
	require.GreaterOrEqual(t, float64(calls), elapsed*1000*0.8)
}
