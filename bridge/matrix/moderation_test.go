package matrix

import (
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

func TestModeration(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	require.NoError(t, b.EnsureBot(background))
	room, err := b.CreateRoom(background, "group")
	require.NoError(t, err)
	require.Equal(t, []id.UserID{b.BotMXID()}, b.hs.Members(room))

	b.hs.SetAlias("#team:localhost", room)
	found, err := b.ResolveAlias(background, "#team:localhost")
	require.NoError(t, err)
	require.Equal(t, room, found)
	_, err = b.ResolveAlias(background, "#none:localhost")
	require.ErrorIs(t, err, ErrNotFound)

	carl := b.ghost("carl")
	require.NoError(t, b.EnsureJoined(background, carl, room))
	sent, err := b.SendMessage(background, carl, room, []byte(`{"body":"oops"}`), "1", noTime)
	require.NoError(t, err)
	redaction, err := b.Redact(background, carl, room, sent, "r1")
	require.NoError(t, err)
	again, err := b.Redact(background, carl, room, sent, "r1")
	require.NoError(t, err)
	require.Equal(t, redaction, again)
	require.JSONEq(t, `{}`, string(b.hs.Timeline(room)[0].Content))
	b.hs.WaitFor("the redaction", func() bool { return b.intake.hasEvent(redaction) })

	require.NoError(t, b.Kick(background, carl, room))
	require.Equal(t, "leave", b.hs.Membership(room, carl))
	require.ErrorIs(t, b.Kick(background, carl, room), ErrForbidden, "he is not there")
	without, alice := b.room(t)
	require.ErrorIs(t, b.Kick(background, alice.ID, without), ErrForbidden, "no right to")
	require.Equal(t, "join", b.hs.Membership(without, alice.ID))
}
