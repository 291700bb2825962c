package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a child. It is safe for concurrent use.
type process struct {
	os   *os.Process
	done chan struct{} // closed when it has ended
	err  error         // how it ended; to be read after done
}

// startProcess starts cmd in a process group of its own, so that Ctrl-C reaches the demo alone and the child is stopped in
// order. It runs until it is stopped or, on Linux, until the demo ends, however that happens.
func startProcess(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = processAttributes()
	p := &process{done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The kernel's signal comes when the starting thread ends: this goroutine keeps its thread and waits.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.os = cmd.Process
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("failed to start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// stop asks the child to end (SIGTERM), and kills it when it does not. An exit code other than 0 is an error.
func (p *process) stop(ctx context.Context) error {
	select {
	case <-p.done: // by itself, before it was asked to
		return fmt.Errorf("it had ended before: %w", errors.Join(errors.New("nobody asked it to"), p.err))
	default:
	}
	if err := p.os.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("failed to signal it: %w", err)
	}
	timer := time.NewTimer(stopGrace)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.err
	case <-timer.C:
	case <-ctx.Done():
	}
	if err := p.os.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("failed to kill it: %w", err)
	}
	<-p.done
	return errors.New("it did not stop in time and was killed")
}
