package lab

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"
)

// The driver runs from memory, so that a compiled test needs no source tree.
//
//go:embed jssdk/driver.mjs
var jsDriver string

// JSClient is a user logged in with matrix-js-sdk, the library under Element, in a Node.js process of its own: what it says
// is what people would see. It is safe for concurrent use. Close ends it.
type JSClient struct {
	ID id.UserID

	proc  *process
	input io.WriteCloser
	log   *logBuffer

	mu      sync.Mutex
	lastID  int
	pending map[int]chan jsAnswer
	gone    chan struct{} // closed when its output has ended
}

type jsAnswer struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  string          `json:"error"`
}

// StartJSClient logs user in (by his password: he must come from RegisterUser) and returns after the first sync.
// It fails with a *[MissingError] when matrix-js-sdk is not on this machine.
func StartJSClient(ctx context.Context, user *User) (*JSClient, error) {
	dir, err := toolDir(jsSDK)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("node", "--input-type=module", "--eval", jsDriver)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TIMBRIDGE_JSSDK="+dir)
	c := &JSClient{log: &logBuffer{}, pending: map[int]chan jsAnswer{}, gone: make(chan struct{})}
	cmd.Stderr = c.log
	// Pipes of our own, so that Wait does not close the reading end before everything was read.
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("failed to make pipe: %w", err)
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("failed to make pipe: %w", err), inRead.Close(), inWrite.Close())
	}
	cmd.Stdin, cmd.Stdout = inRead, outWrite
	c.input = inWrite
	c.proc, err = startProcess(cmd)
	if err = errors.Join(err, inRead.Close(), outWrite.Close()); err != nil {
		return nil, errors.Join(err, inWrite.Close(), outRead.Close())
	}
	go c.read(outRead)
	login := map[string]any{"baseUrl": user.hs.URL(), "user": string(user.ID), "password": user.Password}
	if err = c.call(ctx, "login", login, &c.ID); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Close ends the client. Closing twice is fine.
func (c *JSClient) Close() error {
	_ = c.input.Close() // its end is the driver's sign to end; closed already is fine
	timer := time.NewTimer(5 * time.Second)
	defer timer.Stop()
	select {
	case <-c.proc.done:
	case <-timer.C:
		if err := c.proc.kill(); err != nil {
			return err
		}
	}
	<-c.gone
	return nil
}

// Join joins a room.
func (c *JSClient) Join(ctx context.Context, room id.RoomID) error {
	return c.call(ctx, "join", map[string]any{"room": room}, nil)
}

// SendText sends a text message.
func (c *JSClient) SendText(ctx context.Context, room id.RoomID, body string) (event id.EventID, err error) {
	err = c.call(ctx, "sendText", map[string]any{"room": room, "body": body}, &event)
	return event, err
}

// WaitEvent waits until the client knows the event.
func (c *JSClient) WaitEvent(ctx context.Context, room id.RoomID, event id.EventID) error {
	return c.call(ctx, "waitEvent", map[string]any{"room": room, "event": event}, nil)
}

// SendReadReceipt calls client.sendReadReceipt for an event that it knows: see WaitEvent. On a homeserver with threads the
// SDK sends thread_id "main" with it.
func (c *JSClient) SendReadReceipt(ctx context.Context, room id.RoomID, event id.EventID) error {
	return c.call(ctx, "sendReadReceipt", map[string]any{"room": room, "event": event}, nil)
}

// UsersReadUpTo returns room.getUsersReadUpTo: whose marker the SDK shows at exactly this event. It counts in what the SDK
// takes for granted: a sender has read his own message.
func (c *JSClient) UsersReadUpTo(ctx context.Context, room id.RoomID, event id.EventID) (users []id.UserID, err error) {
	err = c.call(ctx, "usersReadUpTo", map[string]any{"room": room, "event": event}, &users)
	return users, err
}

// EventReadUpTo returns room.getEventReadUpTo: the event at which a user's marker is, going by receipts that came from the
// homeserver alone; "" for none.
func (c *JSClient) EventReadUpTo(ctx context.Context, room id.RoomID, user id.UserID) (event id.EventID, err error) {
	err = c.call(ctx, "eventReadUpTo", map[string]any{"room": room, "user": user}, &event)
	return event, err
}

// WaitReadUpTo waits until EventReadUpTo is this event.
func (c *JSClient) WaitReadUpTo(ctx context.Context, room id.RoomID, user id.UserID, event id.EventID) error {
	return c.call(ctx, "waitReadUpTo", map[string]any{"room": room, "user": user, "event": event}, nil)
}

// Unread returns the number of unread notifications that the SDK shows.
func (c *JSClient) Unread(ctx context.Context, room id.RoomID) (n int, err error) {
	err = c.call(ctx, "unread", map[string]any{"room": room}, &n)
	return n, err
}

// call sends a command and waits for its answer, at most as long as ctx or WaitTimeout says.
func (c *JSClient) call(ctx context.Context, command string, args map[string]any, out any) error {
	ctx, cancel := withWaitTimeout(ctx)
	defer cancel()
	deadline, _ := ctx.Deadline()
	answered := make(chan jsAnswer, 1)
	c.mu.Lock()
	c.lastID++
	number := c.lastID
	c.pending[number] = answered
	// The driver gives up first, since it can tell what it was waiting for.
	args["id"], args["cmd"], args["timeoutMs"] = number, command, max(0, time.Until(deadline).Milliseconds()-200)
	line, err := json.Marshal(args)
	if err == nil {
		_, err = c.input.Write(append(line, '\n'))
	}
	c.mu.Unlock()
	defer c.forget(number)
	if err != nil {
		return fmt.Errorf("failed to send %s to matrix-js-sdk: %w; it printed:\n%s", command, err, c.log)
	}
	select {
	case answer := <-answered:
		if answer.Error != "" {
			return fmt.Errorf("failed to %s with matrix-js-sdk as %s: %s", command, c.ID, answer.Error)
		}
		if out == nil {
			return nil
		}
		if err = json.Unmarshal(answer.Result, out); err != nil {
			return fmt.Errorf("failed to decode answer of matrix-js-sdk to %s: %w", command, err)
		}
		return nil
	case <-c.gone:
		return fmt.Errorf("failed to %s: matrix-js-sdk ended; it printed:\n%s", command, c.log)
	case <-ctx.Done():
		return fmt.Errorf("failed to %s with matrix-js-sdk in time: %w; it printed:\n%s", command, ctx.Err(), c.log)
	}
}

func (c *JSClient) forget(number int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, number)
}

// read hands the driver's answers to those who wait for them.
func (c *JSClient) read(output io.ReadCloser) {
	defer close(c.gone)
	defer output.Close()
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, maxBody)
	for lines.Scan() {
		var answer jsAnswer
		if json.Unmarshal(lines.Bytes(), &answer) != nil {
			continue // not ours
		}
		c.mu.Lock()
		answered := c.pending[answer.ID]
		delete(c.pending, answer.ID)
		c.mu.Unlock()
		if answered != nil {
			answered <- answer
		}
	}
}

// logBuffer keeps the end of what a process prints. It is safe for concurrent use.
type logBuffer struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer; it never fails.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	if len(b.text) > 2*logTailBytes {
		b.text = bytes.Clone(b.text[len(b.text)-logTailBytes:])
	}
	return len(p), nil
}

// String returns the last lines.
func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return lastLines(string(b.text), 20)
}
