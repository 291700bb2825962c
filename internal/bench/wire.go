package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// wire is one HTTP/1.1 connection that is kept. The load comes from the same two or four cores that do the work, so that it has to
// cost little: a request is a few bytes written, an answer is read no further than is needed. net/http's client takes five times that.
type wire struct {
	conn net.Conn
	r    *bufio.Reader
}

func dialWire(address string) (*wire, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("failed to connect: %w", err)
	}
	return &wire{conn, bufio.NewReader(conn)}, nil
}

// wireTimeout bounds one request.
const wireTimeout = 2 * time.Minute

// do writes a whole request and returns the body of the answer, an error if its status is not 200.
func (w *wire) do(request []byte) ([]byte, error) {
	if err := w.conn.SetDeadline(time.Now().Add(wireTimeout)); err != nil {
		return nil, err
	}
	if _, err := w.conn.Write(request); err != nil {
		return nil, fmt.Errorf("failed to send request: %w", err)
	}
	status, err := w.r.ReadSlice('\n')
	if err != nil {
		return nil, fmt.Errorf("failed to read answer: %w", err)
	}
	ok := bytes.HasPrefix(status, []byte("HTTP/1.1 200"))
	said := string(bytes.TrimSpace(status))
	length := -1
	for {
		header, err := w.r.ReadSlice('\n')
		if err != nil {
			return nil, fmt.Errorf("failed to read answer: %w", err)
		}
		header = bytes.TrimSpace(header)
		if len(header) == 0 {
			break
		}
		if name, text, _ := bytes.Cut(header, []byte(":")); textproto.CanonicalMIMEHeaderKey(string(name)) == "Content-Length" {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(text))); err != nil {
				return nil, fmt.Errorf("failed to read length of answer: %w", err)
			}
		}
	}
	if length < 0 {
		return nil, errors.New("failed to read answer: it has no length")
	}
	body := make([]byte, length)
	if _, err = io.ReadFull(w.r, body); err != nil {
		return nil, fmt.Errorf("failed to read answer: %w", err)
	}
	if !ok {
		return nil, fmt.Errorf("refused: %s: %.300s", said, body)
	}
	return body, nil
}

// request is an HTTP request as bytes.
func request(method, target, auth string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", method, target, len(body))
	if auth != "" {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", auth)
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// loadResult is what a load took, as a whole and for each request.
type loadResult struct {
	took  time.Duration
	times []time.Duration // sorted
}

func (r loadResult) rate() float64 { return float64(len(r.times)) / r.took.Seconds() }

// at is a quantile in milliseconds.
func (r loadResult) at(q float64) float64 { return quantile(r.times, q) }

func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]) / float64(time.Millisecond)
}

// load sends n requests over so many connections, each connection one after the other. make builds the i-th, check looks at its answer.
func load(ctx context.Context, address string, connections, n int, build func(i int) []byte, check func(body []byte) error) (loadResult, error) {
	wires := make([]*wire, connections)
	for i := range wires {
		w, err := dialWire(address)
		if err != nil {
			return loadResult{}, err
		}
		defer w.conn.Close()
		wires[i] = w
	}
	times := make([]time.Duration, n)
	failed := make(chan error, connections)
	var next atomic.Int64
	var wg sync.WaitGroup
	started := time.Now()
	for _, w := range wires {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				message := build(i)
				began := time.Now()
				body, err := w.do(message)
				times[i] = time.Since(began)
				if err == nil {
					err = check(body)
				}
				if err != nil {
					failed <- err
					next.Store(int64(n))
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(started)
	select {
	case err := <-failed:
		return loadResult{}, err
	default:
	}
	slices.Sort(times)
	return loadResult{took, times}, ctx.Err()
}
