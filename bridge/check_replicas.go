package bridge

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/timbridge/timbridge/bridge/database"
	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/bridge/standby"
)

// leaderWithin bounds the question to the leader; one that works answers at once.
const leaderWithin = 10 * time.Second

// checkReplicas looks whether what reaches this replica could be passed on to the one that leads.
func (b *Bridge) checkReplicas(ctx context.Context, say sayFunc) {
	ctx, cancel := context.WithTimeout(ctx, leaderWithin)
	defer cancel()
	address, err := b.leaderAddress(ctx)
	if err == nil {
		var status int
		secret := standby.Secret(string(b.cfg.AppService.HSToken))
		if status, err = standby.Reach(ctx, address, secret, apiMatrix, matrix.PathReady); err == nil && status != http.StatusOK {
			err = fmt.Errorf("it answers HTTP %d", status)
		}
	}
	say("replicas", err, "the one at "+address+" leads and takes what this one passes on",
		fmt.Sprintf("this one cannot pass on to the leader at %q; see replica.address there, and what is between", address))
}

func (b *Bridge) leaderAddress(ctx context.Context) (string, error) {
	row, err := database.OpenLeadership(ctx, b.cfg.Database)
	if err != nil {
		return "", err
	}
	defer row.Close()
	leader, err := row.Look(ctx)
	return leader.Address, err
}
