package bridge

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What was planned by a clock that was ahead does not wait until that time has come.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		ahead   time.Duration // for how long
		restart bool
	}{{5 * time.Minute, false}, {5 * time.Minute, true}, {3 * time.Second, false}} {
		t.Run(fmt.Sprintf("ahead for %s, restart: %t", tc.ahead, tc.restart), func(t *testing.T) {
			t.Parallel()
			inSimulation(t, func(s *simulation) {
				s.busy()
				require.Empty(t, s.arriveWithin(5*time.Minute))
				s.unreachable(simHomeserver)
				s.unreachable(simTencent)
				time.Sleep(clockPoll - time.Since(s.began)%clockPoll + time.Second) // just after a look at the clock
				s.offset.Store(int64(20 * time.Hour))
				s.busy()
				time.Sleep(tc.ahead)
				require.NotEmpty(t, s.underWay())
				if tc.restart {
					s.stop(true)
				}
				s.reachable()
				s.offset.Store(0)
				if tc.restart {
					s.start()
				}
				require.Empty(t, s.arriveWithin(clockPoll+40*time.Second))
			})
		})
	}
}

// A clock that goes forth, or back by no more than matters, is nothing to do anything about.
func TestClockThatIsNotSetBackReleasesNothing(t *testing.T) {
	t.Parallel()
	inSimulation(t, func(s *simulation) {
		_, err := s.b.db.Exec(context.Background(), "INSERT INTO tim_room_task (room_id, user_key, due, attempts) VALUES ('!x', 1, $1, 3)",
			s.b.clock().Add(1000*time.Hour).UnixMilli())
		require.NoError(t, err)
		due := func() time.Duration {
			next, ok, err := s.b.own.NextRoomTask(context.Background())
			require.NoError(t, err)
			require.True(t, ok)
			return next.Sub(s.began)
		}
		for _, offset := range []time.Duration{0, time.Hour, time.Hour - time.Second, time.Hour, 2 * time.Hour} {
			s.offset.Store(int64(offset))
			time.Sleep(2 * clockPoll)
			require.Greater(t, due(), 999*time.Hour, offset)
		}
		s.offset.Store(int64(time.Hour))
		time.Sleep(2 * clockPoll)
		_, ok, err := s.b.own.NextRoomTask(context.Background())
		require.NoError(t, err)
		require.False(t, ok, "nobody is to be in or out of such a room")
	})
}
