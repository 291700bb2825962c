package bridge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// simWires connect everybody within the process: a request is a call of the other's handler, so that nobody waits for a network and
// time can be virtual. They lose and delay what they are told to.
type simWires struct {
	mu       sync.Mutex
	ends     map[string]simEnd
	faults   map[string][]simFault // by host; the next request has the first
	requests int
}

// simEnd is who is reached by a host name, as long as his power is on.
type simEnd struct {
	handler http.Handler
	power   *simPower // nil: for ever
}

// simFault is what happens to one request.
type simFault struct {
	lost   bool          // it never arrives
	unsaid bool          // it arrives and is done, but the answer gets lost
	status int           // a proxy answers this in place of the other side, after it was done if unsaid is set
	delay  time.Duration // it takes this long to arrive
}

var errWire = errors.New("connection lost")

func newSimWires() *simWires {
	return &simWires{ends: make(map[string]simEnd), faults: make(map[string][]simFault)}
}

// plug says who is reached by a host name from now on.
func (w *simWires) plug(host string, handler http.Handler, power *simPower) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends[host] = simEnd{handler, power}
}

// fail lets the next requests to a host go wrong.
func (w *simWires) fail(host string, faults ...simFault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults[host] = append(w.faults[host], faults...)
}

// stopFailing takes back what fail has said.
func (w *simWires) stopFailing() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.faults)
}

func (w *simWires) next(host string) (end simEnd, fault simFault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests++
	if left := w.faults[host]; len(left) > 0 {
		fault, w.faults[host] = left[0], left[1:]
	}
	return w.ends[host], fault
}

// simWire is somebody's end of the wires.
type simWire struct {
	*simWires
	power *simPower // nil: for ever
}

// RoundTrip implements http.RoundTripper.
func (w simWire) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		_ = req.Body.Close()
	}
	end, fault := w.next(req.URL.Host)
	if fault.delay > 0 && !sleep(req.Context(), fault.delay) {
		return nil, req.Context().Err()
	}
	switch {
	case end.handler == nil || fault.lost || end.power.gone() || w.power.gone():
		return nil, errWire
	case fault.status != 0 && !fault.unsaid:
		return proxyAnswer(req, fault.status), nil
	}
	done := make(chan *http.Response, 1)
	ctx, cancel := context.WithCancel(context.WithoutCancel(req.Context()))
	go func() {
		defer close(done)
		defer func() {
			if r := recover(); r != nil && r != http.ErrAbortHandler { //nolint:errorlint // it is the very value
				panic(r)
			}
		}()
		rec := httptest.NewRecorder()
		end.handler.ServeHTTP(rec, arrived(ctx, req, body))
		done <- rec.Result()
	}()
	defer cancel() // the other side hears that nobody listens any more
	select {
	case resp := <-done:
		switch {
		case resp == nil || fault.unsaid && fault.status == 0 || end.power.gone():
			return nil, errWire
		case fault.status != 0:
			return proxyAnswer(req, fault.status), nil
		}
		resp.Request = req
		return resp, nil
	case <-req.Context().Done():
		return nil, req.Context().Err()
	case <-end.power.ended():
		return nil, errWire
	case <-w.power.ended():
		return nil, errWire
	}
}

// arrived is a request as the other side gets it.
func arrived(ctx context.Context, req *http.Request, body []byte) *http.Request {
	in := req.Clone(ctx)
	in.Body, in.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	in.RequestURI, in.RemoteAddr = req.URL.RequestURI(), "203.0.113.1:4711"
	if in.Host == "" {
		in.Host = req.URL.Host
	}
	return in
}

func proxyAnswer(req *http.Request, status int) *http.Response {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{"Content-Type": {"text/html"}}, Body: io.NopCloser(bytes.NewReader([]byte("<html>no</html>"))),
	}
}

// gone tells that the power is cut.
func (p *simPower) gone() bool { return p != nil && p.isCut() }

// ended is closed when the power is cut; nil never is.
func (p *simPower) ended() <-chan struct{} {
	if p == nil {
		return nil
	}
	return p.cut
}
