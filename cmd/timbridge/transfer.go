package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/bridge"
	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/database"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/mapping/mappingdb"
)

// importFile reads groups, users, members and messages from a file. No bridge
// may run meanwhile: it would not learn of what is new.
func (p *program) importFile(ctx context.Context, opts *options, cfg *config.Config) error {
	if err := validate(cfg, opts.configPath, config.PartDatabase); err != nil {
		return err
	}
	input, size, err := p.openInput(opts.args[0])
	if err != nil {
		return failure(exitUsage, "failed to import: %w", err)
	}
	defer input.Close()
	db, err := database.Open(ctx, cfg.Database)
	if err != nil {
		return databaseFailure(err)
	}
	db.IgnoreUnsupportedDatabase = opts.ignoreNewer
	store, own := mappingdb.New(db), bridgedb.New(db)
	if err = bridge.CheckSchema(ctx, db); err == nil {
		err = errors.Join(store.Upgrade(ctx), own.Upgrade(ctx))
	}
	if err == nil {
		// What readers have claimed or acknowledged before is looked at again when the bridge starts.
		err = own.SetValue(ctx, bridgedb.KeyImported, "yes")
	}
	if err != nil {
		return errors.Join(databaseFailure(err), db.Close())
	}
	bar := newProgress(p.stderr, "Importing", size, true)
	result, err := mapping.Import(ctx, input, store, mapping.ImportOptions{Total: size, Progress: bar.at})
	bar.end()
	return errors.Join(p.importOutcome(ctx, result, err), db.Close())
}

// importOutcome tells how far the import came and how to go on.
func (p *program) importOutcome(ctx context.Context, result mapping.ImportResult, err error) error {
	if err == nil {
		_, err = fmt.Fprintf(p.stdout, "Imported %d lines, %d of them new.\n", result.Lines, result.News)
		return err
	}
	advice := fmt.Sprintf("the first %d lines are stored (%d of them new); import the same file again to go on, what is stored is skipped", result.Done, result.News)
	var bad *mapping.ImportError
	switch {
	case errors.As(err, &bad):
		return failure(exitData, "failed to import: %w\ncorrect these lines; %s", err, advice)
	case ctx.Err() != nil:
		return failure(exitData, "import interrupted; %s", advice)
	default:
		return failure(exitData, "%w; %s", err, advice)
	}
}

// openInput opens a file, or standard input for "-", whose size is unknown (0).
func (p *program) openInput(path string) (io.ReadCloser, int64, error) {
	if path == "-" {
		return io.NopCloser(p.stdin), 0, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a folder", path)
	}
	if err != nil {
		_ = file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// exportFile writes everything to a file, all of it or nothing, or to standard
// output. A bridge may run meanwhile.
func (p *program) exportFile(ctx context.Context, opts *options, cfg *config.Config) (err error) {
	if err = validate(cfg, opts.configPath, config.PartDatabase); err != nil {
		return err
	}
	db, err := openForExport(ctx, cfg.Database, opts.ignoreNewer)
	if err != nil {
		return databaseFailure(err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if len(opts.args) == 0 || opts.args[0] == "-" {
		_, err = export(ctx, db, p.stdout)
		return err
	}
	target := opts.args[0]
	file, err := os.CreateTemp(filepath.Dir(target), ".timbridge-export-*")
	if err != nil {
		return failure(exitData, "failed to export: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // gone already if all went well
	records, err := export(ctx, db, file)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return failure(exitData, "%w", err)
	}
	if err = os.Rename(file.Name(), target); err != nil {
		return failure(exitData, "failed to export: %w", err)
	}
	_, err = fmt.Fprintf(p.stdout, "Exported %d records to %s.\n", records, target)
	return err
}

// openForExport opens the database with tables of this version: a running
// bridge has brought them up to date, and where none runs it is done here.
func openForExport(ctx context.Context, cfg config.Database, ignoreNewer bool) (*dbutil.Database, error) {
	db, err := database.OpenReadOnly(ctx, cfg)
	if err != nil {
		return nil, err
	}
	db.IgnoreUnsupportedDatabase = ignoreNewer
	if err = bridge.CheckSchema(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	owner, err := database.Open(ctx, cfg)
	if errors.Is(err, database.ErrLocked) {
		return db, nil
	}
	if closeErr := db.Close(); err != nil {
		return nil, errors.Join(err, closeErr)
	}
	owner.IgnoreUnsupportedDatabase = ignoreNewer
	if err = mappingdb.New(owner).Upgrade(ctx); err != nil {
		return nil, errors.Join(err, owner.Close())
	}
	return owner, nil
}

// export writes one state of the database, whatever is added meanwhile.
func export(ctx context.Context, db *dbutil.Database, out io.Writer) (records int64, err error) {
	var opts *dbutil.TxnOptions
	if db.Dialect == dbutil.Postgres {
		opts = &dbutil.TxnOptions{Isolation: sql.LevelRepeatableRead}
	}
	err = db.DoTxn(ctx, opts, func(ctx context.Context) error {
		records, err = mapping.Export(ctx, out, mappingdb.New(db))
		return err
	})
	if err != nil {
		return records, failure(exitData, "%w", err)
	}
	return records, nil
}
