package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"go.mau.fi/util/dbutil"
)

// ErrNewer: tables have been written by a version of timbridge that is newer than this one and not compatible with it. It is an
// ErrUnsupportedDatabaseVersion of dbutil's too.
var ErrNewer = fmt.Errorf("%w: a newer timbridge has written this database: run that version or a later one, or restore a backup from before its upgrade", dbutil.ErrUnsupportedDatabaseVersion)

// CheckVersion tells whether this program may work on some tables: db is the part of a database (dbutil's Child) that they are. It is
// [ErrNewer] if not. Older tables, or none, are fine. It writes nothing, in contrast to db.Upgrade, which says the same.
func CheckVersion(ctx context.Context, db *dbutil.Database) error {
	version, compatible, err := Version(ctx, db)
	if err != nil || compatible <= len(db.UpgradeTable) {
		return err
	}
	return fmt.Errorf("failed to open tables (%s): %w (they are of version %d, usable from version %d on; this program knows %d)",
		db.VersionTable, ErrNewer, version, compatible, len(db.UpgradeTable))
}

// Version reads the version of some tables, and the oldest version whose programs may still work on them; both are 0 where there are
// no such tables. It writes nothing.
func Version(ctx context.Context, db *dbutil.Database) (version, compatible int, err error) {
	exists, err := db.TableExists(ctx, db.VersionTable)
	if err != nil || !exists {
		return 0, 0, wrapVersion(db, err)
	}
	// Old versions of dbutil made the table without the column.
	column, known := "NULL", false
	if known, err = db.ColumnExists(ctx, db.VersionTable, "compat"); err != nil {
		return 0, 0, wrapVersion(db, err)
	} else if known {
		column = "compat"
	}
	var compat sql.NullInt64
	err = db.QueryRow(ctx, "SELECT version, "+column+" FROM "+db.VersionTable+" LIMIT 1").Scan(&version, &compat)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, nil
	} else if err != nil {
		return 0, 0, wrapVersion(db, err)
	}
	if compatible = version; compat.Int64 != 0 {
		compatible = int(compat.Int64)
	}
	return version, compatible, nil
}

func wrapVersion(db *dbutil.Database, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("failed to read version of tables (%s): %w", db.VersionTable, err)
}
