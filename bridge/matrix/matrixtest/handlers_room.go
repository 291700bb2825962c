package matrixtest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"maunium.net/go/mautrix/id"
)

func roomOf(r *http.Request) id.RoomID { return id.RoomID(r.PathValue("room")) }

func eventOf(r *http.Request) id.EventID { return id.EventID(r.PathValue("event")) }

func (s *Server) register(c caller, _ *http.Request, body json.RawMessage) (any, error) {
	var req struct {
		Type     string `json:"type"`
		Username string `json:"username"`
	}
	_ = json.Unmarshal(body, &req)
	if c.svc == nil || req.Type != "m.login.application_service" {
		return nil, forbidden("Registration is for application services")
	}
	user := id.NewUserID(req.Username, s.opts.ServerName)
	if !c.svc.owns(user, true) {
		return nil, &matrixError{Status: http.StatusBadRequest, Code: "M_EXCLUSIVE", Message: "Not in your namespace"}
	}
	if s.users[user] != nil {
		return nil, &matrixError{Status: http.StatusBadRequest, Code: "M_USER_IN_USE", Message: "User ID already taken."}
	}
	s.addUser(user)
	s.notify()
	return map[string]any{"user_id": user}, nil
}

func (s *Server) whoami(c caller, _ *http.Request, _ json.RawMessage) (any, error) {
	return map[string]any{"user_id": c.user}, nil
}

func (s *Server) joinedRooms(c caller, _ *http.Request, _ json.RawMessage) (any, error) {
	rooms := []id.RoomID{}
	for roomID, r := range s.rooms {
		if r.membership(c.user) == "join" {
			rooms = append(rooms, roomID)
		}
	}
	slices.Sort(rooms)
	return map[string]any{"joined_rooms": rooms}, nil
}

func (s *Server) membershipAction(action string) endpoint {
	return func(c caller, r *http.Request, body json.RawMessage) (any, error) {
		target := c.user
		if action != "join" && action != "leave" {
			var req struct {
				UserID id.UserID `json:"user_id"`
			}
			if json.Unmarshal(body, &req) != nil || req.UserID == "" {
				return nil, badParam("user_id is missing")
			}
			target = req.UserID
		}
		if err := s.changeMembership(roomOf(r), c.user, target, action); err != nil {
			return nil, err
		}
		return map[string]any{"room_id": roomOf(r)}, nil
	}
}

func (s *Server) memberRoom(c caller, r *http.Request) (*room, error) {
	room := s.rooms[roomOf(r)]
	if room == nil || room.membership(c.user) != "join" {
		return nil, forbidden("User " + string(c.user) + " not in room")
	}
	return room, nil
}

func (s *Server) joinedMembers(c caller, r *http.Request, _ json.RawMessage) (any, error) {
	room, err := s.memberRoom(c, r)
	if err != nil {
		return nil, err
	}
	joined := make(map[id.UserID]any)
	for _, user := range room.joined() {
		joined[user] = map[string]any{"display_name": nil}
	}
	return map[string]any{"joined": joined}, nil
}

// putEvent dedups by token, room and transaction id: not by user, as seen on both homeservers.
func (s *Server) putEvent(c caller, r *http.Request, body json.RawMessage) (any, error) {
	key := c.token + "\x00" + string(roomOf(r)) + "\x00" + r.PathValue("txn")
	if sent, ok := s.sent[key]; ok {
		return map[string]any{"event_id": sent}, nil
	}
	var ts int64
	if raw := r.URL.Query().Get("ts"); raw != "" && c.svc != nil {
		parsed, err := strconv.ParseInt(raw, 10, 64)
		if err != nil {
			return nil, badParam("ts is no number")
		}
		ts = parsed
	}
	ev, err := s.sendEvent(roomOf(r), c.user, r.PathValue("type"), nil, body, ts)
	if err != nil {
		return nil, err
	}
	s.sent[key] = ev.id
	return map[string]any{"event_id": ev.id}, nil
}

func (s *Server) putState(c caller, r *http.Request, body json.RawMessage) (any, error) {
	key := r.PathValue("key")
	ev, err := s.sendEvent(roomOf(r), c.user, r.PathValue("type"), &key, body, 0)
	if err != nil {
		return nil, err
	}
	return map[string]any{"event_id": ev.id}, nil
}

func (s *Server) getState(c caller, r *http.Request, _ json.RawMessage) (any, error) {
	room, err := s.memberRoom(c, r)
	if err != nil {
		return nil, err
	}
	ev := room.state[[2]string{r.PathValue("type"), r.PathValue("key")}]
	if ev == nil {
		return nil, notFound("Event not found.")
	}
	if r.URL.Query().Get("format") == "event" && !s.opts.NoStateFormat {
		return ev.encode(), nil
	}
	return ev.content, nil
}

func (s *Server) putRedaction(c caller, r *http.Request, _ json.RawMessage) (any, error) {
	key := c.token + "\x00" + string(roomOf(r)) + "\x00redact\x00" + r.PathValue("txn")
	if sent, ok := s.sent[key]; ok {
		return map[string]any{"event_id": sent}, nil
	}
	ev, err := s.redact(roomOf(r), c.user, eventOf(r))
	if err != nil {
		return nil, err
	}
	s.sent[key] = ev.id
	return map[string]any{"event_id": ev.id}, nil
}

func (s *Server) postReceipt(c caller, r *http.Request, body json.RawMessage) (any, error) {
	var req struct {
		ThreadID *string `json:"thread_id"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, badParam("thread_id is no string")
	}
	typ, thread := r.PathValue("type"), ""
	if typ != Read && typ != ReadPrivate && typ != fullyRead {
		return nil, badParam("Receipt type must be m.read, m.read.private or m.fully_read")
	}
	if req.ThreadID != nil {
		if thread = *req.ThreadID; thread == "" || typ == fullyRead {
			return nil, badParam("bad thread_id")
		}
	}
	if err := s.setReceipt(roomOf(r), c.user, typ, eventOf(r), thread, req.ThreadID != nil); err != nil {
		return nil, err
	}
	return struct{}{}, nil
}

func (s *Server) postReadMarkers(c caller, r *http.Request, body json.RawMessage) (any, error) {
	var req map[string]id.EventID
	if json.Unmarshal(body, &req) != nil {
		return nil, badParam("no event ids")
	}
	for _, typ := range []string{fullyRead, Read, ReadPrivate} {
		if event := req[typ]; event != "" {
			if err := s.setReceipt(roomOf(r), c.user, typ, event, "", false); err != nil {
				return nil, err
			}
		}
	}
	return struct{}{}, nil
}

func (s *Server) getEvent(c caller, r *http.Request, _ json.RawMessage) (any, error) {
	room, err := s.memberRoom(c, r)
	if err != nil {
		return nil, err
	}
	ev := s.events[eventOf(r)]
	if ev == nil || ev.room != room.id {
		return nil, notFound("Event not found.")
	}
	return ev.encode(), nil
}

func (s *Server) getContext(c caller, r *http.Request, _ json.RawMessage) (any, error) {
	room, err := s.memberRoom(c, r)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(room.timeline, func(ev *event) bool { return ev.id == eventOf(r) })
	if at < 0 && s.events[eventOf(r)] != nil && s.opts.ForeignUnknown {
		return nil, &matrixError{Status: http.StatusNotFound, Code: "M_UNKNOWN", Message: "No row found (events)"}
	}
	if at < 0 {
		return nil, notFound("Event not found.")
	}
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil {
		limit = 10
	}
	half := min(limit, 100) / 2
	before, after := []json.RawMessage{}, []json.RawMessage{}
	for i := at - 1; i >= 0 && len(before) < half; i-- {
		before = append(before, room.timeline[i].encode())
	}
	for i := at + 1; i < len(room.timeline) && len(after) < half; i++ {
		after = append(after, room.timeline[i].encode())
	}
	return map[string]any{
		"event": room.timeline[at].encode(), "events_before": before, "events_after": after,
		"state": []any{}, "start": "t0", "end": "t1",
	}, nil
}

// getMessages returns the newest events first; paging is not supported.
func (s *Server) getMessages(c caller, r *http.Request, _ json.RawMessage) (any, error) {
	room, err := s.memberRoom(c, r)
	if err != nil {
		return nil, err
	}
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil {
		limit = 10
	}
	chunk := []json.RawMessage{}
	for i := len(room.timeline) - 1; i >= 0 && len(chunk) < limit; i-- {
		chunk = append(chunk, room.timeline[i].encode())
	}
	return map[string]any{"chunk": chunk, "start": "t1"}, nil
}
