package chaos

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/timbridge/timbridge/internal/lab"
)

// binary is the program under test, built once.
var binary string

// ports are not those of the end-to-end tests, which may run at the same time.
var ports = lab.NewPorts(9000, 10000)

// How much is run, see `make chaos`.
var (
	seedsFlag = flag.Int("chaos.seeds", 3, "how many seeds are run")
	firstFlag = flag.Uint64("chaos.seed", 32, "the first seed, of which the others follow; 0: any")
	killsFlag = flag.Int("chaos.kills", 4, "how often the process is ended for each seed")
	kindFlag  = flag.String("chaos.kind", "", "run only this kind of world, see kinds; synapse and dendrite are the real ones")
	// A homeserver that is killed may lose or change the order of what it has accepted itself, see docs/reliability.md.
	killHomeserver = flag.Bool("chaos.kill-homeserver", false, "kill real homeservers with SIGKILL too, and start Dendrite again")
	keepFlag       = flag.String("chaos.keep", "", "folder in which the logs and databases of seeds with violations are kept")
)

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "timbridge-chaos-")
	if err == nil {
		binary, err = lab.BuildTimbridge(dir)
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
