package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/receipts"
)

// stored is everything in the database, as text: what it is before and after shows whether anything has changed.
func (h *house) stored() string {
	h.t.Helper()
	var all strings.Builder
	list := "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
	if h.db.Dialect == dbutil.Postgres {
		list = "SELECT tablename FROM pg_tables WHERE schemaname=current_schema() ORDER BY tablename"
	}
	tables, err := h.db.Query(h.ctx, list)
	require.NoError(h.t, err)
	var names []string
	for tables.Next() {
		var name string
		require.NoError(h.t, tables.Scan(&name))
		names = append(names, name)
	}
	require.NoError(h.t, tables.Close())
	for _, name := range names {
		rows, err := h.db.Query(h.ctx, `SELECT * FROM "`+name+`"`)
		require.NoError(h.t, err)
		columns, err := rows.Columns()
		require.NoError(h.t, err)
		var lines []string
		for rows.Next() {
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			require.NoError(h.t, rows.Scan(into...))
			if line := fmt.Sprintf("%s %v", name, values); !strings.Contains(line, "[sync_token ") { // it moves by itself
				lines = append(lines, line)
			}
		}
		require.NoError(h.t, rows.Close())
		slices.Sort(lines)
		all.WriteString(strings.Join(lines, "\n") + "\n")
	}
	return all.String()
}

// rawCall makes a call with a query of the test's own and returns code, description and the whole answer.
func (h *house) rawCall(path string, query url.Values, body string) (code int, desc, answer string) {
	h.t.Helper()
	method, header := http.MethodPost, http.Header{}
	if path == "v2tim/events" {
		method, header = http.MethodGet, http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-WebSocket-Version": {"13"}, "Sec-WebSocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="},
		}
	}
	req, err := http.NewRequestWithContext(h.ctx, method, h.tim.URL+"/v4/"+path+"?"+query.Encode(), strings.NewReader(body))
	require.NoError(h.t, err)
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	require.NoError(h.t, err)
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return 0, "", ""
	}
	text, err := io.ReadAll(resp.Body)
	require.NoError(h.t, err)
	var head struct {
		Code      int    `json:"code"`
		Desc      string `json:"desc"`
		ErrorCode int
		ErrorInfo string
	}
	require.NoError(h.t, json.Unmarshal(text, &head), string(text))
	return head.Code + head.ErrorCode, head.Desc + head.ErrorInfo, string(text)
}

func signedQuery(t testing.TB, user string) url.Values {
	return url.Values{"sdkappid": {fmt.Sprint(testAppID)}, "identifier": {user}, "usersig": {userSig(t, testAppID, testSecretKey, user, time.Hour)}}
}

func userSig(t testing.TB, app uint64, key, user string, life time.Duration) string {
	sig, err := v2tim.GenUserSig(app, key, user, life)
	require.NoError(t, err)
	return sig
}

// scene is a group with a message of alice's that bob may acknowledge, and mallory, who is in another group.
type scene struct {
	*house
	message v2tim.SentMessage
	event   id.EventID
	room    id.RoomID
	spare   id.RoomID // no group's
	elsew   string    // a message of mallory's group
}

func newScene(t *testing.T, change ...func(*config.Config)) *scene {
	h := newHouse(t, matrixtest.Synapse(), append(change, func(cfg *config.Config) { cfg.V2TIM.RateLimit.BadSignatures = 0 })...)
	ann := h.hs.User("ann")
	s := &scene{house: h, room: h.room("team", ann, "alice", "bob")}
	h.room("others", ann, "mallory")
	s.spare = ann.CreateRoom(matrixtest.RoomOptions{Public: true})
	var err error
	s.message, err = h.client("alice").SendText(h.ctx, "team", "for the team")
	require.NoError(t, err)
	s.event = h.event("team", s.message.MsgID)
	other, err := h.client("mallory").SendText(h.ctx, "others", "for the others")
	require.NoError(t, err)
	s.elsew = other.MsgID
	h.event("others", other.MsgID)
	h.settled()
	return s
}

// bodies are good bodies of all calls, in an order in which an administrator can make them all.
func (s *scene) bodies() ([]string, map[string]string) {
	seq := fmt.Sprint(s.message.Seq)
	list := [][2]string{
		{"v2tim/events", ``},
		{"v2tim/sendMessageReadReceipts", `{"messageIDList":["` + s.message.MsgID + `"]}`},
		{"v2tim/getMessageReadReceipts", `{"messageIDList":["` + s.message.MsgID + `"]}`},
		{"v2tim/getGroupMessageReadMemberList", `{"messageID":"` + s.message.MsgID + `"}`},
		{"v2tim/sendMessage", `{"groupID":"team","text":"let me in","needReadReceipt":true}`},
		{"group_open_http_svc/group_msg_receipt", `{"GroupId":"team","From_Account":"bob","MsgSeqList":[{"MsgSeq":` + seq + `}]}`},
		{"group_open_http_svc/get_group_msg_receipt", `{"GroupId":"team","MsgSeqList":[{"MsgSeq":` + seq + `}]}`},
		{"group_open_http_svc/get_group_msg_receipt_detail", `{"GroupId":"team","MsgSeq":` + seq + `,"Filter":1}`},
		{"timbridge/map_group", `{"GroupId":"new","RoomId":"` + s.spare.String() + `"}`},
		{"timbridge/map_messages", `{"GroupId":"team","MessageList":[{"EventId":"` + s.event.String() + `"}]}`},
		{"timbridge/link_user", `{"UserID":"bob","MXID":"@ben:` + s.hs.Name() + `"}`},
		{"timbridge/unlink_user", `{"UserID":"bob"}`},
		{"timbridge/get_groups", `{}`},
		{"timbridge/get_group_messages", `{"GroupId":"team"}`},
		{"group_open_http_svc/add_group_member", `{"GroupId":"team","MemberList":[{"Member_Account":"mallory"}]}`},
		{"group_open_http_svc/get_group_member_info", `{"GroupId":"team"}`},
		{"group_open_http_svc/delete_group_member", `{"GroupId":"team","MemberToDel_Account":["mallory"]}`},
		{"timbridge/add_group_member", `{"GroupId":"team","MemberList":[{"Member_Account":"mallory"}]}`},
		{"timbridge/get_group_member_info", `{"GroupId":"team"}`},
		{"timbridge/delete_group_member", `{"GroupId":"team","MemberToDel_Account":["mallory"]}`},
		{"timbridge/unmap_group", `{"GroupId":"team"}`},
	}
	var order []string
	all := make(map[string]string)
	for _, call := range list {
		order = append(order, call[0])
		all[call[0]] = call[1]
	}
	return order, all
}

// TestNobodyGetsIn makes every call that the server has as everybody who must not: each is refused with the right code, nothing is
// stored, nothing goes to the homeserver, and nobody is told anything.
func TestNobodyGetsIn(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	order, bodies := s.bodies()
	require.ElementsMatch(t, s.b.api.Commands(), order, "a call without a row here is a call that nobody has tried to get through")
	alice, bob := s.listen(s.client("alice")), s.listen(s.client("bob"))

	outsider := map[string]int{ // the codes of SDK calls for a user who is not in the group
		"v2tim/sendMessageReadReceipts": 6017, "v2tim/getMessageReadReceipts": 6017, "v2tim/getGroupMessageReadMemberList": 6017,
		"v2tim/sendMessage": 10007,
	}
	expired := map[string]string{"bob": expiredSig(t, "bob"), "administrator": expiredSig(t, "administrator")}
	before, asked := s.stored(), len(s.hs.Requests(changing))
	for _, path := range order {
		sdk := strings.HasPrefix(path, "v2tim/")
		user, absent := "administrator", 60004
		if sdk {
			user, absent = "bob", 6014
		}
		with := func(change func(q url.Values)) url.Values {
			q := signedQuery(t, user)
			change(q)
			return q
		}
		sig := func(sig string) url.Values { return with(func(q url.Values) { q.Set("usersig", sig) }) }
		cases := []struct {
			name  string
			query url.Values
			code  int
		}{
			{"no sig", with(func(q url.Values) { q.Del("usersig") }), absent},
			{"no name", with(func(q url.Values) { q.Del("identifier") }), absent},
			{"nothing", url.Values{}, 60012},
			{"garbage", sig("garbage"), 70003},
			{"wrong sig", sig(userSig(t, testAppID, "another secret", user, time.Hour)), 70009},
			{"other user's sig", sig(userSig(t, testAppID, testSecretKey, "mallory", time.Hour)), 70013},
			{"other app's sig", sig(userSig(t, testAppID+1, testSecretKey, user, time.Hour)), 70014},
			{"other app", with(func(q url.Values) { q.Set("sdkappid", "1400000002") }), 60006},
			{"expired", sig(expired[user]), 70001},
			{"name with more", with(func(q url.Values) { q.Set("identifier", user+" ") }), 70013},
		}
		if code, ok := outsider[path]; ok {
			cases = append(cases, struct {
				name  string
				query url.Values
				code  int
			}{"not a member", signedQuery(t, "mallory"), code})
			cases = append(cases, struct {
				name  string
				query url.Values
				code  int
			}{"unknown user", signedQuery(t, "nobody"), code})
		}
		if !sdk {
			for _, plain := range []string{"alice", "bob", "mallory", "nobody", "Administrator", "root"} {
				cases = append(cases, struct {
					name  string
					query url.Values
					code  int
				}{"plain user " + plain, signedQuery(t, plain), 60010})
			}
		}
		for _, c := range cases {
			code, desc, answer := s.rawCall(path, c.query, bodies[path])
			require.Equal(t, c.code, code, "%s, %s: %s", path, c.name, desc)
			for _, secret := range []string{"team", "for the", s.room.String(), s.event.String()} {
				require.NotContains(t, answer, secret, "%s, %s: it tells something", path, c.name)
			}
		}
		require.Equal(t, before, s.stored(), "%s has changed something", path)
	}
	require.Len(t, s.hs.Requests(changing), asked, "something has gone to the homeserver")

	// The first that anybody is told is what is really said now.
	_, err := s.client("bob").SendText(s.ctx, "team", "really said")
	require.NoError(t, err)
	for _, l := range []interface {
		Next(context.Context) (v2tim.Event, error)
	}{alice, bob} {
		e, err := l.Next(s.ctx)
		require.NoError(t, err)
		require.NotNil(t, e.Message)
		require.Equal(t, "really said", e.Message.Text)
	}
	// The bodies were good: who may make these calls can.
	for _, path := range order {
		user := "administrator"
		if strings.HasPrefix(path, "v2tim/") {
			user = "bob"
		}
		code, desc, _ := s.rawCall(path, signedQuery(t, user), bodies[path])
		require.Zero(t, code, "%s: %s", path, desc)
	}
}

// changing are requests that change something at the homeserver.
func changing(method, _ string, _ id.UserID) bool { return method != http.MethodGet }

// expiredSig is a UserSig that is no longer good. The library makes none, so that it is one of a second that the clock has passed.
func expiredSig(t *testing.T, user string) string {
	sig := userSig(t, testAppID, testSecretKey, user, time.Second)
	require.Eventually(t, func() bool {
		_, err := v2tim.VerifyUserSig(testAppID, testSecretKey, user, sig, time.Now())
		return err != nil
	}, 10*time.Second, 50*time.Millisecond)
	return sig
}

// TestOutsidersCannotTellWhatThereIs: a message of another group is answered as one that does not exist, word for word.
func TestOutsidersCannotTellWhatThereIs(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	const absent = "144115233406643804-1727580296-4026038328"
	for _, path := range []string{"v2tim/sendMessageReadReceipts", "v2tim/getMessageReadReceipts", "v2tim/getGroupMessageReadMemberList"} {
		for _, user := range []string{"mallory", "nobody"} {
			var answers []string
			for _, msgID := range []string{s.message.MsgID, absent} {
				body := `{"messageIDList":["` + msgID + `"],"messageID":"` + msgID + `"}`
				code, _, answer := s.rawCall(path, signedQuery(t, user), body)
				require.Equal(t, 6017, code)
				answers = append(answers, strings.ReplaceAll(answer, msgID, "ID"))
			}
			require.Equal(t, answers[0], answers[1], "%s as %s", path, user)
		}
	}
	// Together with one of his own it is refused as a whole, and still not as "of another group".
	before := s.stored()
	code, desc, _ := s.rawCall("v2tim/sendMessageReadReceipts", signedQuery(t, "mallory"), `{"messageIDList":["`+s.elsew+`","`+s.message.MsgID+`"]}`)
	require.Equal(t, 6017, code)
	require.NotContains(t, desc, "team")
	require.NotContains(t, desc, s.elsew, "only the one that he cannot have is named")
	require.Equal(t, before, s.stored())
	// What he says to a group that is not his, or not there, is answered alike as well.
	var answers []string
	for _, group := range []string{"team", "absent"} {
		_, _, answer := s.rawCall("v2tim/sendMessage", signedQuery(t, "mallory"), `{"groupID":"`+group+`","text":"hello"}`)
		answers = append(answers, strings.ReplaceAll(answer, group, "GROUP"))
	}
	require.Equal(t, answers[0], answers[1])
}

// TestOutsidersWaitAsLongAsForWhatDoesNotExist: neither is the answer faster, which the wait for a membership under way shows.
func TestOutsidersWaitAsLongAsForWhatDoesNotExist(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(cfg *config.Config) { cfg.Bridge.MappingWait = time.Minute })
	for _, user := range []string{"mallory", "newcomer"} { // a known user and one of whom nobody has heard
		done, look := make(chan error, 1), s.asked.n.Load()+4 // user, message, group, size of the group
		go func() { done <- s.client(user).SendMessageReadReceipts(s.ctx, s.message.MsgID) }()
		s.wait("the call has looked", func() bool { return s.asked.n.Load() >= look })
		_, err := s.root.AddGroupMember(s.ctx, "team", user)
		require.NoError(t, err)
		require.NoError(t, <-done, "as soon as he is a member")
	}
	s.waitCounts(s.client("alice"), s.message.MsgID, 2, 2) // with bob and ann unread
}

// TestEventsAreOnesOwn: whoever listens hears of his own messages' readers and of his own groups, whatever cursor he gives.
func TestEventsAreOnesOwn(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	require.NoError(t, s.client("bob").SendMessageReadReceipts(s.ctx, s.message.MsgID))
	s.settled()
	for _, user := range []string{"mallory", "nobody"} {
		l, err := s.client(user).Listen(s.ctx, "0")
		require.NoError(t, err)
		t.Cleanup(l.Close)
		if user == "nobody" {
			_, err = s.root.AddGroupMember(s.ctx, "others", user)
			require.NoError(t, err)
		}
		_, err = s.client("mallory").SendText(s.ctx, "others", "the end for "+user)
		require.NoError(t, err)
		for last := false; !last; {
			e, err := l.Next(s.ctx)
			require.NoError(t, err)
			require.Empty(t, e.ReceiptList, "%s hears of alice's readers", user)
			if e.Message != nil {
				require.Equal(t, "others", e.Message.GroupID, "%s hears the team", user)
				last = e.Message.Text == "the end for "+user
			}
		}
	}
	// A UserID that has become somebody's alias, or looks like one, opens nothing either.
	for _, user := range []string{"Alice", "alice%", "tim_alice", "@tim_alice:" + s.hs.Name()} {
		_, err := s.client(user).GetMessageReadReceipts(s.ctx, s.message.MsgID)
		var coded *receipts.Error
		require.ErrorAs(t, err, &coded)
		require.Equal(t, receipts.CodeInvalidParameters, coded.Code)
	}
}
