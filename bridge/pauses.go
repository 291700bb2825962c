package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// This file is about groups of which Tencent takes no receipts: the package does not include them, the group has grown too large, or
// is gone. All its readers wait, one of them tries every hour.

// pausedUntil is how long a group's receipts wait; the zero time if they do not. The first reader who comes when it is time to try
// again is the probe.
func (s *session) pausedUntil(ctx context.Context, group mapping.GroupKey) (time.Time, error) {
	p, ok, err := s.b.own.PauseOf(ctx, group)
	if err != nil || !ok {
		return time.Time{}, err
	}
	// A time further away was planned by a clock that was ahead.
	if p.Until.After(s.now) && !p.Until.After(s.now.Add(pauseProbe)) {
		return p.Until, nil
	}
	p.Until = s.now.Add(pauseProbe)
	return time.Time{}, s.b.own.PutPause(ctx, p)
}

// pause stops a group's receipts because of err, and says so in the room the first time. row, if there is one, is of the reader who
// found out.
func (s *session) pause(ctx context.Context, g *mapping.Group, row *receiptsdb.Row, cause error) error {
	var refused *tencent.APIError
	if !errors.As(cause, &refused) {
		return nil
	}
	p := bridgedb.Pause{Group: g.Key, Code: refused.Code, Since: s.now, Until: s.now.Add(pauseProbe)}
	if row != nil {
		row.AckDue = p.Until
		s.save(row)
	}
	s.work = true
	_, already, err := s.b.own.PauseOf(ctx, g.Key)
	if err != nil || already && row == nil { // the time of the next try stays
		return err
	}
	if !already {
		zerolog.Ctx(ctx).Warn().Str("group_id", g.GroupID).Int("code", int(p.Code)).Msg("Tencent takes no receipts of group; it is tried every hour")
		s.notice(g, fmt.Sprintf("Tencent takes no read receipts of this group: %s. It is tried again every hour.", p.Code),
			fmt.Sprintf("pause_%d_%d", g.Key, s.now.UnixMilli()))
	}
	return s.b.own.PutPause(ctx, p)
}

// resume ends a pause: Tencent has taken receipts again.
func (s *session) resume(ctx context.Context, g *mapping.Group) error {
	_, paused, err := s.b.own.PauseOf(ctx, g.Key)
	if err != nil || !paused {
		return err
	}
	if err = s.b.own.DropPause(ctx, g.Key); err != nil {
		return err
	}
	zerolog.Ctx(ctx).Info().Str("group_id", g.GroupID).Msg("Tencent takes receipts of group again")
	s.notice(g, "Tencent takes read receipts of this group again.", fmt.Sprintf("resume_%d_%d", g.Key, s.now.UnixMilli()))
	return s.releaseAcks(ctx, g.Key)
}

// countable hears that Tencent has counted readers of a group, which it only does where it has receipts.
func (s *session) countable(ctx context.Context, g *mapping.Group) error {
	p, paused, err := s.b.own.PauseOf(ctx, g.Key)
	if err != nil || !paused || p.Code == receipts.CodeGroupAPINameError { // that is about another command
		return err
	}
	return s.resume(ctx, g)
}

// releaseAcks looks at all readers of a group of whom Tencent does not have everything.
func (s *session) releaseAcks(ctx context.Context, group mapping.GroupKey) error {
	if s.b.cloud == nil {
		return nil
	}
	s.work = true
	return s.changeStored(ctx, group, func() error { return s.b.reads.ReleaseAcks(ctx, group, s.now) })
}

// notice tells a group's room something after the commit. It is told once for each txnID; should it fail, it stands in the log.
func (s *session) notice(g *mapping.Group, text, txnID string) {
	room := g.RoomID
	if room == "" {
		return
	}
	s.after = append(s.after, func() {
		s.b.background("notice "+txnID, func(ctx context.Context) error { return s.b.hs.SendNotice(ctx, room, text, txnID) })
	})
}

// cloudStatus describes a group's state with Tencent for people.
func (b *Bridge) cloudStatus(ctx context.Context, g mapping.Group) []string {
	if b.cloud == nil || g.SeqSource != mapping.SeqSourceCloud {
		return nil
	}
	var lines []string
	p, paused, err := b.own.PauseOf(ctx, g.Key)
	switch {
	case err != nil:
		return []string{"Tencent: the state cannot be read, see the log"}
	case paused:
		lines = append(lines, fmt.Sprintf("Tencent takes no receipts since %s: %s; next try %s",
			p.Since.UTC().Format(time.DateTime), p.Code, p.Until.UTC().Format(time.DateTime)))
	default:
		lines = append(lines, "Tencent takes receipts")
	}
	joins, err := b.own.JoinsOf(ctx, g.Key)
	if err != nil {
		return append(lines, "Tencent: members cannot be read, see the log")
	}
	in, waiting := 0, 0
	for _, j := range joins {
		if j.Joined {
			in++
		} else if j.Wanted {
			waiting++
		}
	}
	lines = append(lines, fmt.Sprintf("Matrix users in the Tencent group: %d, waiting: %d", in, waiting))
	return append(lines, fmt.Sprintf("Calls of group_msg_receipt: %.0f/s at most", b.cloud.client.Rate("group_msg_receipt")))
}
