package matrixtest

import (
	"encoding/json"
	"time"

	"maunium.net/go/mautrix/id"
)

// This file is for tests in which others act on the same rooms at the same time, so that anything may be refused, and in which
// nobody can say beforehand what the server has come to: actions that may fail, and looks at the whole.

// try runs an action under the lock.
func (u *User) try(action func() error) error {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	return action()
}

// TrySend is Send for messages that may be refused.
func (u *User) TrySend(room id.RoomID, text string) (sent id.EventID, err error) {
	err = u.try(func() error {
		ev, err := u.s.sendEvent(room, u.ID, "m.room.message", nil, mustJSON(map[string]any{"msgtype": "m.text", "body": text}), 0)
		if err == nil {
			sent = ev.id
		}
		return err
	})
	return sent, err
}

// TryJoin is Join for rooms that may be closed to the user.
func (u *User) TryJoin(room id.RoomID) error {
	return u.try(func() error { return u.s.changeMembership(room, u.ID, u.ID, "join") })
}

// TryLeave is Leave for somebody who may be out already.
func (u *User) TryLeave(room id.RoomID) error {
	return u.try(func() error { return u.s.changeMembership(room, u.ID, u.ID, "leave") })
}

// TryKick is Kick for somebody who may be out already.
func (u *User) TryKick(room id.RoomID, user id.UserID) error {
	return u.try(func() error { return u.s.changeMembership(room, u.ID, user, "kick") })
}

// TryRedact is Redact for events that may be out of reach.
func (u *User) TryRedact(room id.RoomID, event id.EventID) error {
	return u.try(func() error { _, err := u.s.redact(room, u.ID, event); return err })
}

// MemberChange is one change of who is in a room.
type MemberChange struct {
	Event id.EventID
	User  id.UserID
	// Membership is what the user has become, At when.
	Membership string
	At         time.Time
}

// MemberChanges returns all of a room, in order. Event IDs rise with time over all rooms (see Before).
func (s *Server) MemberChanges(room id.RoomID) (list []MemberChange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[room]
	if r == nil {
		return nil
	}
	for _, ev := range r.timeline {
		if ev.typ == "m.room.member" && ev.stateKey != nil {
			var content struct {
				Membership string `json:"membership"`
			}
			_ = json.Unmarshal(ev.content, &content)
			list = append(list, MemberChange{Event: ev.id, User: id.UserID(*ev.stateKey), Membership: content.Membership, At: time.UnixMilli(ev.ts)})
		}
	}
	return list
}

// Before tells whether an event came before another, in whatever rooms.
func (s *Server) Before(a, b id.EventID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, second := s.events[a], s.events[b]
	return first != nil && second != nil && first.stream < second.stream
}

// Redacted tells whether an event has been redacted.
func (s *Server) Redacted(event id.EventID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	ev := s.events[event]
	return ev != nil && ev.redactedBy != ""
}

// AllPushed tells whether every transaction has been taken. WaitPushed waits for that.
func (s *Server) AllPushed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, svc := range s.services {
		if svc.current != nil || len(svc.events) > 0 || len(svc.ephemeral) > 0 {
			return false
		}
	}
	return true
}
