package matrixtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"maunium.net/go/mautrix/id"
)

func (s *Server) getProfile(_ caller, r *http.Request, _ json.RawMessage) (any, error) {
	acc := s.users[id.UserID(r.PathValue("user"))]
	if acc == nil {
		return nil, notFound("Profile was not found")
	}
	profile := make(map[string]any)
	if acc.displayName != "" {
		profile["displayname"] = acc.displayName
	}
	if acc.avatarURL != "" {
		profile["avatar_url"] = acc.avatarURL
	}
	return profile, nil
}

func (s *Server) putProfile(c caller, r *http.Request, body json.RawMessage) (any, error) {
	if id.UserID(r.PathValue("user")) != c.user {
		return nil, forbidden("Cannot set another user's profile")
	}
	var req map[string]string
	field := r.PathValue("field")
	if json.Unmarshal(body, &req) != nil {
		return nil, badParam("no strings")
	}
	switch field {
	case "displayname":
		s.users[c.user].displayName = req[field]
	case "avatar_url":
		s.users[c.user].avatarURL = req[field]
	default:
		return unrecognized(c, r, body)
	}
	s.showProfile(c.user)
	return struct{}{}, nil
}

// showProfile puts a changed profile into the rooms that the user is in, as both servers do. The lock must be held.
func (s *Server) showProfile(user id.UserID) {
	for _, r := range s.rooms {
		if r.membership(user) == "join" {
			s.setMembership(r, user, user, "join")
		}
	}
	s.notify()
}

// Profile returns display name and avatar of a user.
func (s *Server) Profile(user id.UserID) (displayName, avatarURL string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if acc := s.users[user]; acc != nil {
		return acc.displayName, acc.avatarURL
	}
	return "", ""
}

// SetProfile gives the user a display name and an avatar.
func (u *User) SetProfile(displayName, avatarURL string) {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	u.s.users[u.ID].displayName, u.s.users[u.ID].avatarURL = displayName, avatarURL
	u.s.showProfile(u.ID)
}

// Media is a file that was uploaded.
type Media struct {
	Owner             id.UserID
	ContentType, Name string
	Data              []byte
}

// Media returns the file under an mxc:// URI, nil if there is none.
func (s *Server) Media(uri id.ContentURI) *Media {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.media[uri]
}

func (s *Server) handleUpload(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(io.LimitReader(r.Body, int64(s.opts.MaxUpload)+1))
	if err != nil {
		return
	}
	s.mu.Lock()
	c, err := s.admit(r, nil)
	var answer any
	if err == nil {
		answer, err = s.upload(c, r, data)
	}
	s.mu.Unlock()
	s.answer(w, answer, err)
}

func (s *Server) upload(c caller, r *http.Request, data []byte) (any, error) {
	switch {
	case r.ContentLength < 0:
		return nil, &matrixError{Status: http.StatusBadRequest, Code: "M_UNKNOWN", Message: "Request must specify a Content-Length"}
	case len(data) > s.opts.MaxUpload:
		return nil, &matrixError{Status: http.StatusRequestEntityTooLarge, Code: "M_TOO_LARGE", Message: "Upload request body is too large"}
	}
	uri := id.ContentURI{Homeserver: s.opts.ServerName, FileID: fmt.Sprintf("media%d", s.next())}
	s.media[uri] = &Media{Owner: c.user, ContentType: r.Header.Get("Content-Type"), Name: r.URL.Query().Get("filename"), Data: data}
	return map[string]any{"content_uri": uri.String()}, nil
}
