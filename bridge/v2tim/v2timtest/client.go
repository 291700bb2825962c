package v2timtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/receipts"
)

// maxAnswer bounds an answer in bytes.
const maxAnswer = 8 << 20

// Client calls the API as one user. Its fields may be set before the first call;
// then it is safe for concurrent use.
type Client struct {
	// BaseURL is where the API is, as http://127.0.0.1:8080 (no path).
	BaseURL  string
	SDKAppID uint64
	UserID   string
	UserSig  string
	// Header is sent with every call (client hints); may be nil.
	Header http.Header
	// HTTP is used for calls; nil = [http.DefaultClient].
	HTTP *http.Client
}

// New returns a client of userID with a UserSig valid for a day.
func New(baseURL string, sdkAppID uint64, secretKey, userID string) (*Client, error) {
	sig, err := v2tim.GenUserSig(sdkAppID, secretKey, userID, 24*time.Hour)
	if err != nil {
		return nil, fmt.Errorf("failed to sign in %s: %w", userID, err)
	}
	return &Client{BaseURL: baseURL, SDKAppID: sdkAppID, UserID: userID, UserSig: sig}, nil
}

// URL is the address of a call, with who calls.
func (c *Client) URL(service, command string) string {
	q := url.Values{
		"sdkappid":    {strconv.FormatUint(c.SDKAppID, 10)},
		"identifier":  {c.UserID},
		"usersig":     {c.UserSig},
		"random":      {strconv.FormatUint(uint64(rand.Uint32()), 10)},
		"contenttype": {"json"},
	}
	return c.BaseURL + "/v4/" + service + "/" + command + "?" + q.Encode()
}

// Call makes one call. body is encoded as JSON (nil: {}); out, if not nil, gets
// what was answered: data of v2tim, the whole object of the other services. A code
// other than 0 is a [*receipts.Error].
func (c *Client) Call(ctx context.Context, service, command string, body, out any) error {
	if body == nil {
		body = struct{}{}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("failed to encode %s: %w", command, err)
	}
	answer, err := c.post(ctx, service, command, text)
	if err != nil {
		return fmt.Errorf("failed to call %s: %w", command, err)
	}
	var head struct {
		Code      *receipts.Code  `json:"code"`
		Desc      string          `json:"desc"`
		Data      json.RawMessage `json:"data"`
		ErrorCode *receipts.Code  `json:"ErrorCode"`
		ErrorInfo string          `json:"ErrorInfo"`
	}
	if err = json.Unmarshal(answer, &head); err != nil {
		return fmt.Errorf("failed to read the answer of %s: %w", command, err)
	}
	code, desc, result := head.Code, head.Desc, head.Data
	if head.ErrorCode != nil {
		code, desc, result = head.ErrorCode, head.ErrorInfo, answer
	}
	switch {
	case code == nil:
		return fmt.Errorf("failed to read the answer of %s: it has no code", command)
	case *code != 0:
		return &receipts.Error{Code: *code, Desc: desc}
	case out == nil:
		return nil
	}
	if err = json.Unmarshal(result, out); err != nil {
		return fmt.Errorf("failed to read the answer of %s: %w", command, err)
	}
	return nil
}

func (c *Client) post(ctx context.Context, service, command string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL(service, command), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range c.Header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP status %d", resp.StatusCode)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
}
