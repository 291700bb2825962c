package v2tim

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLimiterIsBounded(t *testing.T) {
	l := newLimiter(1, 1)
	now := time.Now()
	for i := range 5 * maxTrackedUsers {
		require.True(t, l.allow(strconv.Itoa(i), now))
		require.LessOrEqual(t, len(l.young)+len(l.old), 2*maxTrackedUsers)
	}
	last := strconv.Itoa(5*maxTrackedUsers - 1)
	require.False(t, l.allow(last, now), "who called lately is remembered")
}

func TestLimiterRemembersWhoKeepsCalling(t *testing.T) {
	l := newLimiter(1, 1)
	l.maximum = 4
	now := time.Now()
	require.True(t, l.allow("busy", now))
	for i := range 100 {
		require.True(t, l.allow(strconv.Itoa(i), now))
		require.False(t, l.allow("busy", now), "others do not push him out")
	}
}

func TestNoLimiter(t *testing.T) {
	l := newLimiter(0, 5)
	for range 1000 {
		require.True(t, l.allow("a", time.Now()))
	}
	require.Equal(t, 3, newLimiter(2.5, 0).burst, "one second's worth")
}
