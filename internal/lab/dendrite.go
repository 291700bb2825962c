package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/timbridge/timbridge/internal/postgres"
)

// dendrite runs the Dendrite that .ci/get-dendrite.sh built into tool.
//
// Its database is SQLite, which is fast to start and has nothing beside it, or with $TIMBRIDGE_DENDRITE_DATABASE=postgres a PostgreSQL of
// its own: on SQLite Dendrite 0.15.2 gives up by itself now and then ("cannot start a transaction within a transaction") when a
// request is cut off on its way, as every kill -9 of timbridge does. On PostgreSQL it does not; the tests take twice as long on it.
type dendrite struct {
	tool     string
	database *postgres.Server // nil: SQLite
}

func (d *dendrite) args(hs *Homeserver) []string {
	// The HTTPS address stays unused without a certificate.
	return []string{
		filepath.Join(d.tool, "dendrite"),
		"--config", filepath.Join(hs.dir, "dendrite.yaml"),
		"--http-bind-address", "127.0.0.1:" + strconv.Itoa(hs.port),
	}
}

func (d *dendrite) configure(ctx context.Context, hs *Homeserver, opts Options) error {
	global := map[string]any{
		"server_name":        Domain,
		"private_key":        "matrix_key.pem",
		"disable_federation": true,
		"jetstream":          map[string]any{"storage_path": "jetstream"}, // NATS runs inside, without a port
		"presence":           map[string]any{"enable_inbound": false, "enable_outbound": false},
	}
	// Relative paths: Dendrite runs in hs.dir, and a database URI would need its path escaped.
	database := func(name string) map[string]any { return map[string]any{"connection_string": "file:" + name + ".db"} }
	if os.Getenv("TIMBRIDGE_DENDRITE_DATABASE") == "postgres" {
		uri, err := d.startDatabase(ctx)
		if err != nil {
			return err
		}
		// One pool for all of Dendrite, which keeps its connections: to make one takes PostgreSQL longer than to use it.
		global["database"] = map[string]any{"connection_string": uri, "max_open_conns": 20, "max_idle_conns": 20, "conn_max_lifetime": -1}
		database = func(string) map[string]any { return map[string]any{} }
	}
	config := map[string]any{
		"version":         2,
		"global":          global,
		"app_service_api": map[string]any{"config_files": append([]string{}, opts.AppServices...)},
		"client_api": map[string]any{
			"registration_disabled":      true,
			"registration_shared_secret": sharedSecret,
			"rate_limiting":              map[string]any{"enabled": false},
		},
		"federation_api": map[string]any{"key_perspectives": []string{}, "database": database("federationapi")},
		"key_server":     map[string]any{"database": database("keyserver")},
		"media_api":      map[string]any{"base_path": "media", "database": database("mediaapi")},
		"relay_api":      map[string]any{"database": database("relayapi")},
		"room_server":    map[string]any{"database": database("roomserver")},
		"sync_api":       map[string]any{"database": database("syncapi"), "search": map[string]any{"enabled": false}},
		"user_api":       map[string]any{"bcrypt_cost": 4, "account_database": database("userapi")},
		"mscs":           map[string]any{"database": database("mscs")},
		"logging":        []any{map[string]any{"type": "std", "level": "warn"}},
	}
	if err := writeJSON(filepath.Join(hs.dir, "dendrite.yaml"), config); err != nil {
		return err
	}
	key := filepath.Join(hs.dir, "matrix_key.pem")
	if _, err := os.Stat(key); err == nil {
		return nil // the folder was used before: the server stays who it was
	}
	cmd := exec.CommandContext(ctx, filepath.Join(d.tool, "generate-keys"), "--private-key", key)
	cmd.Dir = hs.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("failed to generate keys: %w; it printed:\n%s", err, lastLines(string(out), 20))
	}
	return nil
}

// startDatabase returns the URI of an empty database. It ends with the homeserver: a folder that is kept does not keep it.
func (d *dendrite) startDatabase(ctx context.Context) (uri string, err error) {
	if d.database, err = postgres.Start(ctx, postgres.Options{}); err != nil {
		return "", err
	}
	uri, err = d.database.Create(ctx, "dendrite")
	return uri + "&sslmode=disable", err
}

func (d *dendrite) close() error {
	if d.database == nil {
		return nil
	}
	return d.database.Stop()
}
