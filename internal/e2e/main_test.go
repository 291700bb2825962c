package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/timbridge/timbridge/internal/lab"
)

// binary is the program under test, built once.
var binary string

// portsTaken counts what freePort has given away, from somewhere on: another run of these tests may be going on.
var portsTaken atomic.Int64

func TestMain(m *testing.M) {
	portsTaken.Store(rand.Int64N(10000))
	dir, err := os.MkdirTemp("", "timbridge-e2e-")
	if err == nil {
		binary = filepath.Join(dir, "timbridge")
		err = build(binary)
	}
	if err == nil {
		err = waitMore()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		_ = os.RemoveAll(dir)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

func build(path string) error {
	args := []string{"build", "-buildvcs=false", "-o", path}
	if raced {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "../../cmd/timbridge")...)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("failed to build timbridge: %w\n%s", err, output)
	}
	return nil
}

// waitMore lets more cases run at once than there are processors: they spend their time waiting for others.
func waitMore() error {
	flag.Parse()
	if chosen := flag.Lookup("test.parallel"); chosen.Value.String() == chosen.DefValue {
		return flag.Set("test.parallel", "8")
	}
	return nil
}

// Something has to be tested: in CI a machine without any homeserver is a failure.
func TestSomeHomeserverIsThere(t *testing.T) { lab.RequireAny(t) }
