package matrixtest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/id"
)

// sink is an application service that keeps what it is sent.
type sink struct {
	mu     sync.Mutex
	status int
	bodies []map[string][]json.RawMessage
	ids    []string
	url    string
}

func newSink(t *testing.T) *sink {
	k := &sink{status: 200}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		var body map[string][]json.RawMessage
		_ = json.Unmarshal(raw, &body)
		k.mu.Lock()
		defer k.mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer hs" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		k.bodies = append(k.bodies, body)
		k.ids = append(k.ids, r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:])
		w.WriteHeader(k.status)
	}))
	t.Cleanup(server.Close)
	k.url = server.URL
	return k
}

func (k *sink) setStatus(status int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.status = status
}

func (k *sink) all() []map[string][]json.RawMessage {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]map[string][]json.RawMessage(nil), k.bodies...)
}

func registration(url string) *appservice.Registration {
	return &appservice.Registration{
		ID: "as", URL: url, AppToken: "as", ServerToken: "hs", SenderLocalpart: "sender", EphemeralEvents: true, SoruEphemeralEvents: true,
		Namespaces: appservice.Namespaces{UserIDs: appservice.NamespaceList{{Regex: "^@g_.*:localhost$", Exclusive: true}}},
	}
}

// ghost registers and joins @g_name.
func ghost(t *testing.T, s *Server, room id.RoomID, name string) *mautrix.Client {
	t.Helper()
	client, err := mautrix.NewClient(s.URL(), "", "as")
	require.NoError(t, err)
	client.Client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	client.SetAppServiceUserID = false
	_, err = client.MakeRequest(t.Context(), http.MethodPost, client.BuildClientURL("v3", "register"),
		map[string]any{"type": "m.login.application_service", "username": "g_" + name}, nil)
	require.NoError(t, err)
	client.UserID = id.NewUserID("g_"+name, s.Name())
	client.SetAppServiceUserID = true
	_, err = client.JoinRoomByID(t.Context(), room)
	require.NoError(t, err)
	return client
}

func TestReceiptsLikeSynapse(t *testing.T) {
	s := New(t, Synapse())
	alice, bob := s.User("alice"), s.User("bob")
	room := alice.CreateRoom(RoomOptions{Public: true})
	bob.Join(room)
	one, two := alice.Send(room, "1"), alice.Send(room, "2")
	bob.SendReceipt(room, two)
	bob.SendReceipt(room, one)
	bob.SendReceipt(room, "$unknown")
	require.Equal(t, two, alice.ReceiptOf(room, bob.ID), "older and unknown ones are ignored")
	bob.SendReceipt(room, one, ReceiptOptions{Thread: "main"})
	require.Len(t, alice.ReceiptsOf(room), 2, "one per thread")
	root := two
	reply := alice.SendThread(room, root, "3")
	require.Error(t, bob.TrySendReceipt(room, reply, ReceiptOptions{Thread: "main"}))
	require.NoError(t, bob.TrySendReceipt(room, reply, ReceiptOptions{Thread: string(root)}))
	bob.SendReceipt(room, reply, ReceiptOptions{Private: true})
	require.Len(t, alice.ReceiptsOf(room), 3)
	require.Len(t, bob.ReceiptsOf(room), 4, "his own private one too")
	require.Error(t, s.User("eve").TrySendReceipt(room, one))
	resp := alice.SyncOnce("")
	require.Len(t, resp.Rooms.Join[room].Ephemeral.Events, 1)
	require.Empty(t, alice.SyncOnce(resp.NextBatch).Rooms.Join)
}

func TestReceiptsLikeDendrite(t *testing.T) {
	s := New(t, Dendrite())
	alice, bob := s.User("alice"), s.User("bob")
	room := alice.CreateRoom(RoomOptions{Public: true})
	bob.Join(room)
	one, two := alice.Send(room, "1"), alice.Send(room, "2")
	bob.SendReceipt(room, two)
	bob.SendReceipt(room, one, ReceiptOptions{Thread: "main"})
	require.Equal(t, one, alice.ReceiptOf(room, bob.ID), "moves back, threads do not count")
	bob.SendReceipt(room, "$unknown")
	require.Equal(t, id.EventID("$unknown"), alice.ReceiptOf(room, bob.ID))
	require.NoError(t, s.User("eve").TrySendReceipt(room, one))
}

func TestReceiptsOfWhoLeft(t *testing.T) {
	s := New(t, Synapse())
	alice, bob := s.User("alice"), s.User("bob")
	room := alice.CreateRoom(RoomOptions{Public: true})
	bob.Join(room)
	seen := alice.Send(room, "1")
	bob.Leave(room)
	require.Error(t, bob.TrySendReceipt(room, alice.Send(room, "2")))
	bob.SendReceipt(room, seen)
	require.Equal(t, seen, alice.ReceiptOf(room, bob.ID), "as seen on Synapse 1.160.0")
}

func TestHistoryVisibility(t *testing.T) {
	s := New(t, Synapse())
	alice, bob := s.User("alice"), s.User("bob")
	room := alice.CreateRoom(RoomOptions{Public: true, HistoryVisibility: "joined"})
	early := alice.Send(room, "1")
	bob.Join(room)
	require.Error(t, bob.TrySendReceipt(room, early))
	bob.SendReceipt(room, alice.Send(room, "2"))
}

func TestPushLikeSynapse(t *testing.T) {
	s, k := New(t, Synapse()), newSink(t)
	s.AddAppService(registration(k.url))
	alice := s.User("alice")
	room := alice.CreateRoom(RoomOptions{Public: true})
	elsewhere := alice.CreateRoom(RoomOptions{})
	client := ghost(t, s, room, "carl")
	s.WaitPushed()
	before := len(k.all())
	alice.Send(elsewhere, "not its business")
	event := alice.Send(room, "1")
	s.WaitPushed()
	require.Len(t, k.all(), before+1)

	alice.SendReceipt(room, event)
	s.WaitPushed()
	last := k.all()[before+1]
	require.Len(t, last["ephemeral"], 1)
	require.Equal(t, last["ephemeral"], last["de.sorunome.msc2409.ephemeral"])

	// What fails comes again with the same id and events, without its receipts.
	k.setStatus(500)
	second := alice.Send(room, "2")
	s.WaitFor("a failure", func() bool { return len(k.all()) > before+2 })
	alice.SendReceipt(room, second)
	third := alice.Send(room, "3")
	k.setStatus(200)
	s.WaitPushed()
	for _, body := range k.all()[before+2:] {
		require.Empty(t, body["ephemeral"])
		require.Len(t, body["events"], 1)
	}
	transactions := s.Transactions()
	require.Contains(t, string(transactions[len(transactions)-1].Body), string(third))
	require.Equal(t, transactions[len(transactions)-2].ID, transactions[before+2].ID)

	// The same transaction id gives the same event, whoever sends it, until the server restarts.
	send := func(txn string) id.EventID {
		resp, err := client.MakeRequest(t.Context(), http.MethodPut, client.BuildClientURL("v3", "rooms", room, "send", "m.room.message", txn), map[string]any{"body": "x"}, nil)
		require.NoError(t, err)
		return id.EventID(resp)
	}
	require.Equal(t, send("x"), send("x"))
	old := send("x")
	s.Restart()
	require.NotEqual(t, old, send("x"))
	s.WaitPushed()
	transactions = s.Transactions()
	require.Equal(t, "1", transactions[len(transactions)-1].ID)
}

func TestPushLikeDendrite(t *testing.T) {
	s, k := New(t, Dendrite()), newSink(t)
	s.AddAppService(registration(k.url))
	alice := s.User("alice")
	room := alice.CreateRoom(RoomOptions{Public: true})
	ghost(t, s, room, "carl")
	s.WaitPushed()
	k.setStatus(500)
	before := len(k.all())
	event := alice.Send(room, "1")
	s.WaitFor("a failure", func() bool { return len(k.all()) > before })
	alice.Send(room, "2")
	s.WaitFor("the same with more", func() bool {
		all := k.all()
		return len(all[len(all)-1]["events"]) == 2
	})
	k.setStatus(200)
	alice.SendReceipt(room, event)
	s.WaitPushed()
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, body := range k.bodies[before:] {
		require.Equal(t, k.ids[before], k.ids[before+i])
		require.Empty(t, body["ephemeral"], "receipts are never pushed")
	}
}

func TestWhoMayWhat(t *testing.T) {
	s := New(t, Synapse())
	s.AddAppService(registration(""))
	s.User("alice")
	for name, tc := range map[string]struct {
		method, path, token string
		status              int
		errcode             string
	}{
		"no token":             {"GET", "/_matrix/client/v3/account/whoami", "", 401, "M_MISSING_TOKEN"},
		"unknown token":        {"GET", "/_matrix/client/v3/account/whoami", "x", 401, "M_UNKNOWN_TOKEN"},
		"a user":               {"GET", "/_matrix/client/v3/account/whoami", "token-of-@alice:localhost", 200, ""},
		"the sender":           {"GET", "/_matrix/client/v3/account/whoami", "as", 200, ""},
		"unregistered ghost":   {"GET", "/_matrix/client/v3/account/whoami?user_id=@g_x:localhost", "as", 403, "M_FORBIDDEN"},
		"outside namespace":    {"GET", "/_matrix/client/v3/account/whoami?user_id=@alice:localhost", "as", 403, "M_FORBIDDEN"},
		"sync of the sender":   {"GET", "/_matrix/client/v3/sync", "as", 500, "M_UNKNOWN"},
		"sync of a user":       {"GET", "/_matrix/client/v3/sync", "token-of-@alice:localhost", 200, ""},
		"malformed filter":     {"GET", "/_matrix/client/v3/sync?filter=7", "token-of-@alice:localhost", 400, "M_INVALID_PARAM"},
		"malformed sync token": {"GET", "/_matrix/client/v3/sync?since=x", "token-of-@alice:localhost", 400, "M_UNKNOWN"},
		"body is required":     {"POST", "/_matrix/client/v3/rooms/!r/receipt/m.read/$e", "token-of-@alice:localhost", 400, "M_NOT_JSON"},
		"unknown call":         {"GET", "/_matrix/client/v3/nonsense", "as", 404, "M_UNRECOGNIZED"},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequest(tc.method, s.URL()+tc.path, nil)
			require.NoError(t, err)
			if tc.token != "" {
				req.Header.Set("Authorization", "Bearer "+tc.token)
			}
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			resp, err := client.Do(req)
			require.NoError(t, err)
			defer resp.Body.Close()
			raw, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, tc.status, resp.StatusCode, string(raw))
			require.Contains(t, string(raw), tc.errcode)
		})
	}
}
