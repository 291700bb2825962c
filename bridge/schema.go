package bridge

import (
	"context"
	"errors"
	"fmt"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/sqlstatestore"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/database"
	"github.com/timbridge/timbridge/mapping/mappingdb"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// schemas are the parts of the database that have versions of their own, in the order in which they are upgraded.
func schemas(db *dbutil.Database) []*dbutil.Database {
	return []*dbutil.Database{
		mappingdb.New(db).Schema(), receiptsdb.New(db).Schema(), bridgedb.New(db).Schema(), sqlstatestore.NewSQLStateStore(db, nil, false).Database,
	}
}

// CheckSchema tells whether this program may work on a database; the error is [database.ErrNewer] if a newer one has written any of its
// tables. It looks at all of them and writes nothing, so that a database that is refused is as it was: an upgrade of the one part that
// comes first could not be taken back. With db.IgnoreUnsupportedDatabase newer tables are taken as they are.
func CheckSchema(ctx context.Context, db *dbutil.Database) error {
	for _, part := range schemas(db) {
		if err := database.CheckVersion(ctx, part); err != nil && !(db.IgnoreUnsupportedDatabase && errors.Is(err, database.ErrNewer)) {
			return err
		}
	}
	return nil
}

// UpgradeSchema brings all tables to this program's version, after a [CheckSchema].
func UpgradeSchema(ctx context.Context, db *dbutil.Database) error {
	if err := CheckSchema(ctx, db); err != nil {
		return err
	}
	for _, part := range schemas(db) {
		if err := part.Upgrade(ctx); err != nil {
			return fmt.Errorf("failed to upgrade tables (%s): %w", part.VersionTable, err)
		}
	}
	return nil
}

// CheckCurrent is CheckSchema for who cannot upgrade the database: it must have all the tables, and of this program's version.
func CheckCurrent(ctx context.Context, db *dbutil.Database) error {
	if err := CheckSchema(ctx, db); err != nil {
		return err
	}
	for _, part := range schemas(db) {
		version, _, err := database.Version(ctx, part)
		if err != nil {
			return err
		} else if version < len(part.UpgradeTable) {
			return fmt.Errorf("the tables (%s) are of version %d and this program needs %d: start timbridge once, it upgrades them", part.VersionTable, version, len(part.UpgradeTable))
		}
	}
	return nil
}
