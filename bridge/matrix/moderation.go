package matrix

import (
	"context"
	"fmt"
	"net/http"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// Kick removes a user who is not ours from a room, as the bot. ErrForbidden tells that the bot has no right to, or that the user
// is not there.
func (a *AppService) Kick(ctx context.Context, user id.UserID, room id.RoomID) error {
	err := a.call(ctx, a.bot, request{
		method: http.MethodPost,
		path:   mautrix.ClientURLPath{"v3", "rooms", room, "kick"},
		body:   map[string]any{"user_id": user},
	}, nil)
	if err != nil {
		return fmt.Errorf("failed to remove user from room: %w", err)
	}
	return nil
}

// Redact removes the content of an event, as a user of ours. The same txnID twice is one redaction.
func (a *AppService) Redact(ctx context.Context, as id.UserID, room id.RoomID, event id.EventID, txnID string) (id.EventID, error) {
	var answer struct {
		EventID id.EventID `json:"event_id"`
	}
	err := a.call(ctx, as, request{
		method: http.MethodPut,
		path:   mautrix.ClientURLPath{"v3", "rooms", room, "redact", event, txnID},
	}, &answer)
	if err != nil {
		return "", fmt.Errorf("failed to redact event: %w", err)
	}
	return answer.EventID, nil
}

// ResolveAlias finds the room that an alias such as "#team:example.org" leads to; ErrNotFound if to none.
func (a *AppService) ResolveAlias(ctx context.Context, alias id.RoomAlias) (id.RoomID, error) {
	var answer struct {
		RoomID id.RoomID `json:"room_id"`
	}
	err := a.call(ctx, a.bot, request{method: http.MethodGet, path: mautrix.ClientURLPath{"v3", "directory", "room", alias}}, &answer)
	if err == nil && !validID(string(answer.RoomID), '!') {
		err = ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("failed to resolve alias: %w", err)
	}
	return answer.RoomID, nil
}

// CreateRoom makes a private room with only the bot in it.
func (a *AppService) CreateRoom(ctx context.Context, name string) (id.RoomID, error) {
	var answer struct {
		RoomID id.RoomID `json:"room_id"`
	}
	err := a.call(ctx, a.bot, request{
		method: http.MethodPost,
		path:   mautrix.ClientURLPath{"v3", "createRoom"},
		body:   map[string]any{"preset": "private_chat", "name": name},
	}, &answer)
	if err == nil && !validID(string(answer.RoomID), '!') {
		err = &TemporaryError{Err: errNoAnswer}
	}
	if err != nil {
		return "", fmt.Errorf("failed to create room: %w", err)
	}
	return answer.RoomID, nil
}
