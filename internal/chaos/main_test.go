package chaos

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
)

// binary is the program under test, built once.
var binary string

// portsTaken counts what freePort has given away, from somewhere on: another run of these tests may be going on.
var portsTaken atomic.Int64

// How much is run, see `make chaos`.
var (
	seedsFlag = flag.Int("chaos.seeds", 2, "how many seeds are run")
	firstFlag = flag.Uint64("chaos.seed", 8, "the first seed, of which the others follow; 0: any")
	killsFlag = flag.Int("chaos.kills", 4, "how often the process is ended for each seed")
	kindFlag  = flag.String("chaos.kind", "", "run only this kind of world, see kinds")
	keepFlag  = flag.String("chaos.keep", "", "folder in which the logs and databases of seeds with violations are kept")
)

func TestMain(m *testing.M) {
	flag.Parse()
	portsTaken.Store(rand.Int64N(10000))
	dir, err := os.MkdirTemp("", "timbridge-chaos-")
	if err == nil {
		binary = filepath.Join(dir, "timbridge")
		err = build(binary)
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
