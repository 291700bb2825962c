package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/timbridge/timbridge/bridge"
	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/database"
	"github.com/timbridge/timbridge/bridge/deepcheck"
)

// deepCheck looks through the whole database, also beside a running timbridge or
// on a copy, and prints a line for each thing that is wrong. It changes nothing
// and asks no homeserver.
func (p *program) deepCheck(ctx context.Context, opts *options, cfg *config.Config) error {
	db, err := database.OpenReadOnly(ctx, cfg.Database)
	if err != nil {
		p.checkLine("database", false, err.Error())
		return &codedError{code: exitCheck, err: errCheck}
	}
	defer func() { _ = db.Close() }()
	db.IgnoreUnsupportedDatabase = opts.ignoreNewer
	if err = bridge.CheckCurrent(ctx, db); err != nil {
		p.checkLine("schema", false, err.Error())
		return &codedError{code: exitCheck, err: errCheck}
	}
	p.checkLine("schema", true, "the tables are of this version")
	deep, err := bridge.DeepOptions(cfg)
	if err != nil {
		p.checkLine("config", false, err.Error())
		return &codedError{code: exitCheck, err: errCheck}
	}
	deep.Now = time.Now()
	problems, err := deepcheck.Run(ctx, db, deep, func(found deepcheck.Finding) {
		p.checkLine(found.Part, found.Problem == "", found.Problem+found.Text)
	})
	if err != nil {
		p.checkLine("database", false, err.Error())
		return &codedError{code: exitCheck, err: errors.Join(errCheck, ctx.Err())}
	}
	if problems > 0 {
		fmt.Fprintf(p.stdout, "%d problems; see \"check --deep\" in docs/operations.md\n", problems)
		return &codedError{code: exitCheck, err: errCheck}
	}
	return nil
}
