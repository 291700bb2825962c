package webserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/time/rate"
)

// What a client gets at most. The time to read is that of the largest body that a handler takes; the time to write counts from the
// header on and has to be above that of the slowest answer, a minute each for the body and for the commit of a transaction. Who
// hijacks a connection, for a WebSocket, has bounds of his own.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = time.Minute
	writeTimeout  = 3 * time.Minute
	idleTimeout   = 2 * time.Minute
	maxHeader     = 16 << 10 // bytes, and 4 KiB more; the longest query taken anywhere has 8 KiB
)

// Config is what a Server is made from.
type Config struct {
	// Name is what the API is called in errors and in the log.
	Name string
	// Address is where to listen, as host:port; port 0 means any that is free.
	Address string
	Handler http.Handler
	// MaxConnections bounds the connections open at a time; those that a handler has hijacked do not count. 1 or more.
	MaxConnections int
	// CertFile and KeyFile, in PEM, make the server speak TLS only. Neither: plain HTTP.
	CertFile, KeyFile string
	// Log is also what handlers find in the context of a request.
	Log zerolog.Logger

	tune func(*http.Server) // for tests: changes the times
}

// Server is one listener and what answers there. Its methods are safe for concurrent use.
type Server struct {
	http     *http.Server
	listener net.Listener
	all      *connections
}

// connKey is under which the context of a request has its *conn.
type connKey struct{}

// Listen begins to listen; connections wait until Serve is called. An error says what is wrong with the address or the certificate.
func Listen(cfg Config) (*Server, error) {
	s := &Server{all: &connections{most: max(cfg.MaxConnections, 1)}}
	var protect *tls.Config
	if cfg.CertFile != "" {
		certificate, err := newCertificate(cfg.CertFile, cfg.KeyFile, cfg.Log.With().Str("api", cfg.Name).Logger())
		if err != nil {
			return nil, fmt.Errorf("failed to set up TLS for %s: %w", cfg.Name, err)
		}
		protect = certificate.serverTLS()
	}
	raw, err := net.Listen("tcp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("failed to listen for %s on %s: %w", cfg.Name, cfg.Address, err)
	}
	sometimes := rate.Sometimes{Interval: 10 * time.Second}
	s.listener = bounded{Listener: raw, all: s.all, crowded: func() {
		sometimes.Do(func() {
			_, shed, refused := s.all.numbers()
			cfg.Log.Warn().Str("api", cfg.Name).Int("most", s.all.most).Uint64("closed", shed).Uint64("refused", refused).
				Msg("Too many connections, closing those that ask for nothing")
		})
	}}
	if protect != nil {
		s.listener = tls.NewListener(s.listener, protect)
	}
	s.http = &http.Server{
		Handler:           answering(cfg.Handler),
		BaseContext:       func(net.Listener) context.Context { return cfg.Log.WithContext(context.Background()) },
		ConnContext:       withConn,
		ConnState:         hijacked,
		ErrorLog:          log.New(errorLog{cfg.Log.With().Str("api", cfg.Name).Logger()}, "", 0),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader,
	}
	if cfg.tune != nil {
		cfg.tune(s.http)
	}
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Serve answers until Shutdown is called, and returns nil then.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown takes no more connections and waits until all requests have been answered, or until ctx ends: then it cuts them off and
// returns the context's error. Hijacked connections are not its business.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	_ = s.listener.Close() // where Serve was never called
	if err != nil {
		_ = s.http.Close()
	}
	return err
}

// connOf finds the counted connection under what net/http shows.
func connOf(c net.Conn) (*conn, bool) {
	if protected, ok := c.(*tls.Conn); ok {
		c = protected.NetConn()
	}
	counted, ok := c.(*conn)
	return counted, ok
}

func withConn(ctx context.Context, c net.Conn) context.Context {
	if counted, ok := connOf(c); ok {
		return context.WithValue(ctx, connKey{}, counted)
	}
	return ctx
}

func hijacked(c net.Conn, state http.ConnState) {
	if counted, ok := connOf(c); ok && state == http.StateHijacked {
		counted.release()
	}
}

// answering notes on which connections requests are being answered.
func answering(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if counted, ok := r.Context().Value(connKey{}).(*conn); ok {
			counted.begin()
			defer counted.end()
		}
		handler.ServeHTTP(w, r)
	})
}

// errorLog takes what net/http has to say: of clients, which can be much, and of handlers that panicked.
type errorLog struct{ log zerolog.Logger }

// Write implements io.Writer.
func (e errorLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if strings.HasPrefix(text, "http: panic") {
		e.log.Error().Str("panic", text).Msg("Request panicked")
	} else {
		e.log.Debug().Str("what", text).Msg("Bad connection")
	}
	return len(line), nil
}
