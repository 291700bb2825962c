package bridgedb_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/receipts"
)

// TestPostgreSQL runs the tests of this package once more: open looks for its name.
func TestPostgreSQL(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"Values": TestValues, "Outbox": TestOutboxKeepsEachSendersOrder, "RoomTasks": TestRoomTaskAskedForAgainIsNotDropped, "Feed": TestFeed,
		"Relays": TestRelaysKeepEachSendersOrder, "RelayByRandom": TestRelayByRandom, "Joins": TestJoins, "LargeGroup": TestJoinsOfALargeGroup,
		"Pauses": TestPauses, "Private": TestPrivate, "Guesses": TestGuesses, "EarlyRedactions": TestEarlyRedactions, "Waiting": TestHasOutgoing, "OutgoingName": TestOutgoingName,
		"Release": TestRelease,
	} {
		t.Run(name, test)
	}
	t.Run("Mark", func(t *testing.T) {
		ctx, s := open(t)
		_, err := s.Mark(ctx)
		require.Error(t, err)
		require.NoError(t, s.SetValue(ctx, "commit", "a 1"))
		moved, err := s.MoveMark(ctx, "a 1", "a 2")
		require.NoError(t, err)
		require.True(t, moved)
		moved, err = s.MoveMark(ctx, "a 1", "a 3")
		require.NoError(t, err)
		require.False(t, moved)
		mark, err := s.Mark(ctx)
		require.NoError(t, err)
		require.Equal(t, "a 2", mark)
	})
}

func TestGuesses(t *testing.T) {
	ctx, s := open(t)
	require.NoError(t, s.PutGuess(ctx, 1, 2, "joined", start()))
	require.NoError(t, s.PutGuess(ctx, 1, 3, "left", start().Add(time.Hour)))
	require.NoError(t, s.PutGuess(ctx, 12, 2, "joined", start().Add(time.Hour)))
	require.NoError(t, s.DropOldGuesses(ctx, start().Add(time.Minute)))
	for user, want := range map[receipts.UserKey]string{2: "", 3: "left"} {
		guess, err := s.Guess(ctx, 1, user, start())
		require.NoError(t, err)
		require.EqualValues(t, want, guess)
	}
	require.NoError(t, s.DropGuesses(ctx, 1))
	guess, err := s.Guess(ctx, 1, 3, start())
	require.NoError(t, err)
	require.Empty(t, guess)
	guess, err = s.Guess(ctx, 12, 2, start())
	require.NoError(t, err)
	require.EqualValues(t, "joined", guess, "another group's")
}

func TestEarlyRedactions(t *testing.T) {
	ctx, s := open(t)
	require.NoError(t, s.PutEarlyRedaction(ctx, "!a:b", "$1", start()))
	require.NoError(t, s.PutEarlyRedaction(ctx, "!a:b", "$1", start()), "again")
	require.NoError(t, s.PutEarlyRedaction(ctx, "!a:b", "$2", start().Add(time.Hour)))
	found, err := s.EarlyRedactions(ctx, "!a:b", []id.EventID{"$1", "$2", "$3"})
	require.NoError(t, err)
	require.ElementsMatch(t, []id.EventID{"$1", "$2"}, found)
	require.NoError(t, s.DropEarlyRedactions(ctx, start().Add(time.Minute)))
	found, err = s.EarlyRedactions(ctx, "!a:b", []id.EventID{"$1", "$2"})
	require.NoError(t, err)
	require.Equal(t, []id.EventID{"$2"}, found)
}

func TestHasOutgoing(t *testing.T) {
	ctx, s := open(t)
	has, err := s.HasOutgoing(ctx, "!a:b", 1)
	require.NoError(t, err)
	require.False(t, has)
}
