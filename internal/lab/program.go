package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// BuildTimbridge builds the program under test into a folder and returns its path. If this program has the race detector, so has that
// one, and a race in it is an exit code other than 0.
func BuildTimbridge(dir string) (string, error) {
	path := filepath.Join(dir, "timbridge")
	args := []string{"build", "-buildvcs=false", "-o", path}
	if raced {
		args = append(args, "-race", "-gcflags=modernc.org/sqlite/lib=-race=false") // as in .ci/test.sh
	}
	cmd := exec.Command("go", append(args, "github.com/timbridge/timbridge/cmd/timbridge")...)
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("failed to build timbridge: %w\n%s", err, output)
	}
	return path, nil
}

// programPatience is the end of every wait for a program.
const programPatience = 45 * time.Second

// Program is one timbridge as a process, running or not. It belongs to one goroutine at a time.
type Program struct {
	Binary string
	Dir    string   // has config.yaml, gets timbridge.log
	Ready  []string // addresses that answer when it is ready
	HTTP   *http.Client
	// Launched, if set, is told the process ID of each start at once.
	Launched func(pid int)

	proc *process
}

// Config returns the path of its configuration.
func (p *Program) Config() string { return filepath.Join(p.Dir, "config.yaml") }

// Log returns the path of what it has printed since its first start.
func (p *Program) Log() string { return filepath.Join(p.Dir, "timbridge.log") }

// Environment is all that it gets of ours. (The race detector would make it sleep a second before each exit.)
func (p *Program) Environment() []string { return []string{"GORACE=atexit_sleep_ms=0"} }

// Launch starts it and does not wait for anything.
func (p *Program) Launch() error {
	log, err := openLog(p.Log())
	if err != nil {
		return err
	}
	cmd := exec.Command(p.Binary, "-c", p.Config())
	// The log goes through us, so that a limit on the size of its files spares what it has to say.
	output := struct{ io.Writer }{log}
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.Dir, p.Environment(), output, output
	if p.proc, err = startProcess(cmd); err != nil {
		return errors.Join(err, log.Close())
	}
	go func(done <-chan struct{}) {
		<-done
		_ = log.Close()
	}(p.proc.done)
	if p.Launched != nil {
		p.Launched(p.proc.os.Pid)
	}
	return nil
}

// Start starts it and returns when it is ready.
func (p *Program) Start(ctx context.Context) error {
	for deadline := time.Now().Add(programPatience); ; {
		before := len(p.LogText())
		err := p.Launch()
		if err == nil {
			if err = p.waitReady(ctx, before); err == nil {
				return nil
			}
			p.Kill()
		}
		// Somebody's outgoing connection may hold our port for a moment.
		printed := p.LogText()[before:]
		if !strings.Contains(printed, "address already in use") || time.Now().After(deadline) {
			return fmt.Errorf("failed to start timbridge: %w; it printed:\n%s", err, printed)
		}
	}
}

// waitReady returns when it says that it listens, in what it has printed after the first bytes of its log, and answers there. One that
// stands by listens too.
func (p *Program) waitReady(ctx context.Context, printed int) error {
	ctx, cancel := context.WithTimeout(ctx, programPatience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var errs []error
		for _, url := range p.Ready {
			errs = append(errs, p.probe(ctx, url))
		}
		err := errors.Join(errs...)
		if text := p.LogText()[printed:]; err == nil &&
			(strings.Count(text, `"message":"Listening"`) >= len(p.Ready) || strings.Contains(text, `"message":"Standing by`)) {
			return nil
		}
		select {
		case <-p.proc.done:
			return fmt.Errorf("it ended: %v", p.proc.err)
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w", err)
		case <-tick.C:
		}
	}
}

func (p *Program) probe(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("failed to make request: %w", err)
	}
	resp, err := p.HTTP.Do(req)
	if err != nil {
		return fmt.Errorf("failed to ask whether it is ready: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("HTTP %d", resp.StatusCode)
	}
	return nil
}

// Started tells whether it was started and has not been ended by us since.
func (p *Program) Started() bool { return p.proc != nil }

// Ended tells whether it has ended by itself, and how.
func (p *Program) Ended() (bool, error) {
	if p.proc == nil || !p.proc.ended() {
		return false, nil
	}
	return true, p.proc.err
}

// Stop ends it as an operator does (SIGTERM). It has to end by itself, and in order.
func (p *Program) Stop() error {
	if p.proc == nil {
		return nil
	}
	if err := p.proc.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.proc.done:
		err := p.proc.err
		p.proc = nil
		if err != nil {
			return fmt.Errorf("timbridge ended badly after SIGTERM: %w; its log ends:\n%s", err, p.LogTail(40))
		}
		return nil
	case <-time.After(programPatience):
		tail := p.LogTail(40)
		p.Kill()
		return fmt.Errorf("timbridge did not end within %s of SIGTERM; its log ends:\n%s", programPatience, tail)
	}
}

// Pause lets it hang as a machine does that is suspended (SIGSTOP), until Resume or Kill.
func (p *Program) Pause() error { return p.proc.signal(syscall.SIGSTOP) }

// Resume lets it go on after Pause.
func (p *Program) Resume() error { return p.proc.signal(syscall.SIGCONT) }

// Kill ends it as a power cut does (SIGKILL).
func (p *Program) Kill() {
	if p.proc == nil {
		return
	}
	_ = p.proc.kill() // it may have ended by itself
	p.proc = nil
}

// LogText returns what it has printed since its first start.
func (p *Program) LogText() string {
	text, _ := os.ReadFile(p.Log()) // none before the first start
	return string(text)
}

// LogTail returns the last lines of that.
func (p *Program) LogTail(lines int) string { return tail(p.Log(), lines) }

// Crash finds the line with which it said that it gives up (a panic), "" if it never did.
func (p *Program) Crash() string { return crash(p.Log()) }

// Ports gives away ports of 127.0.0.1. It is safe for concurrent use.
type Ports struct {
	lowest, count int64
	taken         atomic.Int64
}

// NewPorts takes ports from lowest on, each once. They should lie below those that systems give to outgoing connections (Linux: from
// 32768), one of which could hold it while a program is stopped, and where no other tests take theirs. It begins anywhere among them:
// another run of the same tests may be going on.
func NewPorts(lowest, count int64) *Ports {
	p := &Ports{lowest: lowest, count: count}
	p.taken.Store(rand.Int64N(count))
	return p
}

// Take returns a port that is free and that nobody else here gets.
func (p *Ports) Take() (int, error) {
	for range p.count {
		port := p.lowest + p.taken.Add(1)%p.count
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.FormatInt(port, 10)); err == nil {
			return int(port), l.Close()
		}
	}
	return 0, errors.New("no port is free")
}
