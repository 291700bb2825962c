package matrix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"maunium.net/go/mautrix/id"
)

// ConfigEventType is the state event that the right to configure the bridge in a room is measured by: who may send it may
// link the room. Nothing of this type is ever sent; a room that wants another level than for the rest of its state
// puts it under "events" of its power levels.
const ConfigEventType = "com.tencent.im.bridge"

// MayConfigure tells whether a user is in the room and has the power to send ConfigEventType there, from what the
// homeserver says now. What makes no sense in the room's power levels counts as not allowed. ErrForbidden tells that
// the bot is not in the room (Dendrite also answers a bot that is only invited).
// See https://spec.matrix.org/v1.19/client-server-api/#mroompower_levels and, for the creators' power,
// https://spec.matrix.org/v1.19/rooms/v12/
func (a *AppService) MayConfigure(ctx context.Context, user id.UserID, room id.RoomID) (bool, error) {
	may, err := a.mayConfigure(ctx, user, room)
	if err != nil {
		return false, fmt.Errorf("failed to look up rights in a room: %w", err)
	}
	return may, nil
}

func (a *AppService) mayConfigure(ctx context.Context, user id.UserID, room id.RoomID) (bool, error) {
	// Power levels name also users who have left or are banned.
	var member object
	if err := a.state(ctx, room, "m.room.member", string(user), false, &member); errors.Is(err, ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if membership, _ := member.str("membership"); membership != "join" {
		return false, nil
	}
	made, err := a.creation(ctx, room)
	if err != nil {
		return false, err
	}
	if slices.Contains(made.creators, user) {
		return true, nil
	}
	var levels object
	if err = a.state(ctx, room, "m.room.power_levels", "", false, &levels); errors.Is(err, ErrNotFound) {
		// Without the event the creator has 100, everybody else 0, and state needs 50.
		return user == made.sender, nil
	} else if err != nil {
		return false, err
	}
	has, ok := level(levels.child("users"), string(user), levels, "users_default", 0)
	if !ok {
		return false, nil
	}
	needs, ok := level(levels.child("events"), ConfigEventType, levels, "state_default", 50)
	return ok && has >= needs, nil
}

// level reads a power level: that of key in specific, else that of fallback in general, else def. ok is false if
// something that is no level stands there.
func level(specific object, key string, general object, fallback string, def int64) (value int64, ok bool) {
	raw, there := specific[key]
	if !there {
		if raw, there = general[fallback]; !there {
			return def, true
		}
	}
	// Until room version 10 levels could be strings.
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	value, err := strconv.ParseInt(text, 10, 64)
	return value, err == nil
}

// privilegedCreators tells whether the creators of rooms of a version have all rights: from 12 on, and in the version
// that tried it out. Where it is not known, only the power levels count.
func privilegedCreators(version string) bool {
	n, err := strconv.Atoi(version)
	return err == nil && n >= 12 || version == "org.matrix.hydra.11"
}
