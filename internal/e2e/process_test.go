package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/internal/lab"
)

// timbridge is one timbridge, running or not: its folder, its configuration, its process.
type timbridge struct {
	lab.Program
	name  string // its ID at the homeserver, and what its bot and ghosts are called after
	port  int    // for the homeserver
	v2tim string // base URL for apps
	hooks string // where it takes webhooks of Tencent Cloud; empty in standalone
}

const patience = 45 * time.Second // the end of every wait

func (b *timbridge) bot() string           { return b.name + "_bot" }
func (b *timbridge) registration() string  { return filepath.Join(b.Dir, "registration.yaml") }
func (b *timbridge) address() string       { return fmt.Sprintf("http://127.0.0.1:%d", b.port) }
func (b *timbridge) ghostTemplate() string { return b.name + "_tim_{{.}}" }
func (b *timbridge) ghostPrefix() string   { return b.name + "_tim_" }

// start starts it and returns when it is ready for the homeserver and for apps.
func (b *timbridge) start(t testing.TB) {
	t.Helper()
	require.False(t, b.Started(), "it runs already")
	b.Ready = []string{b.address() + "/_matrix/mau/ready", b.v2tim}
	if b.hooks != "" {
		b.Ready = append(b.Ready, b.hooks)
	}
	require.NoError(t, b.Start(t.Context()), b.name)
}

// stop ends it as an operator does (SIGTERM); it has to finish in order, with exit code 0.
func (b *timbridge) stop(t testing.TB) {
	t.Helper()
	if !b.Started() {
		return
	}
	require.NoError(t, b.Stop(), b.name)
	require.Contains(t, b.logTail(), "Stopped")
}

// kill ends it as a power cut does (SIGKILL).
func (b *timbridge) kill(testing.TB) { b.Kill() }

func (b *timbridge) logTail() string { return b.LogTail(60) }

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
	cmd := exec.CommandContext(ctx, b.Binary, append([]string{"-c", b.Config()}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = b.Dir, b.Environment(), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}
