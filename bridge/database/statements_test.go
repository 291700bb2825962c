package database

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
)

func openForStatements(t *testing.T, connections int) *dbutil.Database {
	cfg := settings(filepath.Join(t.TempDir(), "kept.db"))
	cfg.MaxOpenConns, cfg.MaxIdleConns = connections, connections
	db, err := Open(context.Background(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	_, err = db.Exec(context.Background(), "CREATE TABLE t (n INTEGER PRIMARY KEY, v TEXT UNIQUE)")
	require.NoError(t, err)
	return db
}

// The same statement while its rows are still being read is another one, and neither disturbs the other.
func TestStatementWithinItself(t *testing.T) {
	ctx, db := context.Background(), openForStatements(t, 1)
	for n := range 5 {
		_, err := db.Exec(ctx, "INSERT INTO t (n, v) VALUES ($1, $2)", n, fmt.Sprint("v", n))
		require.NoError(t, err)
	}
	for range 3 { // from the second time on with statements that are kept
		require.NoError(t, db.DoTxn(ctx, nil, func(ctx context.Context) error {
			const query = "SELECT n FROM t WHERE n>=$1 ORDER BY n"
			var outer, inner []int
			rows, err := db.Query(ctx, query, 0)
			require.NoError(t, err)
			defer rows.Close()
			for rows.Next() {
				var n int
				require.NoError(t, rows.Scan(&n))
				outer = append(outer, n)
				again, err := db.Query(ctx, query, 3)
				require.NoError(t, err)
				for again.Next() {
					require.NoError(t, again.Scan(&n))
					inner = append(inner, n)
					break // left half read
				}
				require.NoError(t, again.Close())
			}
			require.Equal(t, []int{0, 1, 2, 3, 4}, outer)
			require.Equal(t, []int{3, 3, 3, 3, 3}, inner)
			return rows.Err()
		}))
	}
}

// What failed, or was cut off, works the next time, with other values.
func TestStatementAfterFailure(t *testing.T) {
	ctx, db := context.Background(), openForStatements(t, 1)
	const insert = "INSERT INTO t (n, v) VALUES ($1, $2)"
	for n := range 4 {
		_, err := db.Exec(ctx, insert, n, fmt.Sprint("v", n))
		require.NoError(t, err)
		_, err = db.Exec(ctx, insert, n+100, fmt.Sprint("v", n))
		require.ErrorContains(t, err, "UNIQUE")
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, err := db.Exec(canceled, insert, 50, "v50")
	require.ErrorIs(t, err, context.Canceled)
	_, err = db.Exec(ctx, "ALTER TABLE t ADD COLUMN more TEXT") // the schema changes under what is kept
	require.NoError(t, err)
	var v sql.NullString
	require.NoError(t, db.QueryRow(ctx, "SELECT v FROM t WHERE n=$1", 3).Scan(&v))
	require.Equal(t, "v3", v.String)
	require.ErrorIs(t, db.QueryRow(ctx, "SELECT v FROM t WHERE n=$1", 50).Scan(&v), sql.ErrNoRows)
}

// There are never more than so many, and many connections each have their own.
func TestStatementsAreBounded(t *testing.T) {
	ctx, db := context.Background(), openForStatements(t, 4)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 2 * maxStatements {
				var n int
				query := "SELECT count(*) FROM t WHERE n IN ($1" + strings.Repeat(", $1", (i+worker)%maxStatements) + ")"
				if err := db.QueryRow(ctx, query, i).Scan(&n); err != nil || n != 0 {
					t.Errorf("%d %v", n, err)
				}
			}
		})
	}
	wg.Wait()
	conn, err := db.RawDB.Conn(ctx)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.Raw(func(raw any) error {
		require.LessOrEqual(t, len(raw.(*keepingConn).kept), maxStatements)
		require.NotEmpty(t, raw.(*keepingConn).kept)
		return nil
	}))
}

func TestWithoutNumbers(t *testing.T) {
	for query, want := range map[string]string{
		"SELECT 1":                         "SELECT 1",
		"VALUES (?1, ?2), (?3, ?4)":        "VALUES (?, ?), (?, ?)",
		"a=?1 AND b='it''s ?2' AND c=?2":   "a=? AND b='it''s ?2' AND c=?",
		"a=?1 OR b=?1":                     "a=?1 OR b=?1",
		"b=?2 AND a=?1":                    "b=?2 AND a=?1",
		"a=? AND b=?":                      "a=? AND b=?",
		"a=?1 -- what about ?2":            "a=?1 -- what about ?2",
		"a=?1 AND b='open":                 "a=?1 AND b='open",
		`SELECT "?9", ` + "`?8`, ?1, ?2":   `SELECT "?9", ` + "`?8`, ?, ?",
		"?1 ?2 ?3 ?4 ?5 ?6 ?7 ?8 ?9 ?10":   "? ? ? ? ? ? ? ? ? ?",
		"SELECT * FROM [odd?1] WHERE n=?1": "SELECT * FROM [odd?1] WHERE n=?1",
	} {
		require.Equal(t, want, withoutNumbers(query), query)
	}
}
