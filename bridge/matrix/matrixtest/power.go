package matrixtest

import (
	"encoding/json"
	"math"
	"slices"

	"maunium.net/go/mautrix/id"
)

// levels are the rights in a room, as m.room.power_levels gives them.
type levels struct {
	Users         map[id.UserID]int `json:"users"`
	UsersDefault  int               `json:"users_default"`
	Events        map[string]int    `json:"events"`
	EventsDefault int               `json:"events_default"`
	StateDefault  int               `json:"state_default"`
	Invite        int               `json:"invite"`
	Kick          int               `json:"kick"`
	Ban           int               `json:"ban"`
	Redact        int               `json:"redact"`
}

// noLevels are the rights where there is no m.room.power_levels event.
func noLevels(creator id.UserID) levels {
	return levels{Users: map[id.UserID]int{creator: 100}, StateDefault: 50, Kick: 50, Ban: 50, Redact: 50}
}

// parseLevels reads an m.room.power_levels event. What it does not say is as the specification says.
func parseLevels(content json.RawMessage) levels {
	parsed := levels{StateDefault: 50, Kick: 50, Ban: 50, Redact: 50}
	_ = json.Unmarshal(content, &parsed)
	return parsed
}

func (l *levels) toSend(typ string, state bool) int {
	if need, ok := l.Events[typ]; ok {
		return need
	} else if state {
		return l.StateDefault
	}
	return l.EventsDefault
}

// level is a user's power.
func (r *room) level(user id.UserID) int {
	if slices.Contains(r.creators, user) {
		return math.MaxInt
	}
	if has, ok := r.levels.Users[user]; ok {
		return has
	}
	return r.levels.UsersDefault
}
