package webserver

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

const patience = 10 * time.Second

// logged is a log that may be read while it is written.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(line)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// start serves handler until the test ends; change may be nil.
func start(t *testing.T, handler http.HandlerFunc, change func(*Config)) (*Server, *logged) {
	t.Helper()
	log := new(logged)
	cfg := Config{Name: "test", Address: "127.0.0.1:0", Handler: handler, MaxConnections: 4, Log: zerolog.New(log)}
	if change != nil {
		change(&cfg)
	}
	s, err := Listen(cfg)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = s.Shutdown(ctx) // cuts off what is left
		require.NoError(t, <-done)
		http.DefaultClient.CloseIdleConnections()
	})
	return s, log
}

func dial(t *testing.T, s *Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return c
}

// waitOpen waits until so many connections count.
func waitOpen(t *testing.T, s *Server, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		open, _, _ := s.all.numbers()
		return open == n
	}, patience, time.Millisecond)
}

// ended waits until the server has closed a connection, without an answer.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := bufio.NewReader(c).ReadByte()
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "still open")
}

// ask makes a request on a connection and reads the answer.
func ask(t *testing.T, c net.Conn, path string) string {
	t.Helper()
	_, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body)
}

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

func TestWhoWaitsLongestMakesPlace(t *testing.T) {
	s, log := start(t, hello, nil)
	var silent []net.Conn
	for i := range 4 { // one says nothing, one begins a request, one is idle after one, one says nothing
		c := dial(t, s)
		waitOpen(t, s, i+1)
		switch i {
		case 1:
			_, err := io.WriteString(c, "GET / HTTP/1.1\r\nX-Slow: ")
			require.NoError(t, err)
		case 2:
			require.Equal(t, "hello", ask(t, c, "/"))
		}
		silent = append(silent, c)
	}
	require.Equal(t, "hello", ask(t, silent[3], "/"), "at the limit nobody has to go")
	for i := range 4 {
		c := dial(t, s)
		require.Equal(t, "hello", ask(t, c, "/"), "newcomer %d", i)
		ended(t, silent[i])
	}
	open, shed, refused := s.all.numbers()
	require.Equal(t, 4, open)
	require.EqualValues(t, 4, shed)
	require.Zero(t, refused)
	require.Contains(t, log.String(), "Too many connections")
	require.Equal(t, 1, strings.Count(log.String(), "Too many"), "once in a while, not once for each")
}

func TestWhoIsBeingAnsweredStays(t *testing.T) {
	release := make(chan struct{})
	s, _ := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-release
		}
		hello(w, r)
	}, func(cfg *Config) { cfg.MaxConnections = 2 })
	busy := dial(t, s)
	answers := make(chan string, 2)
	slow := func(c net.Conn) {
		_, err := io.WriteString(c, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		go func() {
			line, _ := bufio.NewReader(c).ReadString('\n')
			answers <- line
		}()
		require.Eventually(t, func() bool {
			s.all.mu.Lock()
			defer s.all.mu.Unlock()
			return s.all.waiting.Len() == 0
		}, patience, time.Millisecond)
	}
	slow(busy)
	idle := dial(t, s)
	waitOpen(t, s, 2)
	second := dial(t, s)
	ended(t, idle)
	slow(second)
	ended(t, dial(t, s)) // all are busy: turned away
	_, _, refused := s.all.numbers()
	require.EqualValues(t, 1, refused)
	close(release)
	for range 2 {
		require.Contains(t, <-answers, "200 OK")
	}
}

func TestHijackedConnectionsDoNotCount(t *testing.T) {
	taken := make(chan net.Conn, 8)
	s, _ := start(t, func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			taken <- c
		}
	}, func(cfg *Config) { cfg.MaxConnections = 1 })
	for range 3 {
		c := dial(t, s)
		_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		mine := <-taken
		defer mine.Close()
		waitOpen(t, s, 0)
		_, err = io.WriteString(mine, "x")
		require.NoError(t, err)
		_, err = c.Read(make([]byte, 1))
		require.NoError(t, err, "it lives")
	}
}

// TestSlowConnectionsEnd: with the times that the server has, scaled down, whoever sends headers, a body or nothing one byte at a
// time is cut off.
func TestSlowConnectionsEnd(t *testing.T) {
	s, _ := start(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}, func(cfg *Config) {
		cfg.tune = func(h *http.Server) {
			for _, d := range []*time.Duration{&h.ReadHeaderTimeout, &h.ReadTimeout, &h.IdleTimeout} {
				require.Positive(t, *d)
			}
			h.ReadHeaderTimeout, h.ReadTimeout, h.IdleTimeout = 30*time.Millisecond, 60*time.Millisecond, 30*time.Millisecond
		}
	})
	for name, begin := range map[string]string{
		"nothing": "", "header": "GET / HTTP/1.1\r\nX-A: ", "body": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx",
		"idle": "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, s)
			_, err := io.WriteString(c, begin)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, c)
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "it was not cut off")
		})
	}
	waitOpen(t, s, 0)
}

func TestWhoDoesNotReadIsCutOff(t *testing.T) {
	ends := make(chan error, 1)
	s, _ := start(t, func(w http.ResponseWriter, _ *http.Request) {
		piece := make([]byte, 1<<20)
		for {
			if _, err := w.Write(piece); err != nil {
				ends <- err
				return
			}
		}
	}, func(cfg *Config) {
		cfg.tune = func(h *http.Server) {
			require.Positive(t, h.WriteTimeout)
			h.WriteTimeout = 50 * time.Millisecond
		}
	})
	c := dial(t, s)
	_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	require.Error(t, <-ends)
	waitOpen(t, s, 0)
}

func TestLargeHeadersAreRefused(t *testing.T) {
	s, _ := start(t, hello, nil)
	c := dial(t, s)
	go func() { // more than any buffer of the system holds
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n")
		for range 1 << 14 {
			if _, err := io.WriteString(c, "X-A: "+strings.Repeat("a", 1000)+"\r\n"); err != nil {
				return
			}
		}
	}()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil { // else it was reset before the answer got through
		require.Contains(t, line, "431")
	}
	resp, err := http.Get("http://" + s.Addr().String() + "/?" + strings.Repeat("q", 8<<10))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode, "a long query is fine")
}

func TestPanicsAreLoggedAndEndOneRequest(t *testing.T) {
	s, log := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			panic("on purpose")
		}
		hello(w, r)
	}, nil)
	c := dial(t, s)
	_, err := io.WriteString(c, "GET /bad HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	ended(t, c)
	require.Equal(t, "hello", ask(t, dial(t, s), "/"))
	require.Contains(t, log.String(), "Request panicked")
	require.Contains(t, log.String(), "on purpose")
}

func TestShutdownCutsOffWhenThereIsNoTime(t *testing.T) {
	release := make(chan struct{})
	begun := make(chan struct{})
	s, err := Listen(Config{Name: "test", Address: "127.0.0.1:0", MaxConnections: 4, Log: zerolog.Nop(), Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-release
	})})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	c := dial(t, s)
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	<-begun
	ctx, cancel := contextThatEnded(t)
	defer cancel()
	require.ErrorIs(t, s.Shutdown(ctx), ctx.Err())
	require.NoError(t, <-done)
	ended(t, c)
	close(release)
	waitOpen(t, s, 0)
}

func TestListenErrors(t *testing.T) {
	s, _ := start(t, hello, nil)
	_, err := Listen(Config{Name: "second", Address: s.Addr().String(), Log: zerolog.Nop()})
	require.ErrorContains(t, err, "failed to listen for second on "+s.Addr().String())
	_, err = Listen(Config{Name: "third", Address: "127.0.0.1:0", CertFile: "missing.pem", KeyFile: "missing.key", Log: zerolog.Nop()})
	require.ErrorContains(t, err, "failed to set up TLS for third")
	// One that is never served lets go of its port.
	s, err = Listen(Config{Name: "fourth", Address: "127.0.0.1:0", Log: zerolog.Nop()})
	require.NoError(t, err)
	require.NoError(t, s.Shutdown(t.Context()))
	_, err = net.Dial("tcp", s.Addr().String())
	require.Error(t, err)
}
