package postgres

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Cut says where a [Proxy] cuts a connection that commits.
type Cut int

const (
	// CutNever: it does not.
	CutNever Cut = iota
	// CutBefore: the server does not get the COMMIT.
	CutBefore
	// CutAfter: the server has committed, and its answer gets lost.
	CutAfter
)

// Proxy stands between a program and a server and loses what it is told to lose. It is safe for concurrent use.
type Proxy struct {
	listener net.Listener
	server   string

	mu     sync.Mutex
	cut    Cut
	closed bool // takes no new connections
	conns  map[net.Conn]struct{}
	tasks  sync.WaitGroup
}

// NewProxy starts a proxy in front of s and returns it with the folder of its socket, for [Server.URIAt].
func NewProxy(t testing.TB, s *Server) (p *Proxy, folder string) {
	t.Helper()
	folder, err := os.MkdirTemp("", "tbpx")
	require.NoError(t, err)
	p = &Proxy{server: s.Socket(), conns: make(map[net.Conn]struct{})}
	p.listener, err = net.Listen("unix", filepath.Join(folder, filepath.Base(s.Socket())))
	require.NoError(t, err)
	p.tasks.Go(p.accept)
	t.Cleanup(func() {
		p.Refuse(true)
		_ = p.listener.Close()
		p.tasks.Wait()
		require.NoError(t, os.RemoveAll(folder))
	})
	return p, folder
}

// CutNext cuts the next connection that commits, once.
func (p *Proxy) CutNext(cut Cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
}

// Refuse ends all connections and takes none, until it is called with false.
func (p *Proxy) Refuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = refuse
	for conn := range p.conns {
		if refuse {
			_ = conn.Close()
		}
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			continue
		}
		server, err := net.Dial("unix", p.server)
		if err != nil || !p.keep(client, server) {
			_ = client.Close()
			if err == nil {
				_ = server.Close()
			}
			continue
		}
		lose := make(chan struct{}) // closed before a COMMIT is passed on whose answer is to be lost
		p.tasks.Go(func() {
			p.pass(client, server, func(data []byte) bool {
				switch p.take(data) {
				case CutBefore:
					return false
				case CutAfter:
					close(lose)
				}
				return true
			})
		})
		p.tasks.Go(func() {
			p.pass(server, client, func([]byte) bool {
				select {
				case <-lose:
					return false
				default:
					return true
				}
			})
		})
	}
}

func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		p.conns[conn] = struct{}{}
	}
	return !p.closed
}

// take tells what is to be done with what a client sends.
func (p *Proxy) take(data []byte) Cut {
	if !bytes.HasPrefix(data, []byte("Q")) || !bytes.HasSuffix(data, []byte("commit\x00")) {
		return CutNever
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	cut := p.cut
	p.cut = CutNever
	return cut
}

// pass copies until one side ends or may says no, and then ends both.
func (p *Proxy) pass(from, to net.Conn, may func([]byte) bool) {
	data := make([]byte, 64<<10)
	for {
		n, err := from.Read(data)
		if n > 0 && !may(data[:n]) {
			break
		}
		if n > 0 {
			if _, err := to.Write(data[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_, _ = from.Close(), to.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, from)
	delete(p.conns, to)
}
