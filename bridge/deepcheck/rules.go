package deepcheck

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.mau.fi/util/dbutil"
)

// rule is a query for rows that must not be. What it selects fills the verbs of text. Further columns must be JSON or empty: then the
// rows may be, and those are wrong where one of them is neither. One statement sees one state of the database.
type rule struct {
	text  string
	query string
}

// table makes the check of a table by rules.
func (c *check) table(name string, rules []rule) func(context.Context, string) (string, error) {
	return func(ctx context.Context, part string) (string, error) {
		for _, r := range rules {
			if err := c.apply(ctx, part, r); err != nil {
				return "", err
			}
		}
		return c.rows(ctx, name)
	}
}

// rows says how many rows a table has.
func (c *check) rows(ctx context.Context, name string) (string, error) {
	var n int64
	if err := c.db.QueryRow(ctx, "SELECT COUNT(*) FROM "+name).Scan(&n); err != nil {
		return "", fmt.Errorf("failed to count rows: %w", err)
	}
	return fmt.Sprintf("%d looked at", n), nil
}

func (c *check) apply(ctx context.Context, part string, r rule) error {
	width := strings.Count(r.text, "%")
	query := r.query
	if c.db.Dialect == dbutil.Postgres {
		query = strings.ReplaceAll(query, notIndexed, "")
	}
	rows, err := c.db.Query(ctx, query)
	if err != nil {
		return fmt.Errorf("failed to look for %q: %w", r.text, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return fmt.Errorf("failed to look for %q: %w", r.text, err)
	}
	for rows.Next() {
		values, err := scanAll(rows, len(columns))
		if err != nil {
			return fmt.Errorf("failed to read row: %w", err)
		}
		if len(columns) == width || slices.ContainsFunc(values[width:], isDamagedText) {
			c.problem(part, r.text, r.text, values[:width]...)
		}
	}
	return rows.Err()
}

// notIndexed keeps SQLite from asking the very index that may be wrong.
const notIndexed = " NOT INDEXED"

// isDamagedText tells a text that is neither JSON nor empty.
func isDamagedText(v any) bool {
	text, ok := v.(string)
	return !ok || text != "" && !json.Valid([]byte(text))
}

// number reads a text as a number; what is none is 0.
func number(text string) string {
	return "CASE WHEN " + text + " <> '' AND LTRIM(" + text + ", '0123456789') = '' AND LENGTH(" + text + ") < 19 THEN CAST(" + text + " AS BIGINT) ELSE 0 END"
}

// scanAll reads a row of values of any type; texts come as strings.
func scanAll(rows dbutil.Rows, width int) ([]any, error) {
	values, targets := make([]any, width), make([]any, width)
	for i := range values {
		targets[i] = &values[i]
	}
	if err := rows.Scan(targets...); err != nil {
		return nil, err
	}
	for i, v := range values {
		switch v := v.(type) {
		case []byte:
			values[i] = fmt.Sprintf("%x", v)
		case nil:
			values[i] = "nothing"
		}
	}
	return values, nil
}
