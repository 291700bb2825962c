package tencenttest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/receipts"
)

// obj is JSON to be sent.
type obj = map[string]any

// query is the frame of a right call.
func query(t *testing.T, s *Server) url.Values {
	t.Helper()
	sig, err := s.UserSig(s.Admin())
	require.NoError(t, err)
	return url.Values{
		"sdkappid": {strconv.FormatUint(s.SDKAppID(), 10)}, "identifier": {s.Admin()}, "usersig": {sig},
		"random": {"4294967295"}, "contenttype": {"json"},
	}
}

// request posts to the server API by hand.
func request(t *testing.T, s *Server, path string, q url.Values, body []byte) (*http.Response, []byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+path+"?"+q.Encode(), bytes.NewReader(body))
	require.NoError(t, err)
	return roundTrip(t, req)
}

func roundTrip(t *testing.T, req *http.Request) (*http.Response, []byte, error) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	return resp, raw, err
}

// call makes a right call and returns the code and all of the answer.
func call(t *testing.T, s *Server, path string, body any) (receipts.Code, obj) {
	t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(t, err)
	resp, out, err := request(t, s, "/v4/"+path, query(t, s), raw)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	return parse(t, out)
}

func parse(t *testing.T, out []byte) (receipts.Code, obj) {
	t.Helper()
	var answer obj
	require.NoError(t, json.Unmarshal(out, &answer), "%s", out)
	code, ok := answer["ErrorCode"].(float64)
	require.True(t, ok, "%s", out)
	require.Equal(t, map[bool]string{true: "OK", false: "FAIL"}[code == 0], answer["ActionStatus"])
	return receipts.Code(code), answer
}

// good is a call that must succeed.
func good(t *testing.T, s *Server, path string, body any) obj {
	t.Helper()
	code, answer := call(t, s, path, body)
	require.Zero(t, code, "%v", answer)
	return answer
}

func seqs(list ...uint64) []obj {
	items := []obj{}
	for _, seq := range list {
		items = append(items, obj{"MsgSeq": seq})
	}
	return items
}

func textMsg(text string) []obj {
	return []obj{{"MsgType": "TIMTextElem", "MsgContent": obj{"Text": text}}}
}

// send sends as a user and must succeed.
func send(t *testing.T, s *Server, user, groupID, text string, o SendOptions) Message {
	t.Helper()
	m, err := s.User(user).Send(groupID, text, o)
	require.NoError(t, err)
	return m
}

func requireCode(t *testing.T, code receipts.Code, err error) {
	t.Helper()
	var refused *receipts.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, code, refused.Code, refused.Desc)
}

var wanted = SendOptions{NeedReadReceipt: true}

// clock is set by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

// newClock is a clock that stands at the present, where the library's signatures are valid.
func newClock() *clock { return &clock{at: time.Now()} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// backend is an app's backend that takes webhooks.
type backend struct {
	mu     sync.Mutex
	got    []received
	answer func(received) (int, string) // nil is OK
	url    string
}

type received struct {
	query  url.Values
	header http.Header
	body   obj
	raw    string
}

func newBackend(t *testing.T) *backend {
	b := &backend{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		one := received{query: r.URL.Query(), header: r.Header, raw: string(raw)}
		_ = json.Unmarshal(raw, &one.body)
		b.mu.Lock()
		b.got = append(b.got, one)
		answer := b.answer
		b.mu.Unlock()
		status, text := http.StatusOK, `{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":""}`
		if answer != nil {
			status, text = answer(one)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	b.url = server.URL + "/hook?tenant=7"
	return b
}

// of returns what came of a command.
func (b *backend) of(command string) []received {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []received
	for _, one := range b.got {
		if one.query.Get("CallbackCommand") == command {
			found = append(found, one)
		}
	}
	return found
}

// count is how many came at all.
func (b *backend) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.got)
}

func (b *backend) setAnswer(answer func(received) (int, string)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = answer
}
