package v2tim_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/receipts"
)

func TestLargeBodiesAreAnsweredInTheFrame(t *testing.T) {
	b := newBed(t)
	large := bytes.Repeat([]byte("x"), 10<<20)
	for path, user := range map[string]string{"/v4/v2tim/sendMessageReadReceipts": "alice", "/v4/timbridge/map_group": "administrator"} {
		r := b.ask(http.MethodPost, path, query(t, user, nil), bytes.NewReader(large))
		require.Equal(t, 60003, r.code, r.desc)
		// Without a length, as a stream.
		r = b.ask(http.MethodPost, path, query(t, user, nil), io.MultiReader(bytes.NewReader(large)))
		require.Equal(t, 60003, r.code, r.desc)
		// Of a stranger: the answer is about who calls, and the body is no obstacle.
		r = b.ask(http.MethodPost, path, query(t, user, map[string]string{"usersig": "x"}), bytes.NewReader(large))
		require.Equal(t, 70003, r.code, r.desc)
	}
	require.Empty(t, b.core.took())
}

func TestClientThatAsksBeforeSendingIsAnsweredAtOnce(t *testing.T) {
	b := newBed(t, func(c *v2tim.Config) { c.BodyTimeout = time.Hour })
	conn := dial(t, b)
	fmt.Fprintf(conn, "POST /v4/v2tim/sendMessage?%s HTTP/1.1\r\nHost: x\r\nContent-Length: 10485760\r\nExpect: 100-continue\r\n\r\n", query(t, "alice", nil))
	require.Equal(t, 60003, readReply(t, conn).code)
}

func TestSlowBodyIsGivenUp(t *testing.T) {
	b := newBed(t, func(c *v2tim.Config) { c.BodyTimeout = 50 * time.Millisecond })
	conn := dial(t, b)
	fmt.Fprintf(conn, "POST /v4/v2tim/sendMessage?%s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", query(t, "alice", nil))
	require.Equal(t, 60008, readReply(t, conn).code)
	require.Empty(t, b.core.took())
}

func TestBodyDeadlineDoesNotOutliveTheBody(t *testing.T) {
	b := newBed(t, func(c *v2tim.Config) {
		c.BodyTimeout = 20 * time.Millisecond
		c.CallTimeout = 200 * time.Millisecond
	})
	b.core.block = true
	began := time.Now()
	r := b.ask(http.MethodPost, "/v4/v2tim/sendMessageReadReceipts", query(t, "alice", nil), strings.NewReader(`{"messageIDList":["m1"]}`))
	require.Equal(t, 10002, r.code)
	require.Equal(t, "timed out, try again", r.desc)
	require.GreaterOrEqual(t, time.Since(began), 200*time.Millisecond, "the call had its whole time")
}

func dial(t *testing.T, b *bed) net.Conn {
	conn, err := net.Dial("tcp", b.http.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	return conn
}

func readReply(t *testing.T, conn net.Conn) reply {
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return parseReply(t, true, text)
}

func TestHugeLists(t *testing.T) {
	b := newBed(t)
	list := func(item string, n int) string { return "[" + strings.Repeat(item+",", n-1) + item + "]" }
	cases := map[string]struct {
		path, user, body string
		code             int
	}{
		"ids":         {"/v4/v2tim/sendMessageReadReceipts", "alice", `{"messageIDList":` + distinct(31) + `}`, 6017},
		"100000 ids":  {"/v4/v2tim/getMessageReadReceipts", "alice", `{"messageIDList":` + distinct(100_000) + `}`, 6017},
		"long id":     {"/v4/v2tim/getMessageReadReceipts", "alice", `{"messageIDList":["` + strings.Repeat("x", 300_000) + `"]}`, 6017},
		"empty list":  {"/v4/v2tim/sendMessageReadReceipts", "alice", `{"messageIDList":[]}`, 6017},
		"no list":     {"/v4/v2tim/sendMessageReadReceipts", "alice", `{}`, 6017},
		"null":        {"/v4/v2tim/sendMessageReadReceipts", "alice", `null`, 6017},
		"empty id":    {"/v4/v2tim/sendMessageReadReceipts", "alice", `{"messageIDList":["m1",""]}`, 6017},
		"null id":     {"/v4/v2tim/sendMessageReadReceipts", "alice", `{"messageIDList":["m1",null]}`, 6017},
		"51 seqs":     {"/v4/group_open_http_svc/group_msg_receipt", "administrator", `{"GroupId":"g","From_Account":"b","MsgSeqList":` + list(`{"MsgSeq":1}`, 51) + `}`, 10004},
		"201 seqs":    {"/v4/group_open_http_svc/get_group_msg_receipt", "administrator", `{"GroupId":"g","MsgSeqList":` + list(`{"MsgSeq":1}`, 201) + `}`, 10004},
		"301 members": {"/v4/timbridge/add_group_member", "administrator", `{"GroupId":"g","MemberList":` + list(`{"Member_Account":"b"}`, 301) + `}`, 10005},
		"301 at map":  {"/v4/timbridge/map_group", "administrator", `{"GroupId":"g","RoomId":"!r","MemberList":` + list(`{"Member_Account":"b"}`, 301) + `}`, 10005},
		"101 to go":   {"/v4/timbridge/delete_group_member", "administrator", `{"GroupId":"g","MemberToDel_Account":` + list(`"b"`, 101) + `}`, 10005},
		"1001 maps":   {"/v4/timbridge/map_messages", "administrator", `{"GroupId":"g","MessageList":` + list(`{"EventId":"$e"}`, 1001) + `}`, 10004},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b.t = t
			r := b.ask(http.MethodPost, c.path, query(t, c.user, nil), strings.NewReader(c.body))
			require.Equal(t, c.code, r.code, r.desc)
			require.Less(t, len(r.desc), 2000)
			require.Empty(t, b.core.took())
		})
	}
	r := b.ask(http.MethodPost, "/v4/v2tim/sendMessageReadReceipts", query(t, "alice", nil),
		strings.NewReader(`{"messageIDList":`+list(`"m1"`, 100_000)+`}`))
	require.Zero(t, r.code, "repeated IDs count once")
	requireCalls(t, b.core, `ack alice ["m1"]`)
}

func distinct(n int) string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf(`"%d"`, i)
	}
	return "[" + strings.Join(ids, ",") + "]"
}

func TestErrorsOfTheCore(t *testing.T) {
	b := newBed(t)
	eachCall(t, func(t *testing.T, path, user, body string) {
		b.t = t
		ask := func() reply {
			return b.ask(http.MethodPost, path, query(t, user, nil), strings.NewReader(body))
		}
		b.core.answers(fmt.Errorf("failed to look: %w", &receipts.Error{Code: 10010, Desc: "no such group"}))
		r := ask()
		require.Equal(t, 10010, r.code)
		require.Equal(t, "no such group", r.desc, "a coded error is found under others and shows its text")
		require.NotContains(t, r.fields, "data", "nothing beside an error")

		b.core.answers(errors.New("the password of the database is hunter2"))
		r = ask()
		require.Equal(t, 10002, r.code)
		require.NotContains(t, r.desc, "hunter2")
		b.core.answers(nil)
		b.core.took()
	})
}

// panicking breaks down in one call.
type panicking struct{ v2tim.Service }

func (panicking) SendMessageReadReceipts(context.Context, string, []string) error {
	panic("broken on purpose")
}

func TestBreakDownIsAnswered(t *testing.T) {
	var log bytes.Buffer
	s, err := v2tim.New(v2tim.Config{SDKAppID: appID, SecretKey: secret}, panicking{}, nil, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close(t.Context())) }()
	r := record(t, s, "/v4/v2tim/sendMessageReadReceipts", "alice", `{"messageIDList":["m1"]}`, zerolog.New(&log))
	require.Equal(t, 10002, r.code)
	require.Contains(t, log.String(), "broken on purpose")
}

func TestNeverLogsSecretsOrText(t *testing.T) {
	var log bytes.Buffer
	core := &fakeCore{t: t}
	core.answers(errors.New("disk full"))
	s, err := v2tim.New(v2tim.Config{SDKAppID: appID, SecretKey: secret, Admins: []string{"administrator"}}, core, fakeAdmin{core}, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close(t.Context())) }()
	record(t, s, "/v4/v2tim/sendMessage", "alice", `{"groupID":"g1","text":"very private"}`, zerolog.New(&log).Level(zerolog.TraceLevel))
	require.Contains(t, log.String(), "disk full")
	for _, never := range []string{"private", "usersig", "eJ", secret} {
		require.NotContains(t, log.String(), never)
	}
}

func TestWhatIsNotOffered(t *testing.T) {
	s, err := v2tim.New(v2tim.Config{SDKAppID: appID, SecretKey: secret, Admins: []string{"administrator"}}, &fakeCore{t: t}, nil, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close(t.Context())) }()
	require.Equal(t, 10026, record(t, s, "/v4/timbridge/get_groups", "administrator", `{}`, zerolog.Nop()).code)
	req, w := request(t, http.MethodGet, "/v4/v2tim/events", "alice", ""), newRecorder()
	s.Handler().ServeHTTP(w, req)
	require.Equal(t, 7013, parseReply(t, true, w.Body.Bytes()).code)
}

func TestConfigErrors(t *testing.T) {
	good := v2tim.Config{SDKAppID: appID, SecretKey: secret}
	for name, change := range map[string]func(*v2tim.Config){
		"no sdkappid":  func(c *v2tim.Config) { c.SDKAppID = 0 },
		"no secret":    func(c *v2tim.Config) { c.SecretKey = "" },
		"version":      func(c *v2tim.Config) { c.MinSDKVersion = "three" },
		"long version": func(c *v2tim.Config) { c.MinSDKVersion = "1.2.3.4.5.6.7.8.9" },
	} {
		cfg := good
		change(&cfg)
		_, err := v2tim.New(cfg, &fakeCore{t: t}, nil, nil)
		require.Error(t, err, name)
	}
	_, err := v2tim.New(good, nil, nil, nil)
	require.Error(t, err)
}

// TestLongNames: in every field of every call, one at a time, what is far too long is refused, is not repeated in the answer, and gets
// no further.
func TestLongNames(t *testing.T) {
	b := newBed(t)
	long := strings.Repeat("x", 300)
	harmless := []string{"text", "Reason"} // no names: text has a limit of its own, Reason goes nowhere
	eachCall(t, func(t *testing.T, path, user, body string) {
		b.t = t
		// All names that any call has; those that this one does not know are left alone, as ever.
		for _, field := range []string{"groupID", "GroupId", "From_Account", "RoomId", "UserID", "MXID", "Type", "Name", "SeqSource", "Next", "Cursor", "messageID"} {
			var fields map[string]any
			require.NoError(t, json.Unmarshal([]byte(body), &fields))
			_, there := fields[field]
			fields[field] = long
			changed, err := json.Marshal(fields)
			require.NoError(t, err)
			r := b.ask(http.MethodPost, path, query(t, user, nil), bytes.NewReader(changed))
			if there {
				require.Contains(t, []int{6017, 10004}, r.code, "%s: %s", field, r.desc)
			}
			require.Less(t, len(r.desc), 256)
			for _, call := range b.core.took() {
				require.NotContains(t, call, long, "%s got through", field)
			}
		}
		for from := range strings.SplitSeq(body, `"`) { // and each value in the body
			if from == "" || strings.ContainsAny(from, `{}[]:,`) || slices.Contains(harmless, from) || !strings.Contains(body, `"`+from+`"`) || strings.Contains(body, `"`+from+`":`) {
				continue
			}
			r := b.ask(http.MethodPost, path, query(t, user, nil), strings.NewReader(strings.Replace(body, `"`+from+`"`, `"`+long+long+`"`, 1)))
			if r.code == 0 { // a text may be as long
				require.Contains(t, body, `"text":"`+from+`"`)
				b.core.took()
				continue
			}
			require.Less(t, len(r.desc), 256, from)
			require.Empty(t, b.core.took(), from)
		}
	})
}
