package v2tim_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/bridge/v2tim/v2timtest"
)

func (b *bed) listen(user, cursor string) *v2timtest.Listener {
	b.t.Helper()
	l, err := b.client(user).Listen(b.t.Context(), cursor)
	require.NoError(b.t, err)
	b.t.Cleanup(l.Close)
	return l
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func next(t *testing.T, l *v2timtest.Listener) v2tim.Event {
	t.Helper()
	e, err := l.Next(soon(t))
	require.NoError(t, err)
	return e
}

func TestEventsArriveAndResume(t *testing.T) {
	b := newBed(t)
	b.events.put("alice", receipt("m0", 1, 1))
	l := b.listen("alice", "")
	require.Equal(t, "1", l.Cursor, "from now on")

	b.events.put("bob", receipt("his", 1, 1))
	b.events.put("alice", receipt("m1", 1, 2))
	e := next(t, l)
	require.Equal(t, v2tim.EventReadReceipts, e.Event)
	require.Equal(t, "3", e.Cursor)
	require.Equal(t, []v2tim.MessageReceipt{receipt("m1", 1, 2)}, e.ReceiptList, "his own only")
	b.events.put("alice", message("m2"))
	e = next(t, l)
	require.Equal(t, v2tim.EventNewMessage, e.Event)
	require.Equal(t, message("m2"), *e.Message)
	l.Close()

	b.events.put("alice", receipt("m3", 2, 1), message("m4"))
	l = b.listen("alice", e.Cursor)
	require.Equal(t, message("m4"), *next(t, l).Message)
	require.Equal(t, []v2tim.MessageReceipt{receipt("m3", 2, 1)}, next(t, l).ReceiptList)
	l.Close()

	l = b.listen("alice", "0")
	cursor, err := l.WaitReceipt(soon(t), "m3", 2, 1)
	require.NoError(t, err)
	require.Equal(t, "6", cursor)
}

func TestEventsResync(t *testing.T) {
	b := newBed(t)
	b.events.put("alice", message("m1"), message("m2"))
	b.events.set(func(f *fakeEvents) { f.oldest = 1 })
	for _, cursor := range []string{"0", "no cursor of ours", "-1", "7", strings.Repeat("9", 3000)} {
		l := b.listen("alice", cursor)
		e := next(t, l)
		require.Equal(t, v2tim.Event{Event: v2tim.EventResync, Cursor: "2"}, e, cursor)
		l.Close()
	}
}

func TestEveryListenerOfAUserGetsEverything(t *testing.T) {
	b := newBed(t)
	listeners := []*v2timtest.Listener{b.listen("alice", ""), b.listen("alice", ""), b.listen("alice", "")}
	b.events.put("alice", message("m1"))
	for _, l := range listeners {
		m, err := l.WaitMessage(soon(t), func(m v2tim.NewMessage) bool { return m.MsgID == "m1" })
		require.NoError(t, err)
		require.Equal(t, "text of m1", m.Text)
	}
}

func TestListenersAreRefusedInTheFrame(t *testing.T) {
	b := newBed(t, func(c *v2tim.Config) {
		c.MaxConnections, c.MaxConnectionsPerUser = 3, 2
	})
	refused := func(c *v2timtest.Client, code int) {
		t.Helper()
		_, err := c.Listen(t.Context(), "")
		require.EqualValues(t, code, codeOf(t, err), err)
	}
	c := b.client("alice")
	c.UserSig = "garbage"
	refused(c, 70003)
	c = b.client("alice")
	c.UserSig = ""
	refused(c, 6014)
	c = b.client("alice")
	c.UserID = "bob"
	refused(c, 70013)
	c = b.client("alice")
	c.SDKAppID++
	refused(c, 60006)

	first := b.listen("alice", "")
	b.listen("alice", "")
	refused(b.client("alice"), 7008)
	b.listen("bob", "")
	refused(b.client("carol"), 60022)
	first.Close()
	require.Eventually(t, func() bool {
		l, err := b.client("carol").Listen(t.Context(), "")
		if err == nil {
			l.Close()
		}
		return err == nil
	}, 10*time.Second, 5*time.Millisecond, "a place becomes free")
}

func TestUpgradesThatAreNone(t *testing.T) {
	b := newBed(t)
	good := map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
	}
	for name, change := range map[string][2]string{
		"connection": {"Connection", "keep-alive"}, "upgrade": {"Upgrade", "h2c"}, "version": {"Sec-WebSocket-Version", "8"},
		"key": {"Sec-WebSocket-Key", "short"}, "no key": {"Sec-WebSocket-Key", ""},
	} {
		var header []string
		for k, v := range good {
			if k == change[0] {
				v = change[1]
			}
			if v != "" {
				header = append(header, k, v)
			}
		}
		require.Equal(t, 60002, b.ask(http.MethodGet, "/v4/v2tim/events", query(t, "alice", nil), nil, header...).code, name)
	}
	b.events.set(func(f *fakeEvents) { require.Empty(t, f.wakes) })
}

func TestCloseEndsListeners(t *testing.T) {
	b := newBed(t)
	var listeners []*v2timtest.Listener
	for i := range 20 {
		listeners = append(listeners, b.listen(fmt.Sprint("user", i), ""))
	}
	require.NoError(t, b.server.Close(soon(t)))
	require.Zero(t, b.events.subscribers(), "all have ended when Close returns")
	for _, l := range listeners {
		_, err := l.Next(soon(t))
		require.Equal(t, websocket.StatusGoingAway, websocket.CloseStatus(err), err)
	}
	_, err := b.client("late").Listen(t.Context(), "")
	require.EqualValues(t, 60022, codeOf(t, err))
	require.NoError(t, b.server.Close(soon(t)), "twice is fine")
	require.NoError(t, b.client("alice").SendMessageReadReceipts(t.Context(), "m1"), "calls still work")
}

// deaf opens a WebSocket and never reads from it again.
func deaf(t *testing.T, b *bed, user string) *websocket.Conn {
	c := b.client(user)
	conn, _, err := websocket.Dial(t.Context(), strings.Replace(c.URL("v2tim", "events"), "http", "ws", 1), nil)
	require.NoError(t, err)
	_, _, err = conn.Read(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

func TestSlowClientIsDroppedAndHoldsNobody(t *testing.T) {
	b := newBed(t, func(c *v2tim.Config) { c.WriteTimeout = 2 * time.Second })
	deaf(t, b, "alice")
	good := b.listen("alice", "")
	require.Equal(t, 2, b.events.subscribers())
	// Far more than the buffers of a connection hold.
	big := message("big")
	big.Text = strings.Repeat("x", 128<<10)
	const n = 128
	for range n {
		b.events.put("alice", big)
	}
	for range n {
		e := next(t, good)
		require.Equal(t, "big", e.Message.MsgID)
	}
	require.Eventually(t, func() bool { return b.events.subscribers() == 1 }, 20*time.Second, 5*time.Millisecond)
}

func TestSilentClientIsNoticedByPing(t *testing.T) {
	b := newBed(t, func(c *v2tim.Config) { c.PingInterval, c.WriteTimeout = 20*time.Millisecond, 50*time.Millisecond })
	good := b.listen("bob", "") // its library answers pings
	deaf(t, b, "alice")
	require.Eventually(t, func() bool { return b.events.subscribers() == 1 }, 10*time.Second, 5*time.Millisecond)
	b.events.put("bob", message("m1"))
	require.Equal(t, "m1", next(t, good).Message.MsgID)
}

func TestCloseCutsOffWhoDoesNotAnswer(t *testing.T) {
	b := newBed(t)
	deaf(t, b, "alice")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, b.server.Close(ctx), context.Canceled)
	require.Zero(t, b.events.subscribers())
}

func TestCloseWaitsOnlySoLongForAnAnswer(t *testing.T) {
	b := newBed(t)
	deaf(t, b, "alice")
	require.NoError(t, b.server.Close(soon(t)), "it does not wait until the context ends")
}

func TestListenerEndsWithItsUserSig(t *testing.T) {
	b := newBed(t)
	c := b.client("alice")
	var err error
	c.UserSig, err = v2tim.GenUserSig(appID, secret, "alice", time.Second)
	require.NoError(t, err)
	l, err := c.Listen(t.Context(), "")
	require.NoError(t, err)
	defer l.Close()
	require.Equal(t, v2tim.EventUserSigExpired, next(t, l).Event)
	_, err = l.Next(soon(t))
	require.Equal(t, websocket.StatusPolicyViolation, websocket.CloseStatus(err), err)
	require.ErrorContains(t, err, "70001")
}

func TestWhatClientsSendIsIgnored(t *testing.T) {
	b := newBed(t)
	open := func(user string) *websocket.Conn {
		conn, _, err := websocket.Dial(t.Context(), strings.Replace(b.client(user).URL("v2tim", "events"), "http", "ws", 1), nil)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.CloseNow() })
		_, first, err := conn.Read(soon(t))
		require.NoError(t, err)
		require.JSONEq(t, fmt.Sprintf(`{"event":"onConnectSuccess","cursor":"%d"}`, len(b.events.log)), string(first))
		return conn
	}
	polite := open("polite")
	require.NoError(t, polite.Write(t.Context(), websocket.MessageText, []byte(`{"hello":1}`)))
	require.NoError(t, polite.Write(t.Context(), websocket.MessageBinary, make([]byte, 4000)))
	b.events.put("polite", receipt("m1", 1, 0))
	_, text, err := polite.Read(soon(t))
	require.NoError(t, err)
	require.JSONEq(t, `{"event":"onRecvMessageReadReceipts","cursor":"1","receiptList":[{"msgID":"m1","groupID":"g1","userID":"","timestamp":0,"readCount":1,"unreadCount":0,"isPeerRead":false}]}`, string(text))

	large := open("large")
	_ = large.Write(t.Context(), websocket.MessageText, make([]byte, 10<<10))
	_, _, err = large.Read(soon(t))
	require.Equal(t, websocket.StatusMessageTooBig, websocket.CloseStatus(err), err)

	chatter := open("chatter")
	for range 1000 {
		if chatter.Write(t.Context(), websocket.MessageText, []byte("x")) != nil {
			break
		}
	}
	_, _, err = chatter.Read(soon(t))
	require.Equal(t, websocket.StatusPolicyViolation, websocket.CloseStatus(err), err)
}

func TestFailingSourceEndsTheListener(t *testing.T) {
	b := newBed(t)
	l := b.listen("alice", "")
	b.events.set(func(f *fakeEvents) { f.err = errors.New("disk full") })
	b.events.put("alice", message("m1"))
	_, err := l.Next(soon(t))
	require.Equal(t, websocket.StatusTryAgainLater, websocket.CloseStatus(err), err)
	require.NotContains(t, err.Error(), "disk", "nothing of the inside shows")
}

func TestManyListenersAndSenders(t *testing.T) {
	b := newBed(t)
	const users, each = 20, 30
	var wg sync.WaitGroup
	for u := range users {
		user := fmt.Sprint("user", u)
		l := b.listen(user, "")
		wg.Go(func() {
			for i := range each {
				b.events.put(user, receipt("m", uint64(i), 0), message(fmt.Sprint("n", i)))
			}
		})
		wg.Go(func() {
			messages, read := 0, uint64(0)
			for messages < each || read < each-1 {
				e, err := l.Next(soon(t))
				if err != nil {
					t.Errorf("%s: %v", user, err)
					return
				}
				if e.Message != nil {
					if want := fmt.Sprint("n", messages); e.Message.MsgID != want {
						t.Errorf("%s: got %s, want %s", user, e.Message.MsgID, want)
					}
					messages++
				}
				for _, r := range e.ReceiptList {
					if r.ReadCount < read {
						t.Errorf("%s: counts fell from %d to %d", user, read, r.ReadCount)
					}
					read = r.ReadCount
				}
			}
		})
	}
	wg.Wait()
}
