package database

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// connectTimeout bounds an attempt to connect, if the URI does not.
	connectTimeout = 10 * time.Second
	// abandonTimeout is after which the server ends a transaction of which it has heard nothing more: a connection that was cut
	// without a word would hold its locks until the server's own keep-alives notice, which takes hours as Linux sets them.
	abandonTimeout = "120000" // ms
)

// server is a PostgreSQL database and who we are there.
type server struct {
	config *pgx.ConnConfig
	// name is for people and holds no secret.
	name string
}

// parseServer understands URIs as mautrix bridges have them: postgres://user:password@host/database?sslmode=disable. Its errors never
// hold a piece of the URI that could be one of the password.
func parseServer(uri string) (server, error) {
	if !strings.HasPrefix(uri, "postgres://") && !strings.HasPrefix(uri, "postgresql://") {
		return server{}, errors.New("it does not begin with postgres://: write, for instance, postgres://user:password@host/database")
	}
	parsed, err := url.Parse(uri)
	if err != nil || strings.Contains(parsed.Path, "@") {
		return server{}, errors.New("it is not of the form postgres://user:password@host/database: in a password, write %40 for @, %2F for /, %3A for :, %3F for ?, %23 for # and %25 for %")
	}
	config, err := pgx.ParseConfig(uri)
	if err != nil {
		return server{}, errors.New(withoutSecrets(err, parsed))
	}
	if config.Database == "" {
		return server{}, errors.New("it names no database: write, for instance, postgres://user:password@host/database")
	}
	for name := range config.RuntimeParams {
		if isOursOnServer(name) {
			return server{}, fmt.Errorf("the option %s is timbridge's to decide: remove it", name)
		}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	dialer := &net.Dialer{Timeout: config.ConnectTimeout, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}
	config.DialFunc = dialer.DialContext
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = appName()
	}
	config.RuntimeParams["idle_in_transaction_session_timeout"] = abandonTimeout
	config.RuntimeParams["default_transaction_isolation"] = "read committed"
	// Statements are planned when the tables are new, and the plans are kept: a walk through a table, which is the shortest way as
	// long as it is empty, would stay the way when it is long. Nothing that runs all the time may walk through a table.
	config.RuntimeParams["enable_seqscan"] = "off"
	config.RuntimeParams["jit"] = "off" // it takes longer than our statements do
	return server{config: config, name: fmt.Sprintf("%s on %s", config.Database, config.Host)}, nil
}

// isOursOnServer tells the settings of a session that are not left to the operator.
func isOursOnServer(name string) bool {
	switch strings.ToLower(name) {
	case "synchronous_commit", "default_transaction_isolation", "default_transaction_read_only", "idle_in_transaction_session_timeout", "client_encoding":
		return true
	default:
		return false
	}
}

// withoutSecrets is what pgx found wrong with a URI, without the URI.
func withoutSecrets(err error, uri *url.URL) string {
	if inner := errors.Unwrap(err); inner != nil {
		err = inner
	}
	text := err.Error()
	secrets := append([]string{}, uri.Query()["password"]...)
	secrets = append(secrets, uri.Query()["sslpassword"]...)
	if uri.User != nil {
		password, _ := uri.User.Password()
		secrets = append(secrets, password)
	}
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "xxxxx")
			text = strings.ReplaceAll(text, url.QueryEscape(secret), "xxxxx")
		}
	}
	return text
}

// appName is how the server's administrator sees us, and how a second timbridge names who is in its way.
func appName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "somewhere"
	}
	return fmt.Sprintf("%s, process %d on %s", filepath.Base(os.Args[0]), os.Getpid(), host)
}

// readOnly makes sessions that cannot write. They are for looking through everything, so they may walk through tables.
func (s server) readOnly() server {
	config := s.config.Copy()
	config.RuntimeParams["default_transaction_read_only"] = "on"
	delete(config.RuntimeParams, "enable_seqscan")
	return server{config: config, name: s.name}
}

// prepareSession makes a new session keep what it commits, whatever is set for the database or its user. remote_apply asks for more.
func prepareSession(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')")
	if err != nil {
		_ = conn.Close(ctx)
		return fmt.Errorf("failed to prepare database session: %w", err)
	}
	return nil
}
