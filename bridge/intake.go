package bridge

import (
	"context"
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

// intakeTimeout bounds one transaction or sync response. A homeserver gives up after half a minute or so anyway and sends again.
const intakeTimeout = 60 * time.Second

// HandleTransaction implements matrix.Intake: room events first, then receipts, all in one commit.
func (b *Bridge) HandleTransaction(ctx context.Context, events []matrix.Event, rs []matrix.Receipt) error {
	ctx, cancel := context.WithTimeout(ctx, intakeTimeout)
	defer cancel()
	events, rs = soundEvents(ctx, events), soundReceipts(ctx, rs)
	list, err := b.lookUps(ctx, events)
	if err != nil {
		return err
	}
	return b.commits.do(ctx, func(ctx context.Context, s *session) error {
		if err := s.missing(ctx, list); err != nil {
			return err
		}
		if err := s.events(ctx, events); err != nil {
			return err
		}
		return s.receipts(ctx, rs)
	})
}

// events takes events of any rooms, in the order of the homeserver.
func (s *session) events(ctx context.Context, events []matrix.Event) error {
	for run := range roomRuns(events) {
		if err := s.roomEvents(ctx, run); err != nil {
			return err
		}
	}
	return nil
}

// HandleSync implements matrix.Intake: what it says and the place where /sync goes on are one commit.
func (b *Bridge) HandleSync(ctx context.Context, nextBatch string, redactions []matrix.Event, rs []matrix.Receipt) error {
	ctx, cancel := context.WithTimeout(ctx, intakeTimeout)
	defer cancel()
	redactions, rs = soundEvents(ctx, redactions), soundReceipts(ctx, rs)
	return b.commits.do(ctx, func(ctx context.Context, s *session) error {
		if err := s.redactions(ctx, redactions); err != nil {
			return err
		}
		if err := s.receipts(ctx, rs); err != nil {
			return err
		}
		return b.own.SetValue(ctx, bridgedb.KeySyncToken, nextBatch)
	})
}

// SyncToken implements matrix.Intake.
func (b *Bridge) SyncToken(ctx context.Context) (string, error) {
	return b.own.Value(ctx, bridgedb.KeySyncToken)
}

// located is a receipt whose event has its place.
type located struct {
	group   *mapping.Group
	user    mapping.User
	place   mapping.Place
	scope   receipts.Scope
	push    bool
	receipt matrix.Receipt // as it came; empty for one that is parked
}

// receipts merges what users told Matrix. What cannot be placed yet is parked; what names an event of another room is refused.
func (s *session) receipts(ctx context.Context, rs []matrix.Receipt) error {
	if len(rs) == 0 {
		return nil
	}
	if err := s.probed(ctx, rs); err != nil {
		return err
	}
	rs, err := s.acquainted(ctx, rs)
	if err != nil {
		return err
	}
	var list []matrix.Receipt
	var events []id.EventID
	var mxids []id.UserID
	for _, r := range rs {
		g, err := s.groupOfRoom(ctx, r.RoomID)
		if err != nil {
			return err
		} else if g == nil || s.b.ownBot(r.UserID) {
			continue
		}
		list = append(list, r)
		events = append(events, r.EventID)
		mxids = append(mxids, r.UserID)
	}
	if len(list) == 0 {
		return nil
	}
	places, err := s.b.maps.Places(ctx, events)
	if err != nil {
		return err
	}
	users, err := s.usersOf(ctx, mxids)
	if err != nil {
		return err
	}
	var found []located
	for _, r := range list {
		place, ok := places[r.EventID]
		switch {
		case s.b.foreignPuppet(users[r.UserID]), users[r.UserID].MXID != r.UserID:
			continue // the latter: the ghost of somebody who has been linked since
		case !ok || place.Pos == 0:
			if err = s.park(ctx, r); err != nil {
				return err
			}
			continue
		case place.RoomID != r.RoomID:
			s.b.stats.foreignReceipts.Add(1)
			zerolog.Ctx(ctx).Warn().Stringer("room_id", r.RoomID).Stringer("event_id", r.EventID).Stringer("user_id", r.UserID).
				Msg("Refusing receipt that names an event of another room")
			continue
		}
		g, err := s.groupOfRoom(ctx, r.RoomID)
		if err != nil {
			return err
		}
		found = append(found, located{group: g, user: users[r.UserID], place: place, scope: scopeOf(r, place), push: r.Pushed, receipt: r})
	}
	return s.locatedReceipts(ctx, found)
}

// scopeOf is what a receipt speaks of. A pushed receipt has lost its thread_id (Synapse 1.160.0 strips it), so it gets the smaller
// meaning, which is never wrong; /sync brings the true one.
func scopeOf(r matrix.Receipt, place mapping.Place) receipts.Scope {
	switch {
	case r.HasThread && r.ThreadID == "main":
		return receipts.ScopeMain
	case r.HasThread && r.ThreadID != "":
		return receipts.ScopeThread(r.ThreadID)
	case !r.Pushed && !r.HasThread:
		return receipts.ScopeRoom
	case place.Thread != "":
		return receipts.ScopeThread(place.Thread)
	default:
		return receipts.ScopeMain
	}
}

func (s *session) locatedReceipts(ctx context.Context, found []located) error {
	byGroup := make(map[mapping.GroupKey][]located)
	var order []mapping.GroupKey
	for _, l := range found {
		if _, ok := byGroup[l.group.Key]; !ok {
			order = append(order, l.group.Key)
		}
		byGroup[l.group.Key] = append(byGroup[l.group.Key], l)
	}
	for _, key := range order {
		if err := s.groupReceipts(ctx, key, byGroup[key]); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) groupReceipts(ctx context.Context, key mapping.GroupKey, list []located) error {
	users := make([]mapping.UserKey, len(list))
	for i, l := range list {
		users[i] = l.user.Key
	}
	if err := s.loadReaders(ctx, key, users); err != nil {
		return err
	}
	var after, to receipts.Pos
	for i, l := range list {
		at := s.rows[reader{key, l.user.Key}].Claims.At(l.scope)
		if i == 0 || at < after {
			after = at
		}
		to = max(to, l.place.Pos)
	}
	if err := s.preload(ctx, key, after, to); err != nil {
		return err
	}
	for _, l := range list {
		row := s.rows[reader{key, l.user.Key}]
		if row.Damage != nil {
			if err := s.parkDamaged(ctx, l); err != nil {
				return err
			}
			continue
		}
		pos := l.place.Pos
		if row.IsOwnEcho(l.user.Kind, pos) {
			s.shown(row, l.user.Kind, pos, l.push)
			continue
		}
		if pos > row.Shown {
			row.Shown = pos // his own client put it there; should he be linked one day, our marker must not go below
			s.save(row)
		}
		if !l.group.ToTencent || s.b.private[l.user.Key] {
			continue
		}
		if err := s.claimed(ctx, l.group, l.user, l.scope, pos); err != nil {
			return err
		}
	}
	return nil
}

// shown takes a receipt that is our own output coming back: it adds no reads, it is the evidence of what Matrix shows.
func (s *session) shown(row *receiptsdb.Row, kind receipts.Kind, pos receipts.Pos, push bool) {
	switch {
	case kind == receipts.KindGhost && pos > row.Sent:
		return // not of our making: nobody else speaks for a ghost, and what he has yet to show would be held back by it
	case pos > row.Shown:
		row.Shown = pos
	case pos < row.Shown && !push && s.b.hs.PushState() != matrix.PushYes:
		// The server moved the marker back, as Dendrite 0.15.2 does. Where receipts come on two ways an older one may
		// merely be late, and servers that push (Synapse) never move a marker back.
		row.Shown = pos
		s.due(row)
	default:
		return
	}
	delete(s.b.unseen, reader{row.Group, row.User})
	s.save(row)
	if row.Due.IsZero() {
		return
	}
	if _, pending := row.MarkerPending(kind, s.b.policy); kind == receipts.KindGhost && s.b.policy == receipts.PolicyLatest && !pending {
		row.Due, row.Attempts = time.Time{}, 0 // what was waited for
		return
	}
	s.due(row) // a look finds that the work is done, or that there is more
}

// probed notes a pushed receipt of the bot: only `timbridge check` makes one, to see whether receipts are pushed.
func (s *session) probed(ctx context.Context, rs []matrix.Receipt) error {
	for _, r := range rs {
		if r.Pushed && r.UserID == s.b.bot() {
			if err := s.b.own.SetValue(ctx, bridgedb.KeyProbePushed, r.EventID.String()); err != nil {
				return err
			}
		}
	}
	return nil
}

// usersOf finds or makes the users behind MXIDs: a ghost is a Tencent user, everyone else a linked user or an mx_ account. Whose
// account cannot be, because somebody has its UserID, is left out.
func (s *session) usersOf(ctx context.Context, mxids []id.UserID) (map[id.UserID]mapping.User, error) {
	users, err := s.b.maps.UsersByMXID(ctx, mxids)
	if err != nil {
		return nil, err
	}
	for _, mxid := range mxids {
		if _, ok := users[mxid]; ok {
			continue
		}
		u := mapping.User{UserID: mapping.AccountID(mxid), MXID: mxid, Kind: receipts.KindAccount}
		if userID, ok := mapping.ParseGhost(s.b.cfg.AppService.GhostPrefix(), s.b.cfg.Homeserver.Domain, mxid); ok {
			u = mapping.User{UserID: userID, MXID: mxid, Kind: receipts.KindGhost}
			if known, err := s.b.maps.UserByID(ctx, userID); err == nil {
				users[mxid] = known // a ghost whose user has been linked since
				continue
			} else if !isNotFound(err) {
				return nil, err
			}
			if accountForm(userID) {
				continue // anybody can invite a ghost of that name, and so take the name away from the Matrix user whose it is
			}
		}
		if u, err = s.b.maps.EnsureUser(ctx, u); refusedForGood(err) {
			zerolog.Ctx(ctx).Warn().Err(err).Stringer("user_id", mxid).Msg("Ignoring Matrix user whose account cannot be made")
			continue
		} else if err != nil {
			return nil, err
		}
		users[mxid] = u
	}
	for _, u := range users {
		s.users[u.Key] = u
	}
	return users, nil
}

// accountForm tells that a UserID looks like those of the accounts that stand for Matrix users.
func accountForm(userID string) bool {
	return strings.HasPrefix(userID, "mx_") && len(userID) == len(mapping.AccountID("@a:b"))
}

// foreignPuppet tells that a Matrix user is a puppet of a message bridge beside us. It stands for somebody who is counted on his own
// side, so it neither reads nor is a member, unless it is linked.
func (b *Bridge) foreignPuppet(u mapping.User) bool {
	return u.Kind == receipts.KindAccount && b.stampSenders.Match(u.MXID.String())
}
