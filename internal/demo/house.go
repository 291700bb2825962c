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
	"slices"
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
	http   *http.Client

	dendrite   *lab.Homeserver
	standalone *instance // timbridge of the first part
	sim        *sim      // Tencent Cloud of the second part
	cloud      *instance // timbridge of the second part
}

func (h *house) path(name string) string { return filepath.Join(h.dir, name) }

// open makes the folder and starts Dendrite and the first timbridge in it. close must be called, whatever open returns.
func (h *house) open(ctx context.Context, s *show) (err error) {
	if _, err = os.Stat(h.binary); err != nil {
		return fmt.Errorf("timbridge is not built (make build): %w", err)
	}
	if h.dir, err = os.MkdirTemp("", "timbridge-demo-"); err != nil {
		return fmt.Errorf("failed to make the folder: %w", err)
	}
	h.http = &http.Client{Timeout: time.Minute}
	h.secret = rand.Text() + rand.Text()
	ports, err := freePorts(7)
	if err != nil {
		return err
	}
	dendritePort, puppet := ports[0], rand.Text()+rand.Text()
	h.standalone = newInstance(h, "timbridge", ports[1], ports[2])
	h.cloud = newInstance(h, "timbridge-cloud", ports[3], ports[4])
	h.cloud.webhookPort = ports[5]
	h.sim = newSim(h, ports[6])
	// Dendrite reads registrations when it starts: it gets both now.
	registrations := []string{h.path("doublepuppet.yaml")}
	if err = h.write("doublepuppet.yaml", puppetText(puppet)); err != nil {
		return err
	}
	for _, i := range []struct {
		*instance
		more string
	}{{h.standalone, standaloneText(puppet)}, {h.cloud, cloudText(h.sim.url, h.cloud.webhookPort)}} {
		if err = h.write(i.name+".yaml", configText(i.instance, dendritePort)+i.more); err != nil {
			return err
		}
		registration := h.path(i.name + "-registration.yaml")
		if err = h.run(ctx, "-g", "-c", i.config(), "-r", registration); err != nil {
			return err
		}
		registrations = append(registrations, registration)
	}
	s.line("ok", "timbridge -g wrote two registrations, one for each part, which Dendrite is given")

	began := time.Now()
	if h.dendrite, err = lab.StartDendrite(ctx, lab.Options{Dir: h.path("dendrite"), Port: dendritePort, AppServices: registrations}); err != nil {
		return err
	}
	s.line("ok", "Dendrite answers at %s after %.1f s", h.dendrite.URL(), time.Since(began).Seconds())
	took, err := h.standalone.start(ctx)
	if err == nil {
		s.line("ok", "timbridge takes calls of V2TIM apps at %s after %.1f s", h.standalone.api, took.Seconds())
	}
	return err
}

// openCloud starts what the second part needs beside Dendrite.
func (h *house) openCloud(ctx context.Context, s *show) error {
	if err := h.sim.start(ctx); err != nil {
		return err
	}
	s.line("ok", "timbridge sim plays Tencent Cloud and the users of its apps at %s", h.sim.url)
	took, err := h.cloud.start(ctx)
	if err == nil {
		s.line("ok", "a second timbridge takes Tencent's webhooks at http://127.0.0.1:%d after %.1f s", h.cloud.webhookPort, took.Seconds())
	}
	return err
}

// get is nil if something answers with 200 there.
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

// logTails returns the last lines of what was running last, each log with a title.
func (h *house) logTails() (lines []string) {
	for _, log := range []struct {
		title, name string
		lines       int
	}{
		{"timbridge's log (part 2)", "timbridge-cloud.log", 25},
		{"what timbridge sim has printed", "sim.log", 15},
		{"timbridge's log", "timbridge.log", 25},
		{"Dendrite's log", "dendrite/homeserver.log", 30},
	} {
		text, err := os.ReadFile(h.path(log.name))
		if err != nil || len(text) == 0 {
			continue
		}
		if log.name == "timbridge.log" && len(lines) > 0 {
			continue // it is part 2 that has failed
		}
		all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
		lines = append(append(lines, "", "The end of "+log.title+":"), all[max(0, len(all)-log.lines):]...)
	}
	return lines
}

// close ends what runs, timbridge before what it talks to, and removes the folder.
func (h *house) close(s *show) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*stopGrace)
	defer cancel()
	for _, ending := range []struct {
		name string
		p    *process
	}{{"the second timbridge", h.cloud.running()}, {"timbridge sim", h.sim.running()}, {"timbridge", h.standalone.running()}} {
		if ending.p == nil {
			continue
		}
		if stopErr := ending.p.stop(ctx); stopErr != nil {
			err = errors.Join(err, fmt.Errorf("%s did not stop in order: %w", ending.name, stopErr))
		} else {
			s.line("ok", "%s has stopped in order (SIGTERM, exit code 0)", ending.name)
		}
	}
	if h.dendrite != nil {
		err = errors.Join(err, h.dendrite.Close())
		s.line("ok", "Dendrite has stopped")
	}
	if h.sim != nil {
		err = errors.Join(err, h.sim.closeLog())
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

// freePorts returns ports that nobody listened on a moment ago, each another.
func freePorts(n int) (ports []int, err error) {
	for len(ports) < n {
		port, err := lab.FreePort()
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	return ports, nil
}
