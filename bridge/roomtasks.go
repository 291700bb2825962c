package bridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

func (b *Bridge) roomReconciler() *reconciler[bridgedb.RoomTask] {
	return &reconciler[bridgedb.RoomTask]{
		name:  "room members",
		limit: b.cfg.Matrix.Concurrency,
		due: func(ctx context.Context, limit int) ([]bridgedb.RoomTask, error) {
			return b.own.DueRoomTasks(ctx, b.clock(), limit)
		},
		next:  b.own.NextRoomTask,
		key:   func(t bridgedb.RoomTask) string { return fmt.Sprint(t.RoomID, " ", t.User) },
		ready: b.writable,
		do:    b.settleInRoom,
		clock: b.clock,
		wake:  make(chan struct{}, 1),
	}
}

// settleInRoom brings one user into the room, or out of it, as the group says now.
func (b *Bridge) settleInRoom(ctx context.Context, t bridgedb.RoomTask) {
	log := zerolog.Ctx(ctx).With().Stringer("room_id", t.RoomID).Int64("user_key", int64(t.User)).Logger()
	ctx = log.WithContext(ctx)
	err := b.trySettle(ctx, t)
	if ctx.Err() != nil {
		return
	}
	commitErr := b.commits.do(ctx, func(ctx context.Context, s *session) error {
		if err == nil || errors.Is(err, matrix.ErrNotFound) {
			return b.own.DropRoomTask(ctx, t)
		}
		var refused *matrix.RequestError
		var temporary *matrix.TemporaryError
		attempts, wait := b.again(t.Attempts, err)
		if !errors.As(err, &temporary) && (errors.As(err, &refused) || errors.Is(err, matrix.ErrBotCannotInvite)) {
			wait = lastRetry // somebody has to give the bot a right first
		}
		s.work = true
		return b.own.DelayRoomTask(ctx, t, s.now.Add(wait), attempts)
	})
	if commitErr != nil {
		log.Error().Err(commitErr).Msg("Failed to record room membership")
		sleep(ctx, errorPause) // it is still due, and would be done again at once
	} else if errors.Is(err, matrix.ErrBotCannotInvite) {
		log.Warn().Err(err).Msg("The bot may not invite ghosts into the room; give it the power to invite")
	} else if err != nil {
		log.Warn().Err(err).Msg("Failed to bring room membership in line, will try again")
	}
}

func (b *Bridge) trySettle(ctx context.Context, t bridgedb.RoomTask) error {
	users, err := b.maps.UsersByKey(ctx, []mapping.UserKey{t.User})
	if err != nil {
		return err
	}
	u, ok := users[t.User]
	if !ok {
		return nil
	}
	member, mapped, err := b.belongs(ctx, u, t.RoomID)
	if err != nil {
		return err
	}
	ghost := mapping.GhostMXID(b.cfg.AppService.GhostPrefix(), u.UserID, b.cfg.Homeserver.Domain)
	switch {
	case u.Kind == receipts.KindGhost && member:
		if err = b.hs.EnsureJoined(ctx, ghost, t.RoomID); err != nil {
			return err
		}
		return b.markersOf(ctx, u, t.RoomID)
	case u.Kind == receipts.KindGhost:
		if err = b.spoken(ctx, u, t.RoomID); err != nil {
			return err
		}
		return b.hs.Leave(ctx, ghost, t.RoomID)
	case member, !mapped:
		// A linked user is in the room himself, and stays there when it is no group's any more; his ghost has no business there, but for
		// what it may have begun to say.
		if err = b.spoken(ctx, u, t.RoomID); err != nil {
			return err
		}
		return b.hs.Leave(ctx, ghost, t.RoomID)
	case b.hs.CanActAs(u.MXID):
		return b.hs.Leave(ctx, u.MXID, t.RoomID)
	default:
		return b.kick(ctx, u.MXID, t.RoomID)
	}
}

// spoken is an error as long as a ghost has something to send to a room, or to redact there: it would have to come back for it.
func (b *Bridge) spoken(ctx context.Context, u mapping.User, room id.RoomID) error {
	waits, err := b.own.HasOutgoing(ctx, room, u.Key)
	if err == nil && waits {
		err = &matrix.TemporaryError{Err: errors.New("it has still something to say")}
	}
	return err
}

// kick removes a Matrix user from a room. Whoever is not there can not be removed (403), which is what was wanted.
func (b *Bridge) kick(ctx context.Context, mxid id.UserID, room id.RoomID) error {
	err := b.hs.Kick(ctx, mxid, room)
	if errors.Is(err, matrix.ErrForbidden) && !b.hs.IsInRoom(ctx, mxid, room) {
		return nil
	}
	return err
}

// belongs tells whether the user is a member of the group that has this room now.
func (b *Bridge) belongs(ctx context.Context, u mapping.User, room id.RoomID) (member, mapped bool, err error) {
	g, err := b.maps.GroupByRoom(ctx, room)
	if isNotFound(err) {
		return false, false, nil
	} else if err != nil {
		return false, false, err
	}
	memberships, err := b.maps.MembershipOf(ctx, g.Key, []mapping.UserKey{u.Key})
	return memberships[u.Key].IsMember(), true, err
}

// markersOf looks at the marker of a ghost that has just come in.
func (b *Bridge) markersOf(ctx context.Context, u mapping.User, room id.RoomID) error {
	return b.commits.do(ctx, func(ctx context.Context, s *session) error {
		g, err := s.groupOfRoom(ctx, room)
		if err != nil || g == nil {
			return err
		}
		row, _, err := s.reader(ctx, g.Key, u.Key)
		if err == nil && row.Latest > row.Shown {
			s.due(row)
		}
		return err
	})
}

// refreshMembers asks the homeserver who is in a room and takes the answer. One at a time per room; failures are left to the next
// occasion, since nothing depends on it but claims that wait.
func (b *Bridge) refreshMembers(room id.RoomID) {
	b.background("refresh "+room.String(), func(ctx context.Context) error { return b.refresh(ctx, room) })
}

// acceptInvite joins a room to which the bot was invited, so that an operator can map it.
func (b *Bridge) acceptInvite(room id.RoomID) {
	b.background("invite "+room.String(), func(ctx context.Context) error { return b.hs.JoinBot(ctx, room) })
}

// enterRoom brings the bot into a group's new room and learns who is there.
func (b *Bridge) enterRoom(room id.RoomID) {
	b.background("enter "+room.String(), func(ctx context.Context) error {
		if err := b.hs.JoinBot(ctx, room); err != nil {
			return fmt.Errorf("failed to join bot to new room: %w", err)
		}
		b.refreshMembers(room)
		return nil
	})
}
