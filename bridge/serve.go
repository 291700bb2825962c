package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/webserver"
)

// Run starts the bridge, listens where the configuration says, and returns when ctx has ended and everything accepted has been
// finished, when a listener fails, or when another timbridge has taken over the database.
func (b *Bridge) Run(ctx context.Context) error {
	if err := b.Start(ctx); err != nil {
		return err
	}
	err := b.listen(ctx)
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.cfg.Bridge.StopTimeout)
	defer cancel()
	return errors.Join(err, b.Stop(stopCtx))
}

// api is what answers at one listener.
type api struct {
	name, host string
	port       uint16
	tls        config.TLS
	handler    http.Handler
}

func (b *Bridge) matrixAPI() api {
	as := b.cfg.AppService
	return api{"Matrix", as.Hostname, as.Port, as.TLS, b.MatrixHandler()}
}

func (b *Bridge) listenAt(a api) (*webserver.Server, error) {
	return webserver.Listen(webserver.Config{
		Name: a.name, Address: net.JoinHostPort(a.host, strconv.Itoa(int(a.port))), Handler: a.handler,
		MaxConnections: b.cfg.Bridge.MaxConnections, CertFile: a.tls.Cert, KeyFile: a.tls.Key, Log: b.log,
	})
}

// listen serves the APIs until ctx ends. Requests under way get the stop timeout to finish.
func (b *Bridge) listen(ctx context.Context) error {
	tim, hook := b.cfg.V2TIM, b.cfg.Tencent.Webhook
	apis := []api{
		b.matrixAPI(),
		{"V2TIM", tim.Hostname, tim.Port, tim.TLS, b.V2TIMHandler()},
	}
	if b.cloud != nil {
		apis = append(apis, api{"webhooks", hook.Hostname, hook.Port, hook.TLS, b.WebhookHandler()})
	}
	failed := make(chan error, len(apis))
	var running []*webserver.Server
	for _, a := range apis {
		server, err := b.listenAt(a)
		if err != nil {
			failed <- err
			break
		}
		running = append(running, server)
		b.log.Info().Str("api", a.name).Str("address", server.Addr().String()).Bool("tls", a.tls.On()).Msg("Listening")
		go func() {
			if err := server.Serve(); err != nil {
				failed <- fmt.Errorf("failed to serve %s: %w", a.name, err)
			}
		}()
	}
	var err error
	select {
	case err = <-failed:
	case <-b.commits.fence.takenOver():
		err = errTakenOver
	case <-ctx.Done():
	}
	b.log.Info().Msg("Stopping")
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.cfg.Bridge.StopTimeout)
	defer cancel()
	// WebSockets are no requests to the servers; the API ends them.
	err = errors.Join(err, b.api.Close(stopCtx))
	for _, server := range running {
		err = errors.Join(err, server.Shutdown(stopCtx))
	}
	return err
}
