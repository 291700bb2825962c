package deepcheck

import (
	"context"
	"fmt"
	"strings"

	"go.mau.fi/util/dbutil"
)

// rule is a query for rows that must not be. What it selects fills the verbs of text. One statement sees one state of the database.
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
	rows, err := c.db.Query(ctx, r.query)
	if err != nil {
		return fmt.Errorf("failed to look for %q: %w", r.text, err)
	}
	defer rows.Close()
	for rows.Next() {
		values, err := scanAll(rows, width)
		if err != nil {
			return fmt.Errorf("failed to read row: %w", err)
		}
		c.problem(part, r.text, r.text, values...)
	}
	return rows.Err()
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

// sqlite has the database look at itself: pages, indexes, uniqueness, references.
func (c *check) sqlite(ctx context.Context, part string) (string, error) {
	rows, err := c.db.Query(ctx, fmt.Sprintf("PRAGMA integrity_check(%d)", c.opts.Most+1))
	if err != nil {
		return "", fmt.Errorf("failed to look at pages: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var found string
		if err = rows.Scan(&found); err != nil {
			return "", fmt.Errorf("failed to look at pages: %w", err)
		}
		if found != "ok" {
			c.problem(part, "pages", "%s", found)
		}
	}
	if err = rows.Err(); err != nil {
		return "", fmt.Errorf("failed to look at pages: %w", err)
	}
	err = c.apply(ctx, part, rule{"a row of %v refers to a row of %v that is not there", `SELECT "table", "parent" FROM pragma_foreign_key_check`})
	return "pages, indexes and references are sound", err
}
