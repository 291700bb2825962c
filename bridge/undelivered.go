package bridge

import (
	"context"
	"errors"
	"fmt"
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

// undelivered takes an event that was asked for because it was not handed over, and what is missing before it. done tells that all of
// them have their places.
//
// What nothing known follows is taken as if it were handed over now. What has something known behind it is put between. Should it still
// come, it is known.
func (s *session) undelivered(ctx context.Context, g *mapping.Group, around matrix.Surroundings) (done bool, err error) {
	return s.takeMissing(ctx, g, around, false)
}

// takeMissing does so. An event that is being handed over is left alone if nothing known follows it: it is taken with what else is.
func (s *session) takeMissing(ctx context.Context, g *mapping.Group, around matrix.Surroundings, handedOver bool) (done bool, err error) {
	line := slices.Concat(around.Before, []matrix.Event{around.Event})
	slices.Reverse(line[:len(around.Before)])
	asked := len(around.Before)
	line = append(line, around.After...)
	for {
		places, err := s.b.maps.Places(ctx, eventIDs(line))
		if err != nil {
			return false, err
		}
		missing := missingIn(line, g, places)
		if own := places[around.Event.ID]; len(missing) == 0 && own.RoomID == g.RoomID && own.Pos == 0 {
			missing = []int{asked} // a message that is known
		}
		if len(missing) == 0 {
			return placeIn(g, places, around.Event.ID) > 0, nil
		}
		first := missing[0]
		next := slices.IndexFunc(line[first:], func(ev matrix.Event) bool { return placeIn(g, places, ev.ID) > 0 })
		if next < 0 {
			// What follows may be on its way.
			missing = slices.DeleteFunc(missing, func(i int) bool { return i > asked || i == asked && handedOver })
			return s.appendMissing(ctx, g, line, missing, places)
		}
		before := first + next
		var run []matrix.Event
		for _, i := range missing {
			if i < before {
				run = append(run, line[i])
			}
		}
		// What is not known yet will be heard of in its turn.
		after := slices.DeleteFunc(slices.Clone(line[before:]), func(ev matrix.Event) bool { return placeIn(g, places, ev.ID) == 0 })
		if err = s.insert(ctx, g, run, after, places, placeIn(g, places, line[before].ID)); err != nil || s.groups[g.Key] != g {
			return true, err // or the group has moved on
		}
	}
}

// placeIn is the place of an event in a group's room, 0 if it has none.
func placeIn(g *mapping.Group, places map[id.EventID]mapping.Place, event id.EventID) receipts.Pos {
	if places[event].RoomID != g.RoomID {
		return 0
	}
	return places[event].Pos
}

// missingIn picks the events of a group's room that have no place.
//
// What was said before the group was linked is not missing: the room may have been another group's, or nobody's. So only what follows
// an event that was taken since is. Known events may follow that: where sends overlap, homeservers have more than one order. Where it
// is not known since when a group is linked, only what follows all that is known is missing.
func missingIn(line []matrix.Event, g *mapping.Group, places map[id.EventID]mapping.Place) (missing []int) {
	since := g.LinkedPos + 1
	if !g.LinkedPosKnown {
		since = max(lastOf(line, g, places), 1)
	}
	linked := false
	for i, ev := range line {
		place := places[ev.ID]
		switch {
		case place.Known && place.RoomID != g.RoomID: // which no event can be; it stays where it was first
		case place.Pos >= since:
			linked = true
		case place.Pos == 0 && linked:
			missing = append(missing, i)
		}
	}
	return missing
}

func lastOf(line []matrix.Event, g *mapping.Group, places map[id.EventID]mapping.Place) (last receipts.Pos) {
	for _, ev := range line {
		last = max(last, placeIn(g, places, ev.ID))
	}
	return last
}

// appendMissing takes events behind all that is known, if more has not been handed over since the homeserver was asked: that stands behind.
func (s *session) appendMissing(ctx context.Context, g *mapping.Group, line []matrix.Event, missing []int, places map[id.EventID]mapping.Place) (done bool, err error) {
	if len(missing) == 0 {
		return true, nil
	}
	last := lastOf(line, g, places)
	head, err := s.b.maps.Head(ctx, g.RoomID)
	if err != nil || last == 0 || last != head {
		return false, err
	}
	var events []matrix.Event
	for _, i := range missing {
		events = append(events, line[i])
	}
	tellMissing(ctx, g, events)
	return true, s.roomEvents(ctx, soundEvents(ctx, events))
}

func tellMissing(ctx context.Context, g *mapping.Group, events []matrix.Event) {
	level := zerolog.DebugLevel // Dendrite never hands over redactions
	if slices.ContainsFunc(events, func(ev matrix.Event) bool { return ev.Type != redactionType }) {
		level = zerolog.WarnLevel
	}
	zerolog.Ctx(ctx).WithLevel(level).Stringer("room_id", g.RoomID).Stringer("event_id", events[0].ID).Int("events", len(events)).
		Msg("The homeserver has not handed over events; took them by asking for them")
}

// insert gives events the places right before another of the room, moves whatever is kept by place from there on, and takes the events.
// after is what is known to follow them, known what is known of them.
func (s *session) insert(ctx context.Context, g *mapping.Group, events, after []matrix.Event, known map[id.EventID]mapping.Place, next receipts.Pos) error {
	threads := make(map[id.EventID]string)
	list := make([]mapping.Place, len(events))
	err := s.changeStored(ctx, g.Key, func() error {
		rows, err := s.b.reads.AllReaders(ctx, g.Key)
		if err != nil {
			return err
		}
		for i, ev := range events {
			if threads[ev.ID], err = s.threadOf(ctx, &ev, threads, known); err != nil {
				return err
			}
			if list[i], err = s.b.maps.Insert(ctx, g.RoomID, s.newEvent(g, &ev, threads[ev.ID]), next); err != nil {
				return err
			}
			for r := range rows {
				rows[r].Insert(next)
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
	tellMissing(ctx, g, events)
	if err = s.joinsPlaced(ctx, g, events); err != nil {
		return err
	}
	for i, ev := range events {
		sound := soundEvents(ctx, []matrix.Event{ev})
		if len(sound) == 0 || overtaken(ev, after) {
			continue
		}
		if err = s.lateEvent(ctx, g, &sound[0], list[i], known[ev.ID].Known); err != nil {
			return err
		}
		if s.groups[g.Key] != g {
			break // the group has moved on: what follows belongs to nobody
		}
	}
	return s.parkedFor(ctx, eventIDs(events))
}

// lateEvent takes an event that others follow. Who has read those has read it.
func (s *session) lateEvent(ctx context.Context, g *mapping.Group, ev *matrix.Event, place mapping.Place, isMessage bool) error {
	redacted, err := s.redactedEarly(ctx, ev.RoomID, []matrix.Event{*ev})
	if err != nil {
		return err
	}
	ev.Redacted = ev.Redacted || redacted[ev.ID]
	if !isMessage {
		if err = s.roomEvent(ctx, g, ev, place); refusedForGood(err) {
			zerolog.Ctx(ctx).Error().Err(err).Str("group_id", g.GroupID).Stringer("event_id", ev.ID).Msg("Ignoring event that cannot be taken")
			return nil
		} else if err != nil {
			return fmt.Errorf("failed to take event %s: %w", ev.ID, err)
		}
	}
	if s.groups[g.Key] != g {
		return nil
	}
	return s.messagePlaced(ctx, g, ev)
}

// overtaken tells whether what an event says is out of date: it is a state, or an edit, and a later one follows.
func overtaken(ev matrix.Event, after []matrix.Event) bool {
	return slices.ContainsFunc(after, func(later matrix.Event) bool {
		switch {
		case ev.StateKey != nil:
			return later.StateKey != nil && later.Type == ev.Type && *later.StateKey == *ev.StateKey
		case ev.RelType == "m.replace":
			return later.RelType == ev.RelType && later.RelatesTo == ev.RelatesTo && later.Sender == ev.Sender
		}
		return false
	})
}
