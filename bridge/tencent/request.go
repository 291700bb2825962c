package tencent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/timbridge/timbridge/receipts"
)

// maxReply bounds an answer. Tencent itself refuses to send more than 1 MB (10018). [ERR]
const maxReply = 4 << 20

// command is the last part of a call's path.
type command string

// The services, the part of the path before the command.
const (
	serviceGroup   = "group_open_http_svc"
	serviceMessage = "openim"
	serviceAccount = "im_open_login_svc"
	serviceProfile = "profile"
)

const (
	cmdGroupMsgReceipt          command = "group_msg_receipt"
	cmdGetGroupMsgReceipt       command = "get_group_msg_receipt"
	cmdGetGroupMsgReceiptDetail command = "get_group_msg_receipt_detail"
	cmdSendGroupMsg             command = "send_group_msg"
	cmdGroupMsgRecall           command = "group_msg_recall"
	cmdModifyGroupMsg           command = "modify_group_msg"
	cmdGroupMsgGetSimple        command = "group_msg_get_simple"
	cmdGetGroupInfo             command = "get_group_info"
	cmdGetGroupMemberInfo       command = "get_group_member_info"
	cmdAddGroupMember           command = "add_group_member"
	cmdDeleteGroupMember        command = "delete_group_member"
	cmdGetAppidGroupList        command = "get_appid_group_list"
	cmdAccountImport            command = "account_import"
	cmdMultiaccountImport       command = "multiaccount_import"
	cmdAccountCheck             command = "account_check"
	cmdPortraitGet              command = "portrait_get"
	cmdPortraitSet              command = "portrait_set"
)

// commandSpec says where a command is and how often it may be called, where that is not what the
// Config says.
type commandSpec struct {
	service   string
	perSecond float64
}

func commands() map[command]commandSpec {
	return map[command]commandSpec{
		cmdGroupMsgReceipt:          {service: serviceGroup},
		cmdGetGroupMsgReceipt:       {service: serviceGroup},
		cmdGetGroupMsgReceiptDetail: {service: serviceGroup},
		cmdSendGroupMsg:             {service: serviceGroup},
		cmdGroupMsgRecall:           {service: serviceGroup},
		cmdModifyGroupMsg:           {service: serviceMessage},
		cmdGroupMsgGetSimple:        {service: serviceGroup},
		cmdGetGroupInfo:             {service: serviceGroup},
		cmdGetGroupMemberInfo:       {service: serviceGroup},
		cmdAddGroupMember:           {service: serviceGroup},
		cmdDeleteGroupMember:        {service: serviceGroup},
		cmdGetAppidGroupList:        {service: serviceGroup, perSecond: 0.5}, // Tencent: 1/s [R-GROUPS]
		cmdAccountImport:            {service: serviceAccount},
		cmdMultiaccountImport:       {service: serviceAccount},
		cmdAccountCheck:             {service: serviceAccount},
		cmdPortraitGet:              {service: serviceProfile},
		cmdPortraitSet:              {service: serviceProfile},
	}
}

// call makes one call, once: it waits for its turn, sends body (a struct, never nil: Tencent wants no
// empty bodies) and decodes the answer into the pointer into (nil where only success counts). Even
// where it returns an *APIError, into holds what came with it.
func (c *Client) call(ctx context.Context, name command, body, into any) (err error) {
	if err := c.commands[name].limiter.wait(ctx); err != nil {
		return notSent(ctx, err)
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return notSent(ctx, ctx.Err())
	}
	sig, err := c.sig.get()
	if err != nil {
		return err
	}
	defer func() { c.tell(name, err) }()
	reply, err := c.post(ctx, name, sig, body)
	if err != nil {
		return err
	}
	err = decodeReply(name, reply, into)
	var refused *APIError
	if errors.As(err, &refused) {
		refused.Info = cut(strings.NewReplacer(sig, "…", url.QueryEscape(sig), "…").Replace(refused.Info), maxInfo)
		c.heed(name, refused.Code, sig)
	}
	return err
}

// notSent is the error of a call that was not made. That a deadline would not have been met is
// nothing to give up a piece of work for; that the caller stopped is for the caller alone.
func notSent(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return &TemporaryError{Err: fmt.Errorf("failed to wait for a turn to call: %w", err)}
}

// heed does what a code asks for beyond this one call.
func (c *Client) heed(name command, code receipts.Code, sig string) {
	switch {
	case code == receipts.CodeSDKAppIDFrequencyLimit: // about the app, not the command
		for _, e := range c.commands {
			e.limiter.slow()
		}
	case code == codeDailyCap:
	case Classify(code) == ErrFrequency:
		c.commands[name].limiter.slow()
	case code >= receipts.CodeUserSigExpired && code <= receipts.CodeUserSigWrongApp,
		code == receipts.CodeAccountCheckFailed, code == receipts.CodeUserSigCheckFailed:
		c.sig.forget(sig)
	}
}

// post sends one request and returns the body of the answer.
func (c *Client) post(ctx context.Context, name command, sig string, body any) ([]byte, error) {
	var content bytes.Buffer
	encoder := json.NewEncoder(&content)
	encoder.SetEscapeHTML(false) // three times the bytes, where 12 KB are the limit
	if err := encoder.Encode(body); err != nil {
		return nil, fmt.Errorf("failed to encode the call: %w", err)
	}
	query := url.Values{
		"sdkappid":    {strconv.FormatUint(c.cfg.SDKAppID, 10)},
		"identifier":  {c.cfg.Identifier},
		"usersig":     {sig},
		"random":      {strconv.FormatUint(uint64(rand.Uint32()), 10)},
		"contenttype": {"json"},
	}
	var sent atomic.Bool
	trace := &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodPost, c.commands[name].url+"?"+query.Encode(), &content)
	if err != nil {
		return nil, fmt.Errorf("failed to make the call: %w", withoutURL(err))
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, noReply(ctx, sent.Load(), err)
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	switch {
	case err != nil:
		return nil, noReply(ctx, true, err)
	case len(reply) > maxReply:
		return nil, &TemporaryError{Unclear: true, Err: fmt.Errorf("%s: the answer is larger than %d bytes", name, maxReply)}
	case resp.StatusCode == http.StatusTooManyRequests: // a gateway in front of Tencent's service
		c.commands[name].limiter.slow()
		return nil, &TemporaryError{RetryAfter: slowPause, Err: fmt.Errorf("%s: HTTP 429: %w", name, ErrFrequency)}
	case resp.StatusCode != http.StatusOK && !isReply(reply):
		return nil, &TemporaryError{Unclear: true, Err: fmt.Errorf("%s: HTTP %d, which no answer of Tencent's has", name, resp.StatusCode)}
	}
	return reply, nil
}

// noReply is the error of a request that got no answer. Once it has begun to go out, nobody knows
// what became of it.
func noReply(ctx context.Context, sent bool, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return &TemporaryError{Unclear: sent, Err: fmt.Errorf("failed to reach Tencent: %w", withoutURL(err))}
}

// withoutURL takes the URL, which has the UserSig in it, out of an error of net/http.
func withoutURL(err error) error {
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		return urlErr.Err
	}
	return err
}

// frame is what every answer has. ErrorInfo may be anything.
type frame struct {
	ActionStatus string
	ErrorCode    *replyCode
	ErrorInfo    json.RawMessage
}

// replyCode is a code that may come quoted.
type replyCode int

// UnmarshalJSON implements json.Unmarshaler.
func (c *replyCode) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseInt(unquote(b), 10, 32)
	if err != nil {
		return errNoNumber
	}
	*c = replyCode(n)
	return nil
}

// isReply tells an answer of Tencent's from a page that a proxy made up.
func isReply(body []byte) bool {
	var f frame
	return json.Unmarshal(body, &f) == nil && f.ErrorCode != nil
}

// decodeReply reads an answer. The ErrorCode decides: the HTTP status is 200 even for failures, and
// ActionStatus only repeats it. [R-OVER]
func decodeReply(name command, body []byte, into any) error {
	var f frame
	if err := json.Unmarshal(body, &f); err != nil || f.ErrorCode == nil {
		return &TemporaryError{Unclear: true, Err: fmt.Errorf("%s: the answer is none of Tencent's", name)}
	}
	var err error
	if into != nil {
		err = json.Unmarshal(body, into)
	}
	if code := receipts.Code(*f.ErrorCode); code != receipts.CodeOK {
		var info string
		if json.Unmarshal(f.ErrorInfo, &info) != nil {
			info = ""
		}
		return (&APIError{Command: string(name), Code: code, Info: info}).asError()
	}
	if err != nil {
		return &TemporaryError{Unclear: true, Err: fmt.Errorf("%s: the answer is not what was expected: %w", name, err)}
	}
	return nil
}

// unixSeconds is a time in seconds since 1970, 0 if unknown.
func unixSeconds(s Uint) time.Time {
	if s == 0 || s > maxMillis/1000 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0)
}
