package chaos

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// ear is an app that listens to what timbridge pushes. It loses its WebSocket whenever timbridge ends, and goes on from its cursor.
type ear struct {
	*world
	p      *person
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	cursor string
	heard  map[string]int    // new messages by msgID, how often
	counts map[string]uint64 // the last readCount by msgID
	resync int
}

// listen begins to listen as somebody, and returns once he has a cursor.
func (w *world) listen(p *person) *ear {
	ctx, cancel := context.WithCancel(w.t.Context())
	e := &ear{world: w, p: p, cancel: cancel, done: make(chan struct{}), heard: make(map[string]int), counts: make(map[string]uint64)}
	ready := make(chan struct{})
	go e.run(ctx, ready)
	<-ready
	return e
}

func (e *ear) close() {
	e.cancel()
	<-e.done
}

func (e *ear) run(ctx context.Context, ready chan struct{}) {
	defer close(e.done)
	first := sync.OnceFunc(func() { close(ready) })
	defer first()
	for rest(ctx, 20*time.Millisecond) {
		e.mu.Lock()
		cursor := e.cursor
		e.mu.Unlock()
		l, err := e.p.app.Listen(ctx, cursor)
		if err != nil {
			continue // it is not there just now
		}
		if cursor == "" {
			e.mu.Lock()
			e.cursor = l.Cursor
			e.mu.Unlock()
		}
		first()
		for ev := range l.Events() {
			e.mu.Lock()
			if ev.Event == "resync" {
				e.resync++
			}
			if ev.Message != nil {
				e.heard[ev.Message.MsgID]++
			}
			for _, r := range ev.ReceiptList {
				e.counts[r.MsgID] = r.ReadCount
			}
			if ev.Cursor != "" {
				e.cursor = ev.Cursor
			}
			e.mu.Unlock()
		}
		l.Close()
	}
}

// checkEar: whoever listens hears of every message, and at last of the true number of readers of his own.
func (m *model) checkEar(e *ear) {
	e.mu.Lock()
	defer e.mu.Unlock()
	m.expect(e.resync == 0, "events", e.p.name, "to go on from the cursor", fmt.Sprint(e.resync, " times resync"))
	for _, row := range m.rows {
		what := fmt.Sprintf("message %d (%s) to %s", row.MsgSeq, row.MsgId, e.p.name)
		m.expect(e.heard[row.MsgId] > 0, "onRecvNewMessage", what, "to hear of it", "nothing") // what comes again is by design: docs/api.md
		// Linking changes counts without a reader: nobody is told of that.
		wants := row.NeedReadReceipt != nil && bool(*row.NeedReadReceipt)
		if wants && row.From_Account == e.p.userID && row.ReadNum > 0 && row.IsPlaceMsg == 0 && !m.kind.linking {
			m.expect(e.counts[row.MsgId] == row.ReadNum, "onRecvMessageReadReceipts", what, row.ReadNum, e.counts[row.MsgId])
		}
	}
}
