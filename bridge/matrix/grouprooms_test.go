package matrix

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

func TestCreateGroupRoom(t *testing.T) {
	for _, version := range []string{"10", "12"} {
		t.Run("room version "+version, func(t *testing.T) {
			opts := matrixtest.Synapse()
			opts.RoomVersion = version
			b := newBench(t, opts)
			require.NoError(t, b.EnsureBot(background))
			alice := b.hs.User("alice")
			group := GroupRoom{AliasLocalpart: ghostPrefix + "=40_t_g_s=231", Name: "The \x00Team", Topic: "tea", Invite: []id.UserID{alice.ID}}
			room, err := b.CreateGroupRoom(background, group)
			require.NoError(t, err)
			require.Equal(t, "invite", b.hs.Membership(room, alice.ID))
			alice.Join(room)
			for user, may := range map[id.UserID]bool{alice.ID: true, "@bob:localhost": false} {
				got, err := b.MayConfigure(background, user, room)
				require.NoError(t, err)
				require.Equal(t, may, got, user)
			}
			found, err := b.ResolveAlias(background, "#timbridge_=40_t_g_s=231:localhost")
			require.NoError(t, err)
			require.Equal(t, room, found)
			require.Equal(t, `{"name":"The Team"}`, b.hs.State(room, "m.room.name", ""))
			require.Equal(t, `{"topic":"tea"}`, b.hs.State(room, "m.room.topic", ""))

			// The same again, as after a crash, is the same room; who declined or left is left alone.
			alice.Leave(room)
			group.Invite = append(group.Invite, b.hs.User("bob").ID)
			again, err := b.CreateGroupRoom(background, group)
			require.NoError(t, err)
			require.Equal(t, room, again)
			require.Equal(t, "leave", b.hs.Membership(room, alice.ID))
			require.Equal(t, "invite", b.hs.Membership(room, "@bob:localhost"))

			// What the bot has to be able to do there.
			carl := b.ghost("carl")
			require.NoError(t, b.EnsureJoined(background, carl, room))
			sent, err := b.SendMessage(background, carl, room, []byte(`{"body":"oops"}`), "1", noTime)
			require.NoError(t, err)
			_, err = b.Redact(background, b.BotMXID(), room, sent, "r1")
			require.NoError(t, err)
			require.NoError(t, b.SetRoomName(background, room, "Renamed"))
			require.Equal(t, `{"name":"Renamed"}`, b.hs.State(room, "m.room.name", ""))
			require.NoError(t, b.Kick(background, carl, room))
		})
	}
}

// TestCreateGroupRoomOnce: the answer gets lost after the room was made.
func TestCreateGroupRoomOnce(t *testing.T) {
	b := newBench(t, matrixtest.Dendrite())
	require.NoError(t, b.EnsureBot(background))
	group := GroupRoom{AliasLocalpart: ghostPrefix + "g1", Invite: []id.UserID{"@alice:localhost", "@bob:localhost"}}
	b.hs.FailRequests(matrixtest.Path("/createRoom"), 1, 502, "", 0)
	var temporary *TemporaryError
	_, err := b.CreateGroupRoom(background, group)
	require.ErrorAs(t, err, &temporary)
	b.hs.FailRequests(matrixtest.Path("/invite"), 1, 502, "", 0)
	_, err = b.CreateGroupRoom(background, group)
	require.ErrorAs(t, err, &temporary, "who could not be invited for now will be")

	b.hs.FailRequests(matrixtest.Path("/invite"), 1, 403, "M_FORBIDDEN", 0)
	room, err := b.CreateGroupRoom(background, group)
	require.NoError(t, err, "who does not want to be invited is no obstacle")
	require.Equal(t, "leave", b.hs.Membership(room, "@alice:localhost"))
	require.Equal(t, "invite", b.hs.Membership(room, "@bob:localhost"))
	require.Contains(t, b.log.String(), "@alice:localhost")
	group.Invite = []id.UserID{"nobody"}
	_, err = b.CreateGroupRoom(background, group)
	require.NoError(t, err)
	require.Equal(t, 1, b.hs.Rooms(), "one room in all")
}

func TestCreateGroupRoomRefusals(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	require.NoError(t, b.EnsureBot(background))
	for name, group := range map[string]GroupRoom{
		"another prefix": {AliasLocalpart: "team"},
		"empty":          {},
		"space":          {AliasLocalpart: ghostPrefix + "a b"},
		"colon":          {AliasLocalpart: ghostPrefix + "a:b"},
		"NUL":            {AliasLocalpart: ghostPrefix + "a\x00"},
		"too long":       {AliasLocalpart: ghostPrefix + strings.Repeat("x", 255)},
		"too many":       {AliasLocalpart: ghostPrefix + "a", Invite: make([]id.UserID, MaxInvites+1)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.CreateGroupRoom(background, group)
			require.ErrorIs(t, err, ErrInvalid)
		})
	}
	require.Empty(t, b.hs.Requests(matrixtest.Path("/createRoom")))

	// The registration was written before the bridge made rooms.
	b.hs.RemoveAppService(b.reg.ID)
	old := *b.reg
	old.Namespaces.RoomAliases = appservice.NamespaceList{}
	b.hs.AddAppService(&old)
	_, err := b.CreateGroupRoom(background, GroupRoom{AliasLocalpart: ghostPrefix + "a"})
	require.ErrorIs(t, err, ErrExclusive)
	var temporary *TemporaryError
	require.NotErrorAs(t, err, &temporary)
	require.Zero(t, b.hs.Rooms())
}

// TestCreateGroupRoomTaken: on Dendrite any user can make a room with our alias and wait for the group to be led there.
func TestCreateGroupRoomTaken(t *testing.T) {
	b := newBench(t, matrixtest.Dendrite())
	require.NoError(t, b.EnsureBot(background))
	mallory := b.hs.User("mallory")
	for name, opts := range map[string]matrixtest.RoomOptions{
		"public": {Public: true}, "private": {}, "with the bot": {Invite: []id.UserID{b.BotMXID()}},
	} {
		t.Run(name, func(t *testing.T) {
			room := mallory.CreateRoom(opts)
			if opts.Invite != nil {
				require.NoError(t, b.JoinBot(background, room))
			}
			b.hs.SetAlias("#timbridge_g:localhost", room)
			_, err := b.CreateGroupRoom(background, GroupRoom{AliasLocalpart: ghostPrefix + "g", Invite: []id.UserID{"@alice:localhost"}})
			require.ErrorIs(t, err, ErrAliasInUse)
			require.Equal(t, "leave", b.hs.Membership(room, "@alice:localhost"))
		})
	}
	room, err := b.CreateGroupRoom(background, GroupRoom{AliasLocalpart: ghostPrefix + "left"})
	require.NoError(t, err)
	require.NoError(t, b.Leave(background, b.BotMXID(), room))
	_, err = b.CreateGroupRoom(background, GroupRoom{AliasLocalpart: ghostPrefix + "left"})
	require.ErrorIs(t, err, ErrAliasInUse)
	b.hs.FailRequests(matrixtest.Path("/state/m.room.create"), 1, 502, "", 0)
	var temporary *TemporaryError
	_, err = b.CreateGroupRoom(background, GroupRoom{AliasLocalpart: ghostPrefix + "left"})
	require.ErrorAs(t, err, &temporary)
}

func TestCreatedByBot(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	room, alice := b.room(t)
	made, err := b.CreatedByBot(background, room)
	require.NoError(t, err)
	require.False(t, made)
	require.ErrorIs(t, b.SetRoomName(background, room, "x"), ErrForbidden)
	for _, version := range []string{"10", "12"} {
		theirs := alice.CreateRoom(matrixtest.RoomOptions{Version: version, Public: true})
		_, err = b.CreatedByBot(background, theirs)
		require.ErrorIs(t, err, ErrForbidden, "the bot is not there")
		require.NoError(t, b.JoinBot(background, theirs))
		made, err = b.CreatedByBot(background, theirs)
		require.NoError(t, err)
		require.False(t, made)
	}
	ours, err := b.CreateRoom(background, "ours")
	require.NoError(t, err)
	made, err = b.CreatedByBot(background, ours)
	require.NoError(t, err)
	require.True(t, made)
	b.hs.FailRequests(matrixtest.Path("/state/m.room.create"), 1, 502, "", 0)
	var temporary *TemporaryError
	_, err = b.CreatedByBot(background, ours)
	require.ErrorAs(t, err, &temporary)
}

// TestCreatedByBotWithoutFormat: a homeserver that gives the content alone names the creator in older rooms only.
func TestCreatedByBotWithoutFormat(t *testing.T) {
	opts := matrixtest.Synapse()
	opts.NoStateFormat = true
	b := newBench(t, opts)
	require.NoError(t, b.EnsureBot(background))
	room, err := b.CreateRoom(background, "old")
	require.NoError(t, err)
	made, err := b.CreatedByBot(background, room)
	require.NoError(t, err)
	require.True(t, made)
	modern := b.hs.User("alice").CreateRoom(matrixtest.RoomOptions{Version: "12", Public: true})
	require.NoError(t, b.JoinBot(background, modern))
	_, err = b.CreatedByBot(background, modern)
	require.ErrorIs(t, err, ErrUnsupported)
}

func TestSendNotice(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	room, _ := b.room(t)
	require.NoError(t, b.SendNotice(background, room, "linked", "$e1"))
	require.NoError(t, b.SendNotice(background, room, "linked", "$e1"))
	require.NoError(t, b.SendNotice(background, room, strings.Repeat("字", 50_000), "$e2"))
	timeline := b.hs.Timeline(room)
	require.Len(t, timeline, 2)
	require.Equal(t, b.BotMXID(), timeline[0].Sender)
	require.JSONEq(t, `{"msgtype":"m.notice","body":"linked","m.mentions":{}}`, string(timeline[0].Content))
	require.Less(t, len(timeline[1].Content), 2*maxNotice)
	require.NotContains(t, string(timeline[1].Content), "\ufffd")

	require.ErrorIs(t, b.SendNotice(background, room, "x", ""), errNoTxnID)
	require.ErrorIs(t, b.SendNotice(background, "!elsewhere:localhost", "x", "1"), ErrForbidden)
	b.hs.FailRequests(matrixtest.Path("/send/"), 1, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED", 0)
	var temporary *TemporaryError
	require.ErrorAs(t, b.SendNotice(background, room, "x", "1"), &temporary)
}
