package matrix

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/internal/lab"
)

// newLab starts a real homeserver that knows a bot, with a registration changed by change.
func newLab(t *testing.T, kind lab.Kind, change func(*appservice.Registration)) (*AppService, *lab.Homeserver) {
	t.Helper()
	lab.Require(t, kind)
	reg, err := NewRegistration(RegistrationConfig{Domain: lab.Domain, BotLocalpart: botLocalpart, GhostPrefix: ghostPrefix})
	require.NoError(t, err)
	change(reg)
	text, err := reg.YAML()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "registration.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	hs := lab.Run(t, kind, lab.Options{AppServices: []string{path}})
	a, err := New(Config{
		Registration: reg, HomeserverURL: hs.URL(), Domain: hs.Domain(), BotLocalpart: botLocalpart, GhostPrefix: ghostPrefix,
	}, mautrix.NewMemoryStateStore().(appservice.StateStore), &recorder{}, zerolog.Nop())
	require.NoError(t, err)
	t.Cleanup(a.Close)
	require.NoError(t, a.EnsureBot(background))
	return a, hs
}

// TestRealRooms holds what the bridge believes of rooms, and the fake homeserver with it, against real homeservers.
func TestRealRooms(t *testing.T) {
	for _, kind := range lab.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			a, hs := newLab(t, kind, func(*appservice.Registration) {})
			alice, err := hs.RegisterUser(t.Context(), "alice")
			require.NoError(t, err)
			bob, err := hs.RegisterUser(t.Context(), "bob")
			require.NoError(t, err)
			may := func(user id.UserID, room id.RoomID) bool {
				t.Helper()
				may, err := a.MayConfigure(background, user, room)
				require.NoError(t, err)
				return may
			}

			group := GroupRoom{AliasLocalpart: ghostPrefix + id.EncodeUserLocalpart("@TGS#1 组"), Name: "Team", Topic: "tea", Invite: []id.UserID{alice.ID}}
			room, err := a.CreateGroupRoom(background, group)
			require.NoError(t, err)
			require.NoError(t, alice.Join(t.Context(), room))
			require.NoError(t, alice.Leave(t.Context(), room))
			group.Invite = append(group.Invite, bob.ID)
			again, err := a.CreateGroupRoom(background, group)
			require.NoError(t, err)
			require.Equal(t, room, again)
			require.NoError(t, bob.Join(t.Context(), room))
			require.Error(t, alice.Join(t.Context(), room), "not invited again")
			made, err := a.CreatedByBot(background, room)
			require.NoError(t, err)
			require.True(t, made)
			require.NoError(t, a.SetRoomName(background, room, "Renamed"))
			var name struct{ Name string }
			require.NoError(t, bob.State(t.Context(), room, "m.room.name", "", &name))
			require.Equal(t, "Renamed", name.Name)
			require.True(t, may(a.BotMXID(), room))
			require.False(t, may(bob.ID, room))

			carl := id.NewUserID(ghostPrefix+"carl", hs.Domain())
			require.NoError(t, a.EnsureJoined(background, carl, room))
			sent, err := a.SendMessage(background, carl, room, []byte(`{"msgtype":"m.text","body":"oops"}`), "1", noTime)
			require.NoError(t, err)
			_, err = a.Redact(background, a.BotMXID(), room, sent, "r1")
			require.NoError(t, err)
			require.NoError(t, a.SendNotice(background, room, strings.Repeat("\x01", 2*maxNotice), "$odd/id"), "what JSON writes longest")

			uri, err := a.UploadMedia(background, []byte("\x89PNG\r\n\x1a\n…"), "image/png", "a 图 & b.png")
			require.NoError(t, err)
			_, err = a.UploadMedia(background, bytes.Repeat([]byte("x"), MaxMedia), "image/png", "")
			require.NoError(t, err, "as large as we allow")
			require.NoError(t, a.SetProfile(background, carl, "Carl", uri.CUString()))
			displayName, avatar, err := a.Profile(background, carl)
			require.NoError(t, err)
			require.Equal(t, "Carl", displayName)
			require.Equal(t, uri, avatar)
			_, _, err = a.Profile(background, id.NewUserID("nobody", hs.Domain()))
			require.ErrorIs(t, err, ErrNotFound)

			for _, version := range []string{"10", "11", "12"} {
				theirs, err := bob.CreateRoomWith(t.Context(), map[string]any{"preset": "public_chat", "room_version": version})
				require.NoError(t, err)
				require.NoError(t, a.JoinBot(background, theirs))
				require.NoError(t, alice.Join(t.Context(), theirs))
				require.True(t, may(bob.ID, theirs), version)
				require.False(t, may(alice.ID, theirs), version)
				made, err := a.CreatedByBot(background, theirs)
				require.NoError(t, err)
				require.False(t, made, version)
				require.NoError(t, bob.Leave(t.Context(), theirs))
				require.False(t, may(bob.ID, theirs), version)
			}

			_, err = alice.CreateRoomWith(t.Context(), map[string]any{"room_alias_name": ghostPrefix + "taken"})
			if kind == lab.Dendrite {
				require.NoError(t, err, "anybody may take our aliases")
				_, err = a.CreateGroupRoom(background, GroupRoom{AliasLocalpart: ghostPrefix + "taken"})
				require.ErrorIs(t, err, ErrAliasInUse)
			} else {
				require.ErrorContains(t, err, "M_EXCLUSIVE")
			}
		})
	}
}

// TestRealOldRegistration: Synapse wants the aliases in the registration.
func TestRealOldRegistration(t *testing.T) {
	a, _ := newLab(t, lab.Synapse, func(reg *appservice.Registration) { reg.Namespaces.RoomAliases = nil })
	_, err := a.CreateGroupRoom(background, GroupRoom{AliasLocalpart: ghostPrefix + "a"})
	require.ErrorIs(t, err, ErrExclusive)
}
