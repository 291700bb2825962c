package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a program under load. It belongs to one goroutine.
type server struct {
	name string
	dir  string   // its folder, and where its log is
	args []string // the binary first

	os   *os.Process
	done chan struct{} // closed when it has ended
	err  error         // how; to be read after done
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

// startWait and stopWait are the end of every wait for a program.
const (
	startWait = time.Minute
	stopWait  = 30 * time.Second
)

// launch starts it, with its output in a file, and waits until somebody listens at the ports. It ends when this program does, however
// that happens.
func (s *server) launch(ctx context.Context, ports ...int) error {
	log, err := os.OpenFile(s.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("failed to make log of %s: %w", s.name, err)
	}
	defer log.Close()
	cmd := exec.Command(s.args[0], s.args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	cmd.SysProcAttr = childAttributes()
	s.done = make(chan struct{})
	started := make(chan error, 1)
	go func() {
		// The kernel's signal comes when the starting thread ends: this goroutine keeps its thread and waits.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		s.os = cmd.Process
		started <- err
		if err == nil {
			s.err = cmd.Wait()
			close(s.done)
		}
	}()
	if err = <-started; err != nil {
		return fmt.Errorf("failed to start %s: %w", s.name, err)
	}
	for _, port := range ports {
		if err = s.listens(ctx, port); err != nil {
			return errors.Join(fmt.Errorf("%w; its log ends:\n%s", err, s.logTail()), s.kill())
		}
	}
	return nil
}

// listens waits until it does at a port.
func (s *server) listens(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", loopback(port))
		if err == nil {
			return conn.Close()
		}
		select {
		case <-s.done:
			return fmt.Errorf("failed to start %s: it ended: %w", s.name, errors.Join(errors.New("by itself"), s.err))
		case <-ctx.Done():
			return fmt.Errorf("failed to start %s: it does not listen: %w", s.name, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop ends it as an operator does. That it does not end in order is an error.
func (s *server) stop() error {
	if s.os == nil {
		return nil
	}
	if err := s.os.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("failed to stop %s: %w", s.name, err)
	}
	select {
	case <-s.done:
		s.os = nil
		if s.err != nil {
			return fmt.Errorf("%s ended badly: %w; its log ends:\n%s", s.name, s.err, s.logTail())
		}
		return nil
	case <-time.After(stopWait):
		return errors.Join(fmt.Errorf("%s did not end within %s", s.name, stopWait), s.kill())
	}
}

// kill ends it at once.
func (s *server) kill() error {
	if s.os == nil {
		return nil
	}
	err := s.os.Kill()
	<-s.done
	s.os = nil
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

func (s *server) pid() int { return s.os.Pid }

// logTail is the end of what it has printed.
func (s *server) logTail() string {
	text, _ := os.ReadFile(s.path("log"))
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// clockTick is the unit of times in /proc, by the kernel's own promise to programs (USER_HZ).
const clockTick = 10 * time.Millisecond

// cpu is the time that it has had of the processors so far.
func (s *server) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid()))
	if err != nil {
		return 0, fmt.Errorf("failed to read CPU time of %s: %w", s.name, err)
	}
	// The second field is the name in parentheses; what follows is fixed: utime and stime are 14 and 15.
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("failed to read CPU time of %s: /proc says %q", s.name, text)
	}
	user, errUser := strconv.ParseInt(fields[11], 10, 64)
	system, errSystem := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick, errors.Join(errUser, errSystem)
}

// memory is the resident memory in MB, of now (VmRSS) or at its highest (VmHWM).
func (s *server) memory(which string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid()))
	if err != nil {
		return 0, fmt.Errorf("failed to read memory of %s: %w", s.name, err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, which+":"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib * 1024 / 1e6, err
		}
	}
	return 0, fmt.Errorf("failed to read memory of %s: no %s", s.name, which)
}

// quiet waits until it has nothing left to do: it has used next to no CPU for a while.
func (s *server) quiet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	const look, calm = 250 * time.Millisecond, 3
	for still := 0; still < calm; {
		before, err := s.cpu()
		if err != nil {
			return err
		}
		if err = pause(ctx, look); err != nil {
			return fmt.Errorf("failed to wait until %s is quiet: %w", s.name, err)
		}
		after, err := s.cpu()
		if err != nil {
			return err
		}
		if still++; after-before > 2*clockTick {
			still = 0
		}
	}
	return nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
