package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/bridge/standby"
	"github.com/timbridge/timbridge/bridge/webserver"
	"github.com/timbridge/timbridge/receipts"
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

// What the APIs are called, in the log and between replicas.
const (
	apiMatrix   = "Matrix"
	apiV2TIM    = "V2TIM"
	apiWebhooks = "webhooks"
	apiReplicas = "replicas"
)

// apis are the listeners of a configuration, without handlers, the homeserver's first.
func apis(cfg *config.Config) []api {
	as, tim, hook := cfg.AppService, cfg.V2TIM, cfg.Tencent.Webhook
	list := []api{
		{name: apiMatrix, host: as.Hostname, port: as.Port, tls: as.TLS},
		{name: apiV2TIM, host: tim.Hostname, port: tim.Port, tls: tim.TLS},
	}
	if cfg.Tencent.Mode == config.ModeCloud {
		list = append(list, api{name: apiWebhooks, host: hook.Hostname, port: hook.Port, tls: hook.TLS})
	}
	return list
}

// StandbyAPIs are the listeners of a replica that stands by.
func StandbyAPIs(cfg *config.Config, log zerolog.Logger) (list []standby.API) {
	for _, a := range apis(cfg) {
		own := standby.API{Server: a.server(cfg, log), Refuse: func(w http.ResponseWriter) { refuseStandingBy(w, a.name) }}
		if a.name == apiMatrix {
			own.Live = matrix.PathLive
		}
		list = append(list, own)
	}
	return list
}

// refuseStandingBy tells whoever asks to come again, in the words of the API.
func refuseStandingBy(w http.ResponseWriter, name string) {
	const why = "no timbridge works on the database at the moment, try again"
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusServiceUnavailable)
	var body any = map[string]any{"ActionStatus": "FAIL", "ErrorInfo": why, "ErrorCode": receipts.CodeGroupInternalError}
	if name == apiMatrix {
		body = mautrix.MUnknown.WithMessage(why)
	}
	_ = json.NewEncoder(w).Encode(body)
}

func (a api) server(cfg *config.Config, log zerolog.Logger) webserver.Config {
	return webserver.Config{
		Name: a.name, Address: net.JoinHostPort(a.host, strconv.Itoa(int(a.port))), Handler: a.handler,
		MaxConnections: cfg.Bridge.MaxConnections, CertFile: a.tls.Cert, KeyFile: a.tls.Key, Log: log,
	}
}

func (b *Bridge) matrixAPI() api {
	a := apis(b.cfg)[0]
	a.handler = b.MatrixHandler()
	return a
}

func (b *Bridge) listenAt(a api) (*webserver.Server, error) {
	return webserver.Listen(a.server(b.cfg, b.log))
}

// listeners are all APIs with their handlers, and the one for other replicas.
func (b *Bridge) listeners() []api {
	handlers := map[string]http.Handler{apiMatrix: b.MatrixHandler(), apiV2TIM: b.V2TIMHandler()}
	if b.cloud != nil {
		handlers[apiWebhooks] = b.WebhookHandler()
	}
	list := apis(b.cfg)
	for i := range list {
		list[i].handler = handlers[list[i].name]
	}
	if r := b.cfg.Replica; r.Enabled {
		secret := standby.Secret(string(b.cfg.AppService.HSToken))
		list = append(list, api{apiReplicas, r.Hostname, r.Port, r.TLS, standby.Receive(secret, handlers)})
	}
	return list
}

// listen serves the APIs until ctx ends. Requests under way get the stop timeout to finish.
func (b *Bridge) listen(ctx context.Context) error {
	apis := b.listeners()
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
		if errors.Is(context.Cause(ctx), standby.ErrReplaced) {
			b.commits.fence.yield() // so that it stands by soon: until then it answers nobody
		}
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
