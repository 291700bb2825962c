package v2tim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// CallbackAfterReadReceipt is what Tencent posts to an app's backend when messages of a group have been read
// (https://cloud.tencent.com/document/product/269/105355).
type CallbackAfterReadReceipt struct {
	CallbackCommand     string
	GroupId             string
	Type                string
	GroupMsgReceiptList []GroupMsgReceipt
	EventTime           int64 // Unix milliseconds
}

// GroupMsgReceipt is one message in it. ReadReceiptMembers are all who have read it, so that a backend which has missed a post
// misses nobody.
type GroupMsgReceipt struct {
	MsgSeq             uint64
	ReadNum            uint64
	UnreadNum          uint64
	ReadReceiptMembers []MemberAccount
}

// Backend posts callbacks to the app's backend, as Tencent would. It is safe for concurrent use.
type Backend struct {
	url      *url.URL
	token    string
	sdkAppID uint64
	http     *http.Client
	now      func() time.Time
}

// backendTimeout is how long a backend may take. Tencent gives 2 s; a retry is cheap for both sides.
const backendTimeout = 5 * time.Second

// NewBackend prepares posting to address. With a token, posts are signed as Tencent signs them
// (https://cloud.tencent.com/document/product/269/117703).
func NewBackend(address, token string, sdkAppID uint64) (*Backend, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("failed to parse callback URL: %w", err)
	}
	return &Backend{url: parsed, token: token, sdkAppID: sdkAppID, http: &http.Client{Timeout: backendTimeout, Transport: http.DefaultTransport.(*http.Transport).Clone()}, now: time.Now}, nil
}

// Close closes idle connections.
func (b *Backend) Close() { b.http.CloseIdleConnections() }

// Post makes one post. An error means that the backend has not said OK and the post has to be repeated.
func (b *Backend) Post(ctx context.Context, event CallbackAfterReadReceipt) error {
	event.CallbackCommand = "Group.CallbackAfterReadReceipt"
	event.EventTime = b.now().UnixMilli()
	body, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("failed to marshal callback: %w", err)
	}
	target := *b.url
	query := target.Query()
	query.Set("SdkAppid", strconv.FormatUint(b.sdkAppID, 10))
	query.Set("CallbackCommand", event.CallbackCommand)
	query.Set("contenttype", "json")
	query.Set("OptPlatform", "RESTAPI")
	if b.token != "" {
		requestTime := strconv.FormatInt(b.now().Unix(), 10)
		query.Set("RequestTime", requestTime)
		query.Set("Sign", signCallback(b.token, requestTime))
	}
	target.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("failed to prepare callback: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := b.http.Do(req)
	if err != nil {
		// The URL carries the signature; its error text must not.
		var urlErr *url.Error
		if errors.As(err, &urlErr) {
			err = urlErr.Err
		}
		return fmt.Errorf("failed to post callback: %w", err)
	}
	defer resp.Body.Close()
	var answer struct {
		ActionStatus string
		ErrorCode    int
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err == nil {
		err = json.Unmarshal(raw, &answer)
	}
	if resp.StatusCode != http.StatusOK || err != nil || answer.ActionStatus != "OK" {
		return fmt.Errorf("failed to post callback: backend answered HTTP %d, ActionStatus %.20q, ErrorCode %d", resp.StatusCode, answer.ActionStatus, answer.ErrorCode)
	}
	return nil
}

// signCallback is Tencent's Sign: the hexadecimal SHA-256 of token and time. The body is not covered, so only HTTPS protects it.
func signCallback(token, requestTime string) string {
	sum := sha256.Sum256([]byte(token + requestTime))
	return hex.EncodeToString(sum[:])
}
