package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/bridge/webserver"
)

// The same handler with no database: timbridge's own web server and adapters, with UserSig or Sign, decoding and all, in a process of its
// own, before a core that does nothing and says yes. What timbridge does beside that is the database's part and the rules'.

// idleService acknowledges everything.
type idleService struct{ v2tim.Service }

func (idleService) SendMessageReadReceipts(context.Context, string, []string) error { return nil }

// idleIntake takes everything.
type idleIntake struct{}

func (idleIntake) Linked(string) bool                               { return true }
func (idleIntake) HandleEvent(context.Context, tencent.Event) error { return nil }

// serveBare serves one of the two until ctx ends.
func serveBare(ctx context.Context, which, address string) error {
	cfg := webserver.Config{Name: which, Address: address, MaxConnections: 2000, Log: zerolog.Nop()}
	switch which {
	case "v2tim":
		api, err := v2tim.New(v2tim.Config{SDKAppID: sdkAppID, SecretKey: secretKey, Admins: []string{adminID}}, idleService{}, nil, nil)
		if err != nil {
			return err
		}
		cfg.Handler = api.Handler()
	case "webhook":
		hooks, err := tencent.NewWebhooks(tencent.WebhooksConfig{SDKAppID: sdkAppID, Token: hookToken}, idleIntake{})
		if err != nil {
			return err
		}
		cfg.Handler = hooks
	default:
		return fmt.Errorf("failed to serve %q: it is neither v2tim nor webhook", which)
	}
	web, err := webserver.Listen(cfg)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve() }()
	select {
	case err = <-served:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return web.Shutdown(ctx)
}

// startBare starts this program anew as the bare handler. It belongs in a folder of its own.
func (s *suite) startBare(ctx context.Context, which string) (srv *server, port int, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, 0, fmt.Errorf("failed to find this program: %w", err)
	}
	srv = &server{name: "bare handler of " + which}
	if srv.dir, err = os.MkdirTemp(s.dir, "bare-"); err != nil {
		return nil, 0, fmt.Errorf("failed to make folder: %w", err)
	}
	if port, err = s.ports.Take(); err != nil {
		return nil, 0, err
	}
	srv.args = []string{self, "bare", which, loopback(port)}
	return srv, port, srv.launch(ctx, port)
}
