package bridge

import (
	"context"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// setSwitches says in which directions a group's receipts cross; nil leaves one as it is. What was read while a direction was off is
// told when it is on again, as far as it is known: Matrix users' receipts were not looked at meanwhile, their next ones are.
func (b *Bridge) setSwitches(ctx context.Context, group mapping.GroupKey, toMatrix, toTencent *bool) error {
	return b.commits.do(ctx, func(ctx context.Context, s *session) error {
		g, err := s.group(ctx, group)
		if err != nil {
			return err
		}
		matrixOn, tencentOn := g.ToMatrix, g.ToTencent
		if toMatrix != nil {
			g.ToMatrix = *toMatrix
		}
		if toTencent != nil {
			g.ToTencent = *toTencent
		}
		if err = s.b.maps.SetSwitches(ctx, group, g.ToMatrix, g.ToTencent); err != nil {
			return err
		}
		if g.ToMatrix && !matrixOn {
			if err = s.lookAgain(ctx, group); err != nil {
				return err
			}
		}
		if g.ToTencent && !tencentOn {
			return s.releaseAcks(ctx, group)
		}
		return nil
	})
}

// setPrivate says whether a user's receipts cross, in any group and direction, by his own wish.
func (b *Bridge) setPrivate(ctx context.Context, mxid id.UserID, private bool) error {
	return b.commits.do(ctx, func(ctx context.Context, s *session) error {
		users, err := s.usersOf(ctx, []id.UserID{mxid})
		if err != nil {
			return err
		}
		u, ok := users[mxid]
		if !ok {
			return mapping.ErrNotFound // his account cannot be made, so nothing of his crosses
		}
		if err = b.own.SetPrivate(ctx, u.Key, private); err != nil {
			return err
		}
		s.after = append(s.after, func() { b.private[u.Key] = private })
		if private {
			return nil
		}
		groups, err := b.maps.GroupsOf(ctx, u.Key)
		if err != nil {
			return err
		}
		for _, key := range groups {
			row, _, err := s.reader(ctx, key, u.Key)
			if err != nil {
				return err
			}
			if u.Kind != receipts.KindAccount {
				s.due(row)
			}
			s.ackDue(row)
		}
		return nil
	})
}

// loadPrivate reads the users' wishes at start.
func (b *Bridge) loadPrivate(ctx context.Context) error {
	users, err := b.own.Private(ctx)
	if err != nil {
		return err
	}
	for _, user := range users {
		b.private[user] = true
	}
	return nil
}
