package webserver

import (
	"container/list"
	"errors"
	"net"
	"sync"
	"syscall"
)

// connections are those of one listener. Safe for concurrent use.
type connections struct {
	most int

	mu      sync.Mutex
	total   int
	waiting list.List // of *conn on which no request is being answered, the one that waits longest first

	shed, refused uint64 // so far
}

// conn is one connection while it counts.
type conn struct {
	net.Conn
	all *connections

	counts bool          // guarded by all.mu, as is place
	place  *list.Element // in all.waiting; nil while a request is being answered
}

// admit counts a new connection. At the limit it closes the one that waits longest, and the new one where all are busy: then it
// returns nil. crowded tells that one had to go.
func (c *connections) admit(raw net.Conn) (admitted *conn, crowded bool) {
	c.mu.Lock()
	var victim net.Conn
	if c.total >= c.most {
		if victim = c.takeOldest(); victim == nil {
			c.refused++
			c.mu.Unlock()
			_ = raw.Close()
			return nil, true
		}
	}
	admitted = &conn{Conn: raw, all: c, counts: true}
	admitted.place = c.waiting.PushBack(admitted)
	c.total++
	c.mu.Unlock()
	if victim != nil {
		_ = victim.Close()
	}
	return admitted, victim != nil
}

// shedOne closes the connection that waits longest, if there is one.
func (c *connections) shedOne() bool {
	c.mu.Lock()
	victim := c.takeOldest()
	c.mu.Unlock()
	return victim != nil && victim.Close() == nil
}

// takeOldest takes out the connection that waits longest, with mu held; nil if all are busy.
func (c *connections) takeOldest() net.Conn {
	oldest := c.waiting.Front()
	if oldest == nil {
		return nil
	}
	c.shed++
	old := oldest.Value.(*conn)
	old.forget()
	return old.Conn
}

// forget ends the counting, with all.mu held.
func (c *conn) forget() {
	if !c.counts {
		return
	}
	c.counts = false
	c.all.total--
	if c.place != nil {
		c.all.waiting.Remove(c.place)
		c.place = nil
	}
}

// release ends the counting: the connection is closed, or somebody else's business.
func (c *conn) release() {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	c.forget()
}

// begin and end stand around the answering of a request.
func (c *conn) begin() {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if c.place != nil {
		c.all.waiting.Remove(c.place)
		c.place = nil
	}
}

func (c *conn) end() {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if c.counts && c.place == nil {
		c.place = c.all.waiting.PushBack(c)
	}
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.release()
	return c.Conn.Close()
}

// numbers tells how many connections there are, and how many have been closed early and turned away so far.
func (c *connections) numbers() (open int, shed, refused uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total, c.shed, c.refused
}

// bounded is a listener whose connections are counted.
type bounded struct {
	net.Listener
	all *connections
	// crowded hears of every connection that had to go.
	crowded func()
}

// Accept implements net.Listener. Where the system gives no more connections because too many files are open, those that wait go too.
func (b bounded) Accept() (net.Conn, error) {
	for {
		raw, err := b.Listener.Accept()
		switch {
		case errors.Is(err, syscall.EMFILE) && b.all.shedOne():
			b.crowded()
			continue
		case err != nil:
			return nil, err
		}
		admitted, crowded := b.all.admit(raw)
		if crowded {
			b.crowded()
		}
		if admitted != nil {
			return admitted, nil
		}
	}
}
