package v2tim

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// script is a source of events for one listener. These tests run in the bubbles of
// testing/synctest: time.Sleep moves a clock of their own there and waits for nothing.
type script struct {
	wake chan struct{}

	mu      sync.Mutex
	batches map[string]EventBatch // by the cursor asked with
	now     string
	err     error
	reads   int
	ended   bool
}

func newScript(now string) *script {
	return &script{wake: make(chan struct{}, 1), batches: make(map[string]EventBatch), now: now}
}

func (s *script) Subscribe(string) (<-chan struct{}, func()) {
	return s.wake, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended = true
	}
}

func (s *script) Read(_ context.Context, _, after string, limit int) (EventBatch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if b, ok := s.batches[after]; ok {
		if b.Cursor == "" {
			return EventBatch{}, ErrCursorTooOld
		}
		_, b.More = s.batches[b.Cursor]
		return b, s.err
	}
	return EventBatch{Cursor: after}, s.err
}

func (s *script) Now(context.Context) (string, error) { return s.now, s.err }

func (s *script) put(after, cursor string, items ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := EventBatch{Cursor: cursor}
	for _, item := range items {
		switch v := item.(type) {
		case MessageReceipt:
			b.Receipts = append(b.Receipts, v)
		case NewMessage:
			b.Messages = append(b.Messages, v)
		}
	}
	s.batches[after] = b
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// readsSoFar is how often the listener has read, once it waits.
func (s *script) readsSoFar() int {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

// run starts a listener and returns the frames it has sent so far, each as one
// line with its time since the start.
func (s *script) run(t *testing.T, cursor string) (frames func() []string, end func() error) {
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	began := time.Now()
	var lines []string
	l := &listener{user: "alice", events: s, window: 200 * time.Millisecond}
	l.send = func(_ context.Context, e Event) error {
		line := fmt.Sprintf("%v %s @%s", time.Since(began), e.Event, e.Cursor)
		for _, r := range e.ReceiptList {
			line += fmt.Sprintf(" %s:%d/%d", r.MsgID, r.ReadCount, r.UnreadCount)
		}
		if e.Message != nil {
			line += " " + e.Message.MsgID
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		lines = append(lines, line)
		return nil
	}
	go func() { done <- l.run(ctx, cursor) }()
	frames = func() []string {
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		out := lines
		lines = nil
		return out
	}
	end = func() error {
		cancel(errServerStops)
		err := <-done
		require.True(t, s.ended, "the subscription is over")
		return err
	}
	return frames, end
}

func counts(msgID string, read uint64) MessageReceipt {
	return MessageReceipt{MsgID: msgID, ReadCount: read, UnreadCount: 9 - read}
}

func TestListenerCoalescesReceipts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript("0")
		frames, end := s.run(t, "")
		require.Equal(t, []string{"0s onConnectSuccess @0"}, frames())

		time.Sleep(time.Second)
		s.put("0", "1", counts("m1", 1))
		require.Equal(t, []string{"1s onRecvMessageReadReceipts @1 m1:1/8"}, frames(), "the first of an idle listener goes at once")

		for i := 2; i <= 9; i++ { // within one window
			time.Sleep(10 * time.Millisecond)
			s.put(strconv.Itoa(i-1), strconv.Itoa(i), counts("m1", uint64(i)), counts("m2", uint64(i)/2))
		}
		require.Empty(t, frames(), "the window is closed")
		time.Sleep(time.Second)
		require.Equal(t, []string{"1.2s onRecvMessageReadReceipts @9 m1:9/0 m2:4/5"}, frames(), "the latest counts, once")

		require.ErrorIs(t, end(), errServerStops)
	})
}

func TestListenerDoesNotDelayMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript("0")
		frames, end := s.run(t, "5")
		require.Equal(t, []string{"0s onConnectSuccess @5"}, frames(), "it goes on where the client was")
		time.Sleep(time.Second)
		s.put("5", "6", counts("m1", 1))
		require.Len(t, frames(), 1)

		time.Sleep(50 * time.Millisecond)
		s.put("6", "7", counts("m1", 2))
		time.Sleep(50 * time.Millisecond)
		s.put("7", "9", NewMessage{MsgID: "m8"}, NewMessage{MsgID: "m9"})
		require.Equal(t, []string{"1.1s onRecvNewMessage @6 m8", "1.1s onRecvNewMessage @6 m9"}, frames(),
			"at once, and the cursor stays before what is held back")
		time.Sleep(time.Second)
		require.Equal(t, []string{"1.2s onRecvMessageReadReceipts @9 m1:2/7"}, frames())

		s.put("9", "11", NewMessage{MsgID: "m10"}, NewMessage{MsgID: "m11"})
		require.Equal(t, []string{"2.1s onRecvNewMessage @9 m10", "2.1s onRecvNewMessage @11 m11"}, frames(),
			"only the last of a batch moves the cursor")
		require.ErrorIs(t, end(), errServerStops)
	})
}

func TestListenerReadsToTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript("0")
		for i := range 5 { // long missed: many batches, one wake-up
			s.batches[strconv.Itoa(i)] = EventBatch{Cursor: strconv.Itoa(i + 1), Receipts: []MessageReceipt{counts("m"+strconv.Itoa(i), 1)}}
		}
		frames, end := s.run(t, "0")
		time.Sleep(time.Second)
		require.Equal(t, []string{
			"0s onConnectSuccess @0", "0s onRecvMessageReadReceipts @1 m0:1/8",
			"200ms onRecvMessageReadReceipts @5 m1:1/8 m2:1/8 m3:1/8 m4:1/8",
		}, frames())
		require.ErrorIs(t, end(), errServerStops)
	})
}

func TestListenerHoldsBackOnlySoMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript("0")
		for i := range 20 {
			var list []MessageReceipt
			for j := range 200 {
				list = append(list, counts(fmt.Sprint(i, "-", j), 1))
			}
			s.batches[strconv.Itoa(i)] = EventBatch{Cursor: strconv.Itoa(i + 1), Receipts: list}
		}
		frames, end := s.run(t, "0")
		require.Equal(t, 6, s.readsSoFar(), "one batch sent at once, five held back: then reading pauses")
		time.Sleep(10 * time.Second)
		require.Len(t, frames(), 1+1+4, "a frame for each window")
		require.Equal(t, 20, s.readsSoFar())
		require.ErrorIs(t, end(), errServerStops)
	})
}

func TestListenerReadsLittleInAStormOfWakeUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript("0")
		_, end := s.run(t, "0")
		for range 1000 {
			time.Sleep(time.Millisecond)
			s.put("x", "y")
		}
		require.LessOrEqual(t, s.readsSoFar(), 52, "a second is at most 50 reads")
		require.GreaterOrEqual(t, s.readsSoFar(), 40, "and no storm stops them")
		require.ErrorIs(t, end(), errServerStops)
	})
}

func TestListenerResyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript("100")
		s.batches["5"] = EventBatch{} // too old
		frames, end := s.run(t, "5")
		require.Equal(t, []string{"0s onConnectSuccess @5", "0s resync @100"}, frames())
		time.Sleep(time.Second)
		s.put("100", "101", NewMessage{MsgID: "m"})
		require.Equal(t, []string{"1s onRecvNewMessage @101 m"}, frames(), "and goes on from there")
		require.ErrorIs(t, end(), errServerStops)
	})
}

func TestListenerEndsOnFaults(t *testing.T) {
	cases := map[string]func(s *script){
		"a source that fails":        func(s *script) { s.err = errors.New("disk gone") },
		"a source that has ended":    func(s *script) { close(s.wake) },
		"now is too old as well":     func(s *script) { s.batches["5"], s.batches["0"] = EventBatch{}, EventBatch{} },
		"no cursor, and none to get": func(s *script) { s.err = errors.New("disk gone") },
	}
	for name, prepare := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript("0")
				prepare(s)
				cursor := "5"
				if name == "no cursor, and none to get" {
					cursor = ""
				}
				l := &listener{user: "alice", events: s, window: time.Second, send: func(context.Context, Event) error { return nil }}
				err := l.run(t.Context(), cursor)
				require.Error(t, err)
				require.NotErrorIs(t, err, context.Canceled)
				require.True(t, s.ended)
			})
		})
	}
}

func TestListenerEndsWhenTheClientIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript("0")
		gone := errors.New("gone")
		sent := 0
		l := &listener{user: "alice", events: s, window: time.Second, send: func(context.Context, Event) error {
			if sent++; sent > 1 {
				return gone
			}
			return nil
		}}
		s.put("0", "1", counts("m1", 1))
		require.ErrorIs(t, l.run(t.Context(), "0"), gone)
		require.True(t, s.ended)
	})
}
