package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"maunium.net/go/mautrix/id"
)

// roomPath returns the path of something of a room, every part escaped.
func roomPath(room id.RoomID, parts ...string) string {
	path := "/_matrix/client/v3/rooms/" + url.PathEscape(string(room))
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// CreateRoom makes a private room (invited people join, everybody who joins sees all of the past) and invites.
func (u *User) CreateRoom(ctx context.Context, invite ...id.UserID) (id.RoomID, error) {
	return u.CreateRoomWith(ctx, map[string]any{"preset": "private_chat", "invite": append([]id.UserID{}, invite...)})
}

// CreateRoomWith makes a room with this body of POST /createRoom.
func (u *User) CreateRoomWith(ctx context.Context, body map[string]any) (id.RoomID, error) {
	var out struct {
		RoomID id.RoomID `json:"room_id"`
	}
	if err := u.Do(ctx, http.MethodPost, "/_matrix/client/v3/createRoom", nil, body, &out); err != nil {
		return "", fmt.Errorf("failed to create room: %w", err)
	}
	return out.RoomID, nil
}

// Join joins a room that the user was invited to or that is public.
func (u *User) Join(ctx context.Context, room id.RoomID) error {
	return u.post(ctx, room, "join", map[string]any{})
}

// Leave leaves a room, or rejects the invitation.
func (u *User) Leave(ctx context.Context, room id.RoomID) error {
	return u.post(ctx, room, "leave", map[string]any{})
}

// Invite invites another user.
func (u *User) Invite(ctx context.Context, room id.RoomID, other id.UserID) error {
	return u.post(ctx, room, "invite", map[string]any{"user_id": other})
}

// Kick throws another user out, or takes an invitation back.
func (u *User) Kick(ctx context.Context, room id.RoomID, other id.UserID) error {
	return u.post(ctx, room, "kick", map[string]any{"user_id": other})
}

// Ban throws another user out for good.
func (u *User) Ban(ctx context.Context, room id.RoomID, other id.UserID) error {
	return u.post(ctx, room, "ban", map[string]any{"user_id": other})
}

// Unban lets a banned user come back, if invited.
func (u *User) Unban(ctx context.Context, room id.RoomID, other id.UserID) error {
	return u.post(ctx, room, "unban", map[string]any{"user_id": other})
}

func (u *User) post(ctx context.Context, room id.RoomID, what string, body any) error {
	if err := u.Do(ctx, http.MethodPost, roomPath(room, what), nil, body, nil); err != nil {
		return fmt.Errorf("failed to %s in room: %w", what, err)
	}
	return nil
}

// JoinedMembers returns who is in a room, sorted. The user must be in it.
func (u *User) JoinedMembers(ctx context.Context, room id.RoomID) ([]id.UserID, error) {
	var out struct {
		Joined map[id.UserID]json.RawMessage `json:"joined"`
	}
	if err := u.Do(ctx, http.MethodGet, roomPath(room, "joined_members"), nil, nil, &out); err != nil {
		return nil, fmt.Errorf("failed to get members: %w", err)
	}
	members := make([]id.UserID, 0, len(out.Joined))
	for member := range out.Joined {
		members = append(members, member)
	}
	slices.Sort(members)
	return members, nil
}

// SendState sets a state event.
func (u *User) SendState(ctx context.Context, room id.RoomID, eventType, stateKey string, content any) (id.EventID, error) {
	var out struct {
		EventID id.EventID `json:"event_id"`
	}
	err := u.Do(ctx, http.MethodPut, roomPath(room, "state", eventType, stateKey), nil, content, &out)
	if err != nil {
		return "", fmt.Errorf("failed to send state: %w", err)
	}
	return out.EventID, nil
}

// State reads the content of a state event into out.
func (u *User) State(ctx context.Context, room id.RoomID, eventType, stateKey string, out any) error {
	if err := u.Do(ctx, http.MethodGet, roomPath(room, "state", eventType, stateKey), nil, nil, out); err != nil {
		return fmt.Errorf("failed to get state: %w", err)
	}
	return nil
}
