package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/internal/lab"
	"github.com/timbridge/timbridge/internal/postgres"
)

// replica is one of the timbridges of a world, which have one database. Most worlds have only one.
type replica struct {
	*lab.Program
	matrix, v2tim, hooks, peer int // ports; the last is for the other replicas
	db                         config.Database
	way                        *postgres.Proxy // on the way to the database, if that is a server
	// away: the balancers have found out that it does not answer.
	away atomic.Bool
	busy bool // it is being broken; the killer's
}

// takeover is replica.takeover: after how long without a word the others replace a leader.
const takeover = "3s"

func (w *world) newReplicas(n int) {
	dir := w.t.TempDir()
	for i := range n {
		r := &replica{matrix: freePort(w.t), v2tim: freePort(w.t)}
		r.Program = &lab.Program{Binary: binary, Dir: dir, Ready: []string{local(r.matrix) + "/_matrix/mau/ready", local(r.v2tim)}, HTTP: w.http}
		if n > 1 {
			r.peer, r.Dir = freePort(w.t), filepath.Join(dir, fmt.Sprint("replica", i))
			require.NoError(w.t, os.Mkdir(r.Dir, 0o700))
		}
		if w.kind.cloud {
			r.hooks = freePort(w.t)
			r.Ready = append(r.Ready, local(r.hooks))
		}
		w.replicas = append(w.replicas, r)
	}
	w.bridge = w.replicas[0].Program
	if !w.kind.postgres {
		w.bridge.Launched = w.disk.launched
	}
}

// newDatabase is a file of the only timbridge's, or a database on a server of this world's own, to which each has its own way.
func (w *world) newDatabase() config.Database {
	db := config.Database{Type: config.DatabaseSQLite, MaxOpenConns: 1, MaxIdleConns: 1}
	db.URI = config.Secret(filepath.Join(w.bridge.Dir, "timbridge.db"))
	if w.kind.postgres {
		const name = "timbridge"
		w.server = postgres.Own(w.t, postgres.Options{})
		uri, err := w.server.Create(w.t.Context(), name)
		require.NoError(w.t, err)
		db.Type, db.URI = config.DatabasePostgres, config.Secret(uri)
		for _, r := range w.replicas {
			var folder string
			r.way, folder = postgres.NewProxy(w.t, w.server)
			r.db = config.Database{Type: db.Type, URI: config.Secret(w.server.URIAt(name, folder))}
		}
		return db
	}
	w.replicas[0].db = db
	return db
}

// front returns where one of the sides reaches timbridge: the one that there is, or a balancer before all of them.
func (w *world) front(port func(*replica) int) string {
	if len(w.replicas) == 1 {
		return local(port(w.replicas[0]))
	}
	b := newBalancer(w.t, w.rand(frontActors+uint64(len(w.fronts))), w.replicas, port)
	w.fronts = append(w.fronts, b)
	return b.URL()
}

// install writes the configurations and makes timbridge known to the homeserver.
func (w *world) install() {
	for _, r := range w.replicas {
		text, err := json.Marshal(w.config(r)) // YAML takes JSON as it is
		require.NoError(w.t, err)
		require.NoError(w.t, os.WriteFile(r.Config(), text, 0o600))
	}
	w.register()
}

// config is that of one of the replicas: only its ports are its own.
func (w *world) config(r *replica) map[string]any {
	conf := map[string]any{
		"homeserver": map[string]any{"address": w.toHS.URL(), "domain": domain, "request_timeout": "3s"},
		"appservice": map[string]any{
			"address": w.toBridge.URL(), "hostname": "127.0.0.1", "port": r.matrix, "as_token": "as-token", "hs_token": "hs-token",
			"bot": map[string]any{"username": "timbot"}, "username_template": ghostPrefix + "{{.}}",
		},
		"database":      map[string]any{"type": r.db.Type, "uri": string(r.db.URI)},
		"matrix":        map[string]any{"sync_interval": "1s", "policy": w.kind.policy},
		"double_puppet": map[string]any{"secrets": map[string]any{domain: "as_token:" + puppetToken}},
		"v2tim":         map[string]any{"port": r.v2tim, "rate_limit": map[string]any{"per_second": 0}},
		"bridge":        map[string]any{"event_wait": "1s"},
		"logging":       map[string]any{"min_level": "debug", "writers": []any{map[string]any{"type": "stdout", "format": "json"}}},
	}
	tencent := map[string]any{"sdk_app_id": sdkAppID, "secret_key": secretKey, "admins": []string{admin}}
	if w.cloud != nil {
		tencent["mode"], tencent["base_url"], tencent["request_timeout"], tencent["catch_up_interval"] = "cloud", w.cloud.URL(), "1s", "10s"
		tencent["catch_up_messages"] = 1000
		tencent["webhook"] = map[string]any{"port": r.hooks, "token": hookToken}
	}
	conf["tencent"] = tencent
	if len(w.replicas) > 1 {
		conf["replica"] = map[string]any{"enabled": true, "hostname": "127.0.0.1", "port": r.peer, "address": local(r.peer), "takeover": takeover}
	}
	return conf
}

// startAll starts all that do not run, at the same time.
func (w *world) startAll(ctx context.Context) error {
	failed := make([]error, len(w.replicas))
	var all sync.WaitGroup
	for i, r := range w.replicas {
		if !r.Started() {
			all.Go(func() { failed[i] = r.Start(ctx) })
		}
	}
	all.Wait()
	return errors.Join(failed...)
}

// logTail returns the last lines that each of them has printed.
func (w *world) logTail(lines int) string {
	var all []string
	for _, r := range w.replicas {
		all = append(all, r.LogTail(lines))
	}
	return strings.Join(all, "\n")
}
