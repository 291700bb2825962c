package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy stands between a homeserver and a timbridge. It keeps every transaction, can answer one with 502 in timbridge's
// place, and can send one again.
type proxy struct {
	server *httptest.Server
	target string

	mu       sync.Mutex
	kept     []transaction
	failWhat string // the next transaction that contains this is answered with 502; "": none
	refused  []transaction
}

// transaction is what a homeserver sent.
type transaction struct {
	path   string
	header http.Header
	body   string
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	to, err := url.Parse(target)
	require.NoError(t, err)
	transport := &http.Transport{}
	forward := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: transport,
	}
	p := &proxy{target: target}
	p.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/transactions/") && !p.take(rw, r) {
			return
		}
		forward.ServeHTTP(rw, r)
	}))
	t.Cleanup(func() {
		p.server.Close()
		transport.CloseIdleConnections()
	})
	return p
}

// take keeps a transaction and tells whether it goes on to timbridge.
func (p *proxy) take(rw http.ResponseWriter, r *http.Request) bool {
	body, err := io.ReadAll(io.LimitReader(r.Body, 32<<20))
	if err != nil {
		rw.WriteHeader(http.StatusBadRequest)
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failWhat != "" && bytes.Contains(body, []byte(p.failWhat)) {
		p.failWhat = ""
		p.refused = append(p.refused, transaction{r.URL.Path, r.Header.Clone(), string(body)})
		rw.WriteHeader(http.StatusBadGateway)
		return false
	}
	p.kept = append(p.kept, transaction{r.URL.Path, r.Header.Clone(), string(body)})
	return true
}

// failOnce makes the next transaction that contains what fail.
func (p *proxy) failOnce(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failWhat = what
}

// failed is nil when that many transactions have been answered with 502.
func (p *proxy) failed(n int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.refused) != n {
		return fmt.Errorf("%d transactions have failed", len(p.refused))
	}
	return nil
}

// lastFailed returns the last of them.
func (p *proxy) lastFailed() transaction {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused[len(p.refused)-1]
}

// has is nil when a transaction that contains what went through.
func (p *proxy) has(what string) error {
	if len(p.with(what)) == 0 {
		return fmt.Errorf("no transaction has %s", what)
	}
	return nil
}

// with returns the transactions that went through and contain what.
func (p *proxy) with(what string) (list []transaction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, txn := range p.kept {
		if strings.Contains(txn.body, what) {
			list = append(list, txn)
		}
	}
	return list
}

// replay sends a transaction to timbridge once more, under another ID unless id is empty.
func (p *proxy) replay(t testing.TB, client *http.Client, txn transaction, id string) {
	t.Helper()
	path := txn.path
	if id != "" {
		path = path[:strings.LastIndexByte(path, '/')+1] + id
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.target+path, strings.NewReader(txn.body))
	require.NoError(t, err)
	req.Header = txn.header.Clone()
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
}
