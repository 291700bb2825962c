package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/bridge/v2tim/v2timtest"
	"github.com/timbridge/timbridge/internal/lab"
	"github.com/timbridge/timbridge/receipts"
)

// arrival is how long the demo waits for anything to arrive.
const arrival = 30 * time.Second

// matrixUser is an ordinary Matrix user with an open /sync.
type matrixUser struct {
	*lab.User
	sees *lab.Watcher
}

func newMatrixUser(ctx context.Context, hs *lab.Homeserver, localpart string) (*matrixUser, error) {
	user, err := hs.RegisterUser(ctx, localpart)
	if err != nil {
		return nil, err
	}
	sees, err := user.Watch(ctx)
	if err != nil {
		return nil, err
	}
	return &matrixUser{User: user, sees: sees}, nil
}

// waitText waits for a message in the user's /sync.
func (u *matrixUser) waitText(ctx context.Context, room id.RoomID, text string) (lab.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, arrival)
	defer cancel()
	return u.sees.WaitText(ctx, room, text)
}

// waitReceipt waits for somebody else's receipt in the user's /sync.
func (u *matrixUser) waitReceipt(ctx context.Context, room id.RoomID, reader id.UserID, event id.EventID) error {
	ctx, cancel := context.WithTimeout(ctx, arrival)
	defer cancel()
	_, err := u.sees.WaitReceipt(ctx, room, reader, event)
	return err
}

// waitEvent waits for an event in the user's /sync.
func (u *matrixUser) waitEvent(ctx context.Context, room id.RoomID, what string, ok func(lab.Event) bool) (lab.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, arrival)
	defer cancel()
	return u.sees.WaitEventFunc(ctx, room, what, ok)
}

func (u *matrixUser) waitMember(ctx context.Context, room id.RoomID, who id.UserID) error {
	ctx, cancel := context.WithTimeout(ctx, arrival)
	defer cancel()
	return u.sees.WaitMember(ctx, room, who, "join")
}

// timUser is a user of the V2TIM API, with an open WebSocket. Everything that came on it is kept.
type timUser struct {
	*v2timtest.Client
	mxid     id.UserID // his ghost
	listener *v2timtest.Listener

	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever something comes
	events  []v2tim.Event
	ended   bool
}

func newTimUser(ctx context.Context, h *house, userID string) (*timUser, error) {
	client, err := v2timtest.New(h.standalone.api, sdkAppID, h.secret, userID)
	if err != nil {
		return nil, err
	}
	client.HTTP = h.http
	u := &timUser{Client: client, mxid: h.standalone.ghost(userID), changed: make(chan struct{})}
	if userID == admin {
		return u, nil // calls only
	}
	if u.listener, err = client.Listen(ctx, ""); err != nil {
		return nil, err
	}
	go u.collect()
	return u, nil
}

func (u *timUser) collect() {
	for e := range u.listener.Events() {
		u.take(func() { u.events = append(u.events, e) })
	}
	u.take(func() { u.ended = true })
}

func (u *timUser) take(change func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	change()
	close(u.changed)
	u.changed = make(chan struct{})
}

func (u *timUser) close() {
	if u != nil && u.listener != nil {
		u.listener.Close()
	}
}

// received returns everything that came on the WebSocket.
func (u *timUser) received() []v2tim.Event {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.events[:len(u.events):len(u.events)]
}

// wait returns when ok finds what it looks for among all that came.
func (u *timUser) wait(ctx context.Context, what string, ok func([]v2tim.Event) bool) error {
	ctx, cancel := context.WithTimeout(ctx, arrival)
	defer cancel()
	for {
		u.mu.Lock()
		changed, ended := u.changed, u.ended
		u.mu.Unlock()
		if ok(u.received()) {
			return nil
		} else if ended {
			return fmt.Errorf("%s's WebSocket ended before %s: %w", u.UserID, what, u.listener.Err())
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s did not come on %s's WebSocket: %w", what, u.UserID, ctx.Err())
		}
	}
}

// waitMessage waits for onRecvNewMessage.
func (u *timUser) waitMessage(ctx context.Context, groupID, text string) (found v2tim.NewMessage, err error) {
	err = u.wait(ctx, fmt.Sprintf("message %q", text), func(events []v2tim.Event) bool {
		for _, e := range events {
			if e.Message != nil && e.Message.GroupID == groupID && e.Message.Text == text {
				found = *e.Message
				return true
			}
		}
		return false
	})
	return found, err
}

// waitCounts waits until the last onRecvMessageReadReceipts about a message has these counts.
func (u *timUser) waitCounts(ctx context.Context, msgID string, read, unread uint64) error {
	what := fmt.Sprintf("onRecvMessageReadReceipts of %s with readCount %d, unreadCount %d", msgID, read, unread)
	return u.wait(ctx, what, func(events []v2tim.Event) bool {
		r, known := lastReceipt(events, msgID)
		return known && r.ReadCount == read && r.UnreadCount == unread
	})
}

func lastReceipt(events []v2tim.Event, msgID string) (last v2tim.MessageReceipt, known bool) {
	for _, e := range events {
		for _, r := range e.ReceiptList {
			if r.MsgID == msgID {
				last, known = r, true
			}
		}
	}
	return last, known
}

// answer is what a call was answered: as it came, and what every frame has in common.
type answer struct {
	raw  string
	code receipts.Code
}

// post makes a call as an app would, with a body that has been written out.
func (u *timUser) post(ctx context.Context, service, command, body string) (a answer, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.URL(service, command), bytes.NewReader([]byte(body)))
	if err != nil {
		return a, fmt.Errorf("failed to make call: %w", err)
	}
	resp, err := u.HTTP.Do(req)
	if err != nil {
		return a, errors.New("failed to call " + command) // err has the URL, and that the UserSig
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return a, fmt.Errorf("failed to read the answer of %s: %w", command, err)
	}
	var head struct {
		Code      *receipts.Code `json:"code"`
		ErrorCode *receipts.Code `json:"ErrorCode"`
	}
	if err = json.Unmarshal(text, &head); err != nil {
		return a, fmt.Errorf("failed to read the answer of %s: %w", command, err)
	}
	switch {
	case head.Code != nil:
		a.code = *head.Code
	case head.ErrorCode != nil:
		a.code = *head.ErrorCode
	default:
		return a, fmt.Errorf("the answer of %s has no code", command)
	}
	a.raw = string(text)
	return a, nil
}
