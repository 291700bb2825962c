package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) == 4 && os.Args[1] == "bare" {
		err = serveBare(ctx, os.Args[2], os.Args[3]) // as a process of its own, see bare.go
	} else {
		err = start(ctx, os.Args[1:])
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// start reads the command line, makes a folder, and measures.
func start(ctx context.Context, args []string) (err error) {
	s := &suite{out: os.Stdout, sizes: make(map[string]float64)}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("only", ".", "measure only what matches this regular expression")
	flags.StringVar(&s.json, "json", "", "where results are written to, one line each (default: bin/bench.json)")
	flags.StringVar(&s.dir, "dir", "", "where databases are, and whose disk is measured: kept at the end (default: a folder in bin, removed)")
	flags.IntVar(&s.runs, "runs", 5, "how often each line is measured")
	flags.BoolVar(&s.large, "large", false, "also with 10 million messages (half an hour, 5 GB)")
	flags.BoolVar(&s.onServer, "postgres", true, "on PostgreSQL too, if there is one on this machine")
	flags.BoolVar(&s.ours, "ours", false, "only timbridge, without bridgev2")
	if err = flags.Parse(args); err != nil {
		return err
	}
	if s.only, err = regexp.Compile(*only); err != nil {
		return fmt.Errorf("failed to read -only: %w", err)
	}
	if s.root, err = repository(ctx); err != nil {
		return err
	}
	bin := filepath.Join(s.root, "bin")
	if err = os.MkdirAll(bin, 0o755); err != nil {
		return fmt.Errorf("failed to make folder: %w", err)
	}
	if s.json == "" {
		s.json = filepath.Join(bin, "bench.json")
	}
	if s.dir == "" {
		// Not in /tmp, which may be memory: the disk is what matters.
		if s.dir, err = os.MkdirTemp(bin, "bench-"); err != nil {
			return fmt.Errorf("failed to make folder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	} else if s.dir, err = filepath.Abs(s.dir); err != nil {
		return fmt.Errorf("failed to find folder: %w", err)
	}
	return s.measure(ctx)
}

// repository is the folder of timbridge's go.mod.
func repository(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("failed to ask go for the module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(output))), nil
}
