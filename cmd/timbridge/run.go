package main

import (
	"context"
	"errors"

	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/bridge"
	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/database"
	"github.com/timbridge/timbridge/bridge/standby"
)

// runBridge sets up the log and runs until ctx ends.
func (p *program) runBridge(ctx context.Context, opts *options, res *config.Result) error {
	if err := validate(res.Config, opts.configPath); err != nil {
		return err
	}
	log, err := res.Config.Logging.Compile()
	if err != nil {
		return failure(exitLogging, "the section logging in %s has to be put right: %w", opts.configPath, err)
	}
	for _, warning := range res.Warnings {
		log.Warn().Str("warning", warning).Msg("Config")
	}
	if res.Updated {
		log.Info().Str("path", opts.configPath).Msg("Config rewritten in the newest layout")
	}
	log.Info().Str("version", programVersion().FormattedVersion).Msg("Starting timbridge")
	if err = run(log.WithContext(ctx), res.Config, opts.ignoreNewer); err != nil {
		log.Err(err).Msg("Stopped")
		return err
	}
	log.Info().Msg("Stopped")
	return nil
}

// run starts the bridge and stops it in order when ctx ends; that is no error.
// The logger is in ctx.
func run(ctx context.Context, cfg *config.Config, ignoreNewer bool) (err error) {
	if err = database.Await(ctx, cfg.Database); err != nil {
		if ctx.Err() != nil {
			return nil // ended while it waited
		}
		return databaseFailure(err)
	}
	if cfg.Replica.Enabled {
		fit := func(ctx context.Context, db *dbutil.Database) error {
			db.IgnoreUnsupportedDatabase = ignoreNewer
			return bridge.CheckSchema(ctx, db)
		}
		err = standby.Run(ctx, cfg, bridge.StandbyAPIs(cfg, *zerolog.Ctx(ctx)), fit, func(ctx context.Context, db *dbutil.Database) error {
			return work(ctx, cfg, db, ignoreNewer)
		})
		var coded *codedError
		switch {
		case errors.Is(err, standby.ErrListen):
			return &codedError{code: exitStart, err: err}
		case err != nil && !errors.As(err, &coded):
			return databaseFailure(err)
		}
		return err
	}
	db, err := database.Open(ctx, cfg.Database)
	if err != nil {
		return databaseFailure(err)
	}
	return work(ctx, cfg, db, ignoreNewer)
}

// work runs the bridge on a database, which it closes.
func work(ctx context.Context, cfg *config.Config, db *dbutil.Database, ignoreNewer bool) (err error) {
	defer func() { err = errors.Join(err, db.Close()) }()
	db.IgnoreUnsupportedDatabase = ignoreNewer
	b, err := bridge.New(cfg, db, *zerolog.Ctx(ctx))
	if err == nil {
		err = b.Run(ctx)
	}
	if err != nil {
		return &codedError{code: exitStart, err: err}
	}
	return nil
}
