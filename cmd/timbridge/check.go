package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"

	"github.com/timbridge/timbridge/bridge"
	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/database"
)

var errCheck = errors.New("not everything is in order, see above")

// check tries what the bridge needs, prints a line for each thing and fails if
// one of them did.
func (p *program) check(ctx context.Context, opts *options) error {
	res, err := config.Load(opts.configPath, config.Options{Environ: p.environ})
	if err != nil {
		p.checkLine("config", false, err.Error())
		return &codedError{code: exitConfig, err: errCheck}
	}
	for _, warning := range res.Warnings {
		fmt.Fprintf(p.stdout, "warn  %-12s %s\n", "config", warning)
	}
	parts := []config.Part{} // all
	if opts.deep {
		parts = append(parts, config.PartDatabase, config.PartRules)
	}
	if err = res.Config.Validate(parts...); err != nil {
		p.checkLine("config", false, err.Error())
		return &codedError{code: exitInvalidConfig, err: errCheck}
	}
	p.checkLine("config", true, opts.configPath)
	if opts.deep {
		return p.deepCheck(ctx, opts, res.Config)
	}
	if !checkBridge(ctx, res.Config, opts.ignoreNewer, p.checkLine) {
		return &codedError{code: exitCheck, err: errCheck}
	}
	return nil
}

// checkLine prints what was found, or what to do.
func (p *program) checkLine(name string, ok bool, text string) {
	word := "FAIL"
	if ok {
		word = "ok"
	}
	fmt.Fprintf(p.stdout, "%-5s %-12s %s\n", word, name, text)
}

// checkBridge tries the database and the homeserver: whether it can be reached,
// knows our token, reaches us, and pushes receipts. Beside a running timbridge
// it looks at the database that the other one works on.
func checkBridge(ctx context.Context, cfg *config.Config, ignoreNewer bool, report func(name string, ok bool, text string)) bool {
	alone := true
	db, err := database.Open(ctx, cfg.Database)
	if errors.Is(err, database.ErrLocked) {
		alone = false
		report("running", true, "a timbridge is running on this database, looking at its work")
		db, err = database.OpenReadOnly(ctx, cfg.Database)
	}
	if err != nil {
		report("database", false, err.Error())
		return false
	}
	defer func() { _ = db.Close() }()
	db.IgnoreUnsupportedDatabase = ignoreNewer
	b, err := bridge.New(cfg, db, zerolog.Nop())
	if err != nil {
		report("config", false, err.Error())
		return false
	}
	return b.Check(ctx, alone, func(found bridge.Finding) { report(found.Name, found.OK, found.Text) })
}
