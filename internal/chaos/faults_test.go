package chaos

import (
	"context"
	"errors"
	"strings"
	"time"
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
		a.stats.add(&a.stats.stops, 1)
		trouble := a.trouble.now()
		err := a.bridge.Stop()
		if err != nil && a.trouble.since(trouble) && !strings.Contains(err.Error(), "did not end within") {
			a.stats.fault("database: gone while it stopped") // it says so, and with an exit code
			return nil
		}
		return err
	}
	a.stats.add(&a.stats.kills, 1)
	a.bridge.Kill()
	return nil
}

// startAgain starts timbridge, which is sometimes killed while it starts. Without its database it does not start; then it is tried
// again, as systemd does.
func (a *actor) startAgain() error {
	a.stats.add(&a.stats.restarts, 1)
	if a.chance(0.15) {
		if err := a.bridge.Launch(); err != nil {
			return err
		}
		a.rest(time.Duration(a.rand.IntN(250)) * time.Millisecond)
		a.bridge.Kill()
		a.stats.add(&a.stats.kills, 1)
		a.stats.add(&a.stats.restarts, 1)
	}
	for {
		trouble := a.trouble.now()
		err := a.bridge.Start(context.WithoutCancel(a.ctx))
		if err == nil || !a.trouble.since(trouble) {
			return err
		}
		a.stats.fault("database: gone while it started")
		a.stats.add(&a.stats.restarts, 1)
		rest(a.t.Context(), 200*time.Millisecond)
	}
}

func (a *actor) storm(g *gate) {
	g.setStorm(0.1 + 0.4*a.rand.Float64())
	a.rest(time.Duration(200+a.rand.IntN(1500)) * time.Millisecond)
	g.setStorm(0)
}
