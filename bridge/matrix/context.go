package matrix

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// contextLimit is how many events round one are asked for, half of them on each side. Both Synapse
// and Dendrite give up to 100.
const contextLimit = 100

// Surroundings is an event with those round it in the room.
type Surroundings struct {
	Event Event
	// Before has the nearest first, After goes on in order: both lead away from the event.
	Before, After []Event
}

// Surroundings asks the homeserver, as the bot, where in a room an event lies. ErrNotFound tells that
// the room has no such event, which holds too for an event of another room.
func (a *AppService) Surroundings(ctx context.Context, room id.RoomID, event id.EventID) (Surroundings, error) {
	var body json.RawMessage
	err := a.call(ctx, a.bot, request{
		method: http.MethodGet,
		path:   mautrix.ClientURLPath{"v3", "rooms", room, "context", event},
		query:  url.Values{"limit": {strconv.Itoa(contextLimit)}, "filter": {`{"lazy_load_members":true}`}},
	}, &body)
	var result Surroundings
	if err == nil {
		result, err = parseSurroundings(body, room, event, func(what string, err error) {
			zerolog.Ctx(ctx).Warn().Err(err).Str("what", what).Msg("Dropped a malformed piece of an event's context")
		})
	}
	if err != nil {
		return Surroundings{}, fmt.Errorf("failed to look up the place of an event: %w", err)
	}
	return result, nil
}

// Context is Surroundings with the ids alone.
func (a *AppService) Context(ctx context.Context, room id.RoomID, event id.EventID) (before, after []id.EventID, err error) {
	around, err := a.Surroundings(ctx, room, event)
	if err != nil {
		return nil, nil, err
	}
	return eventIDs(around.Before), eventIDs(around.After), nil
}

func eventIDs(events []Event) []id.EventID {
	ids := make([]id.EventID, len(events))
	for i, ev := range events {
		ids[i] = ev.ID
	}
	return ids
}

// parseSurroundings decodes the answer of /context. Events of other rooms are dropped: whatever the
// homeserver says, no event may count in a room that is not its own.
func parseSurroundings(body []byte, room id.RoomID, eventID id.EventID, drop dropFunc) (result Surroundings, err error) {
	obj, err := parseObject(body)
	if err != nil {
		return result, &TemporaryError{Err: fmt.Errorf("answer is no context: %w", err)}
	}
	ev, err := parseEvent(obj["event"])
	if err != nil {
		return result, &TemporaryError{Err: fmt.Errorf("answer holds no event: %w", err)}
	}
	if ev.ID != eventID || ev.RoomID != room {
		return result, ErrNotFound
	}
	result.Event = ev
	for key, dst := range map[string]*[]Event{"events_before": &result.Before, "events_after": &result.After} {
		list, _, ok := obj.list(key)
		if !ok {
			drop("events of a context", errBadContent)
		}
		for _, raw := range list {
			ev, err := parseEvent(raw)
			if err == nil && ev.RoomID != room {
				err = errBadRoomID
			}
			if err != nil {
				drop("event of a context", err)
				continue
			}
			*dst = append(*dst, ev)
		}
	}
	return result, nil
}
