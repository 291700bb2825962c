package deepcheck

import (
	"context"
	"fmt"

	"go.mau.fi/util/dbutil"
)

// ownCheck is what the database itself has to say.
func (c *check) ownCheck() part {
	if c.db.Dialect == dbutil.Postgres {
		return part{"postgres", c.postgres}
	}
	return part{"sqlite", c.sqlite}
}

// postgres asks what the server knows of itself. It looks at no page; for that there is pg_amcheck, for who may install it.
func (c *check) postgres(ctx context.Context, part string) (string, error) {
	for _, r := range []rule{
		{"%v checksums of pages were wrong", `SELECT checksum_failures FROM pg_stat_database WHERE datname = current_database() AND checksum_failures > 0`},
		{"index %v is not valid: run REINDEX", `SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE NOT i.indisvalid AND c.relnamespace = current_schema()::regnamespace`},
		{"rule %v was never checked", `SELECT conname FROM pg_constraint WHERE NOT convalidated AND connamespace = current_schema()::regnamespace`},
	} {
		if err := c.apply(ctx, part, r); err != nil {
			return "", err
		}
	}
	return "no wrong checksum is known, indexes and references are valid", nil
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
