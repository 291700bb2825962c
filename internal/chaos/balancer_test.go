package chaos

import (
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// balancer passes each connection on to one of the replicas, chosen at random among those that take it. One that is paused takes
// connections like any other, as the system does it for the program, until the balancer is told that it is away.
type balancer struct {
	listener net.Listener
	replicas []*replica
	port     func(*replica) int

	mu     sync.Mutex
	rand   *rand.Rand
	conns  map[net.Conn]struct{}
	closed bool
	tasks  sync.WaitGroup
}

func newBalancer(t *testing.T, r *rand.Rand, replicas []*replica, port func(*replica) int) *balancer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := &balancer{listener: l, replicas: replicas, port: port, rand: r, conns: make(map[net.Conn]struct{})}
	b.tasks.Go(b.accept)
	return b
}

func (b *balancer) URL() string { return "http://" + b.listener.Addr().String() }

func (b *balancer) stop() {
	b.mu.Lock()
	b.closed = true
	for conn := range b.conns {
		_ = conn.Close()
	}
	b.mu.Unlock()
	_ = b.listener.Close()
	b.tasks.Wait()
}

func (b *balancer) accept() {
	for {
		caller, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.tasks.Go(func() { b.pass(caller) })
	}
}

// pass joins two connections until one of them ends.
func (b *balancer) pass(caller net.Conn) {
	defer caller.Close()
	called := b.dial()
	if called == nil {
		return
	}
	defer called.Close()
	if !b.keep(caller, called) {
		return
	}
	defer b.drop(caller, called)
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(caller, called)
		_ = caller.Close()
	})
	_, _ = io.Copy(called, caller)
	_ = called.Close()
	back.Wait()
}

// dial connects with one of the replicas, at random; nil if all are down.
func (b *balancer) dial() net.Conn {
	b.mu.Lock()
	order := b.rand.Perm(len(b.replicas))
	b.mu.Unlock()
	for _, i := range order {
		if r := b.replicas[i]; !r.away.Load() {
			if conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(b.port(r)))); err == nil {
				return conn
			}
		}
	}
	return nil
}

func (b *balancer) keep(conns ...net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, conn := range conns {
		b.conns[conn] = struct{}{}
	}
	return !b.closed
}

func (b *balancer) drop(conns ...net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, conn := range conns {
		delete(b.conns, conn)
	}
}
