package matrix

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// UpdateState writes what a state event says about memberships and rights into the state store. The
// bridge core calls it for events of mapped rooms, inside the transaction that takes the event: the
// state store must be on the same database and join transactions through ctx (as dbutil's do).
// Events that are no state, or not kept by the store, are passed over.
func (a *AppService) UpdateState(ctx context.Context, ev Event) {
	if ev.StateKey == nil {
		return
	}
	evt := &event.Event{
		ID:        ev.ID,
		RoomID:    ev.RoomID,
		Sender:    ev.Sender,
		StateKey:  ev.StateKey,
		Type:      event.Type{Type: ev.Type, Class: event.StateEventType},
		Timestamp: ev.OriginServerTS.UnixMilli(),
	}
	switch evt.Type {
	case event.StateMember:
		content, err := parseObject(ev.Content)
		membership, ok := content.str("membership")
		if err != nil || !ok || !validID(*ev.StateKey, '@') || !knownMembership(event.Membership(membership)) {
			return
		}
		// Names and avatars are not kept: nothing needs them.
		evt.Content = event.Content{Parsed: &event.MemberEventContent{Membership: event.Membership(membership)}}
	case event.StatePowerLevels, event.StateCreate, event.StateJoinRules, event.StateHistoryVisibility, event.StateEncryption:
		// PostgreSQL refuses an escaped NUL in JSON, which would fail the whole transaction.
		if *ev.StateKey != "" || bytes.Contains(ev.Content, []byte(`\u0000`)) {
			return
		}
		evt.Content = event.Content{VeryRaw: append(json.RawMessage(nil), ev.Content...)}
		if err := evt.Content.ParseRaw(evt.Type); err != nil {
			zerolog.Ctx(ctx).Warn().Err(err).Stringer("event_id", ev.ID).Msg("Passed over a malformed state event")
			return
		}
	default:
		return
	}
	mautrix.UpdateStateStore(ctx, a.as.StateStore, evt)
}

func knownMembership(m event.Membership) bool {
	switch m {
	case event.MembershipJoin, event.MembershipLeave, event.MembershipInvite, event.MembershipBan, event.MembershipKnock:
		return true
	}
	return false
}

// IsInRoom tells whether the state store has the user as joined, without asking the homeserver.
func (a *AppService) IsInRoom(ctx context.Context, user id.UserID, room id.RoomID) bool {
	return a.as.StateStore.IsInRoom(ctx, room, user)
}
