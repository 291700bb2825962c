package chaos

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/timbridge/timbridge/internal/lab"
)

// killer ends and starts timbridge until it has been ended as often as was asked for. It is the only one that touches the process
// while the load goes on. What it returns is no fault of the load's but of timbridge's, or of the machine's.
func (a *actor) killer(kills int) error {
	for range kills {
		uptime := 300 + a.rand.IntN(1500)
		if a.chance(0.15) {
			uptime = a.rand.IntN(150) // hardly awake
		}
		if !a.rest(a.kind.pace(time.Duration(uptime) * time.Millisecond)) {
			return nil
		}
		if err := a.endOnce(); err != nil {
			return err
		}
		if a.chance(0.5) && !a.rest(time.Duration(a.rand.IntN(1200))*time.Millisecond) {
			return nil
		}
		if err := a.startAgain(); err != nil {
			return err
		}
	}
	return nil
}

func (a *actor) endOnce() error {
	if ended, how := a.bridge.Ended(); ended {
		return errors.Join(errors.New("timbridge has ended by itself"), how, errors.New(a.bridge.LogTail(20)))
	}
	if a.chance(0.35) {
		return a.stopInOrder(a.bridge)
	}
	a.stats.add(&a.stats.kills, 1)
	a.bridge.Kill()
	return nil
}

// stopInOrder ends a timbridge with SIGTERM.
func (w *world) stopInOrder(p *lab.Program) error {
	w.stats.add(&w.stats.stops, 1)
	trouble := w.trouble.now()
	err := p.Stop()
	if err != nil && w.trouble.since(trouble) && !strings.Contains(err.Error(), "did not end within") {
		w.stats.fault("database: gone while it stopped") // it says so, and with an exit code
		return nil
	}
	return err
}

// startAgain starts timbridge, which is sometimes killed while it starts.
func (a *actor) startAgain() error {
	if a.chance(0.15) {
		if err := a.startInVain(a.bridge, time.Duration(a.rand.IntN(250))*time.Millisecond); err != nil {
			return err
		}
	}
	return a.startAtLast(context.WithoutCancel(a.ctx), a.bridge)
}

// startInVain starts a timbridge and kills it after a moment.
func (a *actor) startInVain(p *lab.Program, moment time.Duration) error {
	a.stats.add(&a.stats.restarts, 1)
	if err := p.Launch(); err != nil {
		return err
	}
	a.rest(moment)
	p.Kill()
	a.stats.add(&a.stats.kills, 1)
	return nil
}

// startAtLast starts a timbridge. Without its database it does not start; then it is tried again, as systemd does.
func (w *world) startAtLast(ctx context.Context, p *lab.Program) error {
	for {
		w.stats.add(&w.stats.restarts, 1)
		trouble := w.trouble.now()
		err := p.Start(ctx)
		if err == nil || !w.trouble.since(trouble) {
			return err
		}
		w.stats.fault("database: gone while it started")
		rest(w.t.Context(), 200*time.Millisecond)
	}
}

func (a *actor) storm(g *gate) {
	g.setStorm(0.1 + 0.4*a.rand.Float64())
	a.rest(time.Duration(200+a.rand.IntN(1500)) * time.Millisecond)
	g.setStorm(0)
}
