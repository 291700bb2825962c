package bridge

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

const (
	parkedPoll = 2 * time.Second
	parkedPage = 500
	// parkedAsk is how long until the homeserver is asked again about an event that it knows and we cannot place.
	parkedAsk = time.Hour
)

// place names an event in a room: what a receipt says, whether the event is there or not.
type place struct {
	room, event string
}

// watchParked finds out about receipts whose event did not come by itself. All that wait for one event are placed together.
func (b *Bridge) watchParked() {
	asked := make(map[receiptsdb.Parked]time.Time) // when it may be asked about again
	for sleep(b.ctx, parkedPoll) {
		now := b.clock()
		for p, until := range asked {
			if until.Before(now) || until.After(now.Add(parkedAsk)) { // the latter by a clock that was ahead
				delete(asked, p)
			}
		}
		// Those asked about are still in the list.
		list, err := b.reads.ParkedOlder(b.ctx, now.Add(-b.cfg.Bridge.EventWait), parkedPage+len(asked))
		if err != nil {
			if b.ctx.Err() == nil {
				b.log.Error().Err(err).Msg("Failed to list parked receipts")
			}
			continue
		}
		waiting := make(map[place][]receiptsdb.Parked)
		var order []place
		for _, p := range list {
			if _, done := asked[p]; done {
				continue
			}
			event := place{p.RoomID, p.EventID}
			if waiting[event] == nil {
				order = append(order, event)
			}
			waiting[event] = append(waiting[event], p)
		}
		for _, event := range order {
			if b.ctx.Err() != nil {
				return
			}
			again := now.Add(parkedAsk)
			sure, err := b.placeParked(b.ctx, event, waiting[event])
			if !sure { // what stands between may still come: the sooner the newer the receipt is
				age := now.Sub(waiting[event][0].Since)
				again = now.Add(min(max(age/2, b.cfg.Bridge.EventWait), parkedAsk))
			}
			if err != nil && b.ctx.Err() == nil {
				b.log.Warn().Err(err).Str("event_id", event.event).Str("room_id", event.room).Msg("Failed to find the place of a receipt's event")
				again = now.Add(time.Minute)
			}
			for _, p := range waiting[event] {
				asked[p] = again
			}
		}
	}
}

// placeParked asks the homeserver where an unknown event stands, and takes the receipts as ones on the nearest event before it that
// we know. They stay parked: should the event itself still come, they get their true place. It is not sure to be the nearest while
// others between the two are on their way to us. An event that should have come by itself for long is taken, see undelivered.
func (b *Bridge) placeParked(ctx context.Context, event place, parked []receiptsdb.Parked) (sure bool, err error) {
	room := id.RoomID(event.room)
	known, err := b.maps.Places(ctx, []id.EventID{id.EventID(event.event)})
	if err != nil {
		return false, err
	} else if known[id.EventID(event.event)].Pos > 0 {
		return true, b.retryParked(ctx, parked)
	}
	around, err := b.hs.Surroundings(ctx, room, id.EventID(event.event))
	switch {
	case errors.Is(err, matrix.ErrNotFound):
		b.stats.foreignReceipts.Add(int64(len(parked)))
		zerolog.Ctx(ctx).Warn().Str("room_id", event.room).Str("event_id", event.event).Int("receipts", len(parked)).
			Msg("Dropping receipts on an event that is not in its room")
		return true, b.commits.do(ctx, func(ctx context.Context, s *session) error { return b.reads.Unpark(ctx, parked...) })
	case err != nil:
		return false, err
	}
	err = b.commits.do(ctx, func(ctx context.Context, s *session) error {
		g, err := s.groupOfRoom(ctx, room)
		if sure = g == nil; err != nil || g == nil {
			return err
		}
		lost := around.Event.Type != redactionType // which some homeservers never hand over
		if lost && s.now.Sub(parked[0].Since) >= b.lostWait() {
			if sure, err = s.undelivered(ctx, g, around); err != nil || sure {
				return err
			}
		}
		var place mapping.Place
		var ok, next bool // nothing that counts stands between
		if place, ok, next, err = s.nearest(ctx, room, around); err != nil || !ok {
			return err
		}
		sure = next && !lost
		// The place is borrowed, the thread is the event's own.
		place.Thread = around.Event.ThreadRoot
		mxids := make([]id.UserID, len(parked))
		for i, p := range parked {
			mxids[i] = id.UserID(p.UserID)
		}
		users, err := s.usersOf(ctx, mxids)
		if err != nil {
			return err
		}
		var found []located
		for _, p := range parked {
			r := unpark(p)
			u := users[r.UserID]
			if u.Kind == receipts.KindGhost || u.MXID != r.UserID || b.foreignPuppet(u) {
				continue // of a ghost it says nothing, unless it was shown at its true place
			}
			if !next { // the event of his joining may stand between: then he has read nothing of what is before
				if guess, err := s.guess(ctx, g, u); err != nil {
					return err
				} else if guess == bridgedb.GuessJoined {
					continue // where he came is a guess, too; as soon as more is known he is asked for again
				}
			}
			found = append(found, located{group: g, user: u, place: place, scope: scopeOf(r, place), push: r.Pushed})
		}
		return s.locatedReceipts(ctx, found)
	})
	return sure, err
}

// nearest is the place just before an event that we do not know: that of the last known event before it, or one below the first
// known event after it. It is sure when nothing stands between but what some homeservers never tell of (Dendrite 0.15.2: redactions).
func (s *session) nearest(ctx context.Context, room id.RoomID, around matrix.Surroundings) (place mapping.Place, ok, sure bool, err error) {
	places, err := s.b.maps.Places(ctx, append(eventIDs(around.Before), eventIDs(around.After)...))
	if err != nil {
		return mapping.Place{}, false, false, err
	}
	sure = true
	for _, ev := range around.Before {
		if place, ok := places[ev.ID]; ok && place.RoomID == room && place.Pos > 0 {
			return place, true, sure, nil
		}
		sure = sure && ev.Type == redactionType
	}
	for _, ev := range around.After {
		if place, ok := places[ev.ID]; ok && place.RoomID == room && place.Pos > 0 {
			place.Pos--
			return place, place.Pos > 0, false, nil
		}
	}
	return mapping.Place{}, false, false, nil
}

const sweepInterval = time.Hour

// sweep forgets what has had its time: parked receipts, redactions of what never came, callbacks and new messages nobody came back for.
func (b *Bridge) sweep() {
	for {
		err := b.commits.do(b.ctx, func(ctx context.Context, s *session) error {
			if _, err := b.reads.DropParked(ctx, s.now.Add(-b.cfg.Receipts.ParkFor)); err != nil {
				return err
			}
			if err := b.own.DropEarlyRedactions(ctx, s.now.Add(-b.cfg.Receipts.ParkFor)); err != nil {
				return err
			}
			if err := b.own.DropOldGuesses(ctx, s.now.Add(-guessKept)); err != nil {
				return err
			}
			before := s.now.Add(-b.cfg.V2TIM.CallbackKeep)
			highest, err := b.own.DropFeed(ctx, before)
			if err != nil {
				return err
			}
			dropped, err := b.reads.DropCallbacks(ctx, before)
			if err != nil {
				return err
			}
			return s.raiseCursorFloor(ctx, max(highest, dropped))
		})
		if err != nil && b.ctx.Err() == nil && !errors.Is(err, errStopped) {
			b.log.Error().Err(err).Msg("Failed to forget old callbacks")
		}
		if !sleep(b.ctx, sweepInterval) {
			return
		}
	}
}

// raiseCursorFloor keeps up to which cursor things have been forgotten: a listener that asks from before it must resync.
func (s *session) raiseCursorFloor(ctx context.Context, dropped int64) error {
	if dropped == 0 {
		return nil
	}
	return s.b.own.SetValue(ctx, bridgedb.KeyCursorFloor, strconv.FormatInt(dropped, 10))
}

// pending is how much is still on its way to Matrix.
func (b *Bridge) pending(ctx context.Context) (int, error) {
	markers, err := b.reads.Pending(ctx, b.clock().Add(markerLease))
	if err != nil {
		return 0, err
	}
	messages, tasks, err := b.own.Pending(ctx)
	return markers + messages + tasks, err
}

// park keeps a receipt whose event is not known yet.
func (s *session) park(ctx context.Context, r matrix.Receipt) error {
	// thread_id "?" remembers that a pushed receipt has lost it.
	p := receiptsdb.Parked{RoomID: r.RoomID.String(), UserID: r.UserID.String(), EventID: r.EventID.String(), ThreadID: r.ThreadID, HasThread: r.HasThread, Since: s.now}
	if r.Pushed && !r.HasThread {
		p.ThreadID, p.HasThread = strippedThread, true
	}
	s.b.stats.parked.Add(1)
	return s.b.reads.Park(ctx, p)
}

// strippedThread stands in parked receipts for "the homeserver has cut thread_id away". It cannot be an event id.
const strippedThread = "?"

func unpark(p receiptsdb.Parked) matrix.Receipt {
	r := matrix.Receipt{RoomID: id.RoomID(p.RoomID), EventID: id.EventID(p.EventID), UserID: id.UserID(p.UserID), ThreadID: p.ThreadID, HasThread: p.HasThread}
	if strings.HasPrefix(p.ThreadID, strippedThread) {
		r.ThreadID, r.HasThread, r.Pushed = "", false, true
	}
	return r
}

// parkedFor applies the receipts that waited for these events.
func (s *session) parkedFor(ctx context.Context, events []id.EventID) error {
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.String()
	}
	parked, err := s.b.reads.ParkedFor(ctx, ids)
	if err != nil || len(parked) == 0 {
		return err
	}
	if err = s.b.reads.Unpark(ctx, parked...); err != nil {
		return err
	}
	for _, p := range parked {
		if err = s.receipts(ctx, []matrix.Receipt{unpark(p)}); err != nil {
			return err
		}
	}
	return nil
}
