package v2tim

import (
	"context"
	"net/http"
)

// Server is the API as an http.Handler.
type Server struct {
	cfg     Config
	service Service
	admin   Admin
	events  Events
}

// New returns a server. admin and events may be nil: their calls are then refused.
func New(cfg Config, service Service, admin Admin, events Events) (*Server, error) {
	return &Server{cfg: cfg, service: service, admin: admin, events: events}, nil
}

// Handler returns the handler of everything under /v4/.
func (s *Server) Handler() http.Handler { return http.NotFoundHandler() }

// Close ends all WebSockets and waits for them.
func (s *Server) Close(ctx context.Context) error { return nil }
