package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix"
)

// A homeserver that is killed while it hands over a transaction may go on with a later one: Synapse 1.160.0 sends the one that was under
// way when the next one fails, Dendrite 0.15.2 half a minute later. Taken in that order, what comes late would stand behind what came
// before it. So after every time that the homeserver was away, and after our own start, the first event of a room is looked up there,
// and what is missing before it is taken before it. Should that be handed over later, it is known.

const (
	// lookUpFor bounds how long a transaction waits for the place of an event: Dendrite may hand over an event that its /context does
	// not know yet.
	lookUpFor   = 10 * time.Second
	lookUpPause = 50 * time.Millisecond
	lookUpTries = 20
	// lookUpPatience is how long transactions are refused, so that they come again, while the homeserver does not answer.
	lookUpPatience = 20 * time.Second
	// maxChecked bounds the rooms that are remembered as looked up; beyond it some are looked up again.
	maxChecked = 100_000
)

// lookedUp is an event with those round it, and what the homeserver's outages were when it was looked up.
type lookedUp struct {
	around  matrix.Surroundings
	outages int64
}

// lookUps looks up the first new event of each room in which something may be missing.
func (b *Bridge) lookUps(ctx context.Context, events []matrix.Event) (list []lookedUp, err error) {
	for run := range roomRuns(events) {
		l, ok, err := b.lookUpFirst(ctx, run)
		if err != nil {
			return nil, err
		} else if ok {
			list = append(list, l)
		}
	}
	return list, nil
}

func (b *Bridge) lookUpFirst(ctx context.Context, events []matrix.Event) (l lookedUp, ok bool, err error) {
	room, outages := events[0].RoomID, b.hs.Outages()
	if !b.doubtful(room, outages) {
		return l, false, nil
	}
	if _, err = b.maps.GroupByRoom(ctx, room); isNotFound(err) {
		return l, false, nil
	} else if err != nil {
		return l, false, err
	}
	places, err := b.maps.Places(ctx, eventIDs(events))
	if err != nil {
		return l, false, err
	}
	i := slices.IndexFunc(events, func(ev matrix.Event) bool { return places[ev.ID].Pos == 0 })
	if i < 0 {
		return l, false, nil // all of them are known
	}
	around, err := b.lookUp(ctx, room, events[i].ID)
	var temporary *matrix.TemporaryError
	if errors.As(err, &temporary) && b.mayWait(room) {
		return l, false, fmt.Errorf("failed to look up whether events are missing: %w", err)
	} else if err != nil {
		// It does not let us look, or has not for long: what it hands over counts.
		if temporary == nil {
			b.checked(room, outages)
		}
		zerolog.Ctx(ctx).Warn().Err(err).Stringer("room_id", room).Stringer("event_id", events[i].ID).Msg("Failed to look up whether events are missing")
		return l, false, nil
	}
	return lookedUp{around, outages}, true, nil
}

// missing takes what has not been handed over before events that are about to be taken.
func (s *session) missing(ctx context.Context, list []lookedUp) error {
	for _, l := range list {
		room := l.around.Event.RoomID
		g, err := s.groupOfRoom(ctx, room)
		if err != nil {
			return err
		} else if g == nil {
			continue
		}
		if _, err = s.takeMissing(ctx, g, l.around, true); err != nil {
			return err
		}
		s.after = append(s.after, func() { s.b.checked(room, l.outages) })
	}
	return nil
}

func (b *Bridge) lookUp(ctx context.Context, room id.RoomID, event id.EventID) (around matrix.Surroundings, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookUpFor)
	defer cancel()
	for range lookUpTries {
		if around, err = b.hs.Surroundings(ctx, room, event); !errors.Is(err, matrix.ErrNotFound) || !sleep(ctx, lookUpPause) {
			break
		}
	}
	return around, err
}

// inOrder is what is known of the order in which a room's events are handed over.
type inOrder struct {
	outages int64     // when it was looked up
	failing time.Time // since when it cannot be looked up
	asked   time.Time // when that was tried last
}

// doubtful tells whether the homeserver has been away since a room was last looked up. While it does not answer, it is asked rarely.
func (b *Bridge) doubtful(room id.RoomID, outages int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok := b.inOrder[room]
	if ok && !at.failing.IsZero() {
		return at.patient() || time.Since(at.asked) > lookUpPatience
	}
	return !ok || at.outages != outages
}

// patient tells whether transactions may be refused because a room cannot be looked up: not for long, since that holds up all others.
func (o inOrder) patient() bool { return time.Since(o.failing) < lookUpPatience }

// mayWait notes that a room cannot be looked up, and tells whether its transaction may be refused.
func (b *Bridge) mayWait(room id.RoomID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.inOrder[room]
	at.asked = time.Now()
	if at.failing.IsZero() {
		at.failing = at.asked
	}
	b.inOrder[room] = at
	return at.patient()
}

func (b *Bridge) checked(room id.RoomID, outages int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.inOrder) >= maxChecked {
		clear(b.inOrder)
	}
	b.inOrder[room] = inOrder{outages: outages}
}
