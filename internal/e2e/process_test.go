package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// timbridge is one timbridge, running or not: its folder, its configuration, its process.
type timbridge struct {
	name   string // its ID at the homeserver, and what its bot and ghosts are called after
	dir    string
	port   int    // for the homeserver
	v2tim  string // base URL for apps
	hooks  string // where it takes webhooks of Tencent Cloud; empty in standalone
	client *http.Client

	cmd    *exec.Cmd
	exited chan error // gets how it ended
}

const patience = 45 * time.Second // the end of every wait

func (b *timbridge) bot() string           { return b.name + "_bot" }
func (b *timbridge) config() string        { return filepath.Join(b.dir, "config.yaml") }
func (b *timbridge) registration() string  { return filepath.Join(b.dir, "registration.yaml") }
func (b *timbridge) log() string           { return filepath.Join(b.dir, "timbridge.log") }
func (b *timbridge) address() string       { return fmt.Sprintf("http://127.0.0.1:%d", b.port) }
func (b *timbridge) ghostTemplate() string { return b.name + "_tim_{{.}}" }
func (b *timbridge) ghostPrefix() string   { return b.name + "_tim_" }

// environment is all that it gets of ours. (The race detector would make it sleep a second before each exit.)
func environment() []string { return []string{"GORACE=atexit_sleep_ms=0"} }

// start starts it and returns when it is ready for the homeserver and for apps.
func (b *timbridge) start(t testing.TB) {
	t.Helper()
	require.Nil(t, b.cmd, "it runs already")
	for deadline := time.Now().Add(patience); ; {
		before := len(b.logText())
		b.launch(t)
		err := b.waitReady(t.Context())
		if err == nil {
			return
		}
		printed := b.logText()[before:]
		b.kill(t)
		// Somebody's outgoing connection may hold our port for a moment.
		if !strings.Contains(printed, "address already in use") || time.Now().After(deadline) {
			require.NoError(t, err, "timbridge %s printed:\n%s", b.name, printed)
		}
	}
}

func (b *timbridge) launch(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(b.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	defer log.Close()
	cmd := exec.Command(binary, "-c", b.config())
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = b.dir, environment(), log, log
	cmd.SysProcAttr = processAttributes()
	started, exited := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // see processAttributes
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			exited <- cmd.Wait()
		}
	}()
	require.NoError(t, <-started)
	b.cmd, b.exited = cmd, exited
}

func (b *timbridge) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := errors.Join(b.probe(ctx, b.address()+"/_matrix/mau/ready"), b.probe(ctx, b.v2tim))
		if b.hooks != "" {
			err = errors.Join(err, b.probe(ctx, b.hooks))
		}
		if err == nil {
			return nil
		}
		select {
		case how := <-b.exited:
			b.exited <- how
			return fmt.Errorf("it ended: %v", how)
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w", err)
		case <-tick.C:
		}
	}
}

func (b *timbridge) probe(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 500 {
		return fmt.Errorf("HTTP %d", resp.StatusCode)
	}
	return nil
}

// stop ends it as an operator does (SIGTERM); it has to finish in order, with exit code 0.
func (b *timbridge) stop(t testing.TB) {
	t.Helper()
	if b.cmd == nil {
		return
	}
	require.NoError(t, b.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-b.exited:
		b.cmd = nil
		require.NoError(t, err, "exit code of timbridge %s after SIGTERM; it printed:\n%s", b.name, b.logTail())
		require.Contains(t, b.logTail(), "Stopped")
	case <-time.After(patience):
		b.kill(t)
		require.Fail(t, "timbridge did not stop", "%s printed:\n%s", b.name, b.logTail())
	}
}

// kill ends it as a power cut does (SIGKILL).
func (b *timbridge) kill(t testing.TB) {
	t.Helper()
	if b.cmd == nil {
		return
	}
	err := b.cmd.Process.Kill()
	if !errors.Is(err, os.ErrProcessDone) {
		require.NoError(t, err)
	}
	<-b.exited
	b.cmd = nil
}

// outcome is what a subcommand did.
type outcome struct {
	code           int
	stdout, stderr string
}

// run runs a subcommand in its folder, on its configuration.
func (b *timbridge) run(t testing.TB, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"-c", b.config()}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = b.dir, environment(), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func (b *timbridge) logText() string {
	text, _ := os.ReadFile(b.log()) // none before the first start
	return string(text)
}

func (b *timbridge) logTail() string {
	lines := strings.Split(strings.TrimSpace(b.logText()), "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}
