package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/internal/lab"
)

const hookToken = "a webhook token of the end-to-end tests"

// cloudApp is an app at Tencent Cloud, as a timbridge sees it. Behind its one address are several fakes, each with groups of its own
// and its own reading of what Tencent leaves open ([tencenttest.Points]). As all of that is about groups, a call goes to the fake
// that has the group. Accounts are the app's: calls about them go to main, and the others know the same accounts.
type cloudApp struct {
	main    *tencenttest.Server
	backend *backend // of the app; nil if webhooks go to timbridge alone
	server  *httptest.Server
	client  *http.Client
	hook    tencenttest.Hook

	mu    sync.Mutex
	fakes []*tencenttest.Server // main is the first
}

// newCloudApp starts an app whose webhooks go to hook. It ends with the test.
func newCloudApp(t *testing.T, hook string, opts tencenttest.Options) *cloudApp {
	t.Helper()
	a := &cloudApp{
		hook:   tencenttest.Hook{URL: hook, Token: hookToken},
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}},
	}
	a.main = a.fake(t, opts)
	a.server = httptest.NewServer(a)
	t.Cleanup(func() {
		for _, f := range a.all() {
			f.Close()
		}
		a.server.Close()
		a.client.CloseIdleConnections()
	})
	return a
}

// fake adds a fake of its own reading to the app. It ends with the app, so that it is there as long as the timbridge that knows of it.
func (a *cloudApp) fake(t testing.TB, opts tencenttest.Options) *tencenttest.Server {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	opts.SDKAppID, opts.SecretKey, opts.Admins, opts.Hook = sdkAppID, secretKey, []string{admin}, a.hook
	opts.Seed = uint64(len(a.fakes)) // no two messages of an app have one ID
	f, err := tencenttest.New(opts)
	require.NoError(t, err)
	a.fakes = append(a.fakes, f)
	return f
}

func (a *cloudApp) all() []*tencenttest.Server {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.fakes)
}

// know makes an account everywhere in the app.
func (a *cloudApp) know(userID string) {
	for _, f := range a.all() {
		f.User(userID)
	}
}

// with is the fake that has a group.
func (a *cloudApp) with(groupID string) *tencenttest.Server {
	for _, f := range a.all() {
		if slices.Contains(f.Groups(), groupID) {
			return f
		}
	}
	return a.main
}

// ServeHTTP takes a call of the server API. What a fake does not answer, as in an outage, is not answered here either.
func (a *cloudApp) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	var about struct {
		GroupID  string                    `json:"GroupId"`
		GroupIDs []string                  `json:"GroupIdList"`
		Accounts []struct{ UserID string } `json:"AccountList"` // multiaccount_import
	}
	_ = json.Unmarshal(body, &about) // what is no JSON is for the fake to refuse
	for _, group := range about.GroupIDs {
		about.GroupID = group
	}
	for _, account := range about.Accounts {
		a.know(account.UserID)
	}
	resp, err := a.pass(r, a.with(about.GroupID), body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	rw.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
	rw.WriteHeader(resp.StatusCode)
	if _, err = io.Copy(rw, resp.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func (a *cloudApp) pass(r *http.Request, f *tencenttest.Server, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, f.URL()+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = r.Header.Clone()
	return a.client.Do(req)
}

// backend is the app's own backend, to which timbridge passes webhooks on. It keeps them and answers as told.
type backend struct {
	server *httptest.Server

	mu     sync.Mutex
	came   []passedOn
	answer func(command string, body []byte) string // "" is OK
}

// passedOn is a webhook as the backend got it.
type passedOn struct {
	command, sign string
	body          []byte
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{}
	b.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			rw.WriteHeader(http.StatusBadRequest)
			return
		}
		query := r.URL.Query()
		b.mu.Lock()
		defer b.mu.Unlock()
		b.came = append(b.came, passedOn{query.Get("CallbackCommand"), query.Get("Sign"), body})
		answer := ""
		if b.answer != nil {
			answer = b.answer(query.Get("CallbackCommand"), body)
		}
		if answer == "" {
			answer = `{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":""}`
		}
		_, _ = io.WriteString(rw, answer)
	}))
	t.Cleanup(b.server.Close)
	return b
}

// answers sets what the backend answers from now on.
func (b *backend) answers(answer func(command string, body []byte) string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = answer
}

func (b *backend) got() []passedOn {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.came)
}

// putInCloud gives a timbridge that is being configured an app at Tencent Cloud.
func (b *timbridge) putInCloud(t *testing.T, config map[string]any) *cloudApp {
	t.Helper()
	port := freePort(t)
	b.hooks = "http://127.0.0.1:" + itoa(port)
	webhook := map[string]any{"port": port, "token": hookToken}
	tencent, bridge := config["tencent"].(map[string]any), config["bridge"].(map[string]any)
	tencent["mode"], tencent["webhook"], tencent["catch_up_interval"] = "cloud", webhook, "10s"
	opts := tencenttest.Options{}
	var behind *backend
	switch b.name {
	case sharedCloud:
		tencent["max_members"] = smallGroup
	case "cloudvaried":
		tencent["catch_up_interval"] = "1h" // at its start it does
	case "cloudforward":
		behind = newBackend(t)
		webhook["forward"] = behind.server.URL + "/im"
		bridge["auto_create"], bridge["auto_invite"] = true, []string{autoInvited.String()}
		opts.BeforeSend = true
	}
	a := newCloudApp(t, b.hooks, opts)
	a.backend = behind
	tencent["base_url"] = a.server.URL
	return a
}

// autoInvited is whom cloudforward invites into the rooms that it makes.
var autoInvited = id.NewUserID("invited", lab.Domain)
