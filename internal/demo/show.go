package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

const (
	lineWidth = 100
	indent    = 10 // of what stands behind a label
)

// show prints the demo: plain text, no colours, at most lineWidth columns. It counts what was seen. It is safe for concurrent
// use.
type show struct {
	began time.Time

	mu    sync.Mutex
	out   io.Writer
	err   error // of the first write that failed
	steps int
	seen  int
}

func newShow(out io.Writer) *show { return &show{began: time.Now(), out: out} }

// plain prints lines as they are.
func (s *show) plain(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range lines {
		if _, err := fmt.Fprintln(s.out, line); err != nil && s.err == nil {
			s.err = fmt.Errorf("failed to print: %w", err)
		}
	}
}

// step begins a numbered step.
func (s *show) step(format string, args ...any) {
	s.steps++
	s.plain("", fmt.Sprintf("%d. %s", s.steps, fmt.Sprintf(format, args...)))
}

// line prints text behind a label, broken where it is too long.
func (s *show) line(label, format string, args ...any) {
	for i, part := range wrap(fmt.Sprintf(format, args...), lineWidth-indent) {
		if i > 0 {
			label = ""
		}
		s.plain(fmt.Sprintf("   %-*s%s", indent-3, label, part))
	}
}

// call tells what is called, by whom, and with what body ("" for none).
func (s *show) call(who, what, body string) {
	s.line("call", "%s calls %s", who, what)
	if body != "" {
		s.line("", "%s", body)
	}
}

func (s *show) answer(format string, args ...any) { s.line("answer", format, args...) }

// ok tells what has been seen, and counts it.
func (s *show) ok(format string, args ...any) {
	s.seen++
	s.line("seen", format, args...)
}

// check is ok if the condition holds; otherwise it is the error that says what was expected.
func (s *show) check(holds bool, format string, args ...any) error {
	if !holds {
		return errors.New("expected: " + fmt.Sprintf(format, args...))
	}
	s.ok(format, args...)
	return nil
}

// failed says whether printing has become impossible: nobody reads it any more.
func (s *show) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *show) took() string { return time.Since(s.began).Round(100 * time.Millisecond).String() }

// wrap breaks text into lines of at most width bytes: at a space if there is one in the second half of the line, else behind a
// comma or slash (JSON and paths have no spaces), else anywhere.
func wrap(text string, width int) (lines []string) {
	for _, line := range strings.Split(text, "\n") {
		for len(line) > width {
			cut := strings.LastIndexByte(line[:width+1], ' ')
			if cut <= width/2 {
				cut = strings.LastIndexAny(line[:width], ",/") + 1
			}
			if cut <= width/2 {
				cut = width
			}
			lines = append(lines, strings.TrimRight(line[:cut], " "))
			line = strings.TrimLeft(line[cut:], " ")
		}
		lines = append(lines, line)
	}
	return lines
}
