package receiptsdb_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/internal/postgres"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// BenchmarkReaders is the path of every receipt: read a batch of readers, change
// each, write them, one durable commit. rows/s counts readers.
func BenchmarkReaders(b *testing.B) { benchmarkReaders(b, openSQLite) }

// BenchmarkReadersPostgreSQL is the same on a server that writes to the disk as a real one does.
func BenchmarkReadersPostgreSQL(b *testing.B) {
	s := postgres.Own(b, postgres.Options{Durable: true})
	n := 0
	benchmarkReaders(b, func(b testing.TB) *dbutil.Database {
		n++
		uri, err := s.Create(b.Context(), fmt.Sprint("bench", n))
		require.NoError(b, err)
		raw, err := sql.Open("pgx", uri)
		require.NoError(b, err)
		db, err := dbutil.NewWithDB(raw, "postgres")
		require.NoError(b, err)
		b.Cleanup(func() { require.NoError(b, db.Close()) })
		return db
	})
}

func benchmarkReaders(b *testing.B, open func(b testing.TB) *dbutil.Database) {
	for _, batch := range []int{1, 10, 100, 500} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			db := open(b)
			store := receiptsdb.New(db)
			require.NoError(b, store.Upgrade(b.Context()))
			users := make([]receipts.UserKey, batch)
			for i := range users {
				users[i] = receipts.UserKey(i + 1)
			}
			seq := receipts.MsgSeq(0)
			for b.Loop() {
				seq += 2
				err := db.DoTxn(b.Context(), nil, func(ctx context.Context) error {
					found, err := store.Readers(ctx, 1, users)
					if err != nil {
						return err
					}
					rows := make([]receiptsdb.Row, 0, len(found))
					for _, row := range found {
						row.Add(receipts.SetOfRanges(receipts.Range{First: 1, Last: seq}))
						row.Claims, _ = row.Claims.Raise(receipts.ScopeRoom, receipts.Pos(seq))
						rows = append(rows, row)
					}
					return store.Save(ctx, rows)
				})
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
