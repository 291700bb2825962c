package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/receipts"
)

func TestSimLines(t *testing.T) {
	d := newSimDesk(tencenttest.Start(t, tencenttest.Options{}))
	// One after the other, on one server.
	for _, tc := range []struct{ line, says, fails string }{
		{"", "", ""},
		{"# a remark", "", ""},
		{"groups", "no groups\n", ""},
		{"group create team alice bob carol", "group team with alice bob carol\n", ""},
		{"group create solo zed", "group solo with zed\n", ""},
		{"group create - zed", "group @TGS#", ""},
		{"group create team alice", "", "group create: 10021"},
		{"group create", "", "usage: group create GROUP OWNER [USER…]"},
		{"group", "", `there is no "group"; help lists what there is`},
		{"dance", "", `there is no "dance"`},
		{"\x00", "", `there is no "\x00"`},
		{"  send   team  alice   hello  there, @bob ", "no. 1, msgID ", ""},
		{"send team alice", "", "usage: send GROUP USER TEXT…"},
		{"send nowhere alice hi", "", "send: 10010"},
		{"send-plain team bob no matter", "no. 2, msgID ", ""},
		{"send-online team bob typing", "msgID ", ""},
		{`send-body team bob [{"MsgType":"TIMFaceElem","MsgContent":{"Index":1}}]`, "no. 3, msgID ", ""},
		{"send-body team bob [", "", "the body is not JSON"},
		{"ack team bob 1", "ok\n", ""},
		{"ack team carol all", "ok\n", ""},
		{"ack team carol 1-3", "", "ack: 10062"},
		{"ack team carol 3-1", "", "no range"},
		{"ack team carol 18446744073709551615-1", "", "no range"},
		{"ack team carol 1-18446744073709551615", "", "no range"},
		{"ack team carol 0", "", `"0" is no number of a message`},
		{"ack team carol", "", "usage: ack GROUP USER NO…"},
		{"ack nowhere carol all", "", "there is no group nowhere"},
		{"ack solo zed all", "nothing to read\n", ""},
		{"receipts team 1", "read by  2  bob carol\nnot by   0\n", ""},
		{"receipts team 3", "read by  1  carol\nnot by   1  alice\n", ""},
		{"receipts team 2", "no receipts\n", ""},
		{"receipts team 9", "", "there is no message 9 in group team"},
		{"told alice", "group team, no. 1: read by 1, not by 1\ngroup team, no. 1: read by 2, not by 0\n", ""},
		{"told zed", "no receipts\n", ""},
		{"edit team alice 1 hello everybody", "ok\n", ""},
		{"edit team bob 1 mine", "", "edit: 10007"},
		{"recall team bob 2", "ok\n", ""},
		{"messages team", `alice  read by 2, not by 0, edited  "hello everybody"` + "\n", ""},
		{"messages team", `bob  no receipts, recalled  "no matter"` + "\n", ""},
		{"messages team", `bob  read by 1, not by 1  [{"MsgType":"TIMFaceElem"`, ""},
		{"messages team", `bob  online only  "typing"`, ""},
		{"messages solo", "no messages\n", ""},
		{"messages nowhere", "", "there is no group nowhere"},
		{"join team dave erin", "ok\n", ""},
		{"leave team erin mallory", "", "mallory: 10007"},
		{"nick dave Dave the Great", "ok\n", ""},
		{"members team", "alice\nbob\ncarol\ndave  Dave the Great\n", ""},
		{"groups", "team  4 members, last message no. 3\n", ""},
		{"group name team The Team", "ok\n", ""},
		{"group destroy solo", "ok\n", ""},
		{"webhooks twice", "ok\n", ""},
		{"webhooks maybe", "", "it is on, off or twice"},
		{"network off", "ok\n", ""},
		{"network on", "ok\n", ""},
		{"network", "", "usage: network on|off"},
		{"help", "ack GROUP USER NO…", ""},
		{"quit now", "", "usage: quit"},
		{"quit", "bye\n", ""},
		{"quit", "bye\n", ""},
	} {
		answer, err := d.do(tc.line)
		if tc.fails != "" {
			require.ErrorContains(t, err, tc.fails, tc.line)
			continue
		}
		require.NoError(t, err, tc.line)
		require.Contains(t, answer, tc.says, tc.line)
		if tc.says == "" {
			require.Empty(t, answer, tc.line)
		}
	}
	<-d.quit
	found := false
	for _, hook := range d.server.Webhooks("Group.CallbackAfterSendMsg") {
		found = found || strings.Contains(string(hook.Body), `"GroupAt_Account":"bob"`)
	}
	require.True(t, found, "who is named is mentioned")
}

// simRun is a running timbridge sim.
type simRun struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	output *syncBuffer
	url    string
	exited chan struct{}
}

func startSim(t *testing.T, dir string, piped bool, args ...string) *simRun {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", freePorts(t, 1)[0])
	s := &simRun{cmd: exec.Command(binary, append([]string{"sim", "--listen", address}, args...)...), output: &syncBuffer{}, url: "http://" + address, exited: make(chan struct{})}
	s.cmd.Dir, s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = dir, []string{}, s.output, s.output
	if piped {
		var err error
		s.stdin, err = s.cmd.StdinPipe()
		require.NoError(t, err)
	}
	require.NoError(t, s.cmd.Start())
	go func() {
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.exited
		require.NotContains(t, s.output.String(), "goroutine ", "a crash")
	})
	s.sees(t, "ends it.\n")
	return s
}

// sees waits until something has been printed.
func (s *simRun) sees(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(s.output.String(), text) }, patience, 10*time.Millisecond, "waits for %s in %s", text, s.output)
}

func (s *simRun) post(t *testing.T, line string) (status int, answer string) {
	t.Helper()
	resp, err := http.Post(s.url+"/sim", "text/plain", strings.NewReader(line))
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}

func (s *simRun) endsWell(t *testing.T) {
	t.Helper()
	select {
	case <-s.exited:
		require.Equal(t, exitOK, s.cmd.ProcessState.ExitCode(), s.output)
	case <-time.After(patience):
		require.Fail(t, "does not end", s.output.String())
	}
}

// seenHooks takes webhooks as the bridge would: by the bridge's own receiver, so that their signature is checked.
type seenHooks struct{ events chan tencent.Event }

func (s *seenHooks) Linked(string) bool { return true }

func (s *seenHooks) HandleEvent(_ context.Context, event tencent.Event) error {
	s.events <- event
	return nil
}

func startHooks(t *testing.T, cfg tencent.WebhooksConfig) (events chan tencent.Event, address string) {
	t.Helper()
	seen := &seenHooks{events: make(chan tencent.Event, 100)}
	hooks, err := tencent.NewWebhooks(cfg, seen)
	require.NoError(t, err)
	server := httptest.NewServer(hooks)
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, hooks.Close(context.Background()))
	})
	return seen.events, server.URL + "/tim?from=sim"
}

// next waits for an event of a type.
func next[E tencent.Event](t *testing.T, events chan tencent.Event) E {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case event := <-events:
			if wanted, ok := event.(E); ok {
				return wanted
			}
		case <-deadline:
			var none E
			require.Fail(t, "no such webhook", "%T", none)
			return none
		}
	}
}

// Without a config it says what to put into one; with just that, both sides work, through the binary and the client of the bridge.
func TestSim(t *testing.T) {
	events, address := startHooks(t, tencent.WebhooksConfig{SDKAppID: tencenttest.DefaultSDKAppID, Token: simToken})
	s := startSim(t, t.TempDir(), false, "--webhook", address)
	says := s.output.String()
	require.Contains(t, says, "config.yaml (there is none yet, timbridge -e writes one):\n\n  tencent:\n      mode: cloud\n      base_url: "+s.url+
		"\n      sdk_app_id: 1400000001\n      secret_key: "+tencenttest.DefaultSecretKey+"\n      webhook:\n          token: timbridge-sim\n")
	require.Contains(t, says, "Webhooks go to "+address)
	require.NotContains(t, says, "Who reaches that address")

	status, answer := s.post(t, "group create team alice bob\nsend team alice hello\n")
	require.Equal(t, http.StatusOK, status, answer)
	require.Contains(t, answer, "group team with alice bob\nno. 1, msgID ")
	require.EqualValues(t, 1, next[*tencent.GroupMsgSent](t, events).MsgSeq)
	status, answer = s.post(t, "groups\ndance\ngroups")
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "team  2 members, last message no. 1\nthere is no \"dance\"; help lists what there is\n", answer)

	client, err := tencent.New(tencent.Config{SDKAppID: tencenttest.DefaultSDKAppID, SecretKey: tencenttest.DefaultSecretKey, Identifier: tencenttest.DefaultAdmin, BaseURL: s.url})
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.GroupMsgReceipt(t.Context(), "team", "bob", []receipts.MsgSeq{1}))
	_, answer = s.post(t, "receipts team 1")
	require.Equal(t, "read by  1  bob\nnot by   0\n", answer)
	s.sees(t, "  webhook  AfterSendMsg  team, alice, no. 1: OK\n")
	s.sees(t, "  call     group_msg_receipt  team, bob, no. 1: OK\n")
	require.Error(t, client.GroupMsgReceipt(t.Context(), "team", "mallory", []receipts.MsgSeq{1}))
	s.sees(t, "  call     group_msg_receipt  team, mallory, no. 1: 10019 ")
	require.NotContains(t, s.output.String(), "hello", "texts of messages are for who asks")

	require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	s.endsWell(t)
}

func TestSimTakesLinesFromStandardInput(t *testing.T) {
	s := startSim(t, t.TempDir(), true, "--webhook", "http://127.0.0.1:1/")
	_, err := io.WriteString(s.stdin, "group create team alice bob\ndance\n")
	require.NoError(t, err)
	s.sees(t, "group team with alice bob\n")
	s.sees(t, `there is no "dance"`)
	s.sees(t, "  webhook  AfterCreateGroup  team, alice bob: not delivered: dial tcp 127.0.0.1:1")
	// The input ends, as that of a program in the background does: it goes on.
	require.NoError(t, s.stdin.Close())
	status, _ := s.post(t, "groups")
	require.Equal(t, http.StatusOK, status)
	status, answer := s.post(t, "quit")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "bye\n", answer)
	s.endsWell(t)
}

func TestSimWithConfig(t *testing.T) {
	const bearer = "bearer-" + testSecret
	events, address := startHooks(t, tencent.WebhooksConfig{SDKAppID: 1400000000, BearerToken: bearer})
	dir := t.TempDir()
	write(t, dir, "My.yaml", strings.Replace(testConfig, "tencent: {", "tencent: {mode: cloud, edition: pro, admins: [root], webhook: {bearer_token: "+bearer+"}, ", 1))
	s := startSim(t, dir, false, "-c", "My.yaml", "--webhook", address)
	require.Contains(t, s.output.String(), "set in My.yaml:\n\n  tencent:\n      base_url: "+s.url+"\n\n", "only what is missing")
	_, answer := s.post(t, "group create team alice bob\nsend team alice hello")
	require.Contains(t, answer, ", without receipts\n", "the edition has none")
	next[*tencent.GroupMsgSent](t, events)
	require.NotContains(t, s.output.String(), testSecret)

	client, err := tencent.New(tencent.Config{SDKAppID: 1400000000, SecretKey: testSecret, Identifier: "root", BaseURL: s.url})
	require.NoError(t, err)
	defer client.Close()
	_, err = client.GetGroupInfo(t.Context(), []string{"team"})
	require.NoError(t, err)
}

func TestSimRefusals(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	for name, tc := range map[string]struct {
		args []string
		code int
		says string
	}{
		"port in use":     {[]string{"sim", "--listen", taken.Addr().String()}, exitStart, "failed to listen for sim"},
		"no such config":  {[]string{"sim", "-c", "other.yaml"}, exitConfig, "there is no file other.yaml"},
		"odd webhook":     {[]string{"sim", "--listen", "127.0.0.1:0", "--webhook", "localhost"}, exitStart, "http://host:port/path"},
		"flags elsewhere": {[]string{"check", "--listen", ":1"}, exitUsage, "--listen belongs to sim"},
		"webhook":         {[]string{"--webhook", "http://a"}, exitUsage, "--webhook belongs to sim"},
		"token":           {[]string{"usersig", "a", "--webhook-token", "x"}, exitUsage, "--webhook-token belongs to sim"},
		"too much":        {[]string{"sim", "x"}, exitUsage, "usage: timbridge sim"},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t, t.TempDir(), nil, tc.args...)
			require.Equal(t, tc.code, got.code, got.stdout+got.stderr)
			require.Contains(t, got.stderr, tc.says)
		})
	}
}

// A web page must not act as somebody here.
func TestSimIsForNoWebPage(t *testing.T) {
	s := startSim(t, t.TempDir(), false)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/sim", strings.NewReader("group create team alice"))
	require.NoError(t, err)
	req.Header.Set("Origin", "https://elsewhere.test")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
	_, answer := s.post(t, "groups")
	require.Equal(t, "no groups\n", answer)
	resp, err = http.Get(s.url + "/sim")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
}

func TestFew(t *testing.T) {
	require.Equal(t, "a b", few([]string{"a", "", "b", "a"}, "things"))
	require.Equal(t, "9 things", few(strings.Split("a b c d e f g h i", " "), "things"))
	require.Equal(t, "team, dave, no. 1 2", about([]byte(`{"GroupId":"team","From_Account":"dave","MsgSeqList":[{"MsgSeq":1},{"MsgSeq":2}]}`)))
	require.Empty(t, about([]byte("[")))
}
