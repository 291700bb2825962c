package bridge

import (
	"context"
	"errors"
	"fmt"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/mapping"
)

// enter brings the bot to life at the homeserver and then reads /sync until the bridge stops.
func (b *Bridge) enter() {
	for attempt := 0; ; attempt++ {
		err := b.hs.EnsureBot(b.ctx)
		if err == nil {
			break
		}
		if b.ctx.Err() != nil {
			return
		}
		b.log.Error().Err(err).Msg("The homeserver does not accept us; is it running, and is the registration installed?")
		if !sleep(b.ctx, backoff(min(attempt, 5), 0)) {
			return
		}
	}
	bot := b.cfg.AppService.Bot
	if err := b.hs.SetProfile(b.ctx, b.bot(), bot.Displayname, id.ContentURIString(bot.Avatar)); err != nil && b.ctx.Err() == nil {
		b.log.Warn().Err(err).Msg("Failed to set the bot's profile")
	}
	var refused *matrix.RequestError
	if err := b.hs.Ping(b.ctx); errors.As(err, &refused) && !errors.Is(err, matrix.ErrUnsupported) {
		b.log.Error().Err(err).Msg("The homeserver cannot reach us; check appservice.address in the config and the registration")
	}
	// Of many rooms, or with a slow homeserver, this takes long. Receipts need not wait: who turns out to be a member has his count then.
	b.tasks.Go(func() {
		if err := b.refreshAll(b.ctx); err != nil && b.ctx.Err() == nil {
			b.log.Warn().Err(err).Msg("Failed to learn who is in the bridged rooms")
		}
	})
	if err := b.hs.Sync(b.ctx); err != nil && b.ctx.Err() == nil {
		b.log.Error().Err(err).Msg("Reading receipts by /sync has ended")
	}
}

// refreshAll learns who is in every bridged room: members may have come or gone while we were away and the homeserver has given up
// telling us.
func (b *Bridge) refreshAll(ctx context.Context) error {
	return b.eachMapped(ctx, func(g mapping.Group) error {
		err := b.refresh(ctx, g.RoomID)
		var temporary *matrix.TemporaryError
		var refused *matrix.RequestError
		if errors.As(err, &temporary) || errors.As(err, &refused) {
			b.log.Warn().Err(err).Str("group_id", g.GroupID).Stringer("room_id", g.RoomID).Msg("The bot cannot see who is in a bridged room")
			return nil
		}
		return err
	})
}

// refresh asks the homeserver who is in a room and takes the answer.
func (b *Bridge) refresh(ctx context.Context, room id.RoomID) error {
	asOf, err := b.maps.Head(ctx, room)
	if err != nil {
		return err
	}
	mxids, err := b.hs.JoinedMembers(ctx, room)
	if errors.Is(err, matrix.ErrForbidden) { // an imported group, or an invitation that was missed
		if err = b.hs.JoinBot(ctx, room); err == nil {
			mxids, err = b.hs.JoinedMembers(ctx, room)
		}
	}
	if err != nil {
		return fmt.Errorf("failed to list members of room: %w", err)
	}
	return b.commits.do(ctx, func(ctx context.Context, s *session) error {
		g, err := s.groupOfRoom(ctx, room)
		if err != nil || g == nil {
			return err
		}
		return s.members(ctx, g, mxids, asOf)
	})
}

// eachMapped calls fn for every group that has a room now, in order of their IDs.
func (b *Bridge) eachMapped(ctx context.Context, fn func(mapping.Group) error) error {
	for after := ""; ; {
		groups, err := b.maps.Groups(ctx, after, 100)
		if err != nil || len(groups) == 0 {
			return err
		}
		for _, g := range groups {
			if g.RoomID == "" {
				continue
			}
			if err = fn(g); err != nil {
				return err
			}
		}
		after = groups[len(groups)-1].GroupID
	}
}
