package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"maunium.net/go/mautrix/id"
)

// Send sends an event of any type, under a transaction ID of its own. Like every client it tries again when the homeserver has an
// error of its own: Dendrite on SQLite answers 500 to some of many events sent at a time.
func (u *User) Send(ctx context.Context, room id.RoomID, eventType string, content any) (id.EventID, error) {
	txnID := "lab-" + rand.Text()
	for pause := 100 * time.Millisecond; ; pause *= 2 {
		event, err := u.SendTxn(ctx, room, eventType, txnID, content)
		var refusal *HTTPError
		if !errors.As(err, &refusal) || refusal.Status < 500 || pause > 2*time.Second {
			return event, err
		}
		if err = sleep(ctx, pause); err != nil {
			return "", err
		}
	}
}

// SendTxn sends an event of any type under this transaction ID.
func (u *User) SendTxn(ctx context.Context, room id.RoomID, eventType, txnID string, content any) (id.EventID, error) {
	var out struct {
		EventID id.EventID `json:"event_id"`
	}
	if err := u.Do(ctx, http.MethodPut, roomPath(room, "send", eventType, txnID), nil, content, &out); err != nil {
		return "", fmt.Errorf("failed to send event: %w", err)
	}
	return out.EventID, nil
}

// SendText sends a text message.
func (u *User) SendText(ctx context.Context, room id.RoomID, body string) (id.EventID, error) {
	return u.Send(ctx, room, "m.room.message", map[string]any{"msgtype": "m.text", "body": body})
}

// SendThread sends a text message into the thread of root.
func (u *User) SendThread(ctx context.Context, room id.RoomID, root id.EventID, body string) (id.EventID, error) {
	return u.Send(ctx, room, "m.room.message", map[string]any{
		"msgtype": "m.text", "body": body,
		"m.relates_to": map[string]any{
			"rel_type": "m.thread", "event_id": root, "is_falling_back": true,
			"m.in_reply_to": map[string]any{"event_id": root},
		},
	})
}

// Edit replaces the text of an own message.
func (u *User) Edit(ctx context.Context, room id.RoomID, event id.EventID, body string) (id.EventID, error) {
	return u.Send(ctx, room, "m.room.message", map[string]any{
		"msgtype": "m.text", "body": "* " + body,
		"m.new_content": map[string]any{"msgtype": "m.text", "body": body},
		"m.relates_to":  map[string]any{"rel_type": "m.replace", "event_id": event},
	})
}

// React reacts to an event with key, an emoji as a rule.
func (u *User) React(ctx context.Context, room id.RoomID, event id.EventID, key string) (id.EventID, error) {
	return u.Send(ctx, room, "m.reaction", map[string]any{
		"m.relates_to": map[string]any{"rel_type": "m.annotation", "event_id": event, "key": key},
	})
}

// Redact empties an event.
func (u *User) Redact(ctx context.Context, room id.RoomID, event id.EventID) (id.EventID, error) {
	var out struct {
		EventID id.EventID `json:"event_id"`
	}
	path := roomPath(room, "redact", string(event), "lab-"+rand.Text())
	if err := u.Do(ctx, http.MethodPut, path, nil, map[string]any{}, &out); err != nil {
		return "", fmt.Errorf("failed to redact event: %w", err)
	}
	return out.EventID, nil
}

// Receipt says that the user has read everything up to event (m.read, without a thread).
func (u *User) Receipt(ctx context.Context, room id.RoomID, event id.EventID) error {
	return u.receipt(ctx, room, "m.read", event, "")
}

// ThreadReceipt is a Receipt for one thread: "main" or the event ID of the thread's root.
func (u *User) ThreadReceipt(ctx context.Context, room id.RoomID, event id.EventID, thread string) error {
	return u.receipt(ctx, room, "m.read", event, thread)
}

// PrivateReceipt is a Receipt that nobody else may see (m.read.private).
func (u *User) PrivateReceipt(ctx context.Context, room id.RoomID, event id.EventID) error {
	return u.receipt(ctx, room, "m.read.private", event, "")
}

func (u *User) receipt(ctx context.Context, room id.RoomID, kind string, event id.EventID, thread string) error {
	body := map[string]any{}
	if thread != "" {
		body["thread_id"] = thread
	}
	err := u.Do(ctx, http.MethodPost, roomPath(room, "receipt", kind, string(event)), nil, body, nil)
	if err != nil {
		return fmt.Errorf("failed to send receipt: %w", err)
	}
	return nil
}
