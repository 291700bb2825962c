package chaos

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// gate stands on the way from one party to another and lets requests through, or does to them what networks and proxies do.
type gate struct {
	server *httptest.Server
	target func() string // base URL
	client *http.Client
	tried  func(r *http.Request, body []byte)             // told of what gets through; may be nil, as the next
	taken  func(r *http.Request, body []byte, status int) // told of every answer
	stats  *stats
	name   string
	// whole: also what only asks is brought to its end. Dendrite on SQLite gives up when such a thing is cut off.
	whole bool

	mu     sync.Mutex
	rand   *rand.Rand
	storm  float64 // which part of the requests is done something to
	cut    bool    // nothing gets through
	closed context.Context
	close  context.CancelFunc
}

// What may be done to a request.
const (
	passed   = iota
	refused  // 502 in place of the other side, which never gets it
	dropped  // no answer, and the other side never gets it
	lost     // the other side gets it, its answer is lost
	halved   // the other side gets it, half of its answer comes
	delayed  // it comes late
	hung     // nobody answers until the caller gives up
	limited  // 429 in place of the other side, which never gets it
	outcomes // how many there are
)

func outcomeName(n int) string {
	return [...]string{"passed", "502", "dropped", "answer lost", "half answer", "late", "time-out", "429"}[n]
}

// hangFor bounds how long a request hangs. It is longer than the callers' patience.
const hangFor = 4 * time.Second

func newGate(name string, r *rand.Rand, stats *stats, target func() string) *gate {
	g := &gate{target: target, rand: r, stats: stats, name: name, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}}
	g.closed, g.close = context.WithCancel(context.Background())
	g.server = httptest.NewServer(g)
	return g
}

func (g *gate) URL() string { return g.server.URL }

func (g *gate) stop() {
	g.close()
	g.server.CloseClientConnections()
	g.server.Close()
	g.client.CloseIdleConnections()
}

// setStorm has something happen to a part (0 to 1) of the requests from now on.
func (g *gate) setStorm(part float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.storm = part
}

// setCut lets nothing through any more, or all again.
func (g *gate) setCut(on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cut = on
}

func (g *gate) choose() (what int, half time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cut {
		return dropped, 0
	}
	if g.rand.Float64() >= g.storm {
		return passed, 0
	}
	return 1 + g.rand.IntN(outcomes-1), time.Duration(g.rand.IntN(400)) * time.Millisecond
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	what, late := g.choose()
	if what != passed {
		g.stats.fault(g.name + ": " + outcomeName(what))
	}
	switch what {
	case refused:
		w.WriteHeader(http.StatusBadGateway)
		return
	case limited:
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write([]byte(`{"errcode":"M_LIMIT_EXCEEDED","error":"made to fail","retry_after_ms":300}`))
		return
	case dropped:
		panic(http.ErrAbortHandler)
	case hung:
		g.pause(r.Context(), hangFor)
		panic(http.ErrAbortHandler)
	case delayed:
		g.pause(r.Context(), late)
	}
	if g.tried != nil {
		g.tried(r, body)
	}
	status, header, answer, err := g.forward(r, body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if g.taken != nil { // whether it is heard of or not
		g.taken(r, body, status)
	}
	switch what {
	case lost:
		panic(http.ErrAbortHandler)
	case halved:
		w.Header().Set("Content-Type", header.Get("Content-Type"))
		w.Header().Set("Content-Length", header.Get("Content-Length"))
		w.WriteHeader(status)
		_, _ = w.Write(answer[:len(answer)/2])
		panic(http.ErrAbortHandler)
	}
	for name, values := range header {
		w.Header()[name] = values
	}
	w.WriteHeader(status)
	_, _ = w.Write(answer)
}

func (g *gate) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-g.closed.Done():
	}
}

// forward passes a request on. It goes on although its caller gives up: a server that has got a request does not know that.
func (g *gate) forward(r *http.Request, body []byte) (int, http.Header, []byte, error) {
	ctx := r.Context()
	if r.Method != http.MethodGet || g.whole {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(g.closed, 2*time.Minute) // longer than any /sync waits
		defer cancel()
	}
	return g.send(ctx, r.Method, r.URL.RequestURI(), r.Header, body)
}

func (g *gate) send(ctx context.Context, method, uri string, header http.Header, body []byte) (int, http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, g.target()+uri, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header = header.Clone()
	resp, err := g.client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, answer, err
}
