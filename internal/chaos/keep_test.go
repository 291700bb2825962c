package chaos

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/bridge/database"
)

// keep saves the logs and the database of a run for whoever looks into it.
func (w *world) keep() {
	if *keepFlag == "" {
		return
	}
	dir := filepath.Join(*keepFlag, fmt.Sprint(w.seed))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		w.t.Log(err)
		return
	}
	for _, g := range w.groups {
		if err := os.WriteFile(filepath.Join(dir, g.id+".txt"), []byte(w.story(g)), 0o600); err != nil {
			w.t.Log(err)
		}
	}
	if w.server != nil {
		if err := w.keepTables(filepath.Join(dir, "database.txt")); err != nil {
			w.t.Log(err)
		}
	}
	for i, r := range w.replicas {
		for _, name := range []string{"timbridge.log", "timbridge.db", "timbridge.db-wal", "config.yaml"} {
			from, err := os.Open(filepath.Join(r.Dir, name))
			if err != nil {
				continue
			}
			if len(w.replicas) > 1 {
				name = fmt.Sprint("replica", i, ".", name)
			}
			to, err := os.Create(filepath.Join(dir, name))
			if err == nil {
				_, err = io.Copy(to, from)
				_ = to.Close()
			}
			_ = from.Close()
			if err != nil {
				w.t.Log(err)
			}
		}
	}
}

// keepTables writes all that is in the database on a server to a file, as text: the server's own files are gone with it.
func (w *world) keepTables(name string) error {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	db, err := database.OpenReadOnly(ctx, w.database)
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.Query(ctx, "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename")
	tables, err := dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[string], err).AsList()
	if err != nil {
		return fmt.Errorf("failed to list tables: %w", err)
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	out := bufio.NewWriter(file)
	for _, table := range tables {
		if err = writeTable(ctx, out, db, table); err != nil {
			return fmt.Errorf("failed to write table %s: %w", table, err)
		}
	}
	return out.Flush()
}

// writeTable writes a table's rows, one on a line.
func writeTable(ctx context.Context, out io.Writer, db *dbutil.Database, table string) error {
	rows, err := db.Query(ctx, `SELECT row_to_json(t)::text FROM "`+table+`" t`)
	lines, err := dbutil.NewRowIterWithError(rows, dbutil.ScanSingleColumn[string], err).AsList()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "-- %s: %d rows\n%s\n\n", table, len(lines), strings.Join(lines, "\n"))
	return err
}
