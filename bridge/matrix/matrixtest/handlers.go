package matrixtest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"
)

// caller is who makes a request.
type caller struct {
	user  id.UserID
	svc   *service // nil for an ordinary user
	token string
}

// endpoint answers a request with something to be encoded as JSON, or an error. The lock is held.
type endpoint func(c caller, r *http.Request, body json.RawMessage) (any, error)

const (
	clientV3 = "/_matrix/client/v3"
	inRoom   = clientV3 + "/rooms/{room}"
)

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_matrix/client/versions", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"versions": []string{"v1.1", "v1.2", "v1.13"}})
	})
	mux.HandleFunc("GET "+clientV3+"/sync", s.handleSync)
	mux.HandleFunc("POST /_matrix/client/v1/appservice/{service}/ping", s.handlePing)
	mux.HandleFunc("POST /_matrix/media/v3/upload", s.handleUpload)
	for pattern, serve := range map[string]endpoint{
		"POST " + clientV3 + "/register":                 s.register,
		"GET " + clientV3 + "/account/whoami":            s.whoami,
		"GET " + clientV3 + "/joined_rooms":              s.joinedRooms,
		"POST " + clientV3 + "/createRoom":               s.postCreateRoom,
		"GET " + clientV3 + "/profile/{user}":            s.getProfile,
		"PUT " + clientV3 + "/profile/{user}/{field}":    s.putProfile,
		"POST " + clientV3 + "/join/{room}":              s.membershipAction("join"),
		"POST " + inRoom + "/join":                       s.membershipAction("join"),
		"POST " + inRoom + "/leave":                      s.membershipAction("leave"),
		"POST " + inRoom + "/invite":                     s.membershipAction("invite"),
		"POST " + inRoom + "/kick":                       s.membershipAction("kick"),
		"POST " + inRoom + "/ban":                        s.membershipAction("ban"),
		"POST " + inRoom + "/unban":                      s.membershipAction("unban"),
		"GET " + inRoom + "/joined_members":              s.joinedMembers,
		"PUT " + inRoom + "/send/{type}/{txn}":           s.putEvent,
		"PUT " + inRoom + "/state/{type}/{key...}":       s.putState,
		"GET " + inRoom + "/state/{type}/{key...}":       s.getState,
		"PUT " + inRoom + "/redact/{event}/{txn}":        s.putRedaction,
		"POST " + inRoom + "/receipt/{type}/{event}":     s.postReceipt,
		"POST " + inRoom + "/read_markers":               s.postReadMarkers,
		"GET " + inRoom + "/context/{event}":             s.getContext,
		"GET " + inRoom + "/event/{event}":               s.getEvent,
		"GET " + inRoom + "/messages":                    s.getMessages,
		"GET " + clientV3 + "/user/{user}/filter/{id}":   unrecognized,
		"POST " + clientV3 + "/user/{user}/filter":       unrecognized,
		"GET " + clientV3 + "/directory/room/{alias...}": s.getAlias,
	} {
		mux.HandleFunc(pattern, s.wrap(serve))
	}
	mux.HandleFunc("/", s.wrap(unrecognized))
	return mux
}

func unrecognized(caller, *http.Request, json.RawMessage) (any, error) {
	return nil, &matrixError{Status: http.StatusNotFound, Code: "M_UNRECOGNIZED", Message: "Unrecognized request"}
}

// wrap does what all endpoints share: token, body, faults, the log and the answer.
func (s *Server) wrap(serve endpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			return
		}
		s.mu.Lock()
		c, err := s.admit(r, body)
		var answer any
		if err == nil {
			err = checkBody(r, body)
		}
		if err == nil {
			answer, err = serve(c, r, body)
		}
		s.mu.Unlock()
		s.answer(w, answer, err)
	}
}

// admit logs a request, lets it fail if it shall, and finds out who makes it. The lock must be held.
func (s *Server) admit(r *http.Request, body []byte) (caller, error) {
	if r.URL.Query().Has("access_token") {
		s.t.Errorf("token in the query of %s", r.URL.Path)
	}
	c, err := s.identify(r)
	user := c.user
	if user == "" {
		user = id.UserID(r.URL.Query().Get("user_id"))
	}
	s.log = append(s.log, Request{Method: r.Method, Path: r.URL.Path, User: user, Body: body})
	if s.outage {
		return c, errOutage
	}
	if failure := s.takeFault(r.Method, r.URL.Path, user); failure != nil {
		return c, failure
	}
	return c, err
}

// checkBody wants an object in every POST and PUT, as Synapse does.
func checkBody(r *http.Request, body []byte) error {
	if r.Method == http.MethodPost || r.Method == http.MethodPut {
		var object map[string]json.RawMessage
		if json.Unmarshal(body, &object) != nil || object == nil {
			return &matrixError{Status: http.StatusBadRequest, Code: "M_NOT_JSON", Message: "Content not JSON."}
		}
	}
	return nil
}

func (s *Server) identify(r *http.Request) (caller, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return caller{}, &matrixError{Status: http.StatusUnauthorized, Code: "M_MISSING_TOKEN", Message: "Missing access token"}
	}
	if user, ok := s.userByToken(token); ok {
		return caller{user: user, token: token}, nil
	}
	for _, svc := range s.services {
		if svc.reg.AppToken != token {
			continue
		}
		user := id.NewUserID(svc.reg.SenderLocalpart, s.opts.ServerName)
		if as := id.UserID(r.URL.Query().Get("user_id")); as != "" && as != user {
			if !svc.owns(as, false) {
				return caller{}, forbidden("Application service cannot masquerade as this user (" + string(as) + ").")
			}
			if s.users[as] == nil {
				return caller{}, forbidden("Application service has not registered this user (" + string(as) + ")")
			}
			user = as
		}
		return caller{user: user, svc: svc, token: token}, nil
	}
	return caller{}, &matrixError{Status: http.StatusUnauthorized, Code: "M_UNKNOWN_TOKEN", Message: "Unrecognised access token"}
}

func (s *Server) answer(w http.ResponseWriter, answer any, err error) {
	var refusal *matrixError
	switch {
	case err == nil:
		writeJSON(w, http.StatusOK, answer)
	case !errors.As(err, &refusal), refusal.Status == 0:
		panic(http.ErrAbortHandler)
	default:
		if refusal.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int((refusal.RetryAfter+time.Second-1)/time.Second)))
		}
		if refusal.Code == "" {
			w.WriteHeader(refusal.Status)
			_, _ = w.Write([]byte("<html>made to fail</html>"))
			return
		}
		writeJSON(w, refusal.Status, map[string]any{
			"errcode": refusal.Code, "error": refusal.Message, "retry_after_ms": refusal.RetryAfter.Milliseconds(),
		})
	}
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(mustJSON(value))
}

func (s *Server) handleSync(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	c, err := s.admit(r, nil)
	s.mu.Unlock()
	if err == nil && c.svc != nil && s.opts.NoSenderSync && c.user.Localpart() == c.svc.reg.SenderLocalpart {
		err = &matrixError{Status: http.StatusInternalServerError, Code: "M_UNKNOWN", Message: "Internal server error"}
	}
	var filter syncFilter
	query := r.URL.Query()
	if raw := query.Get("filter"); err == nil && raw != "" && json.Unmarshal([]byte(raw), &filter) != nil {
		err = badParam("Invalid filter JSON")
	}
	timeout, parseErr := strconv.Atoi(query.Get("timeout"))
	if err == nil && query.Has("timeout") && (parseErr != nil || timeout < 0) {
		err = badParam("timeout is no number")
	}
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	ctx, cancel := s.bound(r)
	defer cancel()
	answer, err := s.sync(ctx, c.user, query.Get("since"), time.Duration(timeout)*time.Millisecond, filter)
	s.answer(w, answer, err)
}

func (s *Server) handlePing(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	s.mu.Lock()
	c, err := s.admit(r, body)
	s.mu.Unlock()
	if err == nil {
		err = checkBody(r, body)
	}
	switch {
	case err != nil:
	case !s.opts.Ping:
		_, err = unrecognized(c, r, nil)
	case c.svc == nil || c.svc.reg.ID != r.PathValue("service"):
		err = forbidden("Not your application service")
	case c.svc.url == "":
		err = &matrixError{Status: http.StatusBadRequest, Code: "M_URL_NOT_SET", Message: "No URL"}
	default:
		err = s.ping(r, c.svc)
	}
	s.answer(w, map[string]any{"duration_ms": 1}, err)
}

func (s *Server) ping(r *http.Request, svc *service) error {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, svc.url+"/_matrix/app/v1/ping", strings.NewReader(`{"transaction_id":"p1"}`))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+svc.reg.ServerToken)
	resp, err := s.pushHTTP.Do(req)
	if err != nil {
		return &matrixError{Status: http.StatusBadGateway, Code: "M_CONNECTION_FAILED", Message: "Cannot reach the application service"}
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return &matrixError{Status: http.StatusBadGateway, Code: "M_BAD_STATUS", Message: "Bad status"}
	}
	return nil
}
