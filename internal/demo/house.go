package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/timbridge/timbridge/internal/lab"
)

const (
	sdkAppID = 1400000001 // any number will do
	admin    = "administrator"

	readyWait = 30 * time.Second
	stopGrace = 30 * time.Second
	pollEvery = 50 * time.Millisecond
)

// house is what runs, and the folder in which it lives.
type house struct {
	binary string
	dir    string
	secret string // the app's secret key
	api    string // base URL of the V2TIM API
	http   *http.Client

	dendrite *lab.Homeserver
	bridge   *process
}

func (h *house) path(name string) string { return filepath.Join(h.dir, name) }

// open makes the folder and starts Dendrite and timbridge in it. close must be called, whatever open returns.
func (h *house) open(ctx context.Context, s *show) (err error) {
	if _, err = os.Stat(h.binary); err != nil {
		return fmt.Errorf("timbridge is not built (make build): %w", err)
	}
	if h.dir, err = os.MkdirTemp("", "timbridge-demo-"); err != nil {
		return fmt.Errorf("failed to make the folder: %w", err)
	}
	h.http = &http.Client{Timeout: time.Minute}
	h.secret = rand.Text() + rand.Text()
	matrixPort, err := lab.FreePort()
	if err != nil {
		return err
	}
	apiPort, err := lab.FreePort()
	if err != nil {
		return err
	}
	dendritePort, err := lab.FreePort()
	if err != nil {
		return err
	}
	h.api = fmt.Sprintf("http://127.0.0.1:%d", apiPort)
	puppet := rand.Text() + rand.Text()
	if err = h.write("config.yaml", configText(dendritePort, matrixPort, apiPort, h.secret, puppet, h.path("timbridge.db"))); err != nil {
		return err
	}
	if err = h.write("doublepuppet.yaml", puppetText(puppet)); err != nil {
		return err
	}
	if err = h.run(ctx, "-g", "-c", h.path("config.yaml"), "-r", h.path("registration.yaml")); err != nil {
		return err
	}
	s.line("ok", "timbridge -g wrote the registration, which Dendrite is given")

	began := time.Now()
	h.dendrite, err = lab.StartDendrite(ctx, lab.Options{
		Dir: h.path("dendrite"), Port: dendritePort, AppServices: []string{h.path("registration.yaml"), h.path("doublepuppet.yaml")},
	})
	if err != nil {
		return err
	}
	s.line("ok", "Dendrite answers at %s after %.1f s", h.dendrite.URL(), time.Since(began).Seconds())
	return h.openBridge(ctx, s, matrixPort)
}

// openBridge starts timbridge and waits until it takes transactions and calls.
func (h *house) openBridge(ctx context.Context, s *show, matrixPort int) error {
	began := time.Now()
	log, err := os.OpenFile(h.path("timbridge.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("failed to make the log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(h.binary, "-c", h.path("config.yaml"))
	cmd.Dir, cmd.Stdout, cmd.Stderr = h.dir, log, log
	if h.bridge, err = startProcess(cmd); err != nil {
		return err
	}
	for _, url := range []string{fmt.Sprintf("http://127.0.0.1:%d/_matrix/mau/ready", matrixPort), h.api + "/v4/"} {
		if err = h.waitReady(ctx, url); err != nil {
			return err
		}
	}
	s.line("ok", "timbridge takes calls of V2TIM apps at %s after %.1f s", h.api, time.Since(began).Seconds())
	return nil
}

func (h *house) waitReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	for {
		err := h.get(ctx, url)
		if err == nil {
			return nil
		}
		select {
		case <-h.bridge.done:
			return fmt.Errorf("timbridge ended: %w", errors.Join(errors.New("see its log"), h.bridge.err))
		case <-ctx.Done():
			return fmt.Errorf("timbridge is not ready: %w", err)
		case <-time.After(pollEvery):
		}
	}
}

func (h *house) get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("failed to make request: %w", err)
	}
	resp, err := h.http.Do(req)
	if err != nil {
		return fmt.Errorf("failed to get %s: %w", url, err)
	}
	if err = resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
		return errors.Join(fmt.Errorf("failed to get %s: HTTP %d", url, resp.StatusCode), err)
	}
	return nil
}

// run runs timbridge for a moment.
func (h *house) run(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, h.binary, args...)
	cmd.Dir = h.dir
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("failed to run timbridge %s: %w: %s", args[0], err, bytes.TrimSpace(output))
	}
	return nil
}

func (h *house) write(name, text string) error {
	if err := os.WriteFile(h.path(name), []byte(text), 0o600); err != nil {
		return fmt.Errorf("failed to write %s: %w", name, err)
	}
	return nil
}

// logTail returns the last lines of timbridge's log.
func (h *house) logTail(lines int) []string {
	text, err := os.ReadFile(h.path("timbridge.log"))
	if err != nil {
		return nil
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return all[max(0, len(all)-lines):]
}

// close ends what runs, timbridge first, and removes the folder.
func (h *house) close(s *show) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*stopGrace)
	defer cancel()
	if h.bridge != nil {
		if stopErr := h.bridge.stop(ctx); stopErr != nil {
			err = fmt.Errorf("timbridge did not stop in order: %w", stopErr)
		} else {
			s.line("ok", "timbridge has stopped in order (SIGTERM, exit code 0)")
		}
	}
	if h.dendrite != nil {
		err = errors.Join(err, h.dendrite.Close())
		s.line("ok", "Dendrite has stopped")
	}
	if h.http != nil {
		h.http.CloseIdleConnections()
	}
	if h.dir != "" {
		if rmErr := os.RemoveAll(h.dir); rmErr != nil {
			return errors.Join(err, fmt.Errorf("failed to remove %s: %w", h.dir, rmErr))
		}
		s.line("ok", "%s is removed", h.dir)
	}
	return err
}

// configText is all that has to be said in config.yaml; timbridge fills in the rest.
func configText(dendritePort, matrixPort, apiPort int, secret, puppet, database string) string {
	return fmt.Sprintf(`homeserver:
    address: http://127.0.0.1:%d
    domain: %s
appservice:
    address: http://127.0.0.1:%d
    port: %d
database:
    uri: %q
double_puppet:
    secrets:
        %s: "as_token:%s"
tencent:
    sdk_app_id: %d
    secret_key: %s
    admins: [%s]
v2tim:
    port: %d
logging:
    min_level: debug
    writers:
        - type: stdout
          format: pretty
`, dendritePort, lab.Domain, matrixPort, matrixPort, database, lab.Domain, puppet, sdkAppID, secret, admin, apiPort)
}

// puppetText is a registration that lets timbridge act as real users who are linked with a Tencent user.
func puppetText(token string) string {
	return fmt.Sprintf(`id: doublepuppet
url: null
as_token: %s
hs_token: %s
sender_localpart: doublepuppet
rate_limited: false
namespaces:
    users:
        - regex: '@.*:%s'
          exclusive: false
`, token, rand.Text(), lab.Domain)
}
