package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent"
)

// inSimulation runs a test on a simulated machine with one group in Tencent Cloud, in virtual time. Nothing happens but what it does.
func inSimulation(t *testing.T, test func(s *simulation)) {
	template := newSimTemplate(t, simKind{cloud: true})
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(t, simKind{cloud: true}, 1, template)
		defer func() {
			if failed := recover(); failed != nil && failed != any(simFailed{}) {
				panic(failed)
			}
			s.close()
			require.Empty(t, s.t.problems)
		}()
		s.populate(1, 3, 3)
		for _, p := range s.tims[1:] {
			_ = p.cloud.Join(s.groups[0].id) // some are in already
		}
		require.Empty(t, s.arriveWithin(5*time.Minute), "before anything happens")
		test(s)
	})
}

// busy has everything of which there can be something on its way: messages, edits, receipts and members, in both directions.
func (s *simulation) busy() {
	g := s.groups[0]
	event := s.mats[0].user.Send(g.room, "from the room")
	s.mats[0].user.Edit(g.room, event, "from the room, edited")
	for i := range 3 {
		m, err := s.tims[0].cloud.Send(g.id, fmt.Sprint("from the app ", i), simSendOptions(true))
		require.NoError(s.t, err)
		require.NoError(s.t, s.tims[1].cloud.Ack(g.id, m.Seq))
	}
	if s.tims[2].cloud.Leave(g.id) != nil {
		require.NoError(s.t, s.tims[2].cloud.Join(g.id))
	}
	for _, ev := range s.hs.Timeline(g.room) {
		if ev.Type == "m.room.message" {
			s.mats[0].user.SendReceipt(g.room, ev.ID)
		}
	}
}

// unreachable puts a proxy before somebody that says so, and counts the requests that change something.
func (s *simulation) unreachable(host string) (requests *atomic.Int64) {
	requests = new(atomic.Int64)
	s.wires.plug(host, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			requests.Add(1)
		}
		w.WriteHeader(http.StatusBadGateway)
	}), nil)
	return requests
}

// reachable is the end of that.
func (s *simulation) reachable() {
	s.wires.plug(simHomeserver, s.hs.Handler(), nil)
	s.wires.plug(simTencent, s.cloud.Handler(), nil)
}

// arriveWithin waits until nothing is on its way any more, and says what still is when the time is over.
func (s *simulation) arriveWithin(d time.Duration) (left []string) {
	for end := time.Now().Add(d); ; {
		synctest.Wait()
		if left = s.underWay(); len(left) == 0 || !time.Now().Before(end) {
			return left
		}
		time.Sleep(time.Second)
	}
}

func TestAfterAnOutageEverythingArrivesSoon(t *testing.T) {
	t.Parallel()
	for name, hosts := range map[string][]string{"homeserver": {simHomeserver}, "Tencent": {simTencent}, "both": {simHomeserver, simTencent}} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restart: %t", name, restart), func(t *testing.T) {
				t.Parallel()
				inSimulation(t, func(s *simulation) {
					s.busy()
					require.Empty(t, s.arriveWithin(5*time.Minute))
					var requests []*atomic.Int64
					for _, host := range hosts {
						requests = append(requests, s.unreachable(host))
					}
					s.busy()
					const outage = 2 * time.Hour
					time.Sleep(outage)
					require.NotEmpty(t, s.underWay())
					for i, n := range requests {
						require.Less(t, n.Load(), int64(4*outage/maxRest), hosts[i]+" is not asked all the time while it is away")
					}
					s.reachable()
					if restart {
						s.stop(true)
						s.start()
					}
					require.Empty(t, s.arriveWithin(40*time.Second))
				})
			})
		}
	}
}

// What was refused for its own sake waits as long as ever, whatever comes and goes meanwhile.
func TestAnOutageReleasesNothingThatWasRefused(t *testing.T) {
	t.Parallel()
	inSimulation(t, func(s *simulation) {
		g := s.groups[0]
		for _, p := range s.tims[1:] {
			_ = p.cloud.Leave(g.id)
		}
		require.Empty(t, s.arriveWithin(5*time.Minute))
		s.hs.FailRequests(matrixtest.Path("/invite"), 1000, http.StatusForbidden, "M_FORBIDDEN", 0)
		s.hs.FailRequests(matrixtest.Path("/join"), 1000, http.StatusForbidden, "M_FORBIDDEN", 0)
		require.NoError(t, s.tims[1].cloud.Join(g.id))
		time.Sleep(time.Minute)
		due := func() time.Time {
			next, ok, err := s.b.own.NextRoomTask(context.Background())
			require.NoError(t, err)
			require.True(t, ok)
			return next
		}
		refused := due()
		require.Greater(t, time.Until(refused), 5*time.Minute)
		s.unreachable(simHomeserver)
		_, err := s.tims[0].cloud.Send(g.id, "one", simSendOptions(false))
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)
		require.Positive(t, s.b.homeserver.rest())
		s.reachable()
		time.Sleep(40 * time.Second)
		require.Zero(t, s.b.homeserver.rest())
		messages, _, err := s.b.own.Pending(context.Background())
		require.NoError(t, err)
		require.Zero(t, messages)
		require.Equal(t, refused, due())
	})
}

func TestSideIsAwayAfterSeveralFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		back := 0
		s := newSide(zerolog.Nop(), "", func() { back++ })
		for range outageAfter - 1 {
			s.outcome(false)
		}
		require.Zero(t, s.rest(), "that may be about what was asked")
		s.outcome(true)
		s.outcome(false)
		require.Zero(t, s.rest())
		attempts, wait := s.again(20, 0)
		require.Equal(t, 21, attempts)
		require.GreaterOrEqual(t, wait, lastRetry/2)
		for range outageAfter {
			s.outcome(false)
		}
		require.Equal(t, minRest, s.rest())
		time.Sleep(20 * time.Second)
		require.Equal(t, 5*time.Second, s.rest())
		time.Sleep(time.Hour)
		require.Equal(t, maxRest, s.rest())
		attempts, wait = s.again(0, 0)
		require.Equal(t, 1, attempts)
		require.LessOrEqual(t, wait, 2*time.Second)
		attempts, wait = s.again(20, 0)
		require.Equal(t, 20, attempts, "it is not its own failure")
		require.LessOrEqual(t, wait, 16*time.Second)
		_, wait = s.again(20, time.Minute)
		require.Equal(t, time.Minute, wait, "what the other side asks for")
		require.Zero(t, back)
		s.outcome(true)
		require.Zero(t, s.rest())
		require.Equal(t, 1, back)
	})
}

func TestAgainLooksAtTheSideThatFailed(t *testing.T) {
	t.Parallel()
	b := &Bridge{homeserver: newSide(zerolog.Nop(), "", func() {}), tencent: newSide(zerolog.Nop(), "", func() {})}
	for range outageAfter {
		b.homeserver.outcome(false)
	}
	here, there, ours := &tencent.TemporaryError{Err: errors.New("x")}, &matrix.TemporaryError{Err: errors.New("x")}, errors.New("x")
	for err, want := range map[error]int{here: 6, there: 5, ours: 6} {
		attempts, _ := b.again(5, fmt.Errorf("wrapped: %w", err))
		require.Equal(t, want, attempts)
	}
}

func TestReconcilerTriesOneAtATimeDuringAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChores()
		for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			c.put(key, time.Now())
		}
		r := c.reconciler(t, 4, 10*time.Millisecond)
		r.side = newSide(zerolog.Nop(), "", r.wakeUp)
		for range outageAfter {
			r.side.outcome(false)
		}
		ctx, cancel := context.WithCancel(context.Background())
		stopped := make(chan struct{})
		go func() { r.run(ctx); close(stopped) }()
		time.Sleep(minRest / 2)
		require.Len(t, c.soFar(), 1)
		time.Sleep(minRest)
		require.Len(t, c.soFar(), 2)
		require.Equal(t, 1, c.most)
		r.side.outcome(true)
		time.Sleep(50 * time.Millisecond)
		require.Len(t, c.soFar(), 8, "all the others go at once")
		require.Equal(t, 4, c.most)
		cancel()
		<-stopped
	})
}
