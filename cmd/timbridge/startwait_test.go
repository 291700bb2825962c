package main

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/internal/postgres"
)

// TestStartBeforeTheDatabase: a timbridge that starts before its database server, or while that recovers, waits and says so, alone and as
// one of several. In the end it says what is wrong, with an exit code after which systemd starts it again.
func TestStartBeforeTheDatabase(t *testing.T) {
	s := postgres.Own(t, postgres.Options{})
	uri, err := s.Create(t.Context(), "late")
	require.NoError(t, err)
	for name, replicated := range map[string]bool{"alone": false, "a replica": true} {
		t.Run(name, func(t *testing.T) {
			r := oneOf(t, uri, replicated)
			b := r.list[0]
			require.NoError(t, s.Shut(syscall.SIGQUIT))
			waits := func() {
				t.Helper()
				r.launch(0)
				require.Eventually(t, func() bool { return strings.Contains(b.output.String(), "Waiting for the database server") }, patience, 20*time.Millisecond, "%s", b.output)
			}
			waits()
			b.stop(t) // who is told to end while it waits ends in order

			waits()
			require.NoError(t, s.Run(t.Context()))
			require.Eventually(t, func() bool { return b.probe("ready") == http.StatusOK }, patience, 20*time.Millisecond, "%s", b.output)
			b.stop(t)

			require.NoError(t, s.Shut(syscall.SIGINT))
			r.env = append(r.env, "TIMBRIDGE_DATABASE__START_WAIT=1s")
			waits()
			require.Equal(t, exitDatabase, b.waitExit(t))
			require.Contains(t, b.output.String(), "the server cannot be reached: is it running")
			require.NotContains(t, b.output.String(), postgres.Password)
			require.NoError(t, s.Run(t.Context()))
		})
	}
}

// oneOf is a single timbridge, which may know that there can be others.
func oneOf(t *testing.T, uri string, replicated bool) *replicas {
	t.Helper()
	r := &replicas{t: t, env: onServer(uri)}
	r.add(deadHomeserver)
	if !replicated {
		r.env = append(r.env, "TIMBRIDGE_REPLICA__ENABLED=false")
	}
	return r
}
