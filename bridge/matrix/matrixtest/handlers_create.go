package matrixtest

import (
	"encoding/json"
	"net/http"
	"strings"

	"maunium.net/go/mautrix/id"
)

func (s *Server) postCreateRoom(c caller, _ *http.Request, body json.RawMessage) (any, error) {
	var req struct {
		Preset  string      `json:"preset"`
		Invite  []id.UserID `json:"invite"`
		Alias   *string     `json:"room_alias_name"`
		Name    string      `json:"name"`
		Topic   string      `json:"topic"`
		Version string      `json:"room_version"`
	}
	if json.Unmarshal(body, &req) != nil {
		return nil, &matrixError{Status: http.StatusBadRequest, Code: "M_BAD_JSON", Message: "Malformed request"}
	}
	opts := RoomOptions{Public: req.Preset == "public_chat", Invite: req.Invite, Version: req.Version, name: req.Name, topic: req.Topic}
	switch req.Preset {
	case "private_chat", "trusted_private_chat":
		opts.InviteLevel = 50
	case "", "public_chat":
	default:
		return nil, &matrixError{Status: http.StatusBadRequest, Code: "M_UNKNOWN", Message: "not a valid preset"}
	}
	if s.opts.RoomVersion != "" && req.Version == "" {
		opts.Version = s.opts.RoomVersion
	}
	if req.Alias != nil {
		alias, err := s.checkAlias(c, *req.Alias)
		if err != nil {
			return nil, err
		}
		opts.alias = alias
	}
	return map[string]any{"room_id": s.createRoom(c.user, opts).id}, nil
}

// checkAlias refuses aliases that are malformed, taken, or not the caller's to give.
func (s *Server) checkAlias(c caller, localpart string) (id.RoomAlias, error) {
	alias := id.NewRoomAlias(localpart, s.opts.ServerName)
	if localpart == "" || strings.ContainsAny(localpart, ": \t\r\n") || len(alias) > 255 {
		return "", badParam("Invalid characters in room alias, or too many")
	}
	if _, taken := s.aliases[alias]; taken {
		return "", &matrixError{Status: http.StatusBadRequest, Code: "M_ROOM_IN_USE", Message: "Room alias already taken"}
	}
	if s.opts.AnyAlias {
		return alias, nil
	}
	reserved := false
	for _, svc := range s.services {
		reserved = reserved || svc != c.svc && svc.ownsAlias(alias, true)
	}
	if reserved || c.svc != nil && !c.svc.ownsAlias(alias, false) {
		return "", &matrixError{Status: http.StatusBadRequest, Code: "M_EXCLUSIVE", Message: "This application service has not reserved this kind of alias."}
	}
	return alias, nil
}

// SetAlias makes an alias lead to a room.
func (s *Server) SetAlias(alias id.RoomAlias, room id.RoomID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aliases[alias] = room
}

func (s *Server) getAlias(_ caller, r *http.Request, _ json.RawMessage) (any, error) {
	room, ok := s.aliases[id.RoomAlias(r.PathValue("alias"))]
	if !ok {
		return nil, notFound("Room alias not found")
	}
	return map[string]any{"room_id": room, "servers": []string{s.opts.ServerName}}, nil
}
