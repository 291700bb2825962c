package matrixtest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/id"
)

// as returns a client with a token.
func as(t *testing.T, s *Server, token string) *mautrix.Client {
	t.Helper()
	client, err := mautrix.NewClient(s.URL(), "", token)
	require.NoError(t, err)
	client.Client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	client.SetAppServiceUserID = false
	return client
}

func TestCreateRoomRefusals(t *testing.T) {
	s := New(t, Synapse())
	reg := registration("")
	reg.Namespaces.RoomAliases = appservice.NamespaceList{{Regex: "^#g_.*:localhost$", Exclusive: true}}
	s.AddAppService(reg)
	s.User("alice")
	ours, theirs := as(t, s, "as"), as(t, s, "token-of-@alice:localhost")
	create := func(client *mautrix.Client, body map[string]any) error {
		_, err := client.MakeRequest(t.Context(), http.MethodPost, client.BuildClientURL("v3", "createRoom"), body, nil)
		return err
	}
	require.NoError(t, create(ours, map[string]any{"room_alias_name": "g_1", "preset": "private_chat", "room_version": "12"}))
	require.ErrorIs(t, create(ours, map[string]any{"room_alias_name": "g_1"}), mautrix.MRoomInUse)
	require.ErrorIs(t, create(ours, map[string]any{"room_alias_name": "lobby"}), mautrix.MExclusive)
	require.ErrorIs(t, create(theirs, map[string]any{"room_alias_name": "g_2"}), mautrix.MExclusive)
	require.NoError(t, create(theirs, map[string]any{"room_alias_name": "lobby"}))
	for _, alias := range []string{"", "g_ x", "g_:x", "g_" + strings.Repeat("x", 255)} {
		require.ErrorIs(t, create(ours, map[string]any{"room_alias_name": alias}), mautrix.MInvalidParam, alias)
	}
	require.ErrorIs(t, create(ours, map[string]any{"name": 7}), mautrix.MBadJSON)
	require.ErrorContains(t, create(ours, map[string]any{"preset": "secret"}), "M_UNKNOWN")
	require.Equal(t, 2, s.Rooms())

	s = New(t, Dendrite())
	s.AddAppService(reg)
	s.User("alice")
	require.NoError(t, create(as(t, s, "token-of-@alice:localhost"), map[string]any{"room_alias_name": "g_2"}))
	require.ErrorIs(t, create(as(t, s, "as"), map[string]any{"room_alias_name": "g_2"}), mautrix.MRoomInUse)
}

func TestPowerLevels(t *testing.T) {
	s := New(t, Synapse())
	alice, bob, carl := s.User("alice"), s.User("bob"), s.User("carl")
	room := alice.CreateRoom(RoomOptions{Public: true, Version: "12", AdditionalCreators: []id.UserID{bob.ID}})
	require.NotContains(t, string(room), ":")
	require.NotContains(t, s.State(room, "m.room.create", ""), `"creator"`)
	bob.Join(room)
	carl.Join(room)
	try := func(u *User, typ string) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		key := ""
		_, err := s.sendEvent(room, u.ID, typ, &key, []byte(`{}`), 0)
		return err
	}
	require.NoError(t, try(bob, "m.room.name"))
	require.Error(t, try(carl, "m.room.name"))
	alice.SendState(room, "m.room.power_levels", "", map[string]any{"users": map[string]int{}, "users_default": 7, "events": map[string]int{"m.room.topic": 7}, "state_default": 1000})
	require.NoError(t, try(bob, "m.room.name"), "creators have all rights")
	require.Error(t, try(carl, "m.room.name"))
	require.NoError(t, try(carl, "m.room.topic"))
	bare := alice.CreateRoom(RoomOptions{NoPowerLevels: true})
	require.Empty(t, s.State(bare, "m.room.power_levels", ""))
	alice.SendState(bare, "m.room.name", "", map[string]any{"name": "x"})
}

func TestUpload(t *testing.T) {
	opts := Synapse()
	opts.MaxUpload = 3
	s := New(t, opts)
	s.User("alice")
	client := as(t, s, "token-of-@alice:localhost")
	resp, err := client.UploadBytesWithName(t.Context(), []byte("abc"), "text/plain", "a b")
	require.NoError(t, err)
	require.Equal(t, &Media{Owner: "@alice:localhost", ContentType: "text/plain", Name: "a b", Data: []byte("abc")}, s.Media(resp.ContentURI))
	_, err = client.UploadBytes(t.Context(), []byte("abcd"), "text/plain")
	require.ErrorIs(t, err, mautrix.MTooLarge)
	_, err = as(t, s, "nobody").UploadBytes(t.Context(), []byte("abc"), "text/plain")
	require.ErrorIs(t, err, mautrix.MUnknownToken)
}
