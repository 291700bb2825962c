package matrix

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

var background = context.Background()

func TestEnsureJoined(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	room, alice := b.room(t)
	carl := b.ghost("carl")
	require.NoError(t, b.EnsureJoined(background, carl, room))
	require.Equal(t, "join", b.hs.Membership(room, carl))
	require.True(t, b.IsInRoom(background, carl, room))
	require.Len(t, b.hs.Requests(matrixtest.Path("/invite")), 1, "the bot invited him")
	require.Equal(t, b.BotMXID(), b.hs.Requests(matrixtest.Path("/invite"))[0].User)

	made := len(b.hs.Requests(matrixtest.Path("/")))
	require.NoError(t, b.EnsureJoined(background, carl, room))
	require.Len(t, b.hs.Requests(matrixtest.Path("/")), made, "known from the state store")

	// A public room needs no invitation, a registered ghost no registration.
	public := alice.CreateRoom(matrixtest.RoomOptions{Public: true})
	require.NoError(t, b.EnsureJoined(background, carl, public))
	require.Len(t, b.hs.Requests(matrixtest.Path("/invite")), 1)
	members, err := b.JoinedMembers(background, room)
	require.NoError(t, err)
	require.Equal(t, b.hs.Members(room), members)
	require.Contains(t, members, carl)
	_, err = b.JoinedMembers(background, public)
	require.ErrorIs(t, err, ErrForbidden, "the bot is not there")
}

func TestEnsureJoinedAtOnce(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	room, _ := b.room(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := b.EnsureJoined(background, b.ghost("carl"), room); err != nil {
				t.Errorf("failed to join: %v", err)
			}
		})
	}
	wg.Wait()
	require.Len(t, b.hs.Requests(matrixtest.Path("/invite")), 1, "one of them did the work")
}

func TestEnsureJoinedRefusals(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	room, alice := b.room(t)
	closed := alice.CreateRoom(matrixtest.RoomOptions{Invite: []id.UserID{b.BotMXID()}, InviteLevel: 50})
	require.NoError(t, b.JoinBot(background, closed))
	carl := b.ghost("carl")

	err := b.EnsureJoined(background, carl, closed)
	require.ErrorIs(t, err, ErrBotCannotInvite)
	require.ErrorIs(t, err, ErrForbidden)
	require.False(t, b.IsInRoom(background, carl, closed))

	without := alice.CreateRoom(matrixtest.RoomOptions{})
	require.ErrorIs(t, b.EnsureJoined(background, carl, without), ErrBotCannotInvite)
	require.ErrorIs(t, b.JoinBot(background, without), ErrForbidden)

	require.NoError(t, b.EnsureJoined(background, carl, room))
	alice.Ban(room, carl)
	require.NoError(t, b.store.SetMembership(background, room, carl, event.MembershipBan))
	err = b.EnsureJoined(background, carl, room)
	require.ErrorIs(t, err, ErrForbidden)
	require.NotErrorIs(t, err, ErrBotCannotInvite, "the bot is not to blame")

	require.ErrorIs(t, b.EnsureJoined(background, alice.ID, room), ErrNoPuppet)

	b.hs.FailRequests(matrixtest.Path("/join"), 1, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED", 3*time.Second)
	var temporary *TemporaryError
	require.ErrorAs(t, b.EnsureJoined(background, b.ghost("dora"), room), &temporary)
	require.Equal(t, 3*time.Second, temporary.RetryAfter)
	require.NoError(t, b.EnsureJoined(background, b.ghost("dora"), room))
}

// TestEnsureJoinedAfterReset: the state store says registered, the homeserver has forgotten.
func TestEnsureJoinedAfterReset(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	room, _ := b.room(t)
	carl := b.ghost("carl")
	require.NoError(t, b.store.MarkRegistered(background, carl))
	require.NoError(t, b.EnsureJoined(background, carl, room))
	require.Equal(t, "join", b.hs.Membership(room, carl))
}

func TestKickedGhostComesBack(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	room, alice := b.room(t)
	carl := b.ghost("carl")
	require.NoError(t, b.EnsureJoined(background, carl, room))
	alice.Kick(room, carl)
	event := alice.Send(room, "one") // what he saw before he could still mark, on Synapse
	require.ErrorIs(t, b.SendReceipt(background, carl, room, event), ErrForbidden)
	require.NoError(t, b.EnsureJoined(background, carl, room), "asks the homeserver after the refusal")
	require.NoError(t, b.SendReceipt(background, carl, room, event))
	alice.WaitReceipt(room, carl, event)

	require.NoError(t, b.Leave(background, carl, room))
	require.Equal(t, "leave", b.hs.Membership(room, carl))
	require.NoError(t, b.Leave(background, carl, room), "leaving twice is what was wanted")
	require.False(t, b.IsInRoom(background, carl, room))
}

func TestRegisterOutsideNamespace(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	require.ErrorIs(t, b.EnsureRegistered(background, "@somebody:localhost"), ErrNoPuppet)
	require.NoError(t, b.EnsureBot(background))
	require.NoError(t, b.EnsureBot(background))
	require.Len(t, b.hs.Requests(matrixtest.Path("/register")), 1)
}

func TestSetProfile(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	carl := b.ghost("carl")
	require.NoError(t, b.EnsureRegistered(background, carl))
	require.NoError(t, b.SetProfile(background, carl, "Carl 卡尔", "mxc://x/y"))
	require.NoError(t, b.SetProfile(background, carl, "", ""))
	name, avatar := b.hs.Profile(carl)
	require.Equal(t, "Carl 卡尔", name)
	require.Equal(t, "mxc://x/y", avatar)
}

func TestLeave(t *testing.T) {
	for name, opts := range map[string]matrixtest.Options{"synapse": matrixtest.Synapse(), "dendrite": matrixtest.Dendrite()} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, opts)
			room, _ := b.room(t)
			carl := b.ghost("carl")
			require.NoError(t, b.Leave(background, carl, room), "not even registered")
			require.NoError(t, b.EnsureJoined(background, carl, room))
			b.hs.FailRequests(matrixtest.Path("/leave"), 1, 403, "M_FORBIDDEN", 0)
			require.ErrorIs(t, b.Leave(background, carl, room), ErrForbidden, "refused while he is there")
			require.True(t, b.IsInRoom(background, carl, room))
			b.hs.FailRequests(matrixtest.Path("/leave"), 1, 502, "", 0)
			var temporary *TemporaryError
			require.ErrorAs(t, b.Leave(background, carl, room), &temporary)
			require.NoError(t, b.Leave(background, carl, room))
			require.NoError(t, b.Leave(background, carl, room))
			require.Equal(t, "leave", b.hs.Membership(room, carl))
		})
	}
}
