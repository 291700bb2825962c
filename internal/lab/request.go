package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	maxBody        = 32 << 20 // of an answer
	requestTimeout = time.Minute
)

// HTTPError is a homeserver's refusal.
type HTTPError struct {
	Method, Path string
	Status       int
	ErrCode      string `json:"errcode"` // "M_FORBIDDEN" and the like, empty if there was none
	Message      string `json:"error"`
}

// Error names the request, the status and the homeserver's own words.
func (e *HTTPError) Error() string {
	return fmt.Sprintf("%s %s: status %d %s: %s", e.Method, e.Path, e.Status, e.ErrCode, e.Message)
}

// request sends one request and decodes the answer into out, unless it is nil. A refusal is an *HTTPError. It is not
// sent again on any failure.
func (hs *Homeserver) request(ctx context.Context, token, method, path string, query url.Values, body, out any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("failed to encode body of %s %s: %w", method, path, err)
		}
		reader = bytes.NewReader(text)
	}
	target := hs.URL() + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, reader)
	if err != nil {
		return fmt.Errorf("failed to make request %s %s: %w", method, path, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := hs.client.Do(req)
	if err != nil {
		return fmt.Errorf("failed to send %s %s: %w", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return fmt.Errorf("failed to read answer to %s %s: %w", method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		refusal := &HTTPError{}
		_ = json.Unmarshal(text, refusal) // not every refusal is JSON; the status says enough
		refusal.Method, refusal.Path, refusal.Status = method, path, resp.StatusCode
		return refusal
	}
	if out == nil {
		return nil
	}
	if err = json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("failed to decode answer to %s %s: %w", method, path, err)
	}
	return nil
}
