package matrix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// maxResponse bounds what is read of an answer other than /sync's. The largest is joined_members, of
// some 200 bytes per member.
const maxResponse = 16 << 20

// request is one call of the client-server API.
type request struct {
	method string
	// path is nearly always a mautrix.ClientURLPath, which begins after /_matrix/client.
	path  mautrix.PrefixableURLPath
	query url.Values
	// body is nil for an empty object.
	body any
	// raw, of type contentType, stands in for body where that is no JSON.
	raw         []byte
	contentType string
	// http and limit stand in for the normal client and maxResponse.
	http  *http.Client
	limit int64
}

// call makes one request as user, once, and decodes the answer into the pointer into (if not nil).
func (a *AppService) call(ctx context.Context, user id.UserID, req request, into any) (err error) {
	client, err := a.clientOf(user)
	if err != nil {
		return err
	}
	defer func() { a.tell(user, req.method, err) }()
	if req.http == nil {
		select {
		case a.slots <- struct{}{}:
			defer func() { <-a.slots }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if req.limit == 0 {
		req.limit = maxResponse
	}
	address := client.BuildURLWithFullQuery(req.path, func(q url.Values) {
		for key, values := range req.query {
			q[key] = values
		}
	})
	var headers http.Header
	if req.raw != nil {
		headers = http.Header{"Content-Type": {req.contentType}}
	}
	body, err := client.MakeFullRequest(withoutLog(ctx), mautrix.FullRequest{
		Method:            req.method,
		URL:               address,
		Headers:           headers,
		RequestJSON:       req.body,
		RequestBytes:      req.raw,
		MaxAttempts:       1,
		SensitiveContent:  true,
		ResponseSizeLimit: req.limit,
		Client:            req.http,
	})
	if err != nil {
		return classify(ctx, err)
	}
	if into == nil {
		return nil
	}
	if raw, ok := into.(*json.RawMessage); ok {
		*raw = body
		return nil
	}
	if err = json.Unmarshal(body, into); err != nil {
		return &TemporaryError{Err: fmt.Errorf("answer is not what was expected: %w", err)}
	}
	return nil
}

// withoutLog keeps mautrix from logging the request: it would write URLs and, in messages, texts.
func withoutLog(ctx context.Context) context.Context {
	nop := zerolog.Nop()
	return nop.WithContext(ctx)
}

// withLog makes sure that ctx carries a logger.
func (a *AppService) withLog(ctx context.Context) context.Context {
	if zerolog.Ctx(ctx).GetLevel() != zerolog.Disabled {
		return ctx
	}
	return a.log.WithContext(ctx)
}

func unixDialer(dialer *net.Dialer, path string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", path)
	}
}

// Ping asks the homeserver to reach us, which also makes Synapse deliver waiting transactions at once.
// ErrUnsupported means that the homeserver has no such call (Dendrite 0.15.2); an error with the code
// M_BAD_STATUS, M_CONNECTION_FAILED or M_CONNECTION_TIMEOUT means that it cannot reach us.
// See https://spec.matrix.org/v1.19/application-service-api/#pinging
func (a *AppService) Ping(ctx context.Context) error {
	err := a.call(ctx, a.senderMXID(), request{
		method: http.MethodPost,
		path:   mautrix.ClientURLPath{"v1", "appservice", a.cfg.Registration.ID, "ping"},
	}, nil)
	var refused *RequestError
	if errors.As(err, &refused) && refused.Code == "" &&
		(refused.Status == http.StatusNotFound || refused.Status == http.StatusMethodNotAllowed) {
		err = ErrUnsupported
	}
	if err != nil {
		return fmt.Errorf("failed to ping through the homeserver: %w", err)
	}
	return nil
}
