package matrix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

var (
	errBadJSON  = errors.New("content is no JSON object")
	errNoTxnID  = errors.New("transaction id is empty")
	errNoAnswer = errors.New("answer has no event_id")
	errNoURI    = errors.New("answer has no content_uri")
)

// SendReceipt sends m.read for an event as a ghost or a linked user. He must be in the room: call
// EnsureJoined first for a ghost (Dendrite takes receipts of strangers, Synapse those of who has left for
// what he could see). That it returned nil is no
// proof that the receipt is shown: Synapse answers 200 to receipts that it ignores. After ErrForbidden
// the next EnsureJoined asks the homeserver instead of the state store.
//
// Neither m.fully_read nor a private receipt is ever sent: no unread number of anybody may change.
func (a *AppService) SendReceipt(ctx context.Context, as id.UserID, room id.RoomID, event id.EventID) error {
	err := a.call(ctx, as, request{
		method: http.MethodPost,
		path:   mautrix.ClientURLPath{"v3", "rooms", room, "receipt", receiptRead, event},
	}, nil)
	if err != nil {
		a.doubtMembership(ctx, as, room, err)
		return fmt.Errorf("failed to send receipt: %w", err)
	}
	return nil
}

// SendMessage sends an m.room.message, see SendEvent.
func (a *AppService) SendMessage(ctx context.Context, as id.UserID, room id.RoomID, content json.RawMessage, txnID string, ts time.Time) (id.EventID, error) {
	return a.SendEvent(ctx, as, room, event.EventMessage.Type, content, txnID, ts)
}

// SendEvent sends a room event as a user of ours and returns its id. The same txnID from the same
// user gives the same event, but on Synapse 1.160.0 and Dendrite 0.15.2 also the same event to another
// user of ours, and a second event after the homeserver restarted; so it must name the sender. A ts
// other than zero is what the event's origin_server_ts shall be.
func (a *AppService) SendEvent(ctx context.Context, as id.UserID, room id.RoomID, eventType string, content json.RawMessage, txnID string, ts time.Time) (id.EventID, error) {
	if _, err := parseObject(content); err != nil {
		return "", fmt.Errorf("failed to send event: %w", errBadJSON)
	}
	if txnID == "" {
		return "", fmt.Errorf("failed to send event: %w", errNoTxnID)
	}
	query := url.Values{}
	if !ts.IsZero() {
		query.Set("ts", strconv.FormatInt(ts.UnixMilli(), 10))
	}
	var answer struct {
		EventID id.EventID `json:"event_id"`
	}
	err := a.call(ctx, as, request{
		method: http.MethodPut,
		path:   mautrix.ClientURLPath{"v3", "rooms", room, "send", eventType, txnID},
		query:  query,
		body:   content,
	}, &answer)
	if err == nil && !validID(string(answer.EventID), '$') {
		err = &TemporaryError{Err: errNoAnswer}
	}
	if err != nil {
		a.doubtMembership(ctx, as, room, err)
		return "", fmt.Errorf("failed to send event: %w", err)
	}
	return answer.EventID, nil
}

// maxNotice bounds the text of a notice in bytes. An event may have 65,536 in all, and JSON may write one byte as six,
// see https://spec.matrix.org/v1.19/client-server-api/#size-limits
const maxNotice = 10_000

// SendNotice says something in a room as the bot, as an m.notice, which calls nobody and which other bots do not answer.
// Text beyond 10,000 bytes is cut. The same txnID twice is one notice (until the homeserver restarts); it needs to
// differ only from those of other notices in the room.
func (a *AppService) SendNotice(ctx context.Context, room id.RoomID, text, txnID string) error {
	content, err := json.Marshal(map[string]any{
		"msgtype": event.MsgNotice, "body": strings.ToValidUTF8(cut(text, maxNotice), ""), "m.mentions": struct{}{},
	})
	if err != nil {
		return fmt.Errorf("failed to send notice: %w", err)
	}
	if txnID != "" {
		txnID = "notice_" + txnID // ids are shared with the ghosts
	}
	if _, err = a.SendMessage(ctx, a.bot, room, content, txnID, time.Time{}); err != nil {
		return fmt.Errorf("failed to send notice: %w", err)
	}
	return nil
}

// SetProfile sets display name and avatar of a user of ours; what is empty stays as it is.
func (a *AppService) SetProfile(ctx context.Context, as id.UserID, displayName string, avatar id.ContentURIString) error {
	fields := []struct{ key, value string }{{"displayname", displayName}, {"avatar_url", string(avatar)}}
	for _, field := range fields {
		if field.value == "" {
			continue
		}
		err := a.call(ctx, as, request{
			method: http.MethodPut,
			path:   mautrix.ClientURLPath{"v3", "profile", as, field.key},
			body:   map[string]string{field.key: field.value},
		}, nil)
		if err != nil {
			return fmt.Errorf("failed to set %s: %w", field.key, err)
		}
	}
	return nil
}
