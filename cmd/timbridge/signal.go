package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// stopOnSignal returns a context that ends with the first SIGTERM or SIGINT, so
// that everything can be finished in order. Who sends a second one does not
// want to wait: the program ends at once. (What has been answered is on disk
// either way.)
func stopOnSignal(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for received := 0; ; received++ {
			select {
			case <-signals:
				if received > 0 {
					fmt.Fprintln(os.Stderr, "timbridge: second signal, stopping at once")
					os.Exit(exitUsage)
				}
				cancel()
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}
