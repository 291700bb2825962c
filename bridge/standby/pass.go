package standby

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/rs/zerolog"
)

// What a request that is passed on carries beside its own headers.
const (
	headerSecret = "Timbridge-Replica" // #nosec G101 -- the name of a header
	headerAPI    = "Timbridge-Api"
	headerRemote = "Timbridge-Remote"
)

// notOurs is what headerSecret says in the answer to somebody who shows another secret.
const notOurs = "not one of ours"

const (
	// leaderWait is how long a request waits for a leader, leaderPoll how often it looks.
	leaderWait = 10 * time.Second
	leaderPoll = 50 * time.Millisecond
)

var (
	errNoLeader = errors.New("no timbridge leads at the moment")
	errSilent   = errors.New("it did not answer for as long as it led; the request may have been done")
	errNotOurs  = errors.New("the leader does not take this replica for one of its own: they need the same appservice.hs_token")
)

// Secret is what replicas know each other by: they share the hs_token.
func Secret(hsToken string) string {
	mac := hmac.New(sha256.New, []byte(hsToken))
	mac.Write([]byte("timbridge replicas"))
	return hex.EncodeToString(mac.Sum(nil))
}

// Receive serves what other replicas pass on, by the name of the API that they got it at. Anybody else gets 404. It is safe for
// concurrent use.
func Receive(secret string, apis map[string]http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given := r.Header.Get(headerSecret)
		handler := apis[r.Header.Get(headerAPI)]
		known := subtle.ConstantTimeCompare([]byte(given), []byte(secret)) == 1
		if !known || handler == nil {
			if given != "" && !known {
				w.Header().Set(headerSecret, notOurs)
			}
			http.NotFound(w, r)
			return
		}
		if remote := r.Header.Get(headerRemote); remote != "" {
			r.RemoteAddr = remote
		}
		for _, name := range []string{headerSecret, headerAPI, headerRemote} {
			r.Header.Del(name)
		}
		handler.ServeHTTP(w, r)
	})
}

// introduce has a request say to the leader that a replica passes it on, and to which API.
func introduce(header http.Header, secret, api string) {
	header.Set(headerSecret, secret)
	header.Set(headerAPI, api)
}

// transport reaches other replicas, and never by way of the environment's proxy.
func transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // nobody puts another there
	t.Proxy = nil
	return t
}

// Reach asks the leader at an address as a replica does, for a path of an API. It returns the status of the answer, or an error that says
// why this one could not pass anything on.
func Reach(ctx context.Context, address, secret, api, path string) (status int, err error) {
	base := transport()
	defer base.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address+path, nil)
	if err != nil {
		return 0, fmt.Errorf("failed to make request to the leader: %w", err)
	}
	introduce(r.Header, secret, api)
	resp, err := base.RoundTrip(r)
	if err != nil {
		return 0, fmt.Errorf("failed to reach the leader: %w", err)
	}
	defer resp.Body.Close()
	if resp.Header.Get(headerSecret) == notOurs {
		return 0, errNotOurs
	}
	return resp.StatusCode, nil
}

// target is a leader to pass requests on to. Its context ends when it leads no more: what was passed on to it is given up then, since one
// that sleeps answers nothing and refuses nothing.
type target struct {
	url *url.URL
	ctx context.Context //nolint:containedctx // it is the time for which the leader leads
	end context.CancelFunc
}

// passer passes requests on to the leader.
type passer struct {
	secret string
	leader func() *target // nil: nobody leads
	// standing ends when this one stands by no more.
	standing context.Context //nolint:containedctx // as it says
	base     http.RoundTripper
	log      zerolog.Logger
}

// handler passes on what comes to an API. refuse answers where no leader can be reached.
func (p *passer) handler(api string, refuse func(http.ResponseWriter)) http.Handler {
	return &httputil.ReverseProxy{
		FlushInterval: -1,
		Transport:     p,
		Rewrite: func(r *httputil.ProxyRequest) {
			// What proxies in front of us say of the client stays.
			for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				if values := r.In.Header.Values(name); len(values) > 0 {
					r.Out.Header[name] = values
				}
			}
			introduce(r.Out.Header, p.secret, api)
			r.Out.Header.Set(headerRemote, r.In.RemoteAddr)
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				p.log.Warn().Err(err).Str("api", api).Msg("Failed to pass a request on to the leader")
			}
			refuse(w)
		},
	}
}

// aliveAt answers 200 at a path, and hands on everything else.
func aliveAt(path string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path == "" || r.URL.Path != path {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	})
}

// RoundTrip sends a request to whoever leads. One that has not left yet waits for a leader; one that has may have been done, and fails.
func (p *passer) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), leaderWait)
	defer cancel()
	body := r.Body
	for {
		leader := p.leader()
		err := errNoLeader
		if leader != nil {
			out := r.Clone(whileLeading(r.Context(), leader))
			out.URL.Scheme, out.URL.Host = leader.url.Scheme, leader.url.Host
			if body != nil && body != http.NoBody {
				out.Body = io.NopCloser(body) // a connection that cannot be made must not close it
			}
			var resp *http.Response
			if resp, err = p.base.RoundTrip(out); err == nil {
				if resp.Header.Get(headerSecret) == notOurs {
					_ = resp.Body.Close()
					return nil, errNotOurs // its 404 would say that there is no such call
				}
				if resp.StatusCode == http.StatusSwitchingProtocols {
					// The context of a request has no hold on a WebSocket, and a leader that sleeps does not close it.
					socket := resp.Body // the proxy takes it out of resp
					context.AfterFunc(out.Context(), func() { _ = socket.Close() })
				}
				return resp, nil
			}
			if leader.ctx.Err() != nil {
				return nil, errSilent // it was cut off by us, and "canceled" would leave open why
			}
			var op *net.OpError
			if !errors.As(err, &op) || op.Op != "dial" {
				return nil, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-p.standing.Done():
			return nil, err
		case <-time.After(leaderPoll):
		}
	}
}

// whileLeading is a request's context that also ends with the leader.
func whileLeading(ctx context.Context, leader *target) context.Context {
	ctx, cancel := context.WithCancel(ctx) //nolint:govet // it ends with the request
	stop := context.AfterFunc(leader.ctx, cancel)
	context.AfterFunc(ctx, func() { stop(); cancel() })
	return ctx
}
