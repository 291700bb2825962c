package standby

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timbridge/timbridge/bridge/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testSecret = "a secret of replicas"

// pair is one that stands by, and what the leader has seen.
type pair struct {
	*replica
	front *httptest.Server
	last  atomic.Pointer[http.Request]
	body  atomic.Pointer[string]
}

func newPair(t *testing.T) *pair {
	base := &http.Transport{}
	p := &pair{replica: &replica{cfg: &config.Config{}, log: zerolog.Nop()}}
	pass := &passer{secret: testSecret, leader: p.leader.Load, standing: t.Context(), base: base, log: zerolog.Nop()}
	p.front = httptest.NewServer(pass.handler("V2TIM", func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }))
	t.Cleanup(func() {
		p.follow("")
		p.front.Close()
		base.CloseIdleConnections()
		http.DefaultClient.CloseIdleConnections()
	})
	return p
}

// leads starts a leader that notes what it is asked.
func (p *pair) leads(t *testing.T) *httptest.Server {
	leader := httptest.NewServer(Receive(testSecret, map[string]http.Handler{"V2TIM": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		text := string(body)
		p.body.Store(&text)
		p.last.Store(r)
		w.WriteHeader(http.StatusTeapot)
	})}))
	t.Cleanup(leader.Close)
	return leader
}

func (p *pair) post(t *testing.T, ctx context.Context) (int, error) { //nolint:revive // t is first in tests
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.front.URL+"/v2tim/call?x=1", strings.NewReader("what is asked"))
	require.NoError(t, err)
	req.Header.Set("X-Forwarded-For", "203.0.113.9")
	req.Header.Set("Authorization", "Bearer token")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return resp.StatusCode, nil
}

func TestWhatIsPassedOnIsWhatWasAsked(t *testing.T) {
	p := newPair(t)
	p.follow(p.leads(t).URL)
	status, err := p.post(t, t.Context())
	require.NoError(t, err)
	require.Equal(t, http.StatusTeapot, status)
	r := p.last.Load()
	require.Equal(t, "what is asked", *p.body.Load())
	require.Equal(t, "/v2tim/call?x=1", r.RequestURI)
	require.Equal(t, "203.0.113.9", r.Header.Get("X-Forwarded-For"))
	require.Equal(t, "Bearer token", r.Header.Get("Authorization"))
	host, err := url.Parse("http://" + r.RemoteAddr)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", host.Hostname(), "the client's address, as without a replica between")
	for name := range r.Header {
		require.False(t, strings.HasPrefix(name, "Timbridge-"), name)
	}
}

// TestARequestWaitsForALeader: one that has not left yet goes to whoever leads in the end, with its body.
func TestARequestWaitsForALeader(t *testing.T) {
	p := newPair(t)
	gone := httptest.NewServer(nil)
	p.follow(gone.URL)
	gone.Close()
	done := make(chan int, 1)
	go func() {
		status, _ := p.post(t, context.WithoutCancel(t.Context()))
		done <- status
	}()
	p.follow(p.leads(t).URL)
	require.Equal(t, http.StatusTeapot, <-done)
	require.Equal(t, "what is asked", *p.body.Load())
}

// TestALeaderThatSleeps: what it was asked is given up when it leads no more. It may have been done, so it is not asked again.
func TestALeaderThatSleeps(t *testing.T) {
	p := newPair(t)
	asked, awake := make(chan struct{}, 1), make(chan struct{})
	sleeper := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-awake
	}))
	defer sleeper.Close()
	defer close(awake)
	p.follow(sleeper.URL)
	done := make(chan int, 1)
	go func() {
		status, _ := p.post(t, context.WithoutCancel(t.Context()))
		done <- status
	}()
	<-asked
	p.follow(p.leads(t).URL)
	require.Equal(t, http.StatusServiceUnavailable, <-done)
	require.Nil(t, p.last.Load())
}

func TestNobodyLeads(t *testing.T) {
	p := newPair(t)
	ctx, cancel := context.WithCancel(t.Context())
	arrived := make(chan struct{})
	pass := &passer{standing: t.Context(), leader: func() *target {
		select {
		case <-arrived:
		default:
			close(arrived)
		}
		return nil
	}}
	go func() { <-arrived; cancel() }()
	req := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx)
	_, err := pass.RoundTrip(req) //nolint:bodyclose // there is none
	require.ErrorIs(t, err, errNoLeader)
	standing, end := context.WithCancel(t.Context())
	end()
	pass = &passer{standing: standing, leader: func() *target { return nil }}
	_, err = pass.RoundTrip(httptest.NewRequest(http.MethodGet, "/", nil)) //nolint:bodyclose // there is none
	require.ErrorIs(t, err, errNoLeader, "nobody waits for one that begins to lead")
	p.cfg.Replica.Address = "http://127.0.0.1:9"
	p.follow(p.cfg.Replica.Address)
	require.Nil(t, p.leader.Load(), "it is no leader of its own")
}

func TestReceiveServesReplicasOnly(t *testing.T) {
	handler := Receive(testSecret, map[string]http.Handler{"V2TIM": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })})
	for name, tc := range map[string]struct {
		secret, api string
		status      int
	}{
		"as a replica does": {testSecret, "V2TIM", 200},
		"no secret":         {"", "V2TIM", 404},
		"wrong secret":      {"x", "V2TIM", 404},
		"no API":            {testSecret, "", 404},
		"another API":       {testSecret, "webhooks", 404},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set(headerSecret, tc.secret)
			r.Header.Set(headerAPI, tc.api)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			require.Equal(t, tc.status, w.Code)
		})
	}
	require.NotEqual(t, Secret("a"), Secret("b"))
	require.NotContains(t, Secret("hs token"), "hs token")
}
