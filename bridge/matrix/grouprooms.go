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

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// GroupRoom is a room to be made for a group.
type GroupRoom struct {
	// AliasLocalpart is what the room is found again by: the part of an alias between # and the domain. It
	// begins with the ghosts' prefix and holds neither spaces nor a colon (id.EncodeUserLocalpart gives such).
	AliasLocalpart string
	// Name and Topic are cut after 1,000 bytes; empty sets none.
	Name, Topic string
	// Invite is who gets an invitation, at most MaxInvites. In a room that is new they may change its settings.
	Invite []id.UserID
}

// MaxInvites is how many users CreateGroupRoom invites at most.
const MaxInvites = 100

// maxRoomText bounds names and topics of rooms in bytes.
const maxRoomText = 1000

// CreateGroupRoom makes a private room in which the bot has all rights, or finds the one that was made before: the alias
// decides, so that a call after a crash, or after an answer that was lost, gives the same room. Name and rights of a room
// that is there already are left as they are.
//
// ErrAliasInUse: the alias leads to a room that the bot did not make, or in which it no longer is. Nobody should be able to
// take our aliases, but Dendrite 0.15.2 lets any of its users do so by createRoom, and whoever owns the room would read
// the group. Room upgrades take aliases along, too, to a room that somebody else has made.
//
// Who is to be invited and never was a member gets an invitation also in a room that is there already, but nobody gets a
// second one after he declined or left. That a user cannot be invited is logged and no error.
//
// ErrExclusive tells that the registration is an older one without aliases, ErrInvalid that there is something wrong
// with the alias, or too many users to invite.
func (a *AppService) CreateGroupRoom(ctx context.Context, group GroupRoom) (id.RoomID, error) {
	alias := id.NewRoomAlias(group.AliasLocalpart, a.cfg.Domain)
	if !strings.HasPrefix(group.AliasLocalpart, a.cfg.GhostPrefix) || strings.ContainsAny(group.AliasLocalpart, ": \t\r\n\v\f\x00#") || len(alias) > maxID {
		return "", fmt.Errorf("failed to create room of a group: %w: alias", ErrInvalid)
	}
	if len(group.Invite) > MaxInvites {
		return "", fmt.Errorf("failed to create room of a group: %w: more than %d users to invite", ErrInvalid, MaxInvites)
	}
	room, created, err := a.findOrCreate(ctx, alias, group)
	if err == nil && created {
		err = a.empower(ctx, room, group.Invite)
	}
	if err != nil {
		return "", fmt.Errorf("failed to create room of a group: %w", err)
	}
	// One by one: a homeserver that fails at one invitation of createRoom leaves a room behind in which the others
	// were not invited either.
	for _, user := range group.Invite {
		err = a.inviteOnce(ctx, user, room)
		var refused *RequestError
		var temporary *TemporaryError
		switch {
		case err == nil:
		case errors.As(err, &refused) && !errors.As(err, &temporary):
			zerolog.Ctx(a.withLog(ctx)).Warn().Err(err).Stringer("room_id", room).Stringer("user_id", user).Msg("Failed to invite a user into the room of a group")
		default:
			return "", fmt.Errorf("failed to invite into room of a group: %w", err)
		}
	}
	return room, nil
}

// findOrCreate creates first, so that a room that is not there yet takes one request.
func (a *AppService) findOrCreate(ctx context.Context, alias id.RoomAlias, group GroupRoom) (room id.RoomID, created bool, err error) {
	body := map[string]any{"preset": "private_chat", "visibility": "private", "room_alias_name": group.AliasLocalpart}
	if group.Name != "" {
		body["name"] = roomText(group.Name)
	}
	if group.Topic != "" {
		body["topic"] = roomText(group.Topic)
	}
	var answer struct {
		RoomID id.RoomID `json:"room_id"`
	}
	err = a.call(ctx, a.bot, request{method: http.MethodPost, path: mautrix.ClientURLPath{"v3", "createRoom"}, body: body}, &answer)
	var refused *RequestError
	if errors.As(err, &refused) && refused.Code == "M_ROOM_IN_USE" {
		room, err = a.madeBefore(ctx, alias)
		return room, false, err
	}
	if err == nil && !validID(string(answer.RoomID), '!') {
		err = &TemporaryError{Err: errNoAnswer}
	}
	if err != nil {
		return "", false, err
	}
	return answer.RoomID, true, nil
}

// settingsPower is the power level that it takes to change the settings of a room, where nothing else is said.
const settingsPower = 50

// empower lets users change the settings of a room that the bot has just made: else nobody could but the bot.
func (a *AppService) empower(ctx context.Context, room id.RoomID, users []id.UserID) error {
	if len(users) == 0 {
		return nil
	}
	// What the homeserver has set is kept: whether the creator stands in it depends on the room's version.
	var levels object
	if err := a.state(ctx, room, "m.room.power_levels", "", false, &levels); err != nil {
		return err
	}
	powers := levels.child("users")
	if powers == nil {
		powers = object{}
	}
	for _, user := range users {
		powers[string(user)] = json.RawMessage(strconv.Itoa(settingsPower))
	}
	raw, err := json.Marshal(powers)
	if err != nil {
		return err
	}
	levels["users"] = raw
	return a.call(ctx, a.bot, request{method: http.MethodPut, path: mautrix.ClientURLPath{"v3", "rooms", room, "state", "m.room.power_levels", ""}, body: levels}, nil)
}

// madeBefore finds the room of an alias and sees that it is ours.
func (a *AppService) madeBefore(ctx context.Context, alias id.RoomAlias) (id.RoomID, error) {
	room, err := a.ResolveAlias(ctx, alias)
	if err != nil {
		return "", err
	}
	ours, err := a.CreatedByBot(ctx, room)
	if errors.Is(err, ErrForbidden) {
		return "", fmt.Errorf("%w: %w", ErrAliasInUse, err)
	} else if err != nil {
		return "", err
	} else if !ours {
		return "", ErrAliasInUse
	}
	return room, nil
}

// roomText is what of a name or topic fits; PostgreSQL takes no NUL.
func roomText(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(cut(text, maxRoomText), ""), "\x00", "")
}

// inviteOnce invites a user who has never been a member, nor invited, nor banned.
func (a *AppService) inviteOnce(ctx context.Context, user id.UserID, room id.RoomID) error {
	if !validID(string(user), '@') {
		return &RequestError{Status: http.StatusBadRequest, Code: "M_INVALID_PARAM", Message: "no user id"}
	}
	err := a.state(ctx, room, "m.room.member", string(user), false, nil)
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	return a.call(ctx, a.bot, request{
		method: http.MethodPost,
		path:   mautrix.ClientURLPath{"v3", "rooms", room, "invite"},
		body:   map[string]any{"user_id": user},
	}, nil)
}

// state reads a state event of a room that the bot is in: its content, or with whole the event itself.
func (a *AppService) state(ctx context.Context, room id.RoomID, eventType, key string, whole bool, into *object) error {
	req := request{method: http.MethodGet, path: mautrix.ClientURLPath{"v3", "rooms", room, "state", eventType, key}}
	if whole {
		req.query = url.Values{"format": {"event"}}
	}
	var raw json.RawMessage
	if err := a.call(ctx, a.bot, req, &raw); err != nil || into == nil {
		return err
	}
	obj, err := parseObject(raw)
	if err != nil {
		return &TemporaryError{Err: fmt.Errorf("answer is no state event: %w", err)}
	}
	*into = obj
	return nil
}

// SetRoomName names a room, as the bot. ErrForbidden tells that it has no right to, or is not there.
func (a *AppService) SetRoomName(ctx context.Context, room id.RoomID, name string) error {
	err := a.call(ctx, a.bot, request{
		method: http.MethodPut,
		path:   mautrix.ClientURLPath{"v3", "rooms", room, "state", "m.room.name", ""},
		body:   map[string]string{"name": roomText(name)},
	}, nil)
	if err != nil {
		return fmt.Errorf("failed to name room: %w", err)
	}
	return nil
}

// CreatedByBot tells whether the bot made a room that it is in, so that its name and the like are ours to change.
func (a *AppService) CreatedByBot(ctx context.Context, room id.RoomID) (bool, error) {
	made, err := a.creation(ctx, room)
	if err != nil {
		return false, fmt.Errorf("failed to look up who made a room: %w", err)
	}
	return made.sender == a.bot, nil
}

// creation is what the m.room.create event says.
type creation struct {
	sender id.UserID
	// creators have all rights, whatever the power levels say: since room version 12 the sender and those he named.
	creators []id.UserID
}

// creation reads the m.room.create event. Its content alone does not tell the sender from room version 11 on, so the whole
// event is asked for, see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstateeventtypestatekey
// (Synapse and Dendrite have long done that). From a homeserver that gives the content all the same, its creator is taken.
func (a *AppService) creation(ctx context.Context, room id.RoomID) (made creation, err error) {
	var answer object
	if err = a.state(ctx, room, "m.room.create", "", true, &answer); err != nil {
		return made, err
	}
	content := answer
	eventType, _ := answer.str("type")
	sender, _ := answer.str("sender")
	if eventType == "m.room.create" && validID(sender, '@') {
		content = answer.child("content")
	} else {
		sender, _ = answer.str("creator")
	}
	if !validID(sender, '@') {
		return made, fmt.Errorf("%w: the homeserver does not tell the sender of m.room.create", ErrUnsupported)
	}
	made.sender = id.UserID(sender)
	if version, _ := content.str("room_version"); privilegedCreators(version) {
		made.creators = append(made.creators, made.sender)
		more, _, _ := content.list("additional_creators")
		for _, raw := range more {
			var user id.UserID
			if json.Unmarshal(raw, &user) == nil {
				made.creators = append(made.creators, user)
			}
		}
	}
	return made, nil
}
