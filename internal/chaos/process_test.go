package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// process is one timbridge, running or not. It belongs to one goroutine at a time.
type process struct {
	dir   string
	ready []string // addresses that answer when it is ready
	http  *http.Client

	cmd    *exec.Cmd
	exited chan error // gets how it ended
}

const (
	startWithin = 30 * time.Second
	stopWithin  = 45 * time.Second
)

func (p *process) config() string { return filepath.Join(p.dir, "config.yaml") }
func (p *process) log() string    { return filepath.Join(p.dir, "timbridge.log") }

// launch starts it and does not wait for anything.
func (p *process) launch() error {
	log, err := os.OpenFile(p.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("failed to open log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(binary, "-c", p.config())
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, []string{}, log, log
	cmd.SysProcAttr = processAttributes()
	started, exited := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // see processAttributes
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			exited <- cmd.Wait()
		}
	}()
	if err = <-started; err != nil {
		return fmt.Errorf("failed to start timbridge: %w", err)
	}
	p.cmd, p.exited = cmd, exited
	return nil
}

// start starts it and returns when it is ready.
func (p *process) start(ctx context.Context) error {
	for deadline := time.Now().Add(startWithin); ; {
		before := len(p.logText())
		if err := p.launch(); err != nil {
			return err
		}
		err := p.waitReady(ctx, before)
		if err == nil {
			return nil
		}
		printed := p.logText()[before:]
		p.kill()
		// Somebody's outgoing connection may hold our port for a moment.
		if !strings.Contains(printed, "address already in use") || time.Now().After(deadline) {
			return fmt.Errorf("%w; it printed:\n%s", err, printed)
		}
	}
}

// waitReady returns when it says that it listens, in what it has printed after the first bytes of its log, and answers there.
func (p *process) waitReady(ctx context.Context, printed int) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var errs []error
		for _, url := range p.ready {
			errs = append(errs, p.probe(ctx, url))
		}
		err := errors.Join(errs...)
		listens := strings.Count(p.logText()[printed:], `"message":"Listening"`) >= len(p.ready)
		if err == nil && listens {
			return nil
		}
		select {
		case how := <-p.exited:
			p.exited <- how
			return fmt.Errorf("timbridge ended at its start: %w", how)
		case <-ctx.Done():
			return fmt.Errorf("timbridge is not ready: %w", err)
		case <-tick.C:
		}
	}
}

func (p *process) probe(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 500 {
		return fmt.Errorf("HTTP %d", resp.StatusCode)
	}
	return nil
}

// stop ends it as an operator does (SIGTERM). It has to end by itself, and in order.
func (p *process) stop() error {
	if p.cmd == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("failed to signal timbridge: %w", err)
	}
	select {
	case err := <-p.exited:
		p.cmd = nil
		if err != nil {
			return fmt.Errorf("timbridge ended badly after SIGTERM: %w; its log ends:\n%s", err, p.logTail(40))
		}
		return nil
	case <-time.After(stopWithin):
		tail := p.logTail(40)
		p.kill()
		return fmt.Errorf("timbridge did not end within %s of SIGTERM; its log ends:\n%s", stopWithin, tail)
	}
}

// kill ends it as a power cut does (SIGKILL).
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.exited
	p.cmd = nil
}

func (p *process) logText() string {
	text, _ := os.ReadFile(p.log()) // none before the first start
	return string(text)
}

func (p *process) logTail(n int) string {
	lines := strings.Split(strings.TrimSpace(p.logText()), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
