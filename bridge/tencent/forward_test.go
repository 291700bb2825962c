package tencent

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newPipe() (*io.PipeReader, *io.PipeWriter) { return io.Pipe() }

// backend is the app's backend behind us.
func backend(t testing.TB, serve http.HandlerFunc) func(*WebhooksConfig) {
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	return func(cfg *WebhooksConfig) { cfg.Forward = server.URL + "/hook?key=1" }
}

func TestForwardIsUnchanged(t *testing.T) {
	const odd = `{ "CallbackCommand":"Group.CallbackBeforeSendMsg" , not even JSON`
	const reply = `{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","MsgBody":[]}`
	w := newWebhooks(t, new(fakeIntake), bearer, func(cfg *WebhooksConfig) {
		cfg.Token, cfg.Now = vectorToken, func() time.Time { return time.Unix(vectorTime, 0) }
	},
		backend(t, func(rw http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.Equal(t, odd, string(body))
			require.Equal(t, "/hook", r.URL.Path)
			require.Equal(t, "key=1&SdkAppid=1400000001&Sign="+vectorSign+"&RequestTime="+strconv.Itoa(vectorTime)+"&CallbackCommand=%47roup.X", r.URL.RawQuery)
			require.Equal(t, "application/json; x=y", r.Header.Get("Content-Type"))
			require.Equal(t, "kept", r.Header.Get("X-Other"))
			require.Equal(t, "br", r.Header.Get("Accept-Encoding"))
			for _, name := range []string{"Authorization", "X-Hop", "Connection", "Keep-Alive", "User-Agent", "Expect"} {
				require.Empty(t, r.Header.Values(name), name)
			}
			rw.Header().Set("Content-Type", "text/odd")
			rw.Header().Set("Content-Encoding", "br")
			rw.Header().Set("Connection", "X-Private")
			rw.Header().Set("X-Private", "1")
			rw.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(rw, reply)
		}))
	r := httptest.NewRequest(http.MethodPost, "/tencent", strings.NewReader(odd))
	r.URL.RawQuery = "SdkAppid=1400000001&Sign=" + vectorSign + "&RequestTime=" + strconv.Itoa(vectorTime) + "&CallbackCommand=%47roup.X"
	r.Header = http.Header{
		"Content-Type": {"application/json; x=y"}, "X-Other": {"kept"}, "Authorization": {"Bearer mine"}, "Connection": {"x-hop, keep-alive"}, "X-Hop": {"1"},
		"Keep-Alive": {"1"}, "Accept-Encoding": {"br"}, "Expect": {"100-continue"},
	}
	rec := post(w, r)
	require.Equal(t, http.StatusAccepted, rec.Code)
	require.Equal(t, reply, rec.Body.String())
	require.Equal(t, "text/odd", rec.Header().Get("Content-Type"))
	require.Equal(t, "br", rec.Header().Get("Content-Encoding"))
	require.Empty(t, rec.Header().Get("X-Private"))
	require.EqualValues(t, 1, w.Stats().Forwarded)
}

func TestForwardDoesNotWaitForUs(t *testing.T) {
	release := make(chan struct{})
	handled := make(chan Event, 1)
	intake := &fakeIntake{handle: func(_ context.Context, e Event) error {
		<-release
		handled <- e
		return nil
	}}
	const refuse = `{"ActionStatus":"OK","ErrorCode":1,"ErrorInfo":"no"}`
	w := newWebhooks(t, intake, backend(t, func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, refuse) }),
		func(cfg *WebhooksConfig) { cfg.Concurrency = 1 })
	require.Equal(t, refuse, post(w, request(CommandAfterMemberExit, exitBody)).Body.String())
	require.Equal(t, refuse, post(w, request(CommandAfterMemberExit, exitBody)).Body.String(), "also where we cannot keep up")
	require.EqualValues(t, 1, w.Stats().Dropped)
	close(release)
	require.IsType(t, &MembersLeft{}, <-handled)
	require.NoError(t, w.Close(context.Background()))
	require.Equal(t, WebhookStats{Handled: 1, Dropped: 1, Forwarded: 2}, w.Stats())
}

func TestForwardFailsOpen(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	release := make(chan struct{})
	defer close(release)
	hang := func(_ http.ResponseWriter, _ *http.Request) { <-release }
	for name, broken := range map[string]func(*WebhooksConfig){
		"gone":  func(cfg *WebhooksConfig) { cfg.Forward = gone.URL },
		"slow":  backend(t, hang),
		"abort": backend(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		"huge": backend(t, func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(rw, strings.Repeat("x", maxForwardReply+1))
		}),
	} {
		t.Run(name, func(t *testing.T) {
			quick := func(cfg *WebhooksConfig) { cfg.AnswerWithin = 50 * time.Millisecond }
			intake := new(fakeIntake)
			w := newWebhooks(t, intake, broken, quick)
			began := time.Now()
			requireOK(t, post(w, request(CommandAfterMemberExit, exitBody)))
			require.Less(t, time.Since(began), time.Second)
			require.NoError(t, w.Close(context.Background()))
			require.Equal(t, WebhookStats{Handled: 1, ForwardFailed: 1}, w.Stats(), "ours is done all the same")
			strict := newWebhooks(t, intake, broken, quick, func(cfg *WebhooksConfig) { cfg.ForwardStrict = true })
			requireFail(t, http.StatusGatewayTimeout, post(strict, request("Group.CallbackBeforeSendMsg", `{}`)))
		})
	}
}

func TestForwardAnswersOfTheBackendStand(t *testing.T) {
	w := newWebhooks(t, new(fakeIntake), backend(t, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Location", "http://127.0.0.1:1/")
		rw.WriteHeader(http.StatusTemporaryRedirect)
	}))
	require.Equal(t, http.StatusTemporaryRedirect, post(w, request("x", "{}")).Code)
}

func TestForwardBodyTooLarge(t *testing.T) {
	never := func(http.ResponseWriter, *http.Request) { t.Error("half a body went on") }
	small := func(cfg *WebhooksConfig) { cfg.MaxBody = 10 }
	requireOK(t, post(newWebhooks(t, new(fakeIntake), backend(t, never), small), request("x", exitBody)))
	strict := newWebhooks(t, new(fakeIntake), backend(t, never), small, func(cfg *WebhooksConfig) { cfg.ForwardStrict = true })
	requireFail(t, http.StatusBadRequest, post(strict, request("x", exitBody)))
}

func TestForwardNeedsAdmission(t *testing.T) {
	w := newWebhooks(t, new(fakeIntake), bearer, backend(t, func(http.ResponseWriter, *http.Request) { t.Error("not ours to pass on") }))
	requireFail(t, http.StatusForbidden, post(w, request("x", "{}")))
}

func TestForwardIsBounded(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 10)
	w := newWebhooks(t, new(fakeIntake), backend(t, func(rw http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		_, _ = io.WriteString(rw, "done")
	}), func(cfg *WebhooksConfig) { cfg.ForwardConcurrency, cfg.AnswerWithin = 1, 300*time.Millisecond })
	var wg sync.WaitGroup
	wg.Go(func() { require.Equal(t, "done", post(w, request("x", "{}")).Body.String()) })
	<-arrived
	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	requireOK(t, post(w, request("x", "{}").WithContext(short)))
	require.Empty(t, arrived, "the second had to wait")
	close(release)
	wg.Wait()
}
