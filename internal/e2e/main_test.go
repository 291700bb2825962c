package e2e

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

// ports are not those of the fault harness, which may run at the same time.
var ports = lab.NewPorts(20000, 12000)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "timbridge-e2e-")
	if err == nil {
		binary, err = lab.BuildTimbridge(dir)
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
