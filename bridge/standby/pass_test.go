package standby

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/database"
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

// TestAWebSocketEndsWithItsLeader: one through a replica to a leader that sleeps is cut off when another leads. Neither end would notice
// otherwise.
func TestAWebSocketEndsWithItsLeader(t *testing.T) {
	p := newPair(t)
	awake := make(chan struct{})
	sleeper := httptest.NewServer(Receive(testSecret, map[string]http.Handler{"V2TIM": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = rw.Flush()
		<-awake
	})}))
	defer sleeper.Close()
	defer close(awake)
	p.follow(sleeper.URL)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.front.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	require.NoError(t, err)
	answer := bufio.NewReader(conn)
	resp, err := http.ReadResponse(answer, nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	p.follow(p.leads(t).URL)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	_, err = answer.ReadByte()
	require.ErrorIs(t, err, io.EOF)
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

// TestAnotherSecret: where two replicas have different tokens nothing can be passed on. That is for the log and a 503; the leader's 404 would
// tell apps that there is no such call.
func TestAnotherSecret(t *testing.T) {
	p := newPair(t)
	leader := httptest.NewServer(Receive("another secret", map[string]http.Handler{"V2TIM": http.NotFoundHandler()}))
	t.Cleanup(leader.Close)
	p.follow(leader.URL)
	status, err := p.post(t, t.Context())
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, status)
	_, err = Reach(t.Context(), leader.URL, testSecret, "V2TIM", "/")
	require.ErrorIs(t, err, errNotOurs)
	status, err = Reach(t.Context(), leader.URL, "another secret", "V2TIM", "/")
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, status, "what the API itself answers")
	leader.Close()
	_, err = Reach(t.Context(), leader.URL, testSecret, "V2TIM", "/")
	require.ErrorContains(t, err, "failed to reach the leader")
}

// TestAReplicaThatStandsByLives, whatever the leader does.
func TestAReplicaThatStandsByLives(t *testing.T) {
	passed := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for _, tc := range []struct {
		live, path string
		status     int
	}{{"/live", "/live", 200}, {"/live", "/ready", http.StatusTeapot}, {"", "/live", http.StatusTeapot}, {"", "", http.StatusTeapot}} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.Path = tc.path
		aliveAt(tc.live, passed).ServeHTTP(w, r)
		require.Equal(t, tc.status, w.Code, tc)
	}
}

// TestTwoReplicasWithOneAddress are told apart from what this one has left itself when it led before.
func TestTwoReplicasWithOneAddress(t *testing.T) {
	now := time.Now()
	r := &replica{cfg: &config.Config{Replica: config.Replica{Address: "http://10.0.0.5:29340"}}, owner: "me"}
	other := database.Leader{Owner: "other", Address: "http://10.0.0.5:29340", Seen: now, Locked: true}
	require.False(t, r.isDouble(other), "it may be what this one has left")
	r.silence(other)
	require.False(t, r.isDouble(other))
	other.Seen = now.Add(time.Second)
	require.True(t, r.isDouble(other))
	other.Address = "http://10.0.0.6:29340"
	require.False(t, r.isDouble(other))
}

// TestSilence: what counts as a sign of life.
func TestSilence(t *testing.T) {
	r := &replica{cfg: &config.Config{}}
	now := database.Leader{Owner: "other", Seen: time.Now(), Locked: true, Session: 1}
	silent := func() bool {
		r.heardAt = r.heardAt.Add(-time.Minute)
		return r.silence(now) >= time.Minute
	}
	require.False(t, silent(), "the first look")
	require.True(t, silent())
	now.Seen = now.Seen.Add(time.Second)
	require.False(t, silent())
	require.True(t, silent())
	now.Session = 2
	require.False(t, silent(), "another has the lock, and has not said so yet")
	require.True(t, silent())
}

// TestAPortThatIsTaken is found when a replica starts, not when it is its turn to lead.
func TestAPortThatIsTaken(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := uint16(l.Addr().(*net.TCPAddr).Port) // #nosec G115 -- a port
	cfg := &config.Config{Replica: config.Replica{Hostname: "127.0.0.1", Port: port}}
	err = Run(t.Context(), cfg, nil, nil, nil)
	require.ErrorIs(t, err, ErrListen)
	require.ErrorContains(t, err, "failed to listen for replicas on 127.0.0.1:")
	require.NoError(t, l.Close())
	require.NoError(t, tryPort(t.Context(), cfg.Replica))
}
