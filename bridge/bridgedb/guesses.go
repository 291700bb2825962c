package bridgedb

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/timbridge/timbridge/mapping"
)

// Guess is what a list of members told of somebody before the event that says so: he has joined, or left, but where is not known yet.
type Guess string

// The guesses. NoGuess is that there is none.
const (
	NoGuess     Guess = ""
	GuessJoined Guess = "joined"
	GuessLeft   Guess = "left"
)

const guessKey = "guess "

func keyOfGuess(group mapping.GroupKey, user mapping.UserKey) string {
	return fmt.Sprint(guessKey, int64(group), " ", int64(user))
}

// Guess returns what was guessed of somebody since a time.
func (s *Store) Guess(ctx context.Context, group mapping.GroupKey, user mapping.UserKey, since time.Time) (Guess, error) {
	value, err := s.Value(ctx, keyOfGuess(group, user))
	at, guess, _ := strings.Cut(value, " ")
	if at < timeOfGuess(since) {
		return NoGuess, err
	}
	return Guess(guess), err
}

// timeOfGuess is a time in a form whose order is that of time.
func timeOfGuess(at time.Time) string { return fmt.Sprintf("%013d", at.UnixMilli()) }

// PutGuess keeps what is guessed of somebody since a time, in place of what was before.
func (s *Store) PutGuess(ctx context.Context, group mapping.GroupKey, user mapping.UserKey, guess Guess, since time.Time) error {
	if guess != NoGuess {
		return s.SetValue(ctx, keyOfGuess(group, user), timeOfGuess(since)+" "+string(guess))
	}
	return s.dropGuesses(ctx, "key=$1", keyOfGuess(group, user))
}

// DropGuesses forgets all guesses of a group.
func (s *Store) DropGuesses(ctx context.Context, group mapping.GroupKey) error {
	return s.dropGuesses(ctx, "key LIKE $1", fmt.Sprint(guessKey, int64(group), " %"))
}

// DropOldGuesses forgets those from before a time.
func (s *Store) DropOldGuesses(ctx context.Context, before time.Time) error {
	return s.dropGuesses(ctx, "key LIKE '"+guessKey+"%' AND value<$1", timeOfGuess(before))
}

func (s *Store) dropGuesses(ctx context.Context, where string, arg any) error {
	if _, err := s.db.Exec(ctx, "DELETE FROM tim_state WHERE "+where, arg); err != nil {
		return fmt.Errorf("failed to forget guesses about members: %w", err)
	}
	return nil
}
