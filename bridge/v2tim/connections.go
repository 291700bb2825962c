package v2tim

import (
	"context"
	"sync"

	"github.com/timbridge/timbridge/receipts"
)

// connections counts the open WebSockets, in all and by user, and ends them. Safe
// for concurrent use.
type connections struct {
	most, mostPerUser int

	// leave asks every listener to end politely, cut takes its connection away.
	leave, cut         context.Context
	leaveNow, cutItNow context.CancelFunc

	mu      sync.Mutex
	closed  bool
	perUser map[string]int
	total   int
	none    chan struct{} // closed when closed and total is 0
}

func newConnections(most, mostPerUser int) *connections {
	c := &connections{most: most, mostPerUser: mostPerUser, perUser: make(map[string]int), none: make(chan struct{})}
	c.leave, c.leaveNow = context.WithCancel(context.Background())
	c.cut, c.cutItNow = context.WithCancel(context.Background())
	return c
}

// acquire counts one more connection of user; release must be called once.
func (c *connections) acquire(user string) (release func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, refuse(receipts.CodeOverload, "the server is stopping, try again")
	case c.total >= c.most:
		return nil, refuse(receipts.CodeOverload, "too many connections, try again")
	case c.perUser[user] >= c.mostPerUser:
		return nil, refuse(receipts.CodeAPICallFrequencyLimit, "too many connections of this user")
	}
	c.total++
	c.perUser[user]++
	return func() { c.release(user) }, nil
}

func (c *connections) release(user string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.perUser[user]--; c.perUser[user] == 0 {
		delete(c.perUser, user)
	}
	if c.closed && c.total == 0 {
		close(c.none)
	}
}

// close lets nobody in any more and asks all to leave. Once only.
func (c *connections) close() {
	c.mu.Lock()
	c.closed = true
	if c.total == 0 {
		close(c.none)
	}
	c.mu.Unlock()
	c.leaveNow()
}

// wait returns when all have left; when ctx ends first they are cut off.
func (c *connections) wait(ctx context.Context) error {
	select {
	case <-c.none:
		c.cutItNow()
		return nil
	case <-ctx.Done():
	}
	c.cutItNow()
	<-c.none
	return ctx.Err()
}
