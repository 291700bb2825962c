package chaos

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/timbridge/timbridge/bridge/database"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/bridge/v2tim/v2timtest"
)

// leaderWatch knows which of the replicas leads, from the row that they keep of it themselves.
type leaderWatch struct {
	*world
	mu     sync.Mutex
	owner  string // of the process
	leader *replica
}

func newLeaderWatch(w *world) *leaderWatch { return &leaderWatch{world: w} }

// now is who led a moment ago; nil if that is not known.
func (l *leaderWatch) now() *replica {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leader
}

// run watches until ctx ends, and counts takeovers.
func (l *leaderWatch) run(ctx context.Context) {
	for {
		_ = l.look(ctx) // what is not known now is known later
		if !rest(ctx, 50*time.Millisecond) {
			return
		}
	}
}

func (l *leaderWatch) look(ctx context.Context) error {
	db, err := database.OpenReadOnly(ctx, l.database)
	if err != nil {
		return err
	}
	defer db.Close()
	var owner, address string
	if err = db.QueryRow(ctx, "SELECT owner, address FROM timbridge_replica").Scan(&owner, &address); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owner != "" && owner != l.owner {
		l.stats.add(&l.stats.takeovers, 1)
	}
	l.owner, l.leader = owner, nil
	for _, r := range l.replicas {
		if local(r.peer) == address {
			l.leader = r
		}
	}
	return nil
}

// impatient is a client that soon asks again, and maybe another replica.
func (w *world) impatient() *v2timtest.Client {
	client := *w.root
	client.HTTP = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 300 * time.Millisecond}
	return &client
}

// answers asks for something that timbridge knows by itself.
func (w *world) answers(client *v2timtest.Client) error {
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	_, err := client.GetGroupMemberInfo(ctx, v2tim.GetGroupMemberInfoRequest{GroupId: w.groups[0].id, Limit: 1})
	return err
}
