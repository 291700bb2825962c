package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// marker is one receipt on its way to Matrix.
type marker struct {
	group mapping.GroupKey
	user  mapping.UserKey
	mxid  id.UserID
	room  id.RoomID
	event id.EventID
	pos   receipts.Pos
}

// unseen is a marker that the homeserver took with a 200 and that waits until then to be seen.
type unseen struct {
	marker
	until time.Time
	tries int // how often it was taken so
}

const (
	// markerLease is how long a marker counts as under way. It is longer than any request may take.
	markerLease = 2 * time.Minute
	// confirmFirst is how long the homeserver has to show a marker that it took with a 200 before it is sent again.
	confirmFirst = time.Minute
	// confirmTries is how often a marker is sent without ever being seen. After that the 200 has to do: some servers say nothing
	// when what they show already is the same.
	confirmTries = 3
)

func (b *Bridge) markerReconciler() *reconciler[marker] {
	return &reconciler[marker]{
		name:  "matrix receipts",
		limit: b.cfg.Matrix.Concurrency,
		due: func(ctx context.Context, limit int) ([]marker, error) {
			rows, err := b.reads.Due(ctx, b.clock(), limit)
			list := make([]marker, len(rows))
			for i, row := range rows {
				list[i] = marker{group: row.Group, user: row.User}
			}
			return list, err
		},
		next:  b.reads.NextDue,
		key:   func(m marker) string { return fmt.Sprint(m.group, " ", m.user) },
		begin: b.claimMarkers,
		do:    b.sendMarker,
		clock: b.clock,
		wake:  make(chan struct{}, 1),
	}
}

// claimMarkers computes what Matrix should show for each reader and writes down what is about to be sent, in one commit before
// any request goes out: should our own receipt come back before the answer, or after a crash, it is known as ours.
func (b *Bridge) claimMarkers(ctx context.Context, due []marker) (todo []marker, err error) {
	err = b.commits.do(ctx, func(ctx context.Context, s *session) error {
		todo = nil
		for _, d := range due {
			m, ok, err := s.claimMarker(ctx, d)
			if err != nil {
				return err
			} else if ok {
				todo = append(todo, m)
			}
		}
		return nil
	})
	return todo, err
}

func (s *session) claimMarker(ctx context.Context, d marker) (m marker, ok bool, err error) {
	row, membership, err := s.reader(ctx, d.group, d.user)
	if err == nil && row.Damage != nil {
		return m, false, s.b.reads.Shelve(ctx, d.group, d.user)
	}
	if err != nil || row.Due.IsZero() {
		return m, false, err
	}
	u, err := s.user(ctx, d.user)
	if err != nil {
		return m, false, err
	}
	g, err := s.group(ctx, d.group)
	if err != nil {
		return m, false, err
	}
	s.save(row)
	row.Due = time.Time{}
	gone := u.Kind == receipts.KindGhost && !membership.IsMember() // not in the room; coming back looks again
	if gone || g.RoomID == "" || !g.ToMatrix || s.b.private[u.Key] || u.Kind == receipts.KindAccount || u.MXID == "" {
		row.Attempts = 0
		return m, false, nil
	}
	blocked, err := s.advance(ctx, g, u, row)
	if err != nil {
		return m, false, err
	}
	pos, pending := row.MarkerPending(u.Kind, s.b.policy)
	if !pending {
		row.Attempts = 0
		if blocked && row.Latest > row.Frontier {
			row.Due = s.now.Add(s.b.cfg.Receipts.GapAfter) // time may let it pass
		}
		return m, false, nil
	}
	message, err := s.b.maps.MessageAt(ctx, g.Key, pos)
	if isNotFound(err) {
		row.Attempts = 0
		zerolog.Ctx(ctx).Warn().Str("group_id", g.GroupID).Int64("pos", int64(pos)).Msg("No message at the place of a marker")
		return m, false, nil
	} else if err != nil {
		return m, false, err
	}
	m = marker{group: d.group, user: d.user, mxid: u.MXID, room: g.RoomID, event: id.EventID(message.EventID), pos: pos}
	// Sent once more before the homeserver had its time to show it, a linked user's marker could take back what his own client has
	// said meanwhile, where servers let it (Dendrite 0.15.2).
	if w := s.b.unseen[reader{d.group, d.user}]; w.marker == m && w.until.After(s.now) && !w.until.After(s.now.Add(confirmFirst<<confirmTries)) {
		row.Due = w.until // other news woke us
		return m, false, nil
	}
	row.Sent = max(row.Sent, pos)
	row.Due = s.now.Add(markerLease)
	return m, true, nil
}

// frontierPage is how many entries of a room are looked at in one step.
const frontierPage = 500

// advance moves a reader's frontier as far as it goes, where his marker depends on it.
func (s *session) advance(ctx context.Context, g *mapping.Group, u mapping.User, row *receiptsdb.Row) (blocked bool, err error) {
	if u.Kind == receipts.KindGhost && s.b.policy == receipts.PolicyLatest {
		return false, nil
	}
	_, membership, err := s.reader(ctx, g.Key, u.Key)
	if err != nil {
		return false, err
	}
	floor, err := s.floor(ctx, g)
	if err != nil {
		return false, err
	}
	rules := receipts.FrontierRules{Now: s.now, GapAfter: s.b.cfg.Receipts.GapAfter, HoleAfter: s.b.cfg.Receipts.HoleAfter, Floor: floor, Membership: membership}
	for !blocked {
		page, err := s.b.maps.Entries(ctx, g.Key, row.Frontier, frontierPage)
		if err != nil {
			return false, err
		}
		var holes int
		blocked, holes = row.Advance(u.Key, page, rules)
		s.b.stats.holes.Add(int64(holes))
		if len(page) < frontierPage {
			break
		}
	}
	if row.Solid > row.Shown {
		return blocked, s.solid(ctx, g, row)
	}
	return blocked, nil
}

// solid makes sure that the marker below the frontier is a message that has been read: late knowledge may have moved the frontier.
func (s *session) solid(ctx context.Context, g *mapping.Group, row *receiptsdb.Row) error {
	for at := row.Solid; at > row.Shown; {
		page, err := s.b.maps.MessagesBelow(ctx, g.Key, at, frontierPage)
		if err != nil {
			return err
		}
		ms := make([]receipts.Message, len(page))
		for i, m := range page {
			ms[i], at = m.Message, m.Pos-1
		}
		if row.Settle(ms) {
			return nil
		}
		if len(page) < frontierPage {
			break
		}
	}
	return nil
}

// markerRow finds the row that a sent marker belongs to. It is not current when the group has moved to another room or the user has
// got another MXID while the marker was under way: then the outcome says nothing any more.
func (s *session) markerRow(ctx context.Context, m marker) (row *receiptsdb.Row, current bool, err error) {
	g, err := s.group(ctx, m.group)
	if err != nil {
		return nil, false, err
	}
	u, err := s.user(ctx, m.user)
	if err != nil || g.RoomID != m.room || u.MXID != m.mxid {
		return nil, false, err
	}
	row, _, err = s.reader(ctx, m.group, m.user)
	return row, err == nil, err
}

// sendMarker sends one receipt and writes down how it went. A 200 is no proof (Synapse says it to what it ignores): the marker
// counts as shown when it comes back.
func (b *Bridge) sendMarker(ctx context.Context, m marker) {
	log := zerolog.Ctx(ctx).With().Stringer("room_id", m.room).Stringer("event_id", m.event).Stringer("user_id", m.mxid).Logger()
	ctx = log.WithContext(ctx)
	err := b.hs.SendReceipt(ctx, m.mxid, m.room, m.event)
	if errors.Is(err, matrix.ErrForbidden) && b.hs.IsGhost(m.mxid) {
		// Not in the room, or not able to see the event. The first can be mended.
		if joinErr := b.hs.EnsureJoined(ctx, m.mxid, m.room); joinErr == nil {
			err = b.hs.SendReceipt(ctx, m.mxid, m.room, m.event)
		} else {
			log.Debug().Err(joinErr).Msg("Failed to join ghost to room")
		}
	}
	if ctx.Err() != nil {
		return // stopping; the lease runs out and the marker is sent again
	}
	b.stats.markersSent.Add(1)
	var temporary *matrix.TemporaryError
	var attempt, tries int
	commitErr := b.commits.record(ctx, func(ctx context.Context, s *session) error {
		row, current, err2 := s.markerRow(ctx, m)
		if err2 != nil || !current {
			return err2
		}
		s.save(row)
		later := row.Due // set anew by news that came meanwhile
		if !later.IsZero() && later.Sub(s.now) > markerLease/2 {
			later = time.Time{}
		}
		attempt = row.Attempts
		key := reader{m.group, m.user}
		if tries == 0 { // else this is counted already, and the commit did not go through
			tries = 1
			if w := b.unseen[key]; w.marker == m {
				tries += w.tries
			}
		}
		delete(b.unseen, key)
		switch {
		case err == nil && (row.Shown >= m.pos || tries >= confirmTries):
			row.Shown, row.Attempts = max(row.Shown, m.pos), 0
			row.Due = later
		case err == nil:
			// Attempts that failed say nothing of whether this one will be seen.
			row.Attempts = tries
			row.Due = s.now.Add(confirmFirst << (tries - 1))
			b.unseen[key] = unseen{m, row.Due, tries}
		case errors.As(err, &temporary):
			var wait time.Duration
			row.Attempts, wait = b.again(row.Attempts, err)
			row.Due = s.now.Add(wait)
		default:
			// About this person: a membership change or the next newer message looks again.
			row.Attempts = 0
			row.Due = later
		}
		if !later.IsZero() && temporary == nil && later.Before(row.Due) {
			row.Due = later
		}
		s.markersDue = s.markersDue || !row.Due.IsZero()
		return nil
	})
	switch {
	case commitErr != nil:
		log.Error().Err(commitErr).Msg("Failed to record receipt sent to Matrix")
	case err == nil:
		log.Debug().Int("attempt", attempt).Msg("Sent receipt to Matrix")
	case temporary != nil:
		log.Warn().Err(err).Int("attempt", attempt).Msg("Failed to send receipt to Matrix, will try again")
	default:
		b.stats.markersRefused.Add(1)
		log.Warn().Err(err).Msg("Matrix refused receipt; it is tried again with the next message or membership change")
	}
}
