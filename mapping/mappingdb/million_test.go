package mappingdb_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/mapping/mappingdb"
	"github.com/timbridge/timbridge/receipts"
)

const (
	manyGroups = 100
	manyUsers  = 1000
)

// openFull opens a SQLite database just as the bridge does, and returns its file.
func openFull(b *testing.B) (*mappingdb.Store, *dbutil.Database, string) {
	file := filepath.Join(b.TempDir(), "full.db")
	raw, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=busy_timeout(10000)&_txlock=immediate")
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, raw.Close()) })
	db, err := dbutil.NewWithDB(raw, "sqlite")
	require.NoError(b, err)
	s := mappingdb.New(db)
	require.NoError(b, s.Upgrade(context.Background()))
	return s, db, file
}

// eventAt is an event ID as rooms of version 4 and up have them: in no order.
func eventAt(n int) id.EventID {
	sum := sha256.Sum256(fmt.Append(nil, n))
	return id.EventID("$" + base64.RawURLEncoding.EncodeToString(sum[:]))
}

func senderAt(n int) string { return fmt.Sprintf("user%d", n%manyUsers) }

// writeRecords writes n messages in 100 groups, as an export has them.
func writeRecords(w io.Writer, n int) error {
	out := bufio.NewWriterSize(w, 1<<16)
	for g := range manyGroups {
		fmt.Fprintf(out, `{"type":"group","group_id":"@TGS#%d","room_id":"!room%d:example.com","seq_source":"own","last_seq":%d,"linked_pos":0}`+"\n", g, g, n/manyGroups)
	}
	for u := range manyUsers {
		fmt.Fprintf(out, `{"type":"user","user_id":"%s","mxid":"%s","kind":"ghost"}`+"\n", senderAt(u), mapping.GhostMXID("tim_", senderAt(u), "example.com"))
	}
	for i := range n {
		ev, at := eventAt(i), time.Unix(1_700_000_000+int64(i), 0)
		fmt.Fprintf(out, `{"type":"message","group_id":"@TGS#%d","seq":%d,"event_id":"%s","msg_id":"%s","sender":"%s","random":%d,"wants":"yes","at":%d}`+"\n",
			i/(n/manyGroups), i%(n/manyGroups)+1, ev, mapping.MsgID(senderAt(i*7), at, mapping.Random(ev)), senderAt(i*7), mapping.Random(ev), at.UnixMilli())
	}
	return out.Flush()
}

// exportTo exports into a file and a hash.
func exportTo(b *testing.B, s *mappingdb.Store, file string) (sum []byte, took time.Duration) {
	f, err := os.Create(file)
	require.NoError(b, err)
	var h hash.Hash = sha256.New()
	start := time.Now()
	_, err = mapping.Export(context.Background(), io.MultiWriter(f, h), s)
	took = time.Since(start)
	require.NoError(b, err)
	require.NoError(b, f.Close())
	return h.Sum(nil), took
}

// diskSize returns the size of a database once everything is in its main file.
func diskSize(b *testing.B, db *dbutil.Database, file string) int64 {
	_, err := db.Exec(context.Background(), `PRAGMA wal_checkpoint(TRUNCATE)`)
	require.NoError(b, err)
	info, err := os.Stat(file)
	require.NoError(b, err)
	return info.Size()
}

// peakHeap samples the heap until stop is called, which returns the largest.
func peakHeap() (stop func() uint64) {
	done, result := make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse)
			select {
			case <-done:
				result <- most
				return
			case <-tick.C:
			}
		}
	}()
	return func() uint64 { close(done); return <-result }
}

// BenchmarkImportExport puts messages in, out, into another database and out
// again, which must be equal. Run it with -benchtime=1x.
func BenchmarkImportExport(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			ctx := context.Background()
			for b.Loop() {
				s, db, file := openFull(b)
				reader, writer := io.Pipe()
				go func() { writer.CloseWithError(writeRecords(writer, n)) }()
				stop := peakHeap()
				start := time.Now()
				_, err := mapping.Import(ctx, reader, s, mapping.ImportOptions{})
				require.NoError(b, err)
				b.ReportMetric(time.Since(start).Seconds(), "s-import")
				first := filepath.Join(b.TempDir(), "first.ndjson")
				sum, took := exportTo(b, s, first)
				b.ReportMetric(took.Seconds(), "s-export")
				b.ReportMetric(float64(diskSize(b, db, file))/float64(n), "bytes/message")
				lookups(b, s, n)

				other, _, _ := openFull(b)
				f, err := os.Open(first)
				require.NoError(b, err)
				start = time.Now()
				result, err := mapping.Import(ctx, f, other, mapping.ImportOptions{})
				require.NoError(b, err)
				require.NoError(b, f.Close())
				require.EqualValues(b, n+manyGroups+manyUsers, result.News)
				b.ReportMetric(time.Since(start).Seconds(), "s-reimport")
				again, _ := exportTo(b, other, filepath.Join(b.TempDir(), "second.ndjson"))
				require.Equal(b, sum, again, "out, in and out again must be equal")
				f, err = os.Open(first)
				require.NoError(b, err)
				start = time.Now()
				result, err = mapping.Import(ctx, f, other, mapping.ImportOptions{})
				require.NoError(b, err)
				require.NoError(b, f.Close())
				require.Zero(b, result.News)
				b.ReportMetric(time.Since(start).Seconds(), "s-repeat")
				b.ReportMetric(float64(stop())/1e6, "MB-heap")
			}
		})
	}
}

// lookups measures single lookups in a full database.
func lookups(b *testing.B, s *mappingdb.Store, n int) {
	ctx := context.Background()
	const times = 2000
	rng := rand.New(rand.NewPCG(1, 1))
	start := time.Now()
	for range times {
		ev := eventAt(rng.IntN(n))
		found, err := s.MessagesByEvent(ctx, []id.EventID{ev})
		require.NoError(b, err)
		require.Len(b, found, 1)
	}
	b.ReportMetric(float64(time.Since(start).Microseconds())/times, "µs-by-event")
	start = time.Now()
	for range times {
		i := rng.IntN(n)
		found, err := s.MessagesByMsgID(ctx, []string{mapping.MsgID(senderAt(i*7), time.Unix(1_700_000_000+int64(i), 0), mapping.Random(eventAt(i)))})
		require.NoError(b, err)
		require.Len(b, found, 1)
	}
	b.ReportMetric(float64(time.Since(start).Microseconds())/times, "µs-by-msgid")
	g, err := s.GroupByID(ctx, "@TGS#5")
	require.NoError(b, err)
	start = time.Now()
	for range times {
		found, err := s.MessagesBetween(ctx, g.Key, receipts.Pos(rng.IntN(n/manyGroups-30)), 1<<40, 30)
		require.NoError(b, err)
		require.Len(b, found, 30)
	}
	b.ReportMetric(float64(time.Since(start).Microseconds())/times, "µs-30-by-place")
}

// BenchmarkArrive maps messages as a running bridge does: each event is appended,
// numbered and mapped, 50 of different rooms in a transaction.
func BenchmarkArrive(b *testing.B) {
	ctx := context.Background()
	s, db, file := openFull(b)
	groups := make([]mapping.Group, manyGroups)
	for i := range groups {
		var err error
		groups[i], err = s.MapGroup(ctx, mapping.Group{GroupID: fmt.Sprint("g", i), RoomID: id.RoomID(fmt.Sprintf("!room%d:example.com", i)), SeqSource: mapping.SeqSourceOwn})
		require.NoError(b, err)
	}
	us := make([]mapping.User, manyUsers)
	for i := range us {
		us[i] = mapping.User{UserID: senderAt(i), MXID: mapping.GhostMXID("tim_", senderAt(i), "example.com")}
	}
	us, err := s.EnsureUsers(ctx, us)
	require.NoError(b, err)
	empty := diskSize(b, db, file)
	n := 0
	b.ResetTimer()
	for b.Loop() {
		err := db.DoTxn(ctx, nil, func(ctx context.Context) error {
			for range 50 {
				g, u, ev, at := groups[n*13%manyGroups], us[n*7%manyUsers], eventAt(n), time.Unix(1_700_000_000+int64(n), 0)
				n++
				places, err := s.Append(ctx, g.RoomID, []mapping.NewEvent{{EventID: ev, At: at}})
				if err != nil {
					return err
				}
				m := mapping.Message{Group: g.Key, RoomID: g.RoomID, Random: mapping.Random(ev), HasRandom: true}
				m.Pos, m.EventID, m.MsgID, m.Sender, m.Wants, m.At = places[0].Pos, ev.String(), mapping.MsgID(u.UserID, at, mapping.Random(ev)), u.Key, receipts.WantsYes, at
				if m.Seq, err = s.NextSeq(ctx, g.Key); err != nil {
					return err
				} else if _, err = s.PutMessages(ctx, []mapping.Message{m}); err != nil {
					return err
				}
			}
			return nil
		})
		require.NoError(b, err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/message")
	b.ReportMetric(float64(diskSize(b, db, file)-empty)/float64(n), "bytes/message")
}
