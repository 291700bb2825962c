package bridge

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// A list of who is in a room is ahead of the events that say so, which may still be on their way: after a restart it is asked for at
// once, and the homeserver hands over what has happened meanwhile only then. A stay that begins or ends by the list has a place that is
// a guess: too early by all that was written in between. That it is one is kept, and when the event itself comes the stay gets its true
// place. A guess is only made of Matrix users with an account; ghosts and linked users are members by Tencent's word.

// guessKept is how long the event is waited for, by a clock that may be set meanwhile. What comes later is no longer about what the list
// said.
const guessKept = 24 * time.Hour

// listedJoined takes that somebody is in the room by the list, of whom it is not known.
func (s *session) listedJoined(ctx context.Context, g *mapping.Group, u mapping.User, asOf receipts.Pos) error {
	guess, err := s.guess(ctx, g, u)
	if err != nil {
		return err
	}
	if guess == bridgedb.GuessLeft { // two lists, no event yet: as if there had been neither
		if err = s.putGuess(ctx, g, u, bridgedb.NoGuess); err != nil {
			return err
		}
		if err = s.neverLeft(ctx, g, u); err != nil {
			return err
		}
		return s.memberJoined(ctx, g, u, asOf, true)
	}
	if err = s.putGuess(ctx, g, u, bridgedb.GuessJoined); err != nil {
		return err
	}
	return s.memberJoined(ctx, g, u, asOf, g.LinkedPosKnown)
}

// listedLeft takes that a member is not in the room by the list; head is the room's. Of whom it is only guessed that he is a member both
// events are on their way, or at least that of his leaving: he stays until then.
func (s *session) listedLeft(ctx context.Context, g *mapping.Group, u mapping.User, head receipts.Pos) error {
	guess, err := s.guess(ctx, g, u)
	if err != nil || guess == bridgedb.GuessJoined {
		return err
	}
	if err = s.leaveTencent(ctx, g, u); err != nil {
		return err
	}
	if err = s.putGuess(ctx, g, u, bridgedb.GuessLeft); err != nil {
		return err
	}
	return s.memberLeft(ctx, g, u, head)
}

// joinPlaced is called with the event of somebody's joining, before it is taken: a stay that was begun by a list gives way to it. An
// event by which a member takes another name is none.
func (s *session) joinPlaced(ctx context.Context, g *mapping.Group, u mapping.User, ev *matrix.Event) error {
	guess, err := s.guess(ctx, g, u)
	if err != nil || guess == bridgedb.NoGuess || ev.PrevMembership == "join" {
		return err
	}
	if err = s.putGuess(ctx, g, u, bridgedb.NoGuess); err != nil || guess != bridgedb.GuessJoined {
		return err
	}
	_, err = s.b.maps.Leave(ctx, g.Key, u.Key, 0, 0) // where it began, so that nothing is in it
	delete(s.memberships, reader{g.Key, u.Key})
	return err
}

// joinsPlaced is joinPlaced for all that is about to be taken and that others follow: who has read those has not read what stands before
// the event of his joining, and that may be taken first.
func (s *session) joinsPlaced(ctx context.Context, g *mapping.Group, events []matrix.Event) error {
	var joins []matrix.Event
	var mxids []id.UserID
	for _, ev := range events {
		if ev.Type == "m.room.member" && ev.StateKey != nil && membershipOf(&ev) == "join" {
			joins, mxids = append(joins, ev), append(mxids, id.UserID(*ev.StateKey))
		}
	}
	if len(joins) == 0 {
		return nil
	}
	users, err := s.b.maps.UsersByMXID(ctx, mxids)
	if err != nil {
		return err
	}
	for i, ev := range joins {
		if u, ok := users[mxids[i]]; ok {
			if err = s.joinPlaced(ctx, g, u, &ev); err != nil {
				return err
			}
		}
	}
	return nil
}

// leavePlaced is called with the event of somebody's leaving, before it is taken: a stay that was ended by a list goes on until it.
func (s *session) leavePlaced(ctx context.Context, g *mapping.Group, u mapping.User) error {
	guess, err := s.guess(ctx, g, u)
	if err != nil || guess == bridgedb.NoGuess {
		return err
	}
	if err = s.putGuess(ctx, g, u, bridgedb.NoGuess); err != nil || guess != bridgedb.GuessLeft {
		return err
	}
	return s.neverLeft(ctx, g, u)
}

// neverLeft begins a stay where the one before it ended, so that nothing is between them.
func (s *session) neverLeft(ctx context.Context, g *mapping.Group, u mapping.User) error {
	if _, err := s.b.maps.Join(ctx, g.Key, u.Key, 0, 0, true); err != nil {
		return err
	}
	return s.joined(ctx, g, u)
}

func (s *session) guess(ctx context.Context, g *mapping.Group, u mapping.User) (bridgedb.Guess, error) {
	if u.Kind != receipts.KindAccount {
		return bridgedb.NoGuess, nil
	}
	return s.b.own.Guess(ctx, g.Key, u.Key, s.now.Add(-guessKept))
}

func (s *session) putGuess(ctx context.Context, g *mapping.Group, u mapping.User, guess bridgedb.Guess) error {
	if u.Kind != receipts.KindAccount {
		return nil
	}
	return s.b.own.PutGuess(ctx, g.Key, u.Key, guess, s.now)
}
