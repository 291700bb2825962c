package bridge

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/bridge/v2tim/v2timtest"
	"github.com/timbridge/timbridge/bridge/webserver"
)

// floodTime is how long the flood lasts, by TIMBRIDGE_FLOOD. It is one of the long runs (make test-all): it wants a process of its own.
func floodTime(t *testing.T) time.Duration {
	text := os.Getenv("TIMBRIDGE_FLOOD")
	if text == "" {
		t.Skip("a long run: make test-all, or TIMBRIDGE_FLOOD=1m")
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return d
}

// TestFlood floods all three ports of a cloud house with garbage of every kind, from more connections than are allowed, while the
// homeserver, Tencent and an app go on with what they do: all of it is answered, and afterwards memory is what it was before.
//
// What it takes is reported and not judged: the flood shares the processor with what it floods.
func TestFlood(t *testing.T) {
	floodTime(t)
	var files syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files))
	if files.Cur < 4096 {
		t.Skip("too few files may be open: ulimit -n 4096")
	}
	h := plainCloud(t, tencenttest.Points{}, func(cfg *config.Config) {
		cfg.Bridge.MaxConnections = 200
		cfg.V2TIM.RateLimit.PerSecond, cfg.V2TIM.RateLimit.Burst = 50, 100
		cfg.Tencent.Webhook.BearerToken = "the-bearer-token"
	})
	ports, rubbish := openPorts(h), garbage(t)
	g := newLegitimate(h, ports)
	for range 20 { // with what there is once everything has been used
		g.all()
	}
	flood(t, ports, rubbish, 500*time.Millisecond)
	g.forget()
	before := settledMemory(t)
	stored := h.stored()

	alone := make([]string, len(g.ops))
	for until := time.Now().Add(floodTime(t) / 4); time.Now().Before(until); {
		g.all()
	}
	for i, op := range g.ops {
		alone[i] = op.took.summary()
	}
	g.forget()

	stop := make(chan struct{})
	peak := watchMemory(stop)
	var done sync.WaitGroup
	var sent *floodCounts
	done.Go(func() { sent = flood(t, ports, rubbish, floodTime(t)) })
	for until := time.Now().Add(floodTime(t)); time.Now().Before(until); {
		g.all()
	}
	done.Wait()
	close(stop)
	require.Positive(t, sent.requests.Load())
	t.Logf("flood of %s: %d connections, %d requests", floodTime(t), sent.connections.Load(), sent.requests.Load())
	for i, op := range g.ops {
		require.NotEmpty(t, op.took.list, "%s was not answered once", op.name)
		t.Logf("%-8s alone %s; in the flood %s, %d tried again", op.name, alone[i], op.took.summary(), op.retries)
	}
	g.forget()
	// Those who go on may have come by some idle connections more; the flood had thousands.
	after := settledMemory(t, before.goroutines+60)
	t.Logf("heap %d KiB before, %d KiB after, at most %d KiB meanwhile (with the flood's own); goroutines %d before, %d after",
		before.heap>>10, after.heap>>10, peak()>>10, before.goroutines, after.goroutines)
	require.Less(t, after.heap, before.heap+(8<<20), "memory is not flat")
	h.quiet()
	require.Equal(t, lines(stored), lines(h.stored()), "the flood has left something in the database")
}

// lines counts what is stored, by table.
func lines(stored string) map[string]int {
	tables := make(map[string]int)
	for line := range strings.Lines(stored) {
		name, _, _ := strings.Cut(line, " ")
		tables[name]++
	}
	return tables
}

// openPorts opens the bridge's own listeners and has the homeserver and the cloud use them.
func openPorts(h *cloudHouse) (urls [3]string) {
	for i, a := range []api{{name: "Matrix", handler: h.b.MatrixHandler()}, {name: "V2TIM", handler: h.b.V2TIMHandler()}, {name: "webhooks", handler: h.b.WebhookHandler()}} {
		a.host = "127.0.0.1"
		server, err := h.b.listenAt(a)
		require.NoError(h.t, err)
		serveUntilEnd(h.t, server)
		urls[i] = "http://" + server.Addr().String()
	}
	return urls
}

func serveUntilEnd(t testing.TB, server *webserver.Server) {
	done := make(chan error, 1)
	go func() { done <- server.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
		require.NoError(t, <-done)
	})
}

// legitimate are those who have a right to be answered.
type legitimate struct {
	h    *cloudHouse
	http *http.Client
	ops  []*operation
}

type operation struct {
	name    string
	request func() *http.Request
	answer  string // is part of the right one
	took    latencies
	retries int
}

func newLegitimate(h *cloudHouse, ports [3]string) *legitimate {
	ann := h.hs.User("ann")
	room := h.link("team", ann, "alice", "bob")
	m, event := h.send("team", "alice", "hello")
	ann.SendReceipt(room, event)
	h.acked("team", ann, m.Seq)
	h.quiet()
	g := &legitimate{h: h, http: &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}}
	h.t.Cleanup(g.http.CloseIdleConnections)
	post := func(method, address, body, bearer string) func() *http.Request {
		return func() *http.Request {
			req, err := http.NewRequestWithContext(h.ctx, method, address, strings.NewReader(body))
			require.NoError(h.t, err)
			if bearer != "" {
				req.Header.Set("Authorization", "Bearer "+bearer)
			}
			return req
		}
	}
	tim, err := v2timtest.New(ports[1], testAppID, testSecretKey, "administrator")
	require.NoError(h.t, err)
	g.ops = []*operation{
		{name: "Matrix", answer: "{}", request: post(http.MethodPut, ports[0]+"/_matrix/app/v1/transactions/legitimate",
			`{"events":[],"ephemeral":[{"type":"m.receipt","room_id":"`+room.String()+`","content":{"`+event.String()+`":{"m.read":{"`+ann.ID.String()+`":{"ts":1727580296000}}}}}]}`, testHSToken)},
		{name: "V2TIM", answer: `"ErrorCode":0`, request: post(http.MethodPost, tim.URL("group_open_http_svc", "get_group_msg_receipt"), fmt.Sprintf(`{"GroupId":"team","MsgSeqList":[{"MsgSeq":%d}]}`, m.Seq), "")},
		{name: "webhook", answer: `"OK"`, request: post(http.MethodPost, ports[2], fmt.Sprintf(`{"CallbackCommand":"Group.CallbackAfterReadReceipt","GroupId":"team","Type":"Public","GroupMsgReceiptList":[{"MsgSeq":%d,"ReadNum":1,"UnreadNum":1,"ReadReceiptMembers":[{"Member_Account":"bob"}]}]}`, m.Seq), "the-bearer-token")},
	}
	return g
}

// all does everything once. A connection may have been closed while it was idle, as any server's: then it is tried again.
func (g *legitimate) all() {
	for _, op := range g.ops {
		began := time.Now()
		for try := 0; ; try++ {
			body, err := g.once(op)
			if err == nil {
				require.Contains(g.h.t, body, op.answer, op.name)
				break
			}
			require.Less(g.h.t, try, 20, "%s is not answered: %v", op.name, err)
			op.retries++
		}
		op.took.add(time.Since(began))
	}
}

func (g *legitimate) once(op *operation) (string, error) {
	resp, err := g.http.Do(op.request())
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// forget begins to count anew.
func (g *legitimate) forget() {
	for _, op := range g.ops {
		op.took.list, op.retries = nil, 0
	}
}

func (l *latencies) summary() string {
	slices.Sort(l.list)
	at := func(q float64) time.Duration {
		return l.list[int(q*float64(len(l.list)-1))].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("%d answers, p50 %s p99 %s max %s", len(l.list), at(0.5), at(0.99), at(1))
}

type memory struct {
	heap       uint64
	goroutines int
}

// settledMemory is what is in use when nothing is under way any more, and no more than most goroutines are left.
func settledMemory(t *testing.T, most ...int) (m memory) {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	last, limit := -1, append(most, 1<<20)[0]
	require.Eventually(t, func() bool { // until closed connections have been noticed
		same := last == runtime.NumGoroutine() && last <= limit
		last = runtime.NumGoroutine()
		return same
	}, 30*time.Second, 250*time.Millisecond, "goroutines are left")
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return memory{heap: stats.HeapAlloc, goroutines: runtime.NumGoroutine()}
}

// watchMemory notes the most that was in use until stop is closed.
func watchMemory(stop <-chan struct{}) (peak func() uint64) {
	var most uint64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			most = max(most, stats.HeapInuse)
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() uint64 {
		<-done
		return most
	}
}
