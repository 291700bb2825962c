package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"github.com/timbridge/timbridge/internal/lab"
	"github.com/timbridge/timbridge/internal/postgres"
)

// options are what the command line says.
type options struct {
	only     *regexp.Regexp
	json     string
	dir      string
	runs     int
	large    bool
	onServer bool // on PostgreSQL too
	ours     bool // only timbridge, not what it is compared with
}

// suite is one run of the benchmarks: what was built, where it lives, and what came of it.
type suite struct {
	options
	out        io.Writer
	root       string // of the repository
	timbridge  string // the binary
	bridgev2   string
	ports      *lab.Ports
	homeserver *homeserver
	postgres   *postgres.Server // nil: there is none
	databases  int              // how many were made in it
	lines      []Line
	sizes      map[string]float64 // of databases, for the lines about room
}

// part is something that is measured together.
type part struct {
	name string
	run  func(ctx context.Context, s *suite) error
}

// parts are all, in the order of the table.
func parts() []part {
	return []part{
		{"disk", measureDisk},
		{"matrix", measureMatrix},
		{"matrix-50000", measureMatrixLarge},
		{"v2tim", measureV2TIM},
		{"webhook", measureWebhooks},
		{"burst-matrix", measureBurstMatrix},
		{"burst-homeserver", measureBurstHomeserver},
		{"burst-tencent", measureBurstTencent},
		{"fan-out", measureFanOut},
		{"growth-messages", measureGrowthMessages},
		{"growth-groups", measureGrowthGroups},
		{"room", measureRoom},
	}
}

// measure measures all parts that are asked for. One that fails does not stop the others.
func (s *suite) measure(ctx context.Context) (err error) {
	if s.homeserver, err = newHomeserver(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.homeserver.close()) }()
	if err = s.startPostgres(ctx); err != nil {
		return err
	}
	if s.postgres != nil {
		defer func() { err = errors.Join(err, s.postgres.Stop()) }()
	}
	s.ports = lab.NewPorts(25000, 4000)
	if err = s.build(ctx); err != nil {
		return err
	}
	var failed error
	for _, p := range parts() {
		if !s.only.MatchString(p.name) || ctx.Err() != nil {
			continue
		}
		began := time.Now()
		s.say("%-18s ...", p.name)
		if err := p.run(ctx, s); err != nil {
			failed = errors.Join(failed, fmt.Errorf("failed to measure %s: %w", p.name, err))
			s.say("%-18s FAILED after %.0f s: %v", p.name, time.Since(began).Seconds(), err)
			continue
		}
		s.say("%-18s measured in %.0f s", p.name, time.Since(began).Seconds())
	}
	fmt.Fprintf(s.out, "\n%s\n", table(s.lines))
	return errors.Join(failed, ctx.Err(), s.write())
}

func (s *suite) say(format string, args ...any) {
	fmt.Fprintf(s.out, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

func (s *suite) add(l Line) {
	s.lines = append(s.lines, l)
	shown := l.Ours
	if len(shown.Runs) == 0 && len(l.Ceiling) > 0 {
		shown = l.Ceiling[0]
	}
	s.say("    %s: %s %s", l.Name, shown, l.Unit)
}

// write keeps the lines as JSON, one a line.
func (s *suite) write() error {
	file, err := os.Create(s.json)
	if err != nil {
		return fmt.Errorf("failed to write results: %w", err)
	}
	enc := json.NewEncoder(file)
	for _, l := range s.lines {
		if err = enc.Encode(l); err != nil {
			return errors.Join(fmt.Errorf("failed to write results: %w", err), file.Close())
		}
	}
	if err = file.Close(); err != nil {
		return fmt.Errorf("failed to write results: %w", err)
	}
	return nil
}

// build makes the binaries, timbridge as `make build` does and the other as mautrix bridges are built (their SQLite is C).
func (s *suite) build(ctx context.Context) error {
	began := time.Now()
	s.say("building timbridge and bridgev2 (some minutes the first time) ...")
	s.timbridge, s.bridgev2 = filepath.Join(s.dir, "timbridge-binary"), filepath.Join(s.dir, "bridgev2-binary")
	if _, err := s.run(ctx, s.root, "env", "CGO_ENABLED=0", "go", "build", "-buildvcs=false", "-trimpath", "-o", s.timbridge, "./cmd/timbridge"); err != nil {
		return err
	}
	if !s.ours {
		// Without end-to-end encryption, which is off by default and would need one more C library.
		_, err := s.run(ctx, filepath.Join(s.root, "internal", "bench", "bridgev2"), "env", "CGO_ENABLED=1", "GOFLAGS=-mod=readonly", "GOWORK=off",
			"go", "build", "-buildvcs=false", "-trimpath", "-tags", "nocrypto", "-o", s.bridgev2, ".")
		if err != nil {
			return err
		}
	}
	s.say("built in %.0f s", time.Since(began).Seconds())
	return nil
}

// run runs a program to its end.
func (s *suite) run(ctx context.Context, dir, name string, args ...string) (output string, err error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	text, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("failed to run %s: %w: %.2000s", filepath.Base(name), err, text)
	}
	return string(text), nil
}
