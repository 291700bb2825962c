package chaos

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	_ "modernc.org/sqlite" // holds the database busy

	"github.com/timbridge/timbridge/internal/postgres"
)

// trouble counts the times at which the database could not be written, by our doing.
type trouble struct {
	mu            sync.Mutex
	begun, active int
}

func (t *trouble) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begun++
	t.active++
}

func (t *trouble) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.active--
}

// now is a moment for since.
func (t *trouble) now() (moment int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.begun - t.active
}

// since tells whether there was trouble at any time from a moment on.
func (t *trouble) since(moment int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.begun > moment
}

// lockDatabase keeps timbridge's database locked for a while, as a backup or a curious operator does: mostly for less than timbridge
// waits for it (10 s), sometimes for longer, so that whatever comes is refused.
func (a *actor) lockDatabase() {
	db, err := sql.Open("sqlite", "file:"+string(a.database.URI)+"?_txlock=immediate&_pragma=busy_timeout(200)")
	if err != nil {
		return
	}
	defer db.Close()
	tx, err := db.BeginTx(context.WithoutCancel(a.ctx), nil)
	if err != nil {
		return // it is busy itself
	}
	a.trouble.begin()
	defer a.trouble.end()
	what, d := "database: locked", time.Duration(50+a.rand.IntN(1500))*time.Millisecond
	if a.chance(0.15) {
		what, d = "database: locked for too long", time.Duration(10500+a.rand.IntN(2500))*time.Millisecond
	}
	a.stats.fault(what)
	a.rest(d)
	_ = tx.Rollback()
}

// breakServer is what happens to a database server: mostly one of the timbridges is parted from it, now and then it is restarted.
func (a *actor) breakServer() {
	if !a.chance(0.2) {
		a.cutDatabase()
		return
	}
	a.trouble.begin()
	defer a.trouble.end()
	what, sig := "database: server restarted", syscall.SIGINT
	if a.chance(0.5) {
		what, sig = "database: server crashed", syscall.SIGQUIT
	}
	a.stats.fault(what)
	err := a.server.Shut(sig)
	a.rest(time.Duration(a.rand.IntN(5000)) * time.Millisecond)
	if err = errors.Join(err, a.server.Run(context.WithoutCancel(a.ctx))); err != nil {
		a.stats.violated(violation{"database", "server", "to be restarted", err.Error()})
	}
}

// cutDatabase parts one of the timbridges from the database server: for one commit, which is done or not, or for a while.
func (a *actor) cutDatabase() {
	way := a.replicas[a.rand.IntN(len(a.replicas))].way
	a.trouble.begin()
	defer a.trouble.end()
	switch a.rand.IntN(3) {
	case 0:
		a.stats.fault("database: cut off before a commit")
		way.CutNext(postgres.CutBefore)
	case 1:
		a.stats.fault("database: cut off after a commit")
		way.CutNext(postgres.CutAfter)
	case 2:
		a.stats.fault("database: cut off for a while")
		way.Refuse(true)
		defer way.Refuse(false)
	}
	a.rest(time.Duration(50+a.rand.IntN(2500)) * time.Millisecond)
	way.CutNext(postgres.CutNever)
}

// disk is how large a file timbridge may write, running or just being started.
type disk struct {
	mu    sync.Mutex
	pid   int
	full  bool
	limit uint64
}

// launched has a timbridge that is being started find the disk as it is.
func (d *disk) launched(pid int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pid = pid
	if d.full {
		_ = limitFiles(pid, d.limit)
	}
}

// fill leaves room for files of so many bytes and no larger ones.
func (d *disk) fill(bytes uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full, d.limit = true, bytes
	return limitFiles(d.pid, bytes) // it may be ended just now: then the next one gets it
}

func (d *disk) free() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		d.full = false
		_ = limitFiles(d.pid, ^uint64(0))
	}
}

// fillDisk fills timbridge's disk for a while: to the last byte, or so that a little more fits into one of its files.
func (a *actor) fillDisk() {
	var limit uint64
	if name := []string{"", "", ".db", ".db-wal"}[a.rand.IntN(4)]; name != "" {
		if info, err := os.Stat(strings.TrimSuffix(string(a.database.URI), ".db") + name); err == nil {
			limit = uint64(info.Size()) + a.rand.Uint64N(64<<10)
		}
	}
	a.trouble.begin()
	defer a.trouble.end()
	defer a.disk.free()
	what := "disk: full"
	if limit > 0 {
		what = "disk: almost full"
	}
	_ = a.disk.fill(limit)
	a.stats.fault(what)
	a.rest(time.Duration(100+a.rand.IntN(2500)) * time.Millisecond)
}
