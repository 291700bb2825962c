package lab

import (
	"context"
	"errors"
	"os"
	"time"
)

// TB is what this package uses of testing.TB. (Declared here, so that the demo does not carry package testing.)
type TB interface {
	Helper()
	Cleanup(func())
	Context() context.Context
	Failed() bool
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
	Skipf(format string, args ...any)
}

// Require skips the test, with the reason, when the homeserver is not on this machine. That is the only skip in
// timbridge's end-to-end tests; [RequireAny] sees to it that not everything is skipped.
func Require(t TB, kind Kind) {
	t.Helper()
	skipMissing(t, Available(kind))
}

// RequireJS is [Require] for matrix-js-sdk.
func RequireJS(t TB) {
	t.Helper()
	skipMissing(t, JSAvailable())
}

func skipMissing(t TB, err error) {
	t.Helper()
	var missing *MissingError
	switch {
	case errors.As(err, &missing):
		t.Skipf("LEFT OUT: %v", missing)
	case err != nil:
		t.Fatalf("%v", err)
	}
}

// RequireAny fails the test when CI=true and no homeserver is there; elsewhere it skips it then.
func RequireAny(t TB) {
	t.Helper()
	var reasons []error
	for _, kind := range Kinds() {
		err := Available(kind)
		if err == nil {
			return
		}
		reasons = append(reasons, err)
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("no homeserver is there, and this is CI:\n%v", errors.Join(reasons...))
		return
	}
	t.Skipf("LEFT OUT: no homeserver is there:\n%v", errors.Join(reasons...))
}

// Run is [Require] and [Start] for a test: the homeserver ends with the test, and its log's end is shown when the test
// failed.
func Run(t TB, kind Kind, opts Options) *Homeserver {
	t.Helper()
	Require(t, kind)
	hs, err := Start(t.Context(), kind, opts)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("end of the log of %s:\n%s", kind, hs.LogTail(40))
			if why := crash(hs.LogPath()); why != "" {
				t.Logf("HOMESERVER CRASHED: %s: %s", kind, why) // .ci/test.sh looks for it
			}
		}
		if err := hs.Close(); err != nil {
			t.Logf("%v", err)
		}
	})
	return hs
}

// NewUser is [Homeserver.RegisterUser] for a test.
func NewUser(t TB, hs *Homeserver, localpart string) *User {
	t.Helper()
	user, err := hs.RegisterUser(t.Context(), localpart)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return user
}

// NewWatcher is [User.Watch] for a test, closed at its end.
func NewWatcher(t TB, user *User) *Watcher {
	t.Helper()
	w, err := user.Watch(t.Context())
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(w.Close)
	return w
}

// NewJSClient is [StartJSClient] for a test, closed at its end. The test is skipped when matrix-js-sdk is not there.
func NewJSClient(t TB, user *User) *JSClient {
	t.Helper()
	RequireJS(t)
	c, err := StartJSClient(t.Context(), user)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Logf("%v", err)
		}
	})
	return c
}

// Within returns a context for a test's wait that must be over after d.
func Within(t TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
