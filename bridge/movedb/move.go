package movedb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"go.mau.fi/util/dbutil"
)

// ErrNotEmpty: there is something in the new database.
var ErrNotEmpty = errors.New("the new database is not empty")

// Table is what was moved of one table.
type Table struct {
	Name string
	Rows int64
}

// Run copies all tables of from, SQLite, to to, PostgreSQL. Both must have the tables of this program's version, and nobody else may
// work on them. progress is told how many rows of how many are there; it may be nil. An error says that to is as it was.
func Run(ctx context.Context, from, to *dbutil.Database, progress func(done, total int64)) (moved []Table, err error) {
	if from.Dialect != dbutil.SQLite || to.Dialect != dbutil.Postgres {
		return nil, fmt.Errorf("failed to move database: it goes from SQLite to PostgreSQL, not from %s to %s", from.Dialect, to.Dialect)
	}
	defer func() {
		if err != nil {
			moved, err = nil, fmt.Errorf("failed to move database: %w", err)
		}
	}()
	m := &move{from: from, progress: progress}
	if m.tables, err = m.list(ctx); err != nil {
		return nil, err
	}
	conn, err := to.RawDB.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("failed to connect: %w", err)
	}
	err = conn.Raw(func(driverConn any) error {
		inner, ok := driverConn.(interface{ Conn() *pgx.Conn })
		if !ok {
			return fmt.Errorf("the connection is a %T", driverConn)
		}
		m.to = inner.Conn()
		return pgx.BeginFunc(ctx, m.to, func(pgx.Tx) error { return m.all(ctx) })
	})
	return m.tables, errors.Join(err, conn.Close())
}

// move is one run.
type move struct {
	from     *dbutil.Database
	to       *pgx.Conn
	tables   []Table
	total    int64
	done     int64
	progress func(done, total int64)
}

// list finds our tables, those first that others refer to, and counts their rows. Version tables belong to the new database.
func (m *move) list(ctx context.Context) (tables []Table, err error) {
	names, err := dbutil.ConvertRowFn[string](dbutil.ScanSingleColumn[string]).NewRowIter(m.from.Query(ctx, `SELECT name FROM sqlite_schema
		WHERE type = 'table' AND (name LIKE 'tim!_%' ESCAPE '!' OR name LIKE 'mx!_%' ESCAPE '!') AND name <> 'mx_version' ORDER BY name`)).AsList()
	if err != nil {
		return nil, fmt.Errorf("failed to list tables: %w", err)
	}
	first := []string{"tim_room", "tim_group", "tim_user"}
	slices.SortStableFunc(names, func(a, b string) int { return rank(first, a) - rank(first, b) })
	for _, name := range names {
		table := Table{Name: name}
		if err = m.from.QueryRow(ctx, "SELECT COUNT(*) FROM "+quote(name)).Scan(&table.Rows); err != nil {
			return nil, fmt.Errorf("failed to count rows of %s: %w", name, err)
		}
		m.total += table.Rows
		tables = append(tables, table)
	}
	return tables, nil
}

func rank(first []string, name string) int {
	if at := slices.Index(first, name); at >= 0 {
		return at
	}
	return len(first)
}

func (m *move) all(ctx context.Context) error {
	for _, table := range m.tables {
		columns, err := m.columns(ctx, table.Name)
		if err != nil {
			return err
		}
		if err = m.clear(ctx, table.Name); err != nil {
			return err
		}
		if err = m.copy(ctx, table, columns); err != nil {
			return fmt.Errorf("failed to copy %s: %w", table.Name, err)
		}
		var there int64
		if err = m.to.QueryRow(ctx, "SELECT COUNT(*) FROM "+quote(table.Name)).Scan(&there); err != nil {
			return fmt.Errorf("failed to count rows of %s: %w", table.Name, err)
		} else if there != table.Rows {
			return fmt.Errorf("%s has %d rows and %d of them came to the new database", table.Name, table.Rows, there)
		}
	}
	return m.numbers(ctx)
}

// clear refuses a table that has rows. What every bridge writes when it starts, or when it is checked, is none.
func (m *move) clear(ctx context.Context, table string) error {
	if table == "tim_state" {
		if _, err := m.to.Exec(ctx, "DELETE FROM tim_state WHERE key IN ('commit', 'tried', 'probe_room', 'probe_event', 'probe_pushed')"); err != nil {
			return fmt.Errorf("failed to clear %s: %w", table, err)
		}
	}
	var has bool
	if err := m.to.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+quote(table)+")").Scan(&has); err != nil {
		return fmt.Errorf("failed to look into %s: %w", table, err)
	} else if has {
		return fmt.Errorf("%w: %s has rows", ErrNotEmpty, table)
	}
	return nil
}

// columns returns the columns of a table in the new database; the old one's must be the same.
func (m *move) columns(ctx context.Context, table string) (columns []column, err error) {
	rows, err := m.to.Query(ctx, `SELECT column_name, data_type FROM information_schema.columns
		WHERE table_schema = current_schema() AND table_name = $1 ORDER BY column_name`, table)
	if err == nil {
		columns, err = pgx.CollectRows(rows, pgx.RowToStructByPos[column])
	}
	if err != nil {
		return nil, fmt.Errorf("failed to list columns of %s: %w", table, err)
	}
	old, err := dbutil.ConvertRowFn[string](dbutil.ScanSingleColumn[string]).NewRowIter(
		m.from.Query(ctx, "SELECT name FROM pragma_table_info($1) ORDER BY name", table)).AsList()
	if err != nil {
		return nil, fmt.Errorf("failed to list columns of %s: %w", table, err)
	}
	if !slices.EqualFunc(columns, old, func(c column, name string) bool { return c.Name == name }) {
		return nil, fmt.Errorf("%s has other columns in the new database: both must be of this program's version", table)
	}
	return columns, nil
}

// numbers has the new database give keys above those that are taken.
func (m *move) numbers(ctx context.Context) error {
	rows, err := m.to.Query(ctx, `SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() AND is_identity = 'YES'`)
	if err != nil {
		return fmt.Errorf("failed to list keys: %w", err)
	}
	type key struct{ Table, Column string }
	keys, err := pgx.CollectRows(rows, pgx.RowToStructByPos[key])
	if err != nil {
		return fmt.Errorf("failed to list keys: %w", err)
	}
	for _, k := range keys {
		highest := "(SELECT MAX(" + quote(k.Column) + ") FROM " + quote(k.Table) + ")"
		if _, err = m.to.Exec(ctx, "SELECT setval(pg_get_serial_sequence($1, $2), COALESCE("+highest+", 1), "+highest+" IS NOT NULL)", k.Table, k.Column); err != nil {
			return fmt.Errorf("failed to set next key of %s: %w", k.Table, err)
		}
	}
	return nil
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
