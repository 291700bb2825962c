package v2timtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/coder/websocket"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/receipts"
)

// Listener is an open WebSocket that receives events.
type Listener struct {
	// Cursor is where it began: that of onConnectSuccess.
	Cursor string

	events chan v2tim.Event
	conn   *websocket.Conn
	cancel context.CancelFunc
	done   chan struct{}
	err    error // valid when events is closed
}

// Listen opens the WebSocket of events after cursor ("": from now on) and returns
// after onConnectSuccess. A refusal is a [*receipts.Error]. End it with Close, or
// by ending ctx.
func (c *Client) Listen(ctx context.Context, cursor string) (*Listener, error) {
	address := strings.Replace(c.URL(ServiceSDK, "events"), "http", "ws", 1)
	if cursor != "" {
		address += "&cursor=" + url.QueryEscape(cursor)
	}
	conn, resp, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPClient: c.HTTP, HTTPHeader: c.Header})
	if err != nil {
		return nil, refusal(resp, err)
	}
	conn.SetReadLimit(maxAnswer)
	ctx, cancel := context.WithCancel(ctx)
	l := &Listener{events: make(chan v2tim.Event, 256), conn: conn, cancel: cancel, done: make(chan struct{})}
	first, err := l.read(ctx)
	if err == nil && first.Event != v2tim.EventConnectSuccess {
		err = fmt.Errorf("the first event is %q", first.Event)
	}
	if err != nil {
		cancel()
		_ = conn.CloseNow()
		return nil, fmt.Errorf("failed to listen: %w", err)
	}
	l.Cursor = first.Cursor
	go l.run(ctx)
	return l, nil
}

// refusal reads what a server answered instead of opening a WebSocket.
func refusal(resp *http.Response, err error) error {
	if resp == nil || resp.Body == nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("failed to listen: %w", err)
	}
	// The library keeps the first kilobyte of the body for us.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	var answer struct {
		Code receipts.Code `json:"code"`
		Desc string        `json:"desc"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Code == 0 {
		return fmt.Errorf("failed to listen: %w", err)
	}
	return &receipts.Error{Code: answer.Code, Desc: answer.Desc}
}

// Events are the events after onConnectSuccess; closed when the WebSocket ends.
func (l *Listener) Events() <-chan v2tim.Event { return l.events }

// Err says why Events was closed; nil after Close. Valid once Events is closed.
func (l *Listener) Err() error { return l.err }

// Next returns the next event.
func (l *Listener) Next(ctx context.Context) (v2tim.Event, error) {
	select {
	case e, ok := <-l.events:
		if !ok {
			return v2tim.Event{}, errors.Join(errors.New("the listener has ended"), l.err)
		}
		return e, nil
	case <-ctx.Done():
		return v2tim.Event{}, fmt.Errorf("failed to wait for an event: %w", ctx.Err())
	}
}

// WaitReceipt waits until the counts of a message are as wanted, and returns the
// event's cursor; other events are passed over.
func (l *Listener) WaitReceipt(ctx context.Context, msgID string, readCount, unreadCount uint64) (cursor string, err error) {
	for {
		e, err := l.Next(ctx)
		if err != nil {
			return "", err
		}
		for _, r := range e.ReceiptList {
			if r.MsgID == msgID && r.ReadCount == readCount && r.UnreadCount == unreadCount {
				return e.Cursor, nil
			}
		}
	}
}

// WaitMessage waits for a new message that is as wanted; other events are passed
// over.
func (l *Listener) WaitMessage(ctx context.Context, wanted func(v2tim.NewMessage) bool) (v2tim.NewMessage, error) {
	for {
		e, err := l.Next(ctx)
		if err != nil {
			return v2tim.NewMessage{}, err
		}
		if e.Message != nil && wanted(*e.Message) {
			return *e.Message, nil
		}
	}
}

// Close ends the WebSocket and waits until it has ended.
func (l *Listener) Close() {
	l.cancel()
	<-l.done
}

func (l *Listener) run(ctx context.Context) {
	defer close(l.done)
	defer close(l.events)
	defer l.cancel()
	defer func() { _ = l.conn.CloseNow() }()
	for {
		e, err := l.read(ctx)
		if err != nil {
			if ctx.Err() == nil {
				l.err = err
			}
			return
		}
		select {
		case l.events <- e:
		case <-ctx.Done():
			return
		}
	}
}

func (l *Listener) read(ctx context.Context) (v2tim.Event, error) {
	_, text, err := l.conn.Read(ctx)
	if err != nil {
		return v2tim.Event{}, fmt.Errorf("failed to read an event: %w", err)
	}
	var e v2tim.Event
	if err = json.Unmarshal(text, &e); err != nil {
		return v2tim.Event{}, fmt.Errorf("failed to read an event: %w", err)
	}
	return e, nil
}
