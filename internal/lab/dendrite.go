package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// dendrite runs the Dendrite that .ci/get-dendrite.sh built into tool.
type dendrite struct{ tool string }

func (d dendrite) args(hs *Homeserver) []string {
	// The HTTPS address stays unused without a certificate.
	return []string{
		filepath.Join(d.tool, "dendrite"),
		"--config", filepath.Join(hs.dir, "dendrite.yaml"),
		"--http-bind-address", "127.0.0.1:" + strconv.Itoa(hs.port),
	}
}

func (d dendrite) configure(ctx context.Context, hs *Homeserver, opts Options) error {
	// Relative paths: Dendrite runs in hs.dir, and a database URI would need its path escaped.
	database := func(name string) map[string]any { return map[string]any{"connection_string": "file:" + name + ".db"} }
	config := map[string]any{
		"version": 2,
		"global": map[string]any{
			"server_name":        Domain,
			"private_key":        "matrix_key.pem",
			"disable_federation": true,
			"jetstream":          map[string]any{"storage_path": "jetstream"}, // NATS runs inside, without a port
			"presence":           map[string]any{"enable_inbound": false, "enable_outbound": false},
		},
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
