package chaos

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// load is what everybody does while things break. Every actor has choices of his own and is a goroutine of its own.
type load struct {
	*world
	ctx context.Context
	wg  sync.WaitGroup
}

// Streams of random numbers: actors have these numbers and above.
const (
	tencentActors = 100
	matrixActors  = 200
	moverActor    = 300
	faultActors   = 400
	frontActors   = 500
)

// begin lets everybody act until ctx ends.
func (w *world) begin(ctx context.Context) *load {
	l := &load{world: w, ctx: ctx}
	for i, p := range w.tims {
		a := actor{load: l, rand: w.rand(tencentActors + uint64(i)), pace: w.kind.pace(60 * time.Millisecond)}
		if w.cloud != nil {
			l.wg.Go(func() { a.loop(func() { a.inCloud(p) }) })
		} else {
			l.wg.Go(func() { a.loop(func() { a.inApp(p) }) })
		}
	}
	for i, p := range w.mats {
		a := actor{load: l, rand: w.rand(matrixActors + uint64(i)), pace: w.kind.pace(60 * time.Millisecond)}
		l.wg.Go(func() { a.loop(func() { a.inMatrix(p) }) })
	}
	mover := actor{load: l, rand: w.rand(moverActor), pace: w.kind.pace(250 * time.Millisecond)}
	l.wg.Go(func() { mover.loop(mover.move) })
	return l
}

// end waits until everybody has finished.
func (l *load) end() { l.wg.Wait() }

// actor is somebody with his own choices.
type actor struct {
	*load
	rand *rand.Rand
	pace time.Duration
}

// loop acts now and then until the load ends. The pauses are the load's pace, not a wait for anything.
func (a *actor) loop(act func()) {
	for a.rest(a.pace/4 + time.Duration(a.rand.Int64N(int64(a.pace)*3/2))) {
		act()
	}
}

// rest pauses and tells whether the load goes on.
func (a *actor) rest(d time.Duration) bool { return rest(a.ctx, d) }

func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

func (a *actor) chance(part float64) bool { return a.rand.Float64() < part }

func (a *actor) group() *group { return a.groups[a.rand.IntN(len(a.groups))] }

// insist does something again until it is answered, mostly: some give up. What is under way when the load ends is still brought to
// its end, or given up.
func (a *actor) insist(try func(ctx context.Context) state) state {
	outcome := unsure
	for tries := 0; outcome == unsure && tries < 40; tries++ {
		if tries > 0 && (a.chance(0.05) || !a.rest(time.Duration(20+a.rand.IntN(150))*time.Millisecond)) {
			break
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), 5*time.Second)
		now := try(ctx)
		cancel()
		if now != unsure && (now == accepted || tries == 0) {
			outcome = now
		} else if now == denied {
			break // but an earlier try may have been taken
		}
	}
	return outcome
}
