package webserver

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// scripted is a listener that gives what it is told.
type scripted struct {
	net.Listener
	give []any // net.Conn or error
}

func (s *scripted) Accept() (net.Conn, error) {
	if len(s.give) == 0 {
		return nil, net.ErrClosed
	}
	next := s.give[0]
	s.give = s.give[1:]
	if err, ok := next.(error); ok {
		return nil, err
	}
	return next.(net.Conn), nil
}

// TestWhenTheSystemHasNoMoreFiles the connections that wait make place, as at the limit.
func TestWhenTheSystemHasNoMoreFiles(t *testing.T) {
	tooMany := &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	waits, far := net.Pipe()
	next, _ := net.Pipe()
	broken := errors.New("broken")
	crowded := 0
	b := bounded{
		Listener: &scripted{give: []any{waits, tooMany, next, tooMany, tooMany, broken}}, all: &connections{most: 10},
		crowded: func() { crowded++ },
	}
	first, err := b.Accept()
	require.NoError(t, err)
	second, err := b.Accept()
	require.NoError(t, err)
	_, err = far.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "the first has gone")
	require.NotSame(t, first, second)
	second.(*conn).begin() // it is being answered
	_, err = b.Accept()
	require.ErrorIs(t, err, syscall.EMFILE, "nobody can go: net/http tries again later")
	require.Equal(t, 1, crowded)
	_, err = b.Accept()
	require.ErrorIs(t, err, syscall.EMFILE)
	_, err = b.Accept()
	require.ErrorIs(t, err, broken)
	require.NoError(t, first.Close())
	require.NoError(t, second.Close())
	open, _, _ := b.all.numbers()
	require.Zero(t, open)
}

// TestConnectionsCountRight whatever happens to them, side by side.
func TestConnectionsCountRight(t *testing.T) {
	all := &connections{most: 8}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 200 {
				near, far := net.Pipe()
				c, _ := all.admit(near)
				_ = far.Close()
				if c == nil {
					continue
				}
				switch (i + j) % 4 {
				case 0:
					c.begin()
					c.end()
				case 1:
					c.begin()
				case 2:
					c.release()
					c.end()
				}
				_ = c.Close()
				_ = c.Close()
			}
		})
	}
	wg.Wait()
	open, _, _ := all.numbers()
	require.Zero(t, open)
	require.Zero(t, all.waiting.Len())
}
