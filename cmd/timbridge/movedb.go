package main

import (
	"context"
	"errors"
	"fmt"

	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/bridge"
	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/database"
	"github.com/timbridge/timbridge/bridge/movedb"
)

// moveDatabase copies everything from a SQLite file to the PostgreSQL database of the config. In the file its tables are brought to
// this version, and nothing else changes; no bridge may run on either meanwhile.
func (p *program) moveDatabase(ctx context.Context, opts *options, cfg *config.Config) (err error) {
	if opts.from == "" {
		return failure(exitUsage, "usage: timbridge move-database --from file:timbridge.db")
	} else if err = validate(cfg, opts.configPath, config.PartDatabase); err != nil {
		return err
	} else if cfg.Database.Type != config.DatabasePostgres {
		return failure(exitInvalidConfig, "%s still says database.type: %s: set type and uri to the PostgreSQL database to move to, and name the old file with --from", opts.configPath, cfg.Database.Type)
	}
	old := config.Database{Type: config.DatabaseSQLite, URI: config.Secret(opts.from), MaxOpenConns: 2, MaxIdleConns: 2}
	looked, err := database.OpenReadOnly(ctx, old) // it makes no file where the name is wrong
	if err != nil {
		return databaseFailure(err)
	} else if err = looked.Close(); err != nil {
		return databaseFailure(err)
	}
	from, err := openToMove(ctx, old)
	if err != nil {
		return databaseFailure(err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := openToMove(ctx, cfg.Database)
	if err != nil {
		return databaseFailure(err)
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	var bar *progress
	moved, err := movedb.Run(ctx, from, to, func(done, total int64) {
		if bar == nil {
			bar = newProgress(p.stderr, "Moving", total, false)
		}
		bar.at(done, total)
	})
	if bar != nil {
		bar.end()
	}
	if ctx.Err() != nil && err != nil {
		return failure(exitData, "moving interrupted: nothing has been moved, start again")
	} else if err != nil {
		return failure(exitData, "%w\nnothing has been moved", err)
	}
	var total int64
	for _, table := range moved {
		total += table.Rows
		fmt.Fprintf(p.stdout, "%-20s %10d rows\n", table.Name, table.Rows)
	}
	_, err = fmt.Fprintf(p.stdout, "Moved %d rows and counted them on both sides. Look through them with \"timbridge check --deep\", start timbridge, and keep the old file as a backup.\n", total)
	return err
}

// openToMove opens a database with tables of this version, and keeps others out.
func openToMove(ctx context.Context, cfg config.Database) (*dbutil.Database, error) {
	db, err := database.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err = bridge.UpgradeSchema(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}
