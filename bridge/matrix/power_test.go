package matrix

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

func TestMayConfigure(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	require.NoError(t, b.EnsureBot(background))
	alice, bob := b.hs.User("alice"), b.hs.User("bob") // alice creates
	for name, tc := range map[string]struct {
		version    string
		levels     string // "" leaves those of the room, "none" has no event
		alice, bob bool
	}{
		"as created":                {alice: true},
		"no power levels":           {levels: "none", alice: true},
		"no power levels, 12":       {levels: "none", version: "12", alice: true},
		"empty":                     {levels: `{}`},
		"just enough":               {levels: `{"users":{"@alice:localhost":50,"@bob:localhost":49}}`, alice: true},
		"a lower state_default":     {levels: `{"users":{"@alice:localhost":50},"state_default":0}`, alice: true, bob: true},
		"a higher state_default":    {levels: `{"users":{"@alice:localhost":100,"@bob:localhost":50},"state_default":51}`, alice: true},
		"a level for our event":     {levels: `{"users":{"@alice:localhost":50,"@bob:localhost":10},"events":{"com.tencent.im.bridge":60}}`},
		"a lower one for our event": {levels: `{"users":{"@alice:localhost":50,"@bob:localhost":10},"events":{"com.tencent.im.bridge":10}}`, alice: true, bob: true},
		"of another event":          {levels: `{"users":{"@bob:localhost":10},"events":{"com.tencent.im.bridges":10}}`},
		"users_default":             {levels: `{"users":{"@bob:localhost":0},"users_default":50}`, alice: true},
		"strings":                   {levels: `{"users":{"@alice:localhost":"50","@bob:localhost":"49"},"state_default":"50"}`, alice: true},
		"malformed level":           {levels: `{"users":{"@alice:localhost":[100],"@bob:localhost":1e3},"state_default":0}`},
		"malformed state_default":   {levels: `{"users":{"@alice:localhost":100,"@bob:localhost":0},"state_default":null}`},
		"malformed users_default":   {levels: `{"users_default":{},"state_default":0}`},
		"malformed users":           {levels: `{"users":["@bob:localhost"]}`},
		"another case":              {levels: `{"USERS":{"@bob:localhost":100},"users":{"@alice:localhost":100}}`, alice: true},
		"creators of version 12":    {version: "12", levels: `{"users":{},"state_default":1000000}`, alice: true},
		"creators are not in 11":    {version: "11", levels: `{"users":{},"state_default":50}`},
	} {
		t.Run(name, func(t *testing.T) {
			room := alice.CreateRoom(matrixtest.RoomOptions{Public: true, Version: tc.version, NoPowerLevels: tc.levels == "none"})
			bob.Join(room)
			require.NoError(t, b.JoinBot(background, room))
			if tc.levels != "" && tc.levels != "none" {
				alice.SendState(room, "m.room.power_levels", "", json.RawMessage(tc.levels))
			}
			may, err := b.MayConfigure(background, alice.ID, room)
			require.NoError(t, err)
			require.Equal(t, tc.alice, may, "alice")
			may, err = b.MayConfigure(background, bob.ID, room)
			require.NoError(t, err)
			require.Equal(t, tc.bob, may, "bob")
		})
	}
}

func TestMayConfigureMembers(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	require.NoError(t, b.EnsureBot(background))
	alice, bob := b.hs.User("alice"), b.hs.User("bob")
	room := alice.CreateRoom(matrixtest.RoomOptions{Public: true, Version: "12", AdditionalCreators: []id.UserID{bob.ID}})
	_, err := b.MayConfigure(background, alice.ID, room)
	require.ErrorIs(t, err, ErrForbidden, "the bot is not there")
	require.NoError(t, b.JoinBot(background, room))
	may := func(user id.UserID) bool {
		t.Helper()
		may, err := b.MayConfigure(background, user, room)
		require.NoError(t, err)
		return may
	}
	require.True(t, may(alice.ID))
	require.False(t, may(bob.ID), "a creator who is not there")
	bob.Join(room)
	require.True(t, may(bob.ID))
	bob.Leave(room)
	require.False(t, may(bob.ID), "power outlives membership, the right does not")
	require.False(t, may("@carl:localhost"))

	for _, part := range []string{"m.room.member", "m.room.create", "m.room.power_levels"} {
		b.hs.FailRequests(matrixtest.Path("/state/"+part), 1, 502, "", 0)
		var temporary *TemporaryError
		_, err = b.MayConfigure(background, "@timbridge_x:localhost", room)
		if part == "m.room.member" {
			require.ErrorAs(t, err, &temporary)
			continue
		}
		require.NoError(t, err, "not even asked for who is not there")
		b.hs.StopFailing()
	}
}

func TestPrivilegedCreators(t *testing.T) {
	for version, want := range map[string]bool{
		"": false, "1": false, "9": false, "11": false, "12": true, "13": true, "100": true,
		"org.matrix.hydra.11": true, "org.matrix.msc1234": false, "12-x": false,
	} {
		require.Equal(t, want, privilegedCreators(version), version)
	}
}

// FuzzLevel reads any power levels: what makes no sense is not allowed, and nothing breaks.
func FuzzLevel(f *testing.F) {
	for _, levels := range []string{
		`{}`, `{"users":{"@a:x":100},"events":{"com.tencent.im.bridge":50}}`, `{"users":{"@a:x":"50"}}`, `{"users":[1]}`, `{"users_default":1e3}`, `{"state_default":null}`,
		`{"users":{"@a:x":9223372036854775808}}`, `{"users":{"@a:x":" 7"}}`,
	} {
		f.Add([]byte(levels), "@a:x")
	}
	f.Fuzz(func(t *testing.T, raw []byte, user string) {
		levels, err := parseObject(raw)
		if err != nil {
			return
		}
		users := levels.child("users")
		value, ok := level(users, user, levels, "users_default", 0)
		_, named := users[user]
		_, general := levels["users_default"]
		if !named && !general {
			require.True(t, ok)
			require.Zero(t, value)
		}
		if !ok {
			require.True(t, named || general, "only what is there can be wrong")
		}
		level(levels.child("events"), ConfigEventType, levels, "state_default", 50)
	})
}
