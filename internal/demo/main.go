package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/timbridge/timbridge/internal/lab"
)

// errInterrupted ends the demo on Ctrl-C: nothing went wrong, but not everything was seen either.
var errInterrupted = errors.New("interrupted")

func main() {
	// Output into a closed pipe (`make demo | head`) must end the demo in order and not by SIGPIPE, which would leave the folder.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go endWithParent(ctx, cancel)

	err := start(ctx, os.Stdout)
	switch {
	case err == nil:
	case errors.Is(err, errInterrupted):
		os.Exit(130) // what a shell says of Ctrl-C
	default:
		os.Exit(1)
	}
}

// start finds what the demo runs and runs it.
func start(ctx context.Context, out io.Writer) error {
	s := newShow(out)
	labDir, err := lab.Dir()
	if err == nil {
		err = lab.Available(lab.Dendrite)
	}
	if err != nil {
		s.line("FAILED", "%v (make demo fetches it)", err)
		return err
	}
	keep := os.Getenv("KEEP")
	return run(ctx, s, options{
		binary: filepath.Join(filepath.Dir(labDir), "bin", "timbridge"),
		keep:   keep != "" && keep != "0",
	})
}

// endWithParent ends the demo when `go run` or make was killed: they do not pass on every signal.
func endWithParent(ctx context.Context, cancel context.CancelFunc) {
	parent := os.Getppid()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if os.Getppid() != parent {
				cancel()
				return
			}
		}
	}
}
