package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// sim is `timbridge sim` in a process of its own: Tencent Cloud and the users of its apps. It is told what they do by POST
// /sim; what it prints tells which calls and webhooks have passed. It is safe for concurrent use.
type sim struct {
	house   *house
	url     string
	process *process

	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever something is printed
	rest    string        // a line that has not ended yet
	log     *os.File
	lines   []string
}

func newSim(h *house, port int) *sim {
	return &sim{house: h, url: fmt.Sprintf("http://127.0.0.1:%d", port), changed: make(chan struct{})}
}

// running returns the process, nil if it was never started.
func (m *sim) running() *process {
	if m == nil {
		return nil
	}
	return m.process
}

// start starts it with the config of the second timbridge and waits until it answers.
func (m *sim) start(ctx context.Context) (err error) {
	if m.log, err = os.OpenFile(m.house.path("sim.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return fmt.Errorf("failed to make the log: %w", err)
	}
	cmd := exec.Command(m.house.binary, "sim", "-n", "-c", m.house.cloud.config(), "--listen", strings.TrimPrefix(m.url, "http://"))
	cmd.Dir, cmd.Stdout, cmd.Stderr = m.house.dir, m, m
	if m.process, err = startProcess(cmd); err != nil {
		return err
	}
	return m.process.waitReady(ctx, "timbridge sim", func(ctx context.Context) error {
		_, err := m.do(ctx, "help")
		return err
	})
}

// closeLog closes the file of what it has printed, after its end.
func (m *sim) closeLog() error {
	if m.log == nil {
		return nil
	}
	if err := m.log.Close(); err != nil {
		return fmt.Errorf("failed to close the log of timbridge sim: %w", err)
	}
	return nil
}

// Write takes what it prints.
func (m *sim) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	lines := strings.Split(m.rest+string(p), "\n")
	m.rest = lines[len(lines)-1]
	m.lines = append(m.lines, lines[:len(lines)-1]...)
	close(m.changed)
	m.changed = make(chan struct{})
	return m.log.Write(p)
}

// do posts a line to it and returns its answer.
func (m *sim) do(ctx context.Context, line string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url+"/sim", strings.NewReader(line))
	if err != nil {
		return "", fmt.Errorf("failed to make request: %w", err)
	}
	resp, err := m.house.http.Do(req)
	if err != nil {
		return "", fmt.Errorf("failed to call timbridge sim: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", fmt.Errorf("failed to read the answer of timbridge sim: %w", err)
	}
	answer := strings.TrimRight(string(text), "\n")
	if resp.StatusCode != http.StatusOK {
		return answer, fmt.Errorf("timbridge sim refused %q: %s", line, answer)
	}
	return answer, nil
}

// waitAnswer asks until the answer is the one that is wanted.
func (m *sim) waitAnswer(ctx context.Context, line, what string, ok func(answer string) bool) error {
	ctx, cancel := context.WithTimeout(ctx, arrival)
	defer cancel()
	for {
		answer, err := m.do(ctx, line)
		if err != nil {
			return err
		} else if ok(answer) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("expected %s; timbridge sim answers %q with %q", what, line, answer)
		case <-m.process.done:
			return errors.New("timbridge sim has ended")
		case <-time.After(pollEvery):
		}
	}
}

// passed is a call of Tencent's server API or a webhook, as sim prints it when it has passed.
type passed struct{ kind, name, about, outcome string }

// parsePassed reads a line like "10:04:07  webhook  AfterSendMsg  team, alice, no. 1: OK".
func parsePassed(line string) (p passed, ok bool) {
	_, line, _ = strings.Cut(line, "  ")
	p.kind, line, _ = strings.Cut(line, " ")
	if p.kind != "call" && p.kind != "webhook" {
		return passed{}, false
	}
	line, p.outcome, ok = strings.Cut(line, ": ")
	p.name, p.about, _ = strings.Cut(strings.TrimSpace(line), "  ")
	return p, ok
}

// printed is how many lines it has printed so far.
func (m *sim) printed() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.lines)
}

// since returns the lines that were printed after the first n.
func (m *sim) since(n int) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.lines[n:])
}

// waitPassed waits until a call or webhook has passed, of those that were printed after the first n lines.
func (m *sim) waitPassed(ctx context.Context, n int, kind, name, about string) (passed, error) {
	ctx, cancel := context.WithTimeout(ctx, arrival)
	defer cancel()
	for {
		m.mu.Lock()
		changed := m.changed
		m.mu.Unlock()
		for _, line := range m.since(n) {
			if p, ok := parsePassed(line); ok && p.kind == kind && p.name == name && (about == "" || p.about == about) {
				return p, nil
			}
		}
		select {
		case <-changed:
		case <-m.process.done:
			return passed{}, errors.New("timbridge sim has ended")
		case <-ctx.Done():
			return passed{}, fmt.Errorf("expected that timbridge sim prints %s %s %s", kind, name, about)
		}
	}
}

// groupMessage is a message as Tencent has it.
type groupMessage struct {
	seq               uint64
	from, state, text string
}

// messages lists those of a group.
func (m *sim) messages(ctx context.Context, group string) (list []groupMessage, err error) {
	answer, err := m.do(ctx, "messages "+group)
	if err != nil || answer == "no messages" {
		return nil, err
	}
	for line := range strings.Lines(answer) {
		// no., time, sender, state, text
		words := strings.SplitN(strings.TrimSpace(line), "  ", 5)
		if len(words) < 5 {
			return nil, fmt.Errorf("failed to read the list of messages: %q", line)
		}
		seq, err := strconv.ParseUint(words[0], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("failed to read the list of messages: %w", err)
		}
		text, err := strconv.Unquote(words[4])
		if err != nil {
			text = words[4] // no text but another kind of message
		}
		list = append(list, groupMessage{seq, words[2], words[3], text})
	}
	return list, nil
}
