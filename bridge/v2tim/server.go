package v2tim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/timbridge/timbridge/receipts"
)

// The services of the API: the second part of the path /v4/{service}/{command}.
const (
	serviceSDK    = "v2tim"               // what an app calls
	serviceGroup  = "group_open_http_svc" // what Tencent's server API has
	serviceBridge = "timbridge"           // what only we have

	commandEvents = "events" // of serviceSDK; the only GET
)

// Server is the API as an [http.Handler]. It is safe for concurrent use.
type Server struct {
	cfg      Config
	service  Service
	admin    Admin
	events   Events
	admins   map[string]bool
	verifier *userSigVerifier
	limiter  *limiter
	failures *limiter      // of signatures, by address
	drains   chan struct{} // slots for taking in what nobody wants
	hints    hints
	commands map[string]command // by "service/command"
	conns    *connections
	closing  sync.Once
}

// New returns a server, or an error that says what is wrong with cfg. admin and
// events may be nil: their calls are then refused (10026, 7013). Call
// [Server.Close] in the end.
func New(cfg Config, service Service, admin Admin, events Events) (*Server, error) {
	switch {
	case cfg.SDKAppID == 0:
		return nil, errors.New("failed to set up the V2TIM API: no sdkappid")
	case cfg.SecretKey == "":
		return nil, errors.New("failed to set up the V2TIM API: no secret key")
	case service == nil:
		return nil, errors.New("failed to set up the V2TIM API: no service")
	}
	h, err := newHints(cfg.MinSDKVersion, cfg.DenyPlatforms)
	if err != nil {
		return nil, fmt.Errorf("failed to set up the V2TIM API: %w", err)
	}
	cfg = cfg.withDefaults()
	s := &Server{
		cfg: cfg, service: service, admin: admin, events: events,
		admins:   make(map[string]bool, len(cfg.Admins)),
		verifier: &userSigVerifier{sdkAppID: cfg.SDKAppID, secret: []byte(cfg.SecretKey)},
		limiter:  newLimiter(cfg.RatePerSecond, cfg.RateBurst),
		failures: newLimiter(float64(cfg.SigFailures)/60, cfg.SigFailures),
		drains:   make(chan struct{}, maxDrains),
		hints:    h,
		conns:    newConnections(cfg.MaxConnections, cfg.MaxConnectionsPerUser),
	}
	for _, a := range cfg.Admins {
		s.admins[a] = true
	}
	s.commands = s.allCommands()
	return s, nil
}

func (c Config) withDefaults() Config {
	orInt := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	orTime := func(v *time.Duration, def time.Duration) {
		if *v <= 0 {
			*v = def
		}
	}
	if c.MaxBody <= 0 {
		c.MaxBody = 1 << 20
	}
	orInt(&c.MaxIDs, 30)
	orInt(&c.MaxMessage, 12<<10)
	orInt(&c.MaxConnections, 4096)
	orInt(&c.MaxConnectionsPerUser, 8)
	orTime(&c.CoalesceWindow, 200*time.Millisecond)
	orTime(&c.PingInterval, 30*time.Second)
	orTime(&c.WriteTimeout, 10*time.Second)
	orTime(&c.BodyTimeout, 10*time.Second)
	orTime(&c.CallTimeout, 30*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Handler returns the handler of everything under /v4/. Whatever else reaches it
// is answered in the frame too (60009). The logger comes from the request's
// context.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Close refuses new listeners, tells the open ones that the server goes away, and
// returns when all have ended. When ctx ends first, what is still open is cut off
// and Close returns the context's error. Plain calls under way are not its
// business: [http.Server.Shutdown] waits for them. Close may be called again.
func (s *Server) Close(ctx context.Context) error {
	s.closing.Do(s.conns.close)
	return s.conns.wait(ctx)
}

// command is one call: how its body is read and what it then does.
type command struct {
	admin bool // only administrators
	hints bool // only clients that may have read receipts
	// decode reads the body. A syntax error leaves no call; after any other error
	// the call is there and refused later, in the order of checks.
	decode func(body []byte) (call, error)
}

// call is a decoded call.
type call func(ctx context.Context, caller string) (result any, err error)

// on makes a command of a function that takes its decoded body.
func on[Request any](f func(ctx context.Context, caller string, req Request) (any, error)) command {
	return command{decode: func(body []byte) (call, error) {
		var req Request
		err := json.Unmarshal(body, &req)
		return func(ctx context.Context, caller string) (any, error) { return f(ctx, caller, req) }, err
	}}
}

// Commands lists everything that can be called, as "service/command", events among
// them.
func (s *Server) Commands() []string {
	return append(slices.Sorted(maps.Keys(s.commands)), serviceSDK+"/"+commandEvents)
}

func (s *Server) allCommands() map[string]command {
	all := make(map[string]command)
	for name, c := range s.sdkCommands() {
		all[serviceSDK+"/"+name] = c
	}
	for name, c := range s.receiptCommands() {
		c.admin = true
		all[serviceGroup+"/"+name] = c
	}
	for name, c := range s.memberCommands() { // served under both names
		c.admin = true
		all[serviceGroup+"/"+name] = c
		all[serviceBridge+"/"+name] = c
	}
	for name, c := range s.bridgeCommands() {
		c.admin = true
		all[serviceBridge+"/"+name] = c
	}
	return all
}

// serve takes one request through the checks, in the order of design.md section 4.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	service, name, ok := splitPath(r.URL.Path)
	f := frameServer
	if service == serviceSDK {
		f = frameSDK
	}
	defer s.rescue(w, r, f)
	switch {
	case !ok:
		s.answer(w, r, f, nil, refuse(receipts.CodeBadResource, "unknown service; the path is /v4/{service}/{command}"))
	case f == frameSDK && name == commandEvents:
		s.serveEvents(w, r)
	default:
		result, err := s.call(w, r, f, service+"/"+name)
		s.answer(w, r, f, result, err)
	}
}

// splitPath takes /v4/{service}/{command} apart; ok says whether there is such a
// service.
func splitPath(path string) (service, name string, ok bool) {
	rest, isV4 := strings.CutPrefix(path, "/v4/")
	service, name, _ = strings.Cut(rest, "/")
	switch service {
	case serviceSDK, serviceGroup, serviceBridge:
		return service, name, isV4
	}
	return "", "", false
}

// call answers one POST.
func (s *Server) call(w http.ResponseWriter, r *http.Request, f frame, path string) (any, error) {
	if r.Method != http.MethodPost {
		return nil, refuse(receipts.CodeHTTPParseFailed, "this call is a POST")
	}
	caller, _, err := s.authenticate(r, f)
	if err != nil {
		return nil, err
	}
	c, known := s.commands[path]
	// Before anything else about a call that is for administrators only, known or
	// not, its caller must be one.
	if f == frameServer && !s.admins[caller] {
		return nil, refuse(receipts.CodeNotAdmin, "the identifier is not an administrator")
	}
	if !known {
		return nil, refuse(receipts.CodeGroupAPINameError, "unknown command")
	}
	if c.hints {
		if err = s.hints.check(r.Header); err != nil {
			return nil, err
		}
	}
	// Before the body is read, so that who calls too often costs no more than that.
	if f == frameSDK && !s.limiter.allow(caller, s.cfg.Now()) {
		return nil, refuse(receipts.CodeAPICallFrequencyLimit, "too many calls, slow down")
	}
	body, err := s.readBody(w, r)
	if err != nil {
		return nil, err
	}
	do, err := c.decode(body)
	if syntax := new(json.SyntaxError); errors.As(err, &syntax) {
		return nil, refuse(receipts.CodeJSONParseFailed, "the body is not JSON")
	}
	if err != nil {
		return nil, s.badValue(f, err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.CallTimeout)
	defer cancel()
	result, err := do(ctx, caller)
	return result, hide(ctx, err)
}

// badValue refuses JSON of which a value has the wrong type.
func (s *Server) badValue(f frame, err error) error {
	desc := "a value has the wrong type"
	if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) && wrong.Field != "" {
		desc = fmt.Sprintf("%.100s has the wrong type", wrong.Field)
	}
	return invalid(f, desc)
}

// invalid refuses parameters, by the code of the frame.
func invalid(f frame, desc string) error {
	if f == frameSDK {
		return refuse(receipts.CodeInvalidParameters, desc)
	}
	return refuse(receipts.CodeGroupInvalidParameters, desc)
}

// rescue answers for a call that broke down, so that one bad call cannot take the
// connection of others (HTTP/2) with it.
func (s *Server) rescue(w http.ResponseWriter, r *http.Request, f frame) {
	v := recover()
	if v == nil {
		return
	}
	zerolog.Ctx(r.Context()).Error().Any("panic", v).Bytes("stack", debug.Stack()).Msg("V2TIM call broke down")
	s.answer(w, r, f, nil, refuse(receipts.CodeGroupInternalError, "internal error"))
}
