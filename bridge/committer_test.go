package bridge

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

func TestCommitterOneBadChangeFailsAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	h.root = nil
	boom := errors.New("boom")
	const n = 40
	results := make([]error, n)
	// Hold the committer until all wait, so that they ride in one batch.
	gate, held := make(chan struct{}), make(chan struct{})
	go func() {
		_ = h.b.commits.do(h.ctx, func(context.Context, *session) error { close(held); <-gate; return nil })
	}()
	<-held
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			results[i] = h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error {
				if err := h.b.own.SetValue(ctx, fmt.Sprint("key", i), strconv.Itoa(i)); err != nil {
					return err
				}
				switch i {
				case 7:
					return boom
				case 8:
					panic("bad input")
				}
				return nil
			})
		})
	}
	h.wait("all queued", func() bool { return len(h.b.commits.queue) >= n }) // the bridge itself may commit too
	close(gate)
	wg.Wait()
	for i, err := range results {
		value, readErr := h.b.own.Value(h.ctx, fmt.Sprint("key", i))
		require.NoError(t, readErr)
		switch i {
		case 7:
			require.ErrorIs(t, err, boom)
			require.Empty(t, value, "rolled back")
		case 8:
			require.ErrorContains(t, err, "panic")
			require.Empty(t, value, "rolled back")
		default:
			require.NoError(t, err)
			require.Equal(t, strconv.Itoa(i), value)
		}
	}
}

func TestCommitterFinishesWhatItHasAccepted(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	results := make(chan error, 100)
	for i := range 100 {
		go func() {
			results <- h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error {
				return h.b.own.SetValue(ctx, fmt.Sprint("key", i), "done")
			})
		}()
	}
	commits := h.b.commits
	h.restart(nil)
	committed := 0
	for range 100 {
		if err := <-results; err == nil {
			committed++
		} else {
			require.ErrorIs(t, err, errStopped)
		}
	}
	stored := 0
	for i := range 100 {
		value, err := h.b.own.Value(h.ctx, fmt.Sprint("key", i))
		require.NoError(t, err)
		if value == "done" {
			stored++
		}
	}
	require.Equal(t, committed, stored, "exactly what was said to be done")
	require.ErrorIs(t, commits.do(h.ctx, func(context.Context, *session) error { return nil }), errStopped)
}

func TestCommitterWithdrawsWhatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	gate, held := make(chan struct{}), make(chan struct{})
	go func() {
		_ = h.b.commits.do(h.ctx, func(context.Context, *session) error { close(held); <-gate; return nil })
	}()
	<-held
	ctx, cancel := context.WithCancel(h.ctx)
	cancel()
	err := h.b.commits.do(ctx, func(ctx context.Context, s *session) error {
		return h.b.own.SetValue(ctx, "withdrawn", "no")
	})
	require.ErrorIs(t, err, context.Canceled)
	close(gate)
	require.NoError(t, h.b.commits.do(h.ctx, func(context.Context, *session) error { return nil }))
	value, err := h.b.own.Value(h.ctx, "withdrawn")
	require.NoError(t, err)
	require.Empty(t, value, "an error means that nothing was committed")
}
