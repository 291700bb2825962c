package mappingdb

import (
	"context"
	"database/sql"
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

// versionTable holds the version of our part of the schema, so that the tables can
// live in a database with others.
const versionTable = "timbridge_mapping_version"

const (
	// maxIn is how many keys one lookup statement takes, for the same reason as maxRows.
	maxIn = 100
	// maxRows is how many rows one INSERT takes. The SQLite driver walks through the
	// parameters of a statement to bind each of them, so that more rows cost more each:
	// measured, 500 messages take six times as long in one statement as in 25.
	maxRows = 20
)

// Store is the mapping on a database. It is safe for concurrent use, and several
// processes may share a PostgreSQL database.
type Store struct {
	db *dbutil.Database
	// forUpdate locks the rows that a statement reads. SQLite has one writer anyway.
	forUpdate string
}

// New returns the store on db. Call Upgrade before anything else. SQLite must be
// opened with _txlock=immediate: calls read before they write.
func New(db *dbutil.Database) *Store {
	s := &Store{db: db.Child(versionTable, dbutil.BuildUpgradeTable().WithFSPath(upgrades, "upgrades").Finish(), nil)}
	if db.Dialect == dbutil.Postgres {
		s.forUpdate = " FOR UPDATE"
	}
	return s
}

// Upgrade makes the tables, or brings them to the newest layout.
func (s *Store) Upgrade(ctx context.Context) error {
	if err := s.db.Upgrade(ctx); err != nil {
		return fmt.Errorf("failed to upgrade the mapping tables: %w", err)
	}
	return nil
}

// Schema is the database with the version table and the upgrades of this package's
// tables, for who has to compare versions before anything is upgraded.
func (s *Store) Schema() *dbutil.Database { return s.db }

// each calls fn for every row.
func each(rows dbutil.Rows, err error, fn func(row dbutil.Scannable) error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err = fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// args collects the parameters of a statement.
type args []any

// add returns the placeholder of a new parameter.
func (a *args) add(v any) string {
	*a = append(*a, v)
	return "$" + strconv.Itoa(len(*a))
}

// list returns "$1,$2,…" for new parameters.
func list[T any](a *args, vs []T) string {
	var b strings.Builder
	for i, v := range vs {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(a.add(v))
	}
	return b.String()
}

// in is the condition that a column has one of the keys. PostgreSQL gets them as an
// array: every length of a list would be one more statement to prepare and to keep.
// For the same reason lists have few lengths on SQLite: the last key is repeated.
func in[K any](s *Store, a *args, column string, keys []K) string {
	if s.db.Dialect == dbutil.Postgres {
		return column + ` = ANY(` + a.add(keys) + `)`
	}
	return column + ` IN (` + list(a, filled(keys)) + `)`
}

// filled repeats the last key until there are 1, 2, 4, 8, … or maxIn.
func filled[K any](keys []K) []K {
	n := len(keys)
	if n == 0 {
		return keys
	}
	most := max(n, maxIn)
	return append(slices.Clip(keys), slices.Repeat(keys[n-1:], min(1<<bits.Len(uint(n-1)), most)-n)...)
}

// unique returns vs without repeats, in order.
func unique[T comparable](vs []T) []T {
	seen := make(map[T]struct{}, len(vs))
	out := make([]T, 0, len(vs))
	for _, v := range vs {
		if _, ok := seen[v]; !ok {
			seen[v] = struct{}{}
			out = append(out, v)
		}
	}
	return out
}

func millis(t time.Time) sql.NullInt64 {
	if t.IsZero() {
		return sql.NullInt64{} // rows are compared: NULL must have one form
	}
	return sql.NullInt64{Int64: t.UnixMilli(), Valid: true}
}

func fromMillis(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return time.UnixMilli(ms.Int64).UTC()
}

// nonZero stores 0 as NULL.
func nonZero[T ~int64](v T) sql.NullInt64 {
	return sql.NullInt64{Int64: int64(v), Valid: v != 0}
}

// limited turns "no limit" into a number that is none.
func limited(limit int) int64 {
	if limit <= 0 {
		return 1 << 62
	}
	return int64(limit)
}
