package chaos

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"time"

	_ "modernc.org/sqlite" // holds the database busy

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

// killer ends and starts timbridge until it has been ended as often as was asked for. It is the only one that touches the process
// while the load goes on. What it returns is no fault of the load's but of timbridge's, or of the machine's.
func (a *actor) killer(kills int) error {
	for range kills {
		uptime := 300 + a.rand.IntN(1500)
		if a.chance(0.15) {
			uptime = a.rand.IntN(150) // hardly awake
		}
		if !a.rest(time.Duration(uptime) * time.Millisecond) {
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
	select {
	case how := <-a.bridge.exited:
		a.bridge.exited <- how
		return errors.Join(errors.New("timbridge has ended by itself"), how)
	default:
	}
	if a.chance(0.35) {
		a.stats.add(&a.stats.stops, 1)
		return a.bridge.stop()
	}
	a.stats.add(&a.stats.kills, 1)
	a.bridge.kill()
	return nil
}

// startAgain starts timbridge, which is sometimes killed while it starts.
func (a *actor) startAgain() error {
	a.stats.add(&a.stats.restarts, 1)
	if a.chance(0.15) {
		if err := a.bridge.launch(); err != nil {
			return err
		}
		a.rest(time.Duration(a.rand.IntN(250)) * time.Millisecond)
		a.bridge.kill()
		a.stats.add(&a.stats.kills, 1)
		a.stats.add(&a.stats.restarts, 1)
	}
	return a.bridge.start(context.WithoutCancel(a.ctx))
}

// breakHomeserver has the homeserver, and the ways to it and from it, fail now and then.
func (a *actor) breakHomeserver() {
	switch a.rand.IntN(8) {
	case 0:
		a.stats.fault("homeserver: outage")
		a.hs.SetOutage(true)
		a.rest(time.Duration(100+a.rand.IntN(1500)) * time.Millisecond)
		a.hs.SetOutage(false)
	case 1:
		a.stats.fault("homeserver: restart")
		a.hs.Restart()
	case 2:
		a.stats.fault("homeserver: 502")
		a.hs.FailRequests(matrixtest.Path("/"), 1+a.rand.IntN(10), http.StatusBadGateway, "", 0)
	case 3:
		a.stats.fault("homeserver: 429")
		a.hs.FailRequests(matrixtest.Path("/receipt/"), 1+a.rand.IntN(5), http.StatusTooManyRequests, "M_LIMIT_EXCEEDED", 300*time.Millisecond)
	case 4:
		a.stats.fault("transactions: not delivered")
		a.hs.FailTransactions(1 + a.rand.IntN(4))
	case 5:
		a.stats.fault("transactions: answer not heard")
		a.hs.LoseAnswers(1 + a.rand.IntN(4))
	case 6:
		a.storm(a.toHS)
	case 7:
		a.storm(a.toBridge)
	}
}

func (a *actor) storm(g *gate) {
	g.setStorm(0.1 + 0.4*a.rand.Float64())
	a.rest(time.Duration(200+a.rand.IntN(1500)) * time.Millisecond)
	g.setStorm(0)
}

// holdDatabase keeps timbridge's database locked for a while, as a backup or a curious operator does.
func (a *actor) holdDatabase() {
	db, err := sql.Open("sqlite", "file:"+string(a.database.URI)+"?_txlock=immediate&_pragma=busy_timeout(200)")
	if err != nil {
		return
	}
	defer db.Close()
	tx, err := db.BeginTx(context.WithoutCancel(a.ctx), nil)
	if err != nil {
		return // it is busy itself
	}
	a.stats.fault("database: locked")
	a.rest(time.Duration(50+a.rand.IntN(1500)) * time.Millisecond)
	_ = tx.Rollback()
}
