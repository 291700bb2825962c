package lab

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// synapse runs the Synapse that .ci/get-synapse.sh put into tool.
type synapse struct{ tool string }

func (s synapse) python() string { return filepath.Join(s.tool, "synapse-python") }

func (s synapse) args(hs *Homeserver) []string {
	return []string{s.python(), "-m", "synapse.app.homeserver", "-c", filepath.Join(hs.dir, "homeserver.yaml")}
}

func (synapse) close() error { return nil }

func (s synapse) configure(_ context.Context, hs *Homeserver, opts Options) error {
	unlimited := map[string]any{"per_second": 100000, "burst_count": 100000}
	in := func(name string) string { return filepath.Join(hs.dir, name) }
	config := map[string]any{
		"server_name":                 Domain,
		"public_baseurl":              hs.URL() + "/",
		"report_stats":                false,
		"signing_key_path":            in("signing.key"),
		"media_store_path":            in("media"),
		"pid_file":                    in("homeserver.pid"),
		"log_config":                  in("log.yaml"),
		"database":                    map[string]any{"name": "sqlite3", "args": map[string]any{"database": in("homeserver.db")}},
		"listeners":                   []any{listener(hs.port)},
		"federation_domain_whitelist": []string{},
		"trusted_key_servers":         []string{},
		"suppress_key_server_warning": true,
		"registration_shared_secret":  sharedSecret,
		"macaroon_secret_key":         "lab-macaroon",
		"form_secret":                 "lab-form",
		"enable_registration":         false,
		"bcrypt_rounds":               4,
		"presence":                    map[string]any{"enabled": false},
		"url_preview_enabled":         false,
		"app_service_config_files":    append([]string{}, opts.AppServices...),
		// A /sync that is repeated within two minutes would get the same answer again: a test could see the past.
		"caches": map[string]any{"sync_response_cache_duration": "0s"},
		// So that a watcher may ask for more than 100 events at a time.
		"filter_timeline_limit": -1,
		"rc_message":            unlimited,
		"rc_registration":       unlimited,
		"rc_login":              map[string]any{"address": unlimited, "account": unlimited, "failed_attempts": unlimited},
		"rc_joins":              map[string]any{"local": unlimited, "remote": unlimited},
		"rc_joins_per_room":     unlimited,
		"rc_invites":            map[string]any{"per_room": unlimited, "per_user": unlimited, "per_issuer": unlimited},
		"rc_room_creation":      unlimited,
		"rc_admin_redaction":    unlimited,
	}
	logConfig := map[string]any{
		"version":                  1,
		"disable_existing_loggers": false,
		"formatters":               map[string]any{"plain": map[string]any{"format": "%(asctime)s %(name)s %(levelname)s %(message)s"}},
		"handlers":                 map[string]any{"console": map[string]any{"class": "logging.StreamHandler", "formatter": "plain"}},
		"root":                     map[string]any{"level": "WARNING", "handlers": []string{"console"}},
	}
	// YAML takes JSON as it is, and JSON needs no care about what a path contains.
	if err := writeJSON(in("homeserver.yaml"), config); err != nil {
		return err
	}
	if err := writeJSON(in("log.yaml"), logConfig); err != nil {
		return err
	}
	return s.writeSigningKey(in("signing.key"))
}

// writeSigningKey makes the server's key, if it has none yet. Synapse would do it too, at the price of one more start of
// Python. The format is "ed25519 KEYID SEED" with the seed in base64 without padding.
func (synapse) writeSigningKey(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil // the folder was used before: the server stays who it was
	}
	seed := make([]byte, 32)
	rand.Read(seed)
	line := "ed25519 a_lab " + base64.RawStdEncoding.EncodeToString(seed) + "\n"
	if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
		return fmt.Errorf("failed to write signing key: %w", err)
	}
	return nil
}

func listener(port int) map[string]any {
	return map[string]any{
		"port": port, "bind_addresses": []string{"127.0.0.1"}, "type": "http", "tls": false, "x_forwarded": false,
		"resources": []any{map[string]any{"names": []string{"client"}}},
	}
}

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("failed to encode %s: %w", filepath.Base(path), err)
	}
	if err = os.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("failed to write %s: %w", filepath.Base(path), err)
	}
	return nil
}
