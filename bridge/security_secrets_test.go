package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/database"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/bridge/v2tim"
)

// transcript is everything that a bridge lets out: its log at the lowest level, the answers to those who should get none, errors.
type transcript struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (tr *transcript) Write(line []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.all.Write(line)
}

func (tr *transcript) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.all.String()
}

// says adds an error, if there is one.
func (tr *transcript) says(err error) {
	if err != nil {
		fmt.Fprintf(tr, "error: %v\nin detail: %+v %#v\n", err, err, err)
	}
}

// What is secret in the flows below, beside what the houses have, and what people say there.
const (
	testPuppetToken   = "puppet-token"
	testCallbackToken = "zQ4-callback-token"
	testBearerToken   = "zQ5-bearer-token"
	privateText       = "zQ9-nobody-else-should-read-this"
)

// requireNoSecrets looks through all of it: the secrets, also escaped or in part, UserSigs, signatures of webhooks, and what was said.
func (tr *transcript) requireNoSecrets(t *testing.T, sigs ...string) {
	t.Helper()
	all := tr.String()
	require.Greater(t, len(all), 2000, "nothing was logged")
	for _, secret := range append(sigs, testSecretKey, testASToken, testHSToken, testPuppetToken, testCallbackToken, testBearerToken, testHookToken, privateText) {
		for _, form := range []string{secret, url.QueryEscape(secret), strings.ToUpper(secret), secret[:len(secret)*2/3]} {
			if i := strings.Index(all, form); i >= 0 {
				require.Fail(t, "a secret has got out", "%q in …%s…", secret, all[max(0, i-300):min(len(all), i+300)])
			}
		}
	}
	// The dash tells the beginning of a secret from random letters, such as those of a db_txn_id.
	for _, form := range []string{
		`eJ[0-9A-Za-z*_-]{60,}`, `(?i)usersig=[^&\s"]`, `(?i)access_token=`, `(?i)bearer [0-9a-z]`, `(?i)[?&]sign=[0-9a-f]`, "zQ[0-9]-",
	} {
		if at := regexp.MustCompile(form).FindStringIndex(all); at != nil {
			require.Fail(t, "a secret has got out", "%s: …%s…", form, all[max(0, at[0]-300):min(len(all), at[1]+300)])
		}
	}
}

// tracedHouse makes a house log everything.
func tracedHouse(h *house) *transcript {
	tr := new(transcript)
	level := zerolog.GlobalLevel()
	zerolog.SetGlobalLevel(zerolog.TraceLevel)
	h.t.Cleanup(func() { zerolog.SetGlobalLevel(level) })
	h.logTo = tr
	h.restart(nil)
	return tr
}

// refusedRequests makes requests that have to be refused at an address, and keeps the answers.
func refusedRequests(h *house, tr *transcript, base string, paths ...string) {
	h.t.Helper()
	sig := userSig(h.t, testAppID, testSecretKey, "alice", time.Hour)
	for _, path := range paths {
		for _, query := range []string{
			"", "?access_token=" + testHSToken, "?sdkappid=1400000001&identifier=alice&usersig=" + url.QueryEscape(sig[:100]),
			"?sdkappid=1400000001&identifier=bob&usersig=" + url.QueryEscape(sig), "?SdkAppid=1400000001&Sign=abcdef0123&RequestTime=1", "?%zz=" + testHookToken,
		} {
			for _, authorization := range []string{"", "Bearer " + testHSToken + "x", "Bearer " + testBearerToken + "x", "Basic " + testASToken} {
				for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodGet} {
					req, err := http.NewRequestWithContext(h.ctx, method, base+path, strings.NewReader(`{"text":"`+privateText+`","events":[]}`))
					require.NoError(h.t, err)
					req.URL.RawQuery = strings.TrimPrefix(query, "?")
					if authorization != "" {
						req.Header.Set("Authorization", authorization)
					}
					resp, err := http.DefaultClient.Do(req)
					require.NoError(h.t, err)
					body, err := io.ReadAll(resp.Body)
					require.NoError(h.t, err)
					require.NoError(h.t, resp.Body.Close())
					fmt.Fprintf(tr, "answer to %s %s: %d %v %s\n", method, path, resp.StatusCode, resp.Header, body)
				}
			}
		}
	}
}

// malformed are transactions in which something is wrong, with something private in it.
func malformed(room id.RoomID) []string {
	return []string{
		`{"events":[{"event_id":7,"content":{"body":"` + privateText + `"}}]}`, `{"events":"` + privateText + `"}`, privateText, `{"` + privateText, `["` + privateText + `"]`,
		`{"events":[{"event_id":"$x","room_id":"` + room.String() + `","sender":"@x:y","type":"m.room.message","content":"` + privateText + `"}]}`,
		`{"events":[{"event_id":"$y","room_id":"` + room.String() + `","sender":"@x:y","type":"m.room.message","state_key":{"a":"` + privateText + `"},"content":{}}]}`,
		`{"events":[{"event_id":"$z","room_id":"` + room.String() + `","sender":"@x:y","type":"m.room.message","content":{"msgtype":"m.text","body":"` + privateText + `","com.tencent.im":{"group_id":"` + privateText + `","seq":1}}}]}`,
		`{"ephemeral":[{"type":"m.receipt","room_id":"` + room.String() + `","content":{"$e":{"m.read":{"@a:b":{"thread_id":"` + privateText + `"}}}}}]}`,
	}
}

// TestNothingSecretGetsOut: a standalone house in which everything goes wrong that can.
func TestNothingSecretGetsOut(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	h := newHouse(t, matrixtest.Synapse(), func(cfg *config.Config) {
		cfg.V2TIM.CallbackURL, cfg.V2TIM.CallbackToken = "http://"+closed.Addr().String()+"/hook", testCallbackToken
		cfg.Mapping.StampSenders = []string{"@x:*"}
	})
	tr := tracedHouse(h)
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.room("team", ann, "alice", "bob")
	h.join(ben, room)
	alice, bob := h.client("alice"), h.client("bob")
	require.NoError(t, h.root.LinkUser(h.ctx, "bob", ben.ID.String()))
	h.listen(alice)

	// What goes well.
	sent, err := alice.SendText(h.ctx, "team", privateText)
	require.NoError(t, err)
	event := h.event("team", sent.MsgID)
	require.NoError(t, bob.SendMessageReadReceipts(h.ctx, sent.MsgID))
	ann.SendReceipt(room, event)
	said := ann.Send(room, privateText)
	ann.Edit(room, said, privateText+" edited")
	ann.React(room, said, privateText)
	ann.Send(room, "!tim status "+privateText)
	ann.Send(room, "!tim nonsense "+privateText)
	h.message("team", said)
	h.waitCounts(alice, sent.MsgID, 2, 0)
	ann.Redact(room, said)

	// What is refused.
	tr.says(h.client("mallory").SendMessageReadReceipts(h.ctx, sent.MsgID))
	_, err = h.client("mallory").SendText(h.ctx, "team", privateText)
	tr.says(err)
	_, err = alice.SendText(h.ctx, "team", strings.Repeat(privateText, 1000))
	tr.says(err)
	tr.says(alice.SendMessageReadReceipts(h.ctx, "unknown"))
	wrong := h.client("alice")
	wrong.UserSig = userSig(t, testAppID, "another key", "alice", time.Hour)
	tr.says(wrong.SendMessageReadReceipts(h.ctx, sent.MsgID))
	_, err = h.root.MapGroup(h.ctx, v2tim.MapGroupRequest{GroupId: "nowhere", RoomId: "!nowhere:elsewhere.example"})
	tr.says(err)
	_, err = h.root.MapGroup(h.ctx, v2tim.MapGroupRequest{GroupId: "second", RoomId: room.String()})
	tr.says(err)
	tr.says(h.root.LinkUser(h.ctx, "bob", "nonsense"))
	refusedRequests(h, tr, h.tim.URL, "/v4/v2tim/sendMessage", "/v4/timbridge/get_groups", "/v4/v2tim/events", "/"+"nothing")
	refusedRequests(h, tr, h.mx.URL, "/_matrix/app/v1/transactions/7", "/_matrix/app/v1/users/@tim_x:localhost", "/_matrix/app/v1/ping", "/nothing")
	for i, body := range malformed(room) {
		status, answer := h.hs.PutTransaction(fmt.Sprintf("malformed%d", i), []byte(body))
		fmt.Fprintf(tr, "answer to transaction %d: %d %s\n", i, status, answer)
	}

	// What fails: the homeserver refuses, is broken, is not there.
	for _, fail := range []struct {
		status int
		code   string
	}{{401, "M_UNKNOWN_TOKEN"}, {403, "M_FORBIDDEN"}, {500, "M_UNKNOWN"}, {502, ""}} {
		asked := len(h.hs.Requests(matrixtest.Path("/send/")))
		h.hs.FailRequests(matrixtest.Path("/send/"), 8, fail.status, fail.code, 0)
		h.hs.FailRequests(matrixtest.Path("/receipt/"), 8, fail.status, fail.code, 0)
		_, err = alice.SendText(h.ctx, "team", privateText)
		tr.says(err)
		tr.says(bob.SendMessageReadReceipts(h.ctx, sent.MsgID))
		h.wait("a try", func() bool { return len(h.hs.Requests(matrixtest.Path("/send/"))) > asked })
		h.hs.StopFailing()
	}
	h.hs.SetOutage(true)
	_, err = alice.SendText(h.ctx, "team", privateText)
	tr.says(err)
	before := len(tr.String())
	h.b.hs.SyncNow()
	h.wait("trouble is logged", func() bool { return len(tr.String()) > before })
	h.hs.SetOutage(false)
	h.settled()

	// The intake breaks down in the middle of something private.
	tr.says(h.b.commits.do(h.ctx, func(context.Context, *session) error {
		m := v2tim.NewMessage{Text: privateText}
		panic(fmt.Sprintf("on purpose, with %d bytes", len(m.Text)))
	}))
	require.Contains(t, tr.String(), "on purpose")
	h.restart(nil)
	tr.requireNoSecrets(t, alice.UserSig, bob.UserSig, h.root.UserSig, wrong.UserSig)
}

// TestNothingSecretGetsOutInTheCloud is the same for a cloud house: calls to Tencent and webhooks.
func TestNothingSecretGetsOutInTheCloud(t *testing.T) {
	t.Parallel()
	var backend http.HandlerFunc = func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	app := httptest.NewServer(backend)
	h := plainCloud(t, tencenttest.Points{}, func(cfg *config.Config) {
		cfg.Tencent.Webhook.BearerToken = testBearerToken
		cfg.Tencent.Webhook.Forward = app.URL + "/hook?key=" + testCallbackToken
	})
	tr := tracedHouse(h.house)
	ann := h.hs.User("ann")
	room := h.link("team", ann, "alice", "bob")
	m, event := h.send("team", "alice", privateText)
	ann.SendReceipt(room, event)
	h.acked("team", ann, m.Seq)
	h.arrived("team", ann.Send(room, privateText))

	refusedRequests(h.house, tr, h.hooks.URL, "/", "/any")
	for _, body := range append(malformed(room), `{"CallbackCommand":"Group.CallbackAfterSendMsg","GroupId":"team","From_Account":["`+privateText+`"]}`,
		`{"CallbackCommand":"Group.CallbackAfterSendMsg","GroupId":"team","From_Account":"alice","MsgSeq":"`+privateText+`"}`,
		`{"CallbackCommand":"`+privateText+`","GroupId":"team"}`, `{"CallbackCommand":"Group.CallbackAfterReadReceipt","GroupId":"team","GroupMsgReceiptList":"`+privateText+`"}`) {
		h.hookWith(tr, body)
	}
	for command, fault := range map[string]tencenttest.Fault{
		"send_group_msg": {Code: 10002}, "group_msg_receipt": {Code: 70001}, "get_group_info": {Code: 60007},
		"account_import": {Code: 70403},
	} {
		h.cloud.FailNext(command, 2, fault)
	}
	h.arrived("team", ann.Send(room, privateText+" again"))
	_, err := h.root.MapGroup(h.ctx, v2tim.MapGroupRequest{GroupId: "@TGS#nowhere", RoomId: ann.CreateRoom(matrixtest.RoomOptions{Public: true}).String()})
	tr.says(err)
	h.cloud.SetOutage(true)
	ann.Send(room, privateText+" in the outage")
	h.hs.WaitPushed()
	before := len(tr.String())
	h.wait("trouble is logged", func() bool { return len(tr.String()) > before || h.cloud.Calls("send_group_msg") > 2 })
	h.cloud.SetOutage(false)
	app.Close() // now it cannot even be reached
	h.cloud.Fire("Group.CallbackAfterSendMsg", "team", []byte(`{"GroupId":"team","Text":"`+privateText+`"}`))
	h.delivered()
	h.restart(nil)
	tr.requireNoSecrets(t, h.root.UserSig)
}

// hookWith posts a webhook as the app's backend would, and keeps the answer.
func (h *cloudHouse) hookWith(tr *transcript, body string) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.ctx, http.MethodPost, h.hooks.URL, strings.NewReader(body))
	require.NoError(h.t, err)
	req.Header.Set("Authorization", "Bearer "+testBearerToken)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(h.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(h.t, err)
	fmt.Fprintf(tr, "answer to webhook: %d %s\n", resp.StatusCode, answer)
}

// TestErrorsOfTheConfigHoldNoSecrets: whatever is wrong with a configuration, what is said of it names the key and not the value.
func TestErrorsOfTheConfigHoldNoSecrets(t *testing.T) {
	t.Parallel()
	tr := new(transcript)
	dir := t.TempDir()
	path := filepath.Join(dir, "config.yaml")
	for _, text := range []string{
		"tencent: {secret_key: [" + testSecretKey + "]}", "tencent: {secret_key: *" + testSecretKey + "}", "tencent:\n\tsecret_key: " + testSecretKey,
		"tencent: {secret_key: " + testSecretKey + ", sdk_app_id: x}", "appservice: {as_token: {a: " + testASToken + "}}", "appservice: " + testASToken, testHSToken,
		"appservice: {as_token: '" + testASToken + " b', hs_token: '" + testASToken + " b'}", "appservice: {hs_token: " + testHSToken,
		"database: {uri: 'postgres://u:" + testCallbackToken + "@host/db'}", "database: {type: postgres, uri: 'postgres://u:" + testCallbackToken + "@host/db'}",
		"double_puppet: {secrets: {example.com: " + testPuppetToken + "}}", "double_puppet: {secrets: [" + testPuppetToken + "]}",
		"v2tim: {callback_token: {x: " + testCallbackToken + "}, callback_url: 'http://u:" + testCallbackToken + "@x/'}",
		"tencent: {mode: cloud, webhook: {token: [" + testHookToken + "], bearer_token: " + testBearerToken + ", forward: 'http://u:" + testBearerToken + "@x/'}}",
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		for _, environ := range [][]string{nil, {"TIMBRIDGE_TENCENT__SECRET_KEY=" + testSecretKey, "TIMBRIDGE_APPSERVICE__AS_TOKEN=" + testASToken, "TIMBRIDGE_DOUBLE_PUPPET__SECRETS=" + testPuppetToken}} {
			res, err := config.Load(path, config.Options{Update: true, Environ: environ})
			tr.says(err)
			if err != nil {
				continue
			}
			fmt.Fprintln(tr, res.Warnings)
			tr.says(res.Config.Validate())
			fmt.Fprintf(tr, "%v %+v %#v %s\n", *res.Config, *res.Config, res.Config.Tencent.SecretKey, res.Config.AppService.ASToken)
			as, err := json.Marshal(res.Config)
			require.NoError(t, err)
			_, _ = tr.Write(as)
			if res.Config.Validate(config.PartDatabase) == nil {
				res.Config.Database.URI = config.Secret(filepath.Join(dir, "missing", "x.db"))
				_, err = database.Open(t.Context(), res.Config.Database)
				require.Error(t, err)
				tr.says(err)
			}
		}
	}
	tr.requireNoSecrets(t)
}
