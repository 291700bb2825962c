package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/v2tim/v2timtest"
	"github.com/timbridge/timbridge/internal/postgres"
)

const takeover = 2 * time.Second

// replicas are several timbridges on one database.
type replicas struct {
	t    *testing.T
	list []*runningBridge
	dirs []string
	// programs are what they are started from.
	programs []string
	// ports are where they listen for each other.
	ports []string
	env   []string
}

func newReplicas(t *testing.T, n int) *replicas {
	t.Helper()
	homeserver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"errcode":"M_FORBIDDEN","error":"nobody may do anything here"}`))
	}))
	t.Cleanup(homeserver.Close)
	r := &replicas{t: t, env: onServer(server.Database(t))}
	for range n {
		r.add(homeserver.URL)
	}
	write(t, r.dirs[0], "in.ndjson", `{"type":"group","group_id":"team","room_id":"!team:matrix.test","seq_source":"own","linked_pos":0}
{"type":"user","user_id":"alice","mxid":"@tim_alice:matrix.test","kind":"ghost"}
{"type":"user","user_id":"bob","mxid":"@tim_bob:matrix.test","kind":"ghost"}
{"type":"member","group_id":"team","user_id":"alice","joined_seq":0,"joined_pos":0}
{"type":"member","group_id":"team","user_id":"bob","joined_seq":0,"joined_pos":0}
`)
	got := call(t, r.dirs[0], r.env, "import", "in.ndjson")
	require.Equal(t, exitOK, got.code, got.stderr)
	for i := range r.list {
		r.start(i)
	}
	return r
}

// add makes one more, which is not started.
func (r *replicas) add(homeserver string) {
	r.t.Helper()
	dir := r.t.TempDir()
	ports := freePorts(r.t, 3)
	write(r.t, dir, "config.yaml", strings.Replace(testConfig, deadHomeserver, homeserver, 1)+fmt.Sprintf(
		"appservice: {port: %d, as_token: as-%s, hs_token: hs-%s}\nv2tim: {port: %d}\nlogging: {min_level: debug, writers: [{type: stdout, format: json}]}\n"+
			"replica: {enabled: true, port: %d, address: 'http://127.0.0.1:%d', takeover: %s}\n",
		ports[0], testSecret, testSecret, ports[1], ports[2], ports[2], takeover))
	r.dirs, r.ports = append(r.dirs, dir), append(r.ports, fmt.Sprintf("127.0.0.1:%d", ports[2]))
	r.programs = append(r.programs, binary)
	r.list = append(r.list, &runningBridge{address: fmt.Sprintf("127.0.0.1:%d", ports[0]), v2tim: fmt.Sprintf("127.0.0.1:%d", ports[1])})
}

// start runs a replica and waits until it answers.
func (r *replicas) start(i int) {
	r.t.Helper()
	r.launch(i)
	b := r.list[i]
	require.Eventually(r.t, func() bool { return b.probe("live") == http.StatusOK }, 30*time.Second, 20*time.Millisecond, "%s", b.output)
}

// probe is what a replica answers to a probe, 0 if nothing.
func (b *runningBridge) probe(name string) int {
	resp, err := http.Get("http://" + b.address + "/_matrix/mau/" + name)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// launch runs a replica and waits for nothing.
func (r *replicas) launch(i int) {
	r.t.Helper()
	b := r.list[i]
	b.cmd, b.output, b.exited = exec.Command(r.programs[i]), &syncBuffer{}, make(chan struct{})
	b.cmd.Dir, b.cmd.Env, b.cmd.Stdout, b.cmd.Stderr = r.dirs[i], r.env, b.output, b.output
	require.NoError(r.t, b.cmd.Start())
	cmd, exited := b.cmd, b.exited
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	r.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = cmd.Process.Kill()
		<-exited
	})
}

// leader is the replica that leads.
func (r *replicas) leader() (leader int) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		for i, b := range r.list {
			if leads(b) {
				leader = i
				return true
			}
		}
		return false
	}, 30*time.Second, 20*time.Millisecond, "nobody leads")
	return leader
}

// leads tells whether what a replica has said last of it is that it leads.
func leads(b *runningBridge) bool {
	select {
	case <-b.exited:
		return false
	default:
	}
	text := b.output.String()
	last := strings.LastIndex(text, `"message":"Leading"`)
	return last >= 0 && !strings.Contains(text[last:], `"message":"Standing by`) && !strings.Contains(text[last:], `has taken over"`)
}

func (r *replicas) client(i int, user string) *v2timtest.Client {
	r.t.Helper()
	c, err := v2timtest.New("http://"+r.list[i].v2tim, 1400000000, testSecret, user)
	require.NoError(r.t, err)
	return c
}

// works makes a message at one replica, acknowledges it at the next, sees the count at a third, and hands one an event.
func (r *replicas) works(round string, use ...int) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.Context()), 30*time.Second)
	defer cancel()
	for i := range use {
		at := func(n int) int { return use[(i+n)%len(use)] }
		var msgID string
		require.Eventually(r.t, func() bool {
			sent, err := r.client(at(0), "alice").SendText(ctx, "team", fmt.Sprint(round, " ", i))
			msgID = sent.MsgID
			return err == nil
		}, 30*time.Second, 20*time.Millisecond, "a message through replica %d", at(0))
		// Whom a replica cuts off as it begins to lead asks again, as apps and homeservers do.
		require.Eventually(r.t, func() bool { return r.client(at(1), "bob").SendMessageReadReceipts(ctx, msgID) == nil }, 30*time.Second, 20*time.Millisecond)
		require.Eventually(r.t, func() bool {
			counts, err := r.client(at(2), "alice").GetMessageReadReceipts(ctx, msgID)
			return err == nil && len(counts) == 1 && counts[0].ReadCount == 1
		}, 30*time.Second, 20*time.Millisecond)
		require.Eventually(r.t, func() bool {
			return r.list[at(0)].transaction(r.t, fmt.Sprintf("$%s%d", round, i)) == http.StatusOK
		}, 30*time.Second, 20*time.Millisecond)
	}
}

// TestReplicas: whichever of three is asked, it is one timbridge; when the one that works is killed, ended, or asleep for too long, another
// takes its place, nothing that was acknowledged is lost, and who comes back stands by.
func TestReplicas(t *testing.T) {
	r := newReplicas(t, 3)
	first := r.leader()
	r.works("begin", 0, 1, 2)

	began := time.Now()
	require.NoError(t, r.list[first].cmd.Process.Kill())
	<-r.list[first].exited
	others := []int{(first + 1) % 3, (first + 2) % 3}
	r.works("killed", others...)
	t.Logf("a killed leader was replaced within %s", time.Since(began))
	r.start(first)
	r.works("again", 0, 1, 2)

	second := r.leader()
	began = time.Now()
	require.NoError(t, r.list[second].cmd.Process.Signal(syscall.SIGSTOP))
	others = []int{(second + 1) % 3, (second + 2) % 3}
	r.works("asleep", others...)
	t.Logf("a sleeping leader was replaced within %s, of which it may be silent for %s", time.Since(began), takeover)
	require.NoError(t, r.list[second].cmd.Process.Signal(syscall.SIGCONT))
	require.Eventually(t, func() bool {
		text := r.list[second].output.String()
		return strings.LastIndex(text, `"message":"Standing by`) > strings.LastIndex(text, `"message":"Leading"`)
	}, 30*time.Second, 20*time.Millisecond, "%s", r.list[second].output)
	r.works("awake", 0, 1, 2)

	third := r.leader()
	began = time.Now()
	r.list[third].stop(t)
	others = []int{(third + 1) % 3, (third + 2) % 3}
	r.works("ended", others...)
	t.Logf("a leader that ended was replaced within %s", time.Since(began))
	for _, i := range others {
		r.list[i].stop(t)
	}
	for _, b := range r.list {
		require.NotContains(t, b.output.String(), postgres.Password)
		require.NotContains(t, b.output.String(), testSecret)
	}
	got := call(t, r.dirs[0], r.env, "check", "--deep")
	require.Equal(t, exitOK, got.code, got.stdout)
}

// TestReplicaPortIsForReplicasOnly: the port for other replicas serves nobody else.
func TestReplicaPortIsForReplicasOnly(t *testing.T) {
	r := newReplicas(t, 1)
	r.leader()
	address := r.ports[0]
	for _, header := range []http.Header{
		{}, {"Timbridge-Api": {"V2TIM"}}, {"Timbridge-Replica": {"x"}, "Timbridge-Api": {"Matrix"}, "Timbridge-Remote": {"127.0.0.1:1"}},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/_matrix/mau/live", nil)
		require.NoError(t, err)
		req.Header = header
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, http.StatusNotFound, resp.StatusCode)
	}
}

// TestCheckBesideReplicas: check tells whether this replica could pass anything on, and one whose port is taken says so when it starts.
func TestCheckBesideReplicas(t *testing.T) {
	r := newReplicas(t, 2)
	leader := r.leader()
	standby := 1 - leader
	require.Eventually(t, func() bool {
		return strings.Contains(r.list[standby].output.String(), `"message":"Passing on to the leader"`)
	}, 30*time.Second, 20*time.Millisecond, "%s", r.list[standby].output)
	got := call(t, r.dirs[standby], r.env, "check")
	require.Equal(t, exitCheck, got.code, "this homeserver refuses everything")
	require.Contains(t, got.stdout, "ok    replicas     the one at http://"+r.ports[leader]+" leads")
	got = call(t, r.dirs[standby], append(r.env, "TIMBRIDGE_APPSERVICE__HS_TOKEN=hs-of-another-registration"), "check")
	require.Contains(t, got.stdout, "FAIL  replicas ")
	require.Contains(t, got.stdout, "they need the same appservice.hs_token")

	_, taken, _ := strings.Cut(r.ports[leader], ":")
	got = call(t, r.dirs[standby], append(r.env, "TIMBRIDGE_REPLICA__PORT="+taken))
	require.Equal(t, exitStart, got.code, got.stderr)
	require.Contains(t, got.stderr, "failed to listen for replicas on 127.0.0.1:"+taken)

	require.NoError(t, r.list[leader].cmd.Process.Signal(syscall.SIGSTOP))
	began := time.Now()
	require.Equal(t, http.StatusOK, r.list[standby].probe("live"), "a replica lives whatever the leader does")
	require.Less(t, time.Since(began), takeover)
}
