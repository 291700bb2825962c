package bridge

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// An event has its place from the transaction that brings it. Some never come: Synapse 1.160.0, restarted under load, was seen not to
// hand over events whose sending it had answered. Such an event is asked for, and its neighbours tell where it stands.

const (
	// lostAfter is after how many times bridge.event_wait an event counts as one that will not be handed over.
	lostAfter = 3
	// mostUnplaced is how many messages of a room without a place are looked for at start.
	mostUnplaced = 1000
)

// awaited is an event of our own sending that has not come back.
type awaited struct {
	room  id.RoomID
	since time.Time
	ask   time.Time // when to ask for it
}

func (b *Bridge) lostWait() time.Duration { return lostAfter * b.cfg.Bridge.EventWait }

// await has an event asked for if it does not come back by itself.
func (b *Bridge) await(room id.RoomID, event id.EventID) {
	now := b.clock()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.awaiting[event] = awaited{room, now, now.Add(b.lostWait())}
}

// watchAwaited sees to it that what we have sent gets its place.
func (b *Bridge) watchAwaited() {
	err := b.eachMapped(b.ctx, func(g mapping.Group) error {
		unplaced, err := b.maps.Unplaced(b.ctx, g.RoomID, b.clock().Add(-b.cfg.Receipts.ParkFor), mostUnplaced)
		for _, event := range unplaced {
			b.await(g.RoomID, event)
		}
		return err
	})
	if err != nil && b.ctx.Err() == nil {
		b.log.Error().Err(err).Msg("Failed to list messages that have not come back from the homeserver")
	}
	for sleep(b.ctx, parkedPoll) {
		if err := b.askForAwaited(b.ctx, b.clock()); err != nil && b.ctx.Err() == nil {
			b.log.Error().Err(err).Msg("Failed to find the places of events")
		}
	}
}

// askForAwaited asks for the events whose time it is, and forgets those that have their place.
func (b *Bridge) askForAwaited(ctx context.Context, now time.Time) error {
	due := b.awaitedUntil(now)
	events := slices.Sorted(maps.Keys(due))
	places, err := b.maps.Places(ctx, events)
	if err != nil {
		return err
	}
	for _, event := range events {
		a := due[event]
		done := places[event].Pos > 0
		if !done {
			if done, err = b.fetchPlace(ctx, a.room, event); err != nil && ctx.Err() == nil {
				b.log.Warn().Err(err).Stringer("event_id", event).Stringer("room_id", a.room).Msg("Failed to find the place of an event that has not come back")
			}
		}
		a.ask = now.Add(min(max(now.Sub(a.since)/2, b.cfg.Bridge.EventWait), parkedAsk))
		b.mu.Lock()
		if b.awaiting[event] = a; done {
			delete(b.awaiting, event)
		}
		b.mu.Unlock()
	}
	return nil
}

func (b *Bridge) awaitedUntil(now time.Time) map[id.EventID]awaited {
	due := make(map[id.EventID]awaited)
	b.mu.Lock()
	defer b.mu.Unlock()
	for event, a := range b.awaiting {
		if !a.ask.After(now) {
			due[event] = a
		}
	}
	return due
}

// fetchPlace asks the homeserver where an event stands that it has not handed over. It is done when there is nothing more to ask.
func (b *Bridge) fetchPlace(ctx context.Context, room id.RoomID, event id.EventID) (done bool, err error) {
	around, err := b.hs.Surroundings(ctx, room, event)
	if errors.Is(err, matrix.ErrNotFound) {
		return true, nil
	} else if err != nil {
		return false, err
	}
	err = b.commits.do(ctx, func(ctx context.Context, s *session) error {
		g, err := s.groupOfRoom(ctx, room)
		if done = g == nil; err != nil || done {
			return err
		}
		done, err = s.undelivered(ctx, g, around)
		return err
	})
	return done, err
}

// undelivered takes an event that was asked for because it was not handed over. done tells that it has its place.
//
// Where nothing behind it is known, it is taken as if it were handed over now, after all before it that are missing too: should they
// still come, they are known. Where something behind it is known, what it says may be out of date, and only a message that we know
// already, one of ours, is given its place among the others.
func (s *session) undelivered(ctx context.Context, g *mapping.Group, around matrix.Surroundings) (done bool, err error) {
	places, err := s.b.maps.Places(ctx, slices.Concat(eventIDs(around.Before), eventIDs(around.After), []id.EventID{around.Event.ID}))
	if err != nil {
		return false, err
	}
	pos := func(ev matrix.Event) receipts.Pos {
		if places[ev.ID].RoomID != g.RoomID {
			return 0
		}
		return places[ev.ID].Pos
	}
	if pos(around.Event) > 0 {
		return true, nil
	}
	missing := []matrix.Event{around.Event}
	before := receipts.Pos(0)
	for _, ev := range around.Before {
		if before = pos(ev); before > 0 {
			break
		}
		missing = append(missing, ev)
	}
	slices.Reverse(missing)
	for _, ev := range around.After {
		if next := pos(ev); next > 0 {
			missing = slices.DeleteFunc(missing, func(ev matrix.Event) bool { return places[ev.ID].RoomID != g.RoomID })
			done = slices.ContainsFunc(missing, func(ev matrix.Event) bool { return ev.ID == around.Event.ID })
			return done, s.insert(ctx, g, missing, next)
		}
	}
	// More may have been handed over since the homeserver was asked, and that stands behind.
	head, err := s.b.maps.Head(ctx, g.RoomID)
	if err != nil || before == 0 || before != head {
		return false, err
	}
	zerolog.Ctx(ctx).Warn().Stringer("room_id", g.RoomID).Stringer("event_id", around.Event.ID).Int("events", len(missing)).
		Msg("The homeserver has not handed over events; took them by asking for them")
	return true, s.roomEvents(ctx, soundEvents(ctx, missing))
}

// insert gives messages that are known the places right before an event of the room, and moves whatever is kept by place from there on.
func (s *session) insert(ctx context.Context, g *mapping.Group, events []matrix.Event, next receipts.Pos) error {
	if len(events) == 0 {
		return nil
	}
	err := s.changeStored(ctx, g.Key, func() error {
		rows, err := s.b.reads.AllReaders(ctx, g.Key)
		if err != nil {
			return err
		}
		for _, ev := range events {
			if err = s.b.maps.Insert(ctx, g.RoomID, ev.ID, next); err != nil {
				return err
			}
			for i := range rows {
				rows[i].Insert(next)
			}
			if g.LinkedPosKnown && g.LinkedPos >= next {
				g.LinkedPos++
			}
			next++
		}
		return s.b.reads.Save(ctx, slices.DeleteFunc(rows, func(row receiptsdb.Row) bool { return row.Damage != nil }))
	})
	if err != nil {
		return err
	}
	clear(s.memberships)
	delete(s.windows, g.Key)
	zerolog.Ctx(ctx).Warn().Stringer("room_id", g.RoomID).Stringer("event_id", events[0].ID).Int("events", len(events)).
		Msg("The homeserver has not handed over messages of ours; found their places by asking for them")
	for _, ev := range events {
		if err = s.messagePlaced(ctx, g, &ev); err != nil {
			return err
		}
	}
	return s.parkedFor(ctx, eventIDs(events))
}
