package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/database"
)

// checkLine is the outcome of one check: a few words, or what to do.
type checkLine struct {
	name   string
	detail string
	err    error
}

// check tries what the bridge needs, prints a line for each and fails if one
// of them did.
func (p *program) check(ctx context.Context, opts *options) error {
	failed := 0
	report := func(line checkLine) {
		if line.err != nil {
			failed++
			fmt.Fprintf(p.stdout, "FAIL  %-12s %v\n", line.name, line.err)
		} else {
			fmt.Fprintf(p.stdout, "ok    %-12s %s\n", line.name, line.detail)
		}
	}
	res, err := config.Load(opts.configPath, config.Options{Environ: p.environ})
	if err != nil {
		report(checkLine{name: "config", err: err})
		return &codedError{code: exitConfig, err: errCheck}
	}
	for _, warning := range res.Warnings {
		fmt.Fprintf(p.stdout, "warn  %-12s %s\n", "config", warning)
	}
	cfg := res.Config
	report(checkLine{name: "config", detail: opts.configPath, err: cfg.Validate()})
	detail, err := database.Probe(ctx, cfg.Database)
	report(checkLine{name: "database", detail: detail, err: err})
	if cfg.Validate(config.PartRegistration, config.PartTokens) == nil {
		for _, line := range checkBridge(ctx, cfg) {
			report(line)
		}
	}
	if failed > 0 {
		return &codedError{code: exitCheck, err: errCheck}
	}
	return nil
}

var errCheck = errors.New("not everything is in order, see above")

// checkBridge tries the homeserver: whether it can be reached, knows our token,
// reaches us, and pushes receipts.
func checkBridge(ctx context.Context, cfg *config.Config) []checkLine {
	return []checkLine{{name: "homeserver", err: errNoBridge}}
}
