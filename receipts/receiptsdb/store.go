package receiptsdb

import (
	"context"
	"embed"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.mau.fi/util/dbutil"
)

//go:embed upgrades/*.sql
var upgrades embed.FS

// versionTable holds the version of this package's tables.
const versionTable = "timbridge_receipts_version"

// maxParams is how many parameters one statement has at most. Both databases take
// far more (SQLite 32,766), but SQLite searches the numbered parameters one after
// the other, so that long statements cost the square of their length: measured,
// writing 500 rows at once is six times slower than in portions of 32.
const maxParams = 416

// Store keeps readers, parked receipts and callbacks. It may be used by several
// goroutines.
type Store struct{ db *dbutil.Database }

// New returns a Store on db. Call Upgrade before anything else. Transactions of
// db are joined.
func New(db *dbutil.Database) *Store {
	table := dbutil.BuildUpgradeTable().WithFSPath(upgrades, "upgrades").Finish()
	return &Store{db: db.Child(versionTable, table, nil)}
}

// Upgrade creates the tables, or brings those of an older release up to date.
func (s *Store) Upgrade(ctx context.Context) error {
	if err := s.db.Upgrade(ctx); err != nil {
		return fmt.Errorf("failed to upgrade tables of readers: %w", err)
	}
	return nil
}

// Schema is the database with the version table and the upgrades of this package's
// tables, for who has to compare versions before anything is upgraded.
func (s *Store) Schema() *dbutil.Database { return s.db }

// placeholders writes n groups of width placeholders: "($1, $2), ($3, $4)". The
// numbers go on from skip.
func placeholders(n, width, skip int) string {
	var b strings.Builder
	b.Grow(n * (width*6 + 4))
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('(')
		list(&b, width, skip+i*width)
		b.WriteByte(')')
	}
	return b.String()
}

// in appends keys to the parameters of a query and returns what stands after the
// column that is to be one of them. PostgreSQL gets an array: every length of a list
// would be one more statement to prepare and to keep. For the same reason lists have
// few lengths on SQLite, 1, 2, 4, 8, … or maxParams: the last key is repeated.
func in[K any](s *Store, args []any, keys []K) (string, []any) {
	skip := len(args)
	if s.db.Dialect == dbutil.Postgres {
		return "=ANY($" + strconv.Itoa(skip+1) + ")", append(args, keys)
	}
	n := min(1<<bits.Len(uint(max(len(keys), 1)-1)), maxParams-skip)
	args = slices.Grow(args, n)
	for i := range n {
		args = append(args, keys[min(i, len(keys)-1)])
	}
	return " IN " + inList(n, skip), args
}

// inList writes n placeholders as the right side of IN. The numbers go on from
// skip.
func inList(n, skip int) string {
	var b strings.Builder
	b.Grow(n*6 + 2)
	b.WriteByte('(')
	list(&b, n, skip)
	b.WriteByte(')')
	return b.String()
}

func list(b *strings.Builder, n, skip int) {
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(skip + i + 1))
	}
}

// millis writes a time as it is stored: milliseconds, nil for the zero time.
func millis(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}
