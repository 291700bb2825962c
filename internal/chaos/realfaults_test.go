package chaos

import (
	"context"
	"time"

	"github.com/timbridge/timbridge/internal/lab"
)

// restartWithin is how long a real homeserver may take to start.
const restartWithin = 2 * time.Minute

func (hs *realHomeserver) repair() {
	if !hs.lab.Running() {
		hs.restart(hs.w.t.Context())
	}
}

func (hs *realHomeserver) restart(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restartWithin)
	defer cancel()
	if err := hs.lab.Restart(ctx); err != nil {
		hs.w.stats.violated(violation{"homeserver", string(hs.kind), "to start again", err.Error()})
	}
}

func (hs *realHomeserver) faults() []faultKind {
	kinds := []faultKind{{2 * time.Second, hs.breakWays}}
	// Dendrite 0.15.2, started again under load, puts events into another order than before, in its own /sync too.
	if hs.kind == lab.Synapse || *killHomeserver {
		kinds = append(kinds, faultKind{10 * time.Second, hs.breakDown})
	}
	return kinds
}

func (hs *realHomeserver) breakWays(a *actor) {
	switch a.rand.IntN(3) {
	case 0:
		a.stats.fault("homeserver: outage")
		a.toHS.setCut(true)
		a.toBridge.setCut(true)
		a.rest(time.Duration(100+a.rand.IntN(3000)) * time.Millisecond)
		a.toHS.setCut(false)
		a.toBridge.setCut(false)
	case 1:
		a.storm(a.toHS)
	case 2:
		a.storm(a.toBridge)
	}
}

// breakDown ends the homeserver and starts it again. One that has ended by itself is started too.
func (hs *realHomeserver) breakDown(a *actor) {
	switch {
	case !hs.lab.Running():
		a.stats.fault("homeserver: gave up by itself")
	case !*killHomeserver || a.chance(0.5):
		a.stats.fault("homeserver: restart")
	default:
		a.stats.fault("homeserver: kill -9")
		if err := hs.lab.Kill(); err != nil {
			a.stats.violated(violation{"homeserver", string(hs.kind), "to be killed", err.Error()})
		}
		a.rest(time.Duration(a.rand.IntN(1500)) * time.Millisecond)
	}
	hs.restart(a.ctx)
}
