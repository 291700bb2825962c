package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Run starts the bridge, listens where the configuration says, and returns when ctx has ended and everything accepted has been
// finished, or when a listener fails.
func (b *Bridge) Run(ctx context.Context) error {
	if err := b.Start(ctx); err != nil {
		return err
	}
	err := b.listen(ctx)
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.cfg.Bridge.StopTimeout)
	defer cancel()
	return errors.Join(err, b.Stop(stopCtx))
}

// listen serves both APIs until ctx ends. Requests under way get the stop timeout to finish.
func (b *Bridge) listen(ctx context.Context) error {
	type api struct {
		name, host string
		port       uint16
		handler    http.Handler
	}
	servers := []api{
		{"Matrix", b.cfg.AppService.Hostname, b.cfg.AppService.Port, b.MatrixHandler()},
		{"V2TIM", b.cfg.V2TIM.Hostname, b.cfg.V2TIM.Port, b.V2TIMHandler()},
	}
	if b.cloud != nil {
		servers = append(servers, api{"webhooks", b.cfg.Tencent.Webhook.Hostname, b.cfg.Tencent.Webhook.Port, b.WebhookHandler()})
	}
	failed := make(chan error, len(servers))
	var running []*http.Server
	for _, s := range servers {
		address := net.JoinHostPort(s.host, strconv.Itoa(int(s.port)))
		listener, err := net.Listen("tcp", address)
		if err != nil {
			failed <- fmt.Errorf("failed to listen for %s on %s: %w", s.name, address, err)
			break
		}
		server := &http.Server{
			Handler:           s.handler,
			BaseContext:       func(net.Listener) context.Context { return b.log.WithContext(context.Background()) },
			ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		}
		running = append(running, server)
		b.log.Info().Str("api", s.name).Str("address", listener.Addr().String()).Msg("Listening")
		go func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("failed to serve %s: %w", s.name, err)
			}
		}()
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	b.log.Info().Msg("Stopping")
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.cfg.Bridge.StopTimeout)
	defer cancel()
	// WebSockets are no requests to http.Server; the API ends them.
	err = errors.Join(err, b.api.Close(stopCtx))
	for _, server := range running {
		err = errors.Join(err, server.Shutdown(stopCtx))
	}
	return err
}
