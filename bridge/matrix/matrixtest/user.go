package matrixtest

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// User is an ordinary user. Its methods act at once and fail the test if the server refuses, those
// that begin with Try excepted.
type User struct {
	s *Server
	// ID is his Matrix id and Token an access token for HTTP.
	ID    id.UserID
	Token string
}

// User returns a user, made if he does not exist yet.
func (s *Server) User(localpart string) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	user := id.NewUserID(localpart, s.opts.ServerName)
	s.addUser(user)
	return &User{s: s, ID: user, Token: userToken(user)}
}

func userToken(user id.UserID) string { return "token-of-" + string(user) }

func (s *Server) userByToken(token string) (id.UserID, bool) {
	user := id.UserID(strings.TrimPrefix(token, "token-of-"))
	_, ok := s.users[user]
	return user, ok && userToken(user) == token
}

// do runs an action under the lock and fails the test on an error.
func (u *User) do(what string, action func() error) {
	u.s.t.Helper()
	u.s.mu.Lock()
	err := action()
	u.s.mu.Unlock()
	if err != nil {
		u.s.t.Errorf("%s could not %s: %v", u.ID, what, err)
	}
}

// CreateRoom creates a room in which the user has level 100.
func (u *User) CreateRoom(opts RoomOptions) id.RoomID {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	return u.s.createRoom(u.ID, opts).id
}

// Invite invites somebody.
func (u *User) Invite(room id.RoomID, user id.UserID) {
	u.s.t.Helper()
	u.do("invite", func() error { return u.s.changeMembership(room, u.ID, user, "invite") })
}

// Join joins a room.
func (u *User) Join(room id.RoomID) {
	u.s.t.Helper()
	u.do("join", func() error { return u.s.changeMembership(room, u.ID, u.ID, "join") })
}

// Leave leaves a room.
func (u *User) Leave(room id.RoomID) {
	u.s.t.Helper()
	u.do("leave", func() error { return u.s.changeMembership(room, u.ID, u.ID, "leave") })
}

// Kick removes somebody.
func (u *User) Kick(room id.RoomID, user id.UserID) {
	u.s.t.Helper()
	u.do("kick", func() error { return u.s.changeMembership(room, u.ID, user, "kick") })
}

// Ban removes somebody for good.
func (u *User) Ban(room id.RoomID, user id.UserID) {
	u.s.t.Helper()
	u.do("ban", func() error { return u.s.changeMembership(room, u.ID, user, "ban") })
}

// Send sends a text message.
func (u *User) Send(room id.RoomID, text string) id.EventID {
	u.s.t.Helper()
	return u.SendEvent(room, "m.room.message", map[string]any{"msgtype": "m.text", "body": text})
}

// SendThread sends a text message into a thread.
func (u *User) SendThread(room id.RoomID, root id.EventID, text string) id.EventID {
	u.s.t.Helper()
	return u.SendEvent(room, "m.room.message", map[string]any{"msgtype": "m.text", "body": text,
		"m.relates_to": map[string]any{"rel_type": "m.thread", "event_id": root}})
}

// Edit replaces the text of a message.
func (u *User) Edit(room id.RoomID, event id.EventID, text string) id.EventID {
	u.s.t.Helper()
	return u.SendEvent(room, "m.room.message", map[string]any{"msgtype": "m.text", "body": "* " + text,
		"m.new_content": map[string]any{"msgtype": "m.text", "body": text},
		"m.relates_to":  map[string]any{"rel_type": "m.replace", "event_id": event}})
}

// React sends a reaction.
func (u *User) React(room id.RoomID, event id.EventID, key string) id.EventID {
	u.s.t.Helper()
	return u.SendEvent(room, "m.reaction", map[string]any{
		"m.relates_to": map[string]any{"rel_type": "m.annotation", "event_id": event, "key": key}})
}

// SendEvent sends an event of any type.
func (u *User) SendEvent(room id.RoomID, typ string, content any) (sent id.EventID) {
	u.s.t.Helper()
	u.do("send", func() error {
		ev, err := u.s.sendEvent(room, u.ID, typ, nil, mustJSON(content), 0)
		if err == nil {
			sent = ev.id
		}
		return err
	})
	return sent
}

// SendState sends a state event.
func (u *User) SendState(room id.RoomID, typ, stateKey string, content any) (sent id.EventID) {
	u.s.t.Helper()
	u.do("send state", func() error {
		ev, err := u.s.sendEvent(room, u.ID, typ, &stateKey, mustJSON(content), 0)
		if err == nil {
			sent = ev.id
		}
		return err
	})
	return sent
}

// Redact redacts an event.
func (u *User) Redact(room id.RoomID, event id.EventID) (sent id.EventID) {
	u.s.t.Helper()
	u.do("redact", func() error {
		ev, err := u.s.redact(room, u.ID, event)
		if err == nil {
			sent = ev.id
		}
		return err
	})
	return sent
}

// ReceiptOptions are what a receipt may have beside its event.
type ReceiptOptions struct {
	// Thread is "main" or a thread root; empty sends an unthreaded receipt.
	Thread string
	// Private sends m.read.private instead of m.read.
	Private bool
}

// SendReceipt marks a room as read up to an event.
func (u *User) SendReceipt(room id.RoomID, event id.EventID, opts ...ReceiptOptions) {
	u.s.t.Helper()
	if err := u.TrySendReceipt(room, event, opts...); err != nil {
		u.s.t.Errorf("%s could not send a receipt: %v", u.ID, err)
	}
}

// TrySendReceipt is SendReceipt for receipts that may be refused.
func (u *User) TrySendReceipt(room id.RoomID, event id.EventID, opts ...ReceiptOptions) error {
	var opt ReceiptOptions
	if len(opts) > 0 {
		opt = opts[0]
	}
	typ := Read
	if opt.Private {
		typ = ReadPrivate
	}
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	return u.s.setReceipt(room, u.ID, typ, event, opt.Thread, opt.Thread != "")
}

// SyncOnce does one /sync without waiting; since may be empty.
func (u *User) SyncOnce(since string) *mautrix.RespSync {
	u.s.t.Helper()
	raw, err := u.s.sync(context.Background(), u.ID, since, 0, syncFilter{})
	var resp mautrix.RespSync
	if err == nil {
		err = json.Unmarshal(raw, &resp)
	}
	if err != nil {
		u.s.t.Errorf("%s could not sync: %v", u.ID, err)
	}
	return &resp
}

// ReceiptsOf returns the receipts of a room that the user's /sync shows, in no particular order of time
// but sorted by user.
func (u *User) ReceiptsOf(room id.RoomID) []Receipt {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	r := u.s.rooms[room]
	if r == nil || r.membership(u.ID) != "join" {
		return nil
	}
	var all []Receipt
	for key, set := range r.receiptsFor(u.ID, 0) {
		all = append(all, Receipt{User: key.user, Event: set.event, Type: key.typ, Thread: key.thread})
	}
	slices.SortFunc(all, func(a, b Receipt) int {
		return strings.Compare(string(a.User)+a.Type+a.Thread, string(b.User)+b.Type+b.Thread)
	})
	return all
}

// ReceiptOf returns the event of another user's unthreaded m.read, as the user's /sync shows it.
func (u *User) ReceiptOf(room id.RoomID, other id.UserID) id.EventID {
	for _, r := range u.ReceiptsOf(room) {
		if r.User == other && r.Type == Read && r.Thread == "" {
			return r.Event
		}
	}
	return ""
}

// WaitReceipt waits until the user's /sync shows the unthreaded receipt of another user at the event.
func (u *User) WaitReceipt(room id.RoomID, other id.UserID, event id.EventID) {
	u.s.t.Helper()
	u.s.WaitFor("the receipt of "+string(other)+" at "+string(event), func() bool {
		return u.ReceiptOf(room, other) == event
	})
}

// Members returns who is in a room, sorted.
func (s *Server) Members(room id.RoomID) []id.UserID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.rooms[room]; r != nil {
		return r.joined()
	}
	return nil
}

// Membership returns "join", "invite", "leave" (also for strangers) or "ban".
func (s *Server) Membership(room id.RoomID, user id.UserID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.rooms[room]; r != nil {
		return r.membership(user)
	}
	return "leave"
}

// FullyRead returns the user's m.fully_read marker, which a bridge must never set.
func (s *Server) FullyRead(room id.RoomID, user id.UserID) id.EventID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.rooms[room]; r != nil {
		return r.fullyRead[user]
	}
	return ""
}

// Event is an event of a room's timeline.
type Event struct {
	ID      id.EventID
	Sender  id.UserID
	Type    string
	Content json.RawMessage
	// TS is origin_server_ts in milliseconds.
	TS int64
}

// Timeline returns the events of a room that are no state, in order.
func (s *Server) Timeline(room id.RoomID) []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[room]
	if r == nil {
		return nil
	}
	var events []Event
	for _, ev := range r.timeline {
		if ev.stateKey == nil {
			events = append(events, Event{ID: ev.id, Sender: ev.sender, Type: ev.typ, Content: ev.content, TS: ev.ts})
		}
	}
	return events
}

// State returns the content of a state event, "" if there is none.
func (s *Server) State(room id.RoomID, typ, stateKey string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.rooms[room]; r != nil && r.state[[2]string{typ, stateKey}] != nil {
		return string(r.state[[2]string{typ, stateKey}].content)
	}
	return ""
}

// Rooms is how many rooms there are.
func (s *Server) Rooms() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.rooms)
}
