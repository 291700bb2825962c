package bridge

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// chores is work for a reconciler: keys and when they are due.
type chores struct {
	mu      sync.Mutex
	due     map[string]time.Time
	fail    error
	running map[string]bool
	done    []string
	most    int
}

func (c *chores) put(key string, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.due[key] = at
}

func (c *chores) reconciler(t *testing.T, limit int, took time.Duration) *reconciler[string] {
	return &reconciler[string]{
		name: "chores", limit: limit, clock: time.Now, wake: make(chan struct{}, 1),
		key: func(s string) string { return s },
		due: func(_ context.Context, n int) (list []string, err error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.fail != nil {
				return nil, c.fail
			}
			for key, at := range c.due {
				if !at.After(time.Now()) && len(list) < n {
					list = append(list, key)
				}
			}
			return list, nil
		},
		next: func(context.Context) (next time.Time, ok bool, err error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, at := range c.due {
				if !ok || at.Before(next) {
					next, ok = at, true
				}
			}
			return next, ok, nil
		},
		do: func(ctx context.Context, key string) {
			c.mu.Lock()
			require.False(t, c.running[key], "the same key twice at a time")
			c.running[key] = true
			c.most = max(c.most, len(c.running))
			c.mu.Unlock()
			sleep(ctx, took)
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.running, key)
			delete(c.due, key)
			c.done = append(c.done, key)
		},
	}
}

// soFar returns what has been done.
func (c *chores) soFar() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.done)
}

func newChores() *chores {
	return &chores{due: make(map[string]time.Time), running: make(map[string]bool)}
}

func TestReconcilerDoesWhatIsDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChores()
		for _, key := range []string{"a", "b", "c", "d", "e"} {
			c.put(key, time.Now())
		}
		c.put("later", time.Now().Add(10*time.Second))
		ctx, cancel := context.WithCancel(context.Background())
		r := c.reconciler(t, 2, time.Second)
		stopped := make(chan struct{})
		go func() { r.run(ctx); close(stopped) }()

		time.Sleep(2500 * time.Millisecond) // virtual time
		require.Len(t, c.soFar(), 4)
		require.Equal(t, 2, c.most, "no more at a time than allowed")
		time.Sleep(2 * time.Second)
		require.Len(t, c.soFar(), 5)
		time.Sleep(7 * time.Second)
		require.Contains(t, c.soFar(), "later", "it wakes by itself for what is due later")

		c.put("woken", time.Now())
		r.wakeUp()
		time.Sleep(1500 * time.Millisecond)
		require.Contains(t, c.soFar(), "woken")

		c.put("under way", time.Now())
		r.wakeUp()
		synctest.Wait()
		cancel()
		<-stopped
		require.Empty(t, c.running, "run returns when nothing is under way any more")
	})
}

func TestReconcilerSurvivesADatabaseThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newChores()
		c.fail = errors.New("disk I/O error")
		c.put("a", time.Now())
		ctx, cancel := context.WithCancel(context.Background())
		stopped := make(chan struct{})
		go func() { c.reconciler(t, 2, 0).run(ctx); close(stopped) }()
		time.Sleep(5 * time.Second)
		c.mu.Lock()
		c.fail = nil
		c.mu.Unlock()
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{"a"}, c.soFar())
		cancel()
		<-stopped
	})
}

// A request that is dropped may have been taken all the same: what is under way when the bridge stops gets its time.
func TestReconcilerFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ took, end time.Duration }{
		"soon": {took: finishWithin / 2, end: finishWithin / 2}, "never": {took: time.Hour, end: finishWithin},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &chores{due: map[string]time.Time{"a": time.Now(), "b": time.Now()}, running: map[string]bool{}}
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan struct{})
				r := c.reconciler(t, 1, tc.took)
				go func() { r.run(ctx); close(ended) }()
				require.Empty(t, c.soFar())
				stop()
				stopped := time.Now()
				<-ended
				require.Equal(t, tc.end, time.Since(stopped))
				require.Len(t, c.soFar(), 1, "and nothing new is begun")
			})
		})
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for attempts := range 200 {
		wait := backoff(attempts, 0)
		require.Greater(t, wait, 400*time.Millisecond)
		require.LessOrEqual(t, wait, lastRetry)
	}
	require.GreaterOrEqual(t, backoff(1, time.Hour), time.Hour, "never less than what the other side asked for")
}
