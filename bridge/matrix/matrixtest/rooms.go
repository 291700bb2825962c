package matrixtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"
)

// event is one event of a room.
type event struct {
	id       id.EventID
	room     id.RoomID
	sender   id.UserID
	typ      string
	stateKey *string
	content  json.RawMessage
	redacts  id.EventID
	ts       int64
	stream   int64
	// prevContent is what a state event replaced.
	prevContent json.RawMessage
	redactedBy  id.EventID
}

// thread returns the root that the event's own relation names.
func (e *event) thread() string {
	var content struct {
		Relation struct {
			Type  string `json:"rel_type"`
			Event string `json:"event_id"`
		} `json:"m.relates_to"`
	}
	if json.Unmarshal(e.content, &content) != nil || content.Relation.Type != "m.thread" {
		return ""
	}
	return content.Relation.Event
}

// encode gives the client format.
func (e *event) encode() json.RawMessage {
	unsigned := map[string]any{"age": time.Now().UnixMilli() - e.ts}
	if e.prevContent != nil {
		unsigned["prev_content"] = e.prevContent
	}
	if e.redactedBy != "" {
		unsigned["redacted_because"] = map[string]any{"event_id": e.redactedBy, "type": "m.room.redaction"}
	}
	out := map[string]any{
		"event_id": e.id, "room_id": e.room, "sender": e.sender, "type": e.typ,
		"content": e.content, "origin_server_ts": e.ts, "unsigned": unsigned,
	}
	if e.stateKey != nil {
		out["state_key"] = *e.stateKey
	}
	if e.redacts != "" {
		out["redacts"] = e.redacts
	}
	return mustJSON(out)
}

func mustJSON(value any) json.RawMessage {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return raw
}

// room is one room with its members and receipts.
type room struct {
	id         id.RoomID
	timeline   []*event
	state      map[[2]string]*event
	members    map[id.UserID]*member
	receipts   map[receiptKey]*receipt
	fullyRead  map[id.UserID]id.EventID
	public     bool
	visibility string
	levels     levels
	// creators have all rights (room version 12).
	creators []id.UserID
}

type member struct {
	membership string
	// since and until are the stream numbers of the last join and of the end of it.
	since, until int64
}

// RoomOptions describe a room to be created.
type RoomOptions struct {
	// Public rooms may be joined without an invitation.
	Public bool
	// Invite is invited right away.
	Invite []id.UserID
	// InviteLevel is the level needed to invite (default 0, as in the specification).
	InviteLevel int
	// HistoryVisibility is "shared" if empty; with "joined" nobody may see what was before he joined.
	HistoryVisibility string
	// Version is the room version, "10" if empty. In "12" the creators have all rights, and ids of rooms have no domain.
	Version string
	// AdditionalCreators are creators beside who creates the room (version 12).
	AdditionalCreators []id.UserID
	// NoPowerLevels leaves out the m.room.power_levels event, as the specification allows.
	NoPowerLevels bool

	alias       id.RoomAlias
	name, topic string
}

func (s *Server) createRoom(creator id.UserID, opts RoomOptions) *room {
	if opts.Version == "" {
		opts.Version = "10"
	}
	r := &room{
		id:         id.RoomID(fmt.Sprintf("!room%d:%s", s.next(), s.opts.ServerName)),
		state:      make(map[[2]string]*event),
		members:    make(map[id.UserID]*member),
		receipts:   make(map[receiptKey]*receipt),
		fullyRead:  make(map[id.UserID]id.EventID),
		public:     opts.Public,
		visibility: opts.HistoryVisibility,
		levels:     noLevels(creator),
	}
	create := map[string]any{"room_version": opts.Version, "creator": creator}
	powers := map[string]any{"users": map[id.UserID]int{creator: 100}, "invite": opts.InviteLevel, "kick": 50}
	if opts.Version == "12" {
		r.id = id.RoomID(fmt.Sprintf("!room%d", s.next()))
		r.creators = append([]id.UserID{creator}, opts.AdditionalCreators...)
		create = map[string]any{"room_version": opts.Version, "additional_creators": opts.AdditionalCreators}
		delete(powers, "users")
	}
	s.rooms[r.id] = r
	empty := ""
	state := func(typ string, content any) { s.appendEvent(r, creator, typ, &empty, mustJSON(content), 0) }
	state("m.room.create", create)
	s.setMembership(r, creator, creator, "join")
	if !opts.NoPowerLevels {
		state("m.room.power_levels", powers)
	}
	if opts.alias != "" {
		s.aliases[opts.alias] = r.id
		state("m.room.canonical_alias", map[string]any{"alias": opts.alias})
	}
	rule := "invite"
	if opts.Public {
		rule = "public"
	}
	state("m.room.join_rules", map[string]any{"join_rule": rule})
	if opts.name != "" {
		state("m.room.name", map[string]any{"name": opts.name})
	}
	if opts.topic != "" {
		state("m.room.topic", map[string]any{"topic": opts.topic})
	}
	for _, user := range opts.Invite {
		s.setMembership(r, creator, user, "invite")
	}
	return r
}

// appendEvent adds an event to a room and tells everybody.
func (s *Server) appendEvent(r *room, sender id.UserID, typ string, stateKey *string, content json.RawMessage, ts int64) *event {
	stream := s.next()
	if ts == 0 {
		ts = time.Now().UnixMilli()
	}
	ev := &event{
		id: id.EventID(fmt.Sprintf("$ev%06d", stream)), room: r.id, sender: sender, typ: typ,
		stateKey: stateKey, content: content, ts: ts, stream: stream,
	}
	if stateKey != nil {
		key := [2]string{typ, *stateKey}
		if old := r.state[key]; old != nil {
			ev.prevContent = old.content
		}
		r.state[key] = ev
		s.applyState(r, ev)
	}
	r.timeline = append(r.timeline, ev)
	s.events[ev.id] = ev
	s.queueEvent(r, ev)
	s.notify()
	return ev
}

// applyState takes over what the server itself acts upon.
func (s *Server) applyState(r *room, ev *event) {
	switch ev.typ {
	case "m.room.member":
		var content struct {
			Membership string `json:"membership"`
		}
		_ = json.Unmarshal(ev.content, &content)
		user := id.UserID(*ev.stateKey)
		m := r.members[user]
		if m == nil {
			m = &member{}
			r.members[user] = m
		}
		if content.Membership == "join" && m.membership != "join" {
			m.since = ev.stream
		}
		if content.Membership != "join" && m.membership == "join" {
			m.until = ev.stream
		}
		m.membership = content.Membership
	case "m.room.power_levels":
		r.levels = parseLevels(ev.content)
	case "m.room.join_rules":
		var content struct {
			Rule string `json:"join_rule"`
		}
		_ = json.Unmarshal(ev.content, &content)
		r.public = content.Rule == "public"
	}
}

func (s *Server) setMembership(r *room, sender, user id.UserID, membership string) *event {
	key := string(user)
	return s.appendEvent(r, sender, "m.room.member", &key, mustJSON(map[string]any{"membership": membership}), 0)
}

func (r *room) membership(user id.UserID) string {
	if m := r.members[user]; m != nil {
		return m.membership
	}
	return "leave"
}

func (r *room) joined() []id.UserID {
	var users []id.UserID
	for user, m := range r.members {
		if m.membership == "join" {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return users
}

// changeMembership does what invite, join, leave, kick and ban do, with the checks of a homeserver.
func (s *Server) changeMembership(roomID id.RoomID, sender, user id.UserID, action string) error {
	r := s.rooms[roomID]
	if r == nil {
		return notFound("Unknown room")
	}
	now := r.membership(user)
	switch action {
	case "invite":
		if r.membership(sender) != "join" {
			return forbidden("You are not in the room")
		}
		if now == "ban" || now == "join" {
			return forbidden("The user is banned or in the room already")
		}
		if r.level(sender) < r.levels.Invite {
			return forbidden("You don't have permission to invite users")
		}
		s.setMembership(r, sender, user, "invite")
	case "join":
		if now == "join" {
			return nil
		}
		if now == "ban" || (now != "invite" && !r.public) {
			return forbidden("You are not invited to this room.")
		}
		s.setMembership(r, sender, user, "join")
	case "leave":
		if now != "join" && now != "invite" {
			if s.opts.LeaveUnknown {
				return &matrixError{Status: 400, Code: "M_UNKNOWN", Message: "not joined to the room"}
			}
			return forbidden("You are not in the room")
		}
		s.setMembership(r, sender, user, "leave")
	default: // kick, ban, unban
		need := r.levels.Ban
		if action == "kick" {
			need = r.levels.Kick
		}
		if r.membership(sender) != "join" || r.level(sender) < need || r.level(user) >= r.level(sender) {
			return forbidden("You don't have permission to " + action)
		}
		if action == "kick" && now != "join" && now != "invite" {
			return forbidden("The user is not in the room")
		}
		to := "leave"
		if action == "ban" {
			to = "ban"
		}
		s.setMembership(r, sender, user, to)
	}
	return nil
}

// sendEvent does what /send and /state do.
func (s *Server) sendEvent(roomID id.RoomID, sender id.UserID, typ string, stateKey *string, content json.RawMessage, ts int64) (*event, error) {
	r := s.rooms[roomID]
	if r == nil || r.membership(sender) != "join" {
		return nil, forbidden("You are not in the room")
	}
	if r.level(sender) < r.levels.toSend(typ, stateKey != nil) {
		return nil, forbidden("You don't have permission to post that to the room")
	}
	return s.appendEvent(r, sender, typ, stateKey, content, ts), nil
}

// redact does what /redact does.
func (s *Server) redact(roomID id.RoomID, sender id.UserID, target id.EventID) (*event, error) {
	ev := s.events[target]
	r := s.rooms[roomID]
	if r == nil || ev == nil || ev.room != roomID {
		return nil, notFound("No such event")
	}
	if r.membership(sender) != "join" || (ev.sender != sender && r.level(sender) < r.levels.Redact) {
		return nil, forbidden("You may not redact this")
	}
	stream := s.next()
	redaction := &event{
		id: id.EventID(fmt.Sprintf("$ev%06d", stream)), room: roomID, sender: sender, typ: "m.room.redaction",
		content: mustJSON(map[string]any{"redacts": target}), redacts: target, ts: time.Now().UnixMilli(), stream: stream,
	}
	ev.content, ev.redactedBy = json.RawMessage(`{}`), redaction.id
	r.timeline = append(r.timeline, redaction)
	s.events[redaction.id] = redaction
	s.queueEvent(r, redaction)
	s.notify()
	return redaction, nil
}
