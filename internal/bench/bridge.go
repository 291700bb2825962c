package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/internal/lab"
)

const (
	sdkAppID  = 1400000001
	secretKey = "bench-secret-key-of-the-app-0123456789"
	hookToken = "bench-hook-token-0123456789"
	asToken   = "bench-as-token-0123456789"
	hsToken   = "bench-hs-token-0123456789"
	adminID   = "administrator"
	botName   = "timbridgebot"
)

// bridge is a timbridge in a folder of its own, as its example config has it but for what has to be said.
type bridge struct {
	server
	suite                         *suite
	cloud                         bool
	postgres                      string // the URI of its database; empty: SQLite
	matrixPort, apiPort, hookPort int
}

// setting is what a line wants otherwise than the example config has it.
type setting struct {
	postgres   string // the URI of an empty database; empty: SQLite
	homeserver string // its URL; empty: the stand-in
	tencent    string // the URL of what plays Tencent Cloud; empty: standalone
	rate       int    // of calls to Tencent a second; 0: the default
	maxMembers int    // of groups with receipts; 0: the default
	people     []id.UserID
}

func (s *suite) newBridge(name string, set setting) (*bridge, error) {
	b := &bridge{suite: s, postgres: set.postgres}
	if b.postgres != "" {
		name += "-postgres"
	}
	b.name, b.dir = "timbridge", filepath.Join(s.dir, name)
	b.args = []string{s.timbridge, "-c", b.path("config.yaml")}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return nil, fmt.Errorf("failed to make folder: %w", err)
	}
	for _, port := range []*int{&b.matrixPort, &b.apiPort, &b.hookPort} {
		var err error
		if *port, err = s.ports.Take(); err != nil {
			return nil, err
		}
	}
	b.cloud = set.tencent != ""
	if set.homeserver == "" {
		set.homeserver = s.homeserver.url
		s.homeserver.knows(asToken, id.NewUserID(botName, lab.Domain), set.people)
	}
	if err := os.WriteFile(b.path("config.yaml"), []byte(b.config(set)), 0o600); err != nil {
		return nil, fmt.Errorf("failed to write config: %w", err)
	}
	return b, nil
}

func (b *bridge) config(set setting) string {
	var text strings.Builder
	fmt.Fprintf(&text, `homeserver:
    address: %s
    domain: %s
appservice:
    address: http://%s
    port: %d
    as_token: %s
    hs_token: %s
database:
    type: %s
    uri: %q
v2tim:
    port: %d
    rate_limit:
        per_second: 0
logging:
    writers:
        - type: stdout
          format: json
tencent:
    sdk_app_id: %d
    secret_key: %s
    admins: [%s]
`, set.homeserver, lab.Domain, loopback(b.matrixPort), b.matrixPort, asToken, hsToken, b.databaseType(), b.databaseURI(), b.apiPort, sdkAppID, secretKey, adminID)
	if set.maxMembers != 0 {
		fmt.Fprintf(&text, "    max_members: %d\n", max(set.maxMembers, 0))
	}
	if set.rate != 0 {
		fmt.Fprintf(&text, "    calls_per_second: %d\n", set.rate)
	}
	if set.tencent != "" {
		fmt.Fprintf(&text, "    mode: cloud\n    base_url: %s\n    webhook:\n        port: %d\n        token: %s\n", set.tencent, b.hookPort, hookToken)
	}
	return text.String()
}

func (b *bridge) databaseType() string {
	if b.postgres != "" {
		return config.DatabasePostgres
	}
	return config.DatabaseSQLite
}

func (b *bridge) databaseURI() string {
	if b.postgres != "" {
		return b.postgres
	}
	return b.path("timbridge.db")
}

// begin starts it and returns when it has gone through what a start makes it go through.
func (b *bridge) begin(ctx context.Context) error {
	ports := []int{b.matrixPort, b.apiPort}
	if b.cloud {
		ports = append(ports, b.hookPort)
	}
	if err := b.launch(ctx, ports...); err != nil {
		return err
	}
	return b.quiet(ctx)
}

// registration writes what the homeserver has to know of it.
func (b *bridge) registration(ctx context.Context) (path string, err error) {
	path = b.path("registration.yaml")
	_, err = b.suite.run(ctx, b.dir, b.suite.timbridge, "-g", "-c", b.path("config.yaml"), "-r", path)
	return path, err
}

// usersig signs in a user of the app for the time of a benchmark.
func usersig(user string) (string, error) {
	sig, err := v2tim.GenUserSig(sdkAppID, secretKey, user, 24*time.Hour)
	if err != nil {
		return "", fmt.Errorf("failed to sign in %s: %w", user, err)
	}
	return sig, nil
}
