package tencent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxForwardReply bounds the answer of the app's backend. The longest are those that replace the body
// of a message, which has at most 12 KB.
const maxForwardReply = 1 << 20

// forwarder passes webhooks on to the app's backend as they came.
type forwarder struct {
	target *url.URL
	http   *http.Client
	slots  chan struct{}
	bearer bool // the Authorization header is ours
}

func newForwarder(cfg WebhooksConfig) (*forwarder, error) {
	target, err := url.Parse(cfg.Forward)
	if err != nil || target.Host == "" || (target.Scheme != "http" && target.Scheme != "https") {
		return nil, errors.New("the URL to forward to is not of the form https://host/path")
	}
	return &forwarder{
		target: target,
		slots:  make(chan struct{}, cfg.ForwardConcurrency),
		bearer: cfg.BearerToken != "",
		http: &http.Client{
			Transport: &http.Transport{
				Proxy:               http.ProxyFromEnvironment,
				DialContext:         (&net.Dialer{Timeout: cfg.AnswerWithin, KeepAlive: 30 * time.Second}).DialContext,
				ForceAttemptHTTP2:   true,
				MaxIdleConns:        cfg.ForwardConcurrency,
				MaxIdleConnsPerHost: cfg.ForwardConcurrency,
				IdleConnTimeout:     90 * time.Second,
				TLSHandshakeTimeout: cfg.AnswerWithin,
				DisableCompression:  true, // what the backend compresses goes back compressed
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func (f *forwarder) close() { f.http.CloseIdleConnections() }

// forwardReply is the backend's answer.
type forwardReply struct {
	status int
	header http.Header
	body   []byte
}

func (r forwardReply) write(rw http.ResponseWriter) {
	copyHeader(rw.Header(), r.header)
	rw.WriteHeader(r.status)
	_, _ = rw.Write(r.body)
}

// pass sends the request r, whose body has been read, to the backend and returns its answer, whatever
// that is.
func (f *forwarder) pass(ctx context.Context, r *http.Request, body []byte) (forwardReply, error) {
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return forwardReply{}, fmt.Errorf("too many webhooks are being passed on: %w", ctx.Err())
	}
	target := *f.target
	target.RawQuery = joinQuery(f.target.RawQuery, r.URL.RawQuery)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return forwardReply{}, fmt.Errorf("failed to pass a webhook on: %w", withoutURL(err))
	}
	copyHeader(req.Header, r.Header)
	if f.bearer {
		req.Header.Del("Authorization")
	}
	if _, ok := r.Header["User-Agent"]; !ok {
		req.Header.Set("User-Agent", "") // net/http would put its own
	}
	resp, err := f.http.Do(req)
	if err != nil {
		return forwardReply{}, fmt.Errorf("failed to pass a webhook on: %w", withoutURL(err))
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, maxForwardReply+1))
	if err != nil {
		return forwardReply{}, fmt.Errorf("failed to read the answer of the app's backend: %w", err)
	}
	if len(reply) > maxForwardReply {
		return forwardReply{}, fmt.Errorf("the answer of the app's backend is larger than %d bytes", maxForwardReply)
	}
	return forwardReply{status: resp.StatusCode, header: resp.Header, body: reply}, nil
}

func joinQuery(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "&" + b
}

// copyHeader copies what is meant for the other end, not for the next hop (RFC 9110 section 7.6.1).
// The length is that of the body that is sent.
func copyHeader(to, from http.Header) {
	dropped := map[string]bool{
		"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Proxy-Authenticate": true, "Proxy-Authorization": true,
		"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "Content-Length": true, "Expect": true,
	}
	for _, line := range from.Values("Connection") {
		for name := range strings.SplitSeq(line, ",") {
			dropped[http.CanonicalHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	for name, values := range from {
		if !dropped[name] {
			to[name] = values
		}
	}
}
