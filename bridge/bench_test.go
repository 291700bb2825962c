package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/database"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/v2tim/v2timtest"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// town is a bridge with many groups, members and messages, put into the database directly.
type town struct {
	*house
	groups, users, messages int
}

func (tn *town) room(g int) id.RoomID { return id.RoomID(fmt.Sprintf("!bench%d:%s", g, tn.hs.Name())) }

func (tn *town) event(g, m int) id.EventID {
	return id.EventID(fmt.Sprintf("$bench%02d_%06d_abcdefghijklmnopqrstuvwxyz012", g, m))
}

func (tn *town) msgID(g, m int) string {
	return fmt.Sprintf("144115233406643804-17275802%02d-%d", g, m+1)
}

func (tn *town) reader(u int) id.UserID { return id.NewUserID("reader"+strconv.Itoa(u), tn.hs.Name()) }

func newTown(b *testing.B, groups, users, messages int) *town {
	tn := &town{newHouse(b, matrixtest.Dendrite()), groups, users, messages}
	ctx := tn.ctx
	maps := tn.b.maps
	sender, err := maps.EnsureUser(ctx, mapping.User{UserID: "sender", MXID: tn.ghost("sender"), Kind: receipts.KindGhost})
	require.NoError(b, err)
	for g := range groups {
		group, err := maps.MapGroup(ctx, mapping.Group{GroupID: fmt.Sprintf("bench%d", g), RoomID: tn.room(g), SeqSource: mapping.SeqSourceOwn, Type: "Public", LinkedPosKnown: true, ToMatrix: true, ToTencent: true})
		require.NoError(b, err)
		for u := range users {
			account, err := maps.EnsureUser(ctx, mapping.User{UserID: mapping.AccountID(tn.reader(u)), MXID: tn.reader(u), Kind: receipts.KindAccount})
			require.NoError(b, err)
			_, err = maps.Join(ctx, group.Key, account.Key, 0, 0, true)
			require.NoError(b, err)
			app, err := maps.EnsureUser(ctx, mapping.User{UserID: fmt.Sprintf("app%d", u), MXID: tn.ghost(fmt.Sprintf("app%d", u)), Kind: receipts.KindGhost})
			require.NoError(b, err)
			_, err = maps.Join(ctx, group.Key, app.Key, 0, 0, true)
			require.NoError(b, err)
		}
		_, err = maps.Join(ctx, group.Key, sender.Key, 0, 0, true)
		require.NoError(b, err)
		for first := 0; first < messages; first += 500 {
			var events []mapping.NewEvent
			for m := first; m < min(first+500, messages); m++ {
				events = append(events, mapping.NewEvent{EventID: tn.event(g, m), At: time.Now()})
			}
			places, err := maps.Append(ctx, tn.room(g), events)
			require.NoError(b, err)
			var list []mapping.Message
			for i, place := range places {
				m := mapping.Message{Group: group.Key, RoomID: tn.room(g)}
				m.Seq, m.Pos, m.EventID, m.MsgID = receipts.MsgSeq(first+i+1), place.Pos, place.EventID.String(), tn.msgID(g, first+i)
				m.Sender, m.Wants, m.At = sender.Key, receipts.WantsYes, time.Now()
				list = append(list, m)
			}
			_, err = maps.PutMessages(ctx, list)
			require.NoError(b, err)
		}
	}
	return tn
}

// diskCommits measures what one durable commit at a time costs on this disk, with the same database settings.
func diskCommits(b *testing.B) *latencies {
	ctx := zerolog.Nop().WithContext(context.Background())
	cfg := testDatabase(filepath.Join(b.TempDir(), "disk.db"))
	db, err := database.Open(ctx, cfg)
	require.NoError(b, err)
	defer db.Close()
	_, err = db.Exec(ctx, "CREATE TABLE one (n INTEGER PRIMARY KEY, v BLOB)")
	require.NoError(b, err)
	l := &latencies{}
	for i := range 2000 {
		start := time.Now()
		err = db.DoTxn(ctx, (*dbutil.TxnOptions)(nil), func(ctx context.Context) error {
			_, err := db.Exec(ctx, "INSERT INTO one (n, v) VALUES ($1, $2)", i, bytes.Repeat([]byte{1}, 100))
			return err
		})
		require.NoError(b, err)
		l.add(time.Since(start))
	}
	return l
}

// latencies gathers durations. It is safe for concurrent use.
type latencies struct {
	mu   sync.Mutex
	list []time.Duration
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, d)
}

func (l *latencies) total() (sum time.Duration) {
	for _, d := range l.list {
		sum += d
	}
	return sum
}

func (l *latencies) report(b *testing.B, prefix string) {
	slices.Sort(l.list)
	at := func(q float64) float64 {
		return float64(l.list[min(int(q*float64(len(l.list))), len(l.list)-1)].Microseconds()) / 1000
	}
	b.ReportMetric(at(0.5), prefix+"p50-ms")
	b.ReportMetric(at(0.99), prefix+"p99-ms")
}

func reportDisk(b *testing.B) {
	disk := diskCommits(b)
	disk.report(b, "disk-")
	b.ReportMetric(float64(len(disk.list))/disk.total().Seconds(), "disk-commits/s")
}

// BenchmarkTransactions is Matrix → bridge: receipts made durable through the transactions endpoint, 100 per transaction, one
// transaction after the other. Every receipt moves its reader one message on.
func BenchmarkTransactions(b *testing.B) {
	const perTxn = 100
	tn := newTown(b, 20, 50, 500)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	var took latencies
	next := 0
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		body := tn.transaction(&next, perTxn)
		req, err := http.NewRequest(http.MethodPut, tn.mx.URL+"/_matrix/app/v1/transactions/bench"+strconv.Itoa(i), bytes.NewReader(body))
		require.NoError(b, err)
		req.Header.Set("Authorization", "Bearer "+testHSToken)
		start := time.Now()
		resp, err := client.Do(req)
		require.NoError(b, err)
		_ = resp.Body.Close()
		took.add(time.Since(start))
		require.Equal(b, http.StatusOK, resp.StatusCode)
	}
	b.StopTimer()
	b.ReportMetric(float64(perTxn*len(took.list))/took.total().Seconds(), "receipts/s")
	took.report(b, "")
	reportDisk(b)
}

// transaction is a homeserver's transaction with the next n receipts: for each message of each group all readers, in order.
func (tn *town) transaction(next *int, n int) []byte {
	edus := make(map[int]map[id.EventID]map[string]map[id.UserID]any)
	for range n {
		u, rest := *next%tn.users, *next/tn.users
		g, m := rest%tn.groups, rest/tn.groups%tn.messages
		*next++
		if edus[g] == nil {
			edus[g] = make(map[id.EventID]map[string]map[id.UserID]any)
		}
		event := tn.event(g, m)
		if edus[g][event] == nil {
			edus[g][event] = map[string]map[id.UserID]any{"m.read": {}}
		}
		edus[g][event]["m.read"][tn.reader(u)] = map[string]any{"ts": 1727580296000}
	}
	var list []any
	for g, content := range edus {
		list = append(list, map[string]any{"type": "m.receipt", "room_id": tn.room(g), "content": content})
	}
	body, _ := json.Marshal(map[string]any{"events": []any{}, "ephemeral": list})
	return body
}

// BenchmarkSendMessageReadReceipts is V2TIM → bridge: durable calls with one new message each, from many callers side by side.
func BenchmarkSendMessageReadReceipts(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			const users = 64
			tn := newTown(b, 4, users, 2000)
			// The homeserver is not measured here: nothing goes to Matrix.
			for g := range tn.groups {
				require.NoError(b, tn.b.maps.SetSwitches(tn.ctx, mapping.GroupKey(g+1), false, true))
			}
			var clients []*v2timtest.Client
			transport := &http.Transport{MaxIdleConnsPerHost: 64}
			defer transport.CloseIdleConnections()
			for u := range users {
				c := tn.client(fmt.Sprintf("app%d", u))
				c.HTTP = &http.Client{Transport: transport}
				clients = append(clients, c)
			}
			var took latencies
			var next atomic.Int64
			var wg sync.WaitGroup
			started := time.Now()
			b.ResetTimer()
			for range callers {
				wg.Go(func() {
					for {
						n := int(next.Add(1)) - 1
						if n >= b.N {
							return
						}
						u, rest := n%users, n/users
						start := time.Now()
						err := clients[u].SendMessageReadReceipts(tn.ctx, tn.msgID(rest%4, rest/4%2000))
						took.add(time.Since(start))
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/time.Since(started).Seconds(), "calls/s")
			took.report(b, "")
			reportDisk(b)
		})
	}
}
