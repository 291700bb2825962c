package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/internal/lab"
)

// realm is a homeserver that is measured itself, and a proxy before it that counts receipts. With a bridge and without, requests go
// through the proxy, so that it costs both the same.
type realm struct {
	name   string
	target string // the homeserver itself
	url    string // the proxy
	owner  account
	proxy  *http.Server
	client *http.Client
	// receipts counts requests that set one.
	receipts atomic.Int64
	close    func() error
}

// account is somebody with a token; as is whom an application service acts as.
type account struct {
	id    id.UserID
	token string
	as    id.UserID
}

// front starts the proxy. The homeserver may not be there yet.
func (r *realm) front() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("failed to listen before homeserver: %w", err)
	}
	r.url = "http://" + listener.Addr().String()
	r.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}, Timeout: 2 * time.Minute}
	pass := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			target, err := url.Parse(r.target)
			if err == nil {
				p.SetURL(target)
			}
		},
		Transport:    &http.Transport{MaxIdleConnsPerHost: 128},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	r.proxy = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.Contains(req.URL.Path, "/receipt/m.read/") {
			r.receipts.Add(1)
		}
		pass.ServeHTTP(w, req)
	})}
	go func() { _ = r.proxy.Serve(listener) }() // it ends with close
	return nil
}

// end stops everything.
func (r *realm) end() error {
	err := r.proxy.Close()
	r.client.CloseIdleConnections()
	if r.close != nil {
		err = errors.Join(err, r.close())
	}
	return err
}

// scripted begins package matrixtest's homeserver, which is strict, has no database and costs little.
func (r *realm) scripted(_ context.Context, registration string) error {
	text, err := os.ReadFile(registration)
	if err != nil {
		return fmt.Errorf("failed to read registration: %w", err)
	}
	var reg appservice.Registration
	if err = yaml.Unmarshal(text, &reg); err != nil {
		return fmt.Errorf("failed to read registration: %w", err)
	}
	t := &stage{}
	hs := matrixtest.New(t, matrixtest.Synapse())
	hs.AddAppService(&reg)
	owner := hs.User("ann")
	r.target, r.owner = hs.URL(), account{id: owner.ID, token: owner.Token}
	r.close = func() error { hs.Close(); return t.err() }
	return nil
}

// real begins a homeserver of package lab.
func (r *realm) real(kind lab.Kind) func(ctx context.Context, registration string) error {
	return func(ctx context.Context, registration string) error {
		hs, err := lab.Start(ctx, kind, lab.Options{AppServices: []string{registration}})
		if err != nil {
			return err
		}
		r.target, r.close = hs.URL(), hs.Close
		owner, err := hs.RegisterUser(ctx, "ann")
		if err != nil {
			return err
		}
		r.owner = account{id: owner.ID, token: owner.Token}
		return nil
	}
}

// do makes a request of the client-server API through the proxy.
func (r *realm) do(ctx context.Context, a account, method, path string, query url.Values, body, out any) error {
	if query == nil {
		query = url.Values{}
	}
	if a.as != "" {
		query.Set("user_id", string(a.as))
	}
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("failed to encode request: %w", err)
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.url+"/_matrix/client/v3"+path+"?"+query.Encode(), content)
	if err != nil {
		return fmt.Errorf("failed to make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return fmt.Errorf("failed to ask homeserver: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("failed to read answer of homeserver: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("failed to %s %s: HTTP %d: %.200s", method, path, resp.StatusCode, text)
	}
	if out == nil {
		return nil
	}
	if err = json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("failed to read answer of homeserver: %w", err)
	}
	return nil
}

// stage is what matrixtest wants of a test. What would fail the test is an error at the end.
type stage struct {
	testing.TB // nil: nothing else of it is called
	failures   []error
}

func (*stage) Helper()                     {}
func (*stage) Cleanup(func())              {} // closed by hand
func (*stage) Logf(string, ...any)         {}
func (t *stage) err() error                { return errors.Join(t.failures...) }
func (t *stage) Errorf(f string, a ...any) { t.failures = append(t.failures, fmt.Errorf(f, a...)) }
func (t *stage) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
