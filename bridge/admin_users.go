package bridge

import (
	"context"
	"fmt"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// LinkUser implements v2tim.Admin: from now on a Tencent user and a Matrix user are one reader. What both have read is united, the
// messages of both are his own, and his ghost leaves.
func (b admin) LinkUser(ctx context.Context, req v2tim.LinkUserRequest) error {
	mxid := id.UserID(req.MXID)
	err := mapping.ValidateUserID(req.UserID)
	if err == nil {
		err = mapping.ValidateMXID(mxid)
	}
	if err == nil && (b.hs.IsGhost(mxid) || b.ownBot(mxid)) {
		err = fmt.Errorf("%w: %s is one of our own users", mapping.ErrInvalid, mxid)
	}
	if err == nil && !b.hs.CanActAs(mxid) {
		err = fmt.Errorf("%w: there is no way to act as %s; set double_puppet.secrets for its server", mapping.ErrInvalid, mxid)
	}
	if err != nil {
		return refused(err)
	}
	return refused(b.commits.do(ctx, func(ctx context.Context, s *session) error { return s.linkUser(ctx, req.UserID, mxid) }))
}

func (s *session) linkUser(ctx context.Context, userID string, mxid id.UserID) error {
	u, err := s.tencentUser(ctx, userID)
	if err != nil {
		return err
	} else if u.Kind == receipts.KindLinked && u.MXID == mxid {
		return nil
	}
	if err = s.b.own.NameOutgoing(ctx, u.Key, u.MXID); err != nil {
		return err
	}
	if err = s.writeRows(ctx); err != nil {
		return err
	}
	u, account, err := s.b.maps.LinkUser(ctx, userID, mxid)
	if err != nil {
		return err
	}
	delete(s.users, account.Key)
	s.users[u.Key] = u
	clear(s.memberships)
	groups, err := s.groupsOf(ctx, u.Key, account.Key)
	if err != nil {
		return err
	}
	for _, key := range groups {
		g, err := s.group(ctx, key)
		if err != nil {
			return err
		}
		row, _, err := s.soundReader(ctx, key, u.Key)
		if err != nil {
			return err
		}
		before := row.Read
		if account.Key != 0 {
			if err = s.leaveTencent(ctx, g, account); err != nil {
				return err
			}
			other, _, err := s.soundReader(ctx, key, account.Key)
			if err != nil {
				return err
			}
			row.Unite(other.Reader)
		} else {
			row.Unite(receipts.Reader{})
		}
		s.save(row)
		s.due(row)
		if err = s.readMore(ctx, row, u.Kind, row.Read.Difference(before), nil); err != nil {
			return err
		}
		if g.RoomID != "" {
			if err = s.roomTask(ctx, g.RoomID, u.Key); err != nil {
				return err
			}
		}
	}
	s.mapped = true
	return nil
}

// groupsOf lists the groups in which any of the users is or was.
func (s *session) groupsOf(ctx context.Context, users ...mapping.UserKey) ([]mapping.GroupKey, error) {
	var all []mapping.GroupKey
	seen := make(map[mapping.GroupKey]bool)
	for _, u := range users {
		if u == 0 {
			continue
		}
		groups, err := s.b.maps.GroupsEverOf(ctx, u)
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			if !seen[g] {
				seen[g] = true
				all = append(all, g)
			}
		}
	}
	return all, nil
}

// UnlinkUser implements v2tim.Admin: two readers again. Each keeps what the one had read; the ghost comes back.
func (b admin) UnlinkUser(ctx context.Context, req v2tim.UnlinkUserRequest) error {
	err := mapping.ValidateUserID(req.UserID)
	if err != nil {
		return refused(err)
	}
	return refused(b.commits.do(ctx, func(ctx context.Context, s *session) error { return s.unlinkUser(ctx, req.UserID) }))
}

func (s *session) unlinkUser(ctx context.Context, userID string) error {
	u, err := s.b.maps.UserByID(ctx, userID)
	if err != nil {
		return err
	} else if u.Kind != receipts.KindLinked {
		return nil
	}
	mxid := u.MXID
	if err = s.b.own.NameOutgoing(ctx, u.Key, mxid); err != nil {
		return err
	}
	groups, err := s.groupsOf(ctx, u.Key)
	if err != nil {
		return err
	}
	if err = s.writeRows(ctx); err != nil {
		return err
	}
	ghost, account, err := s.b.maps.UnlinkUser(ctx, userID, mapping.GhostMXID(s.b.cfg.AppService.GhostPrefix(), userID, s.b.cfg.Homeserver.Domain))
	if err != nil {
		return err
	}
	if account.Key == 0 {
		if account, err = s.b.maps.EnsureUser(ctx, mapping.User{UserID: mapping.AccountID(mxid), MXID: mxid, Kind: receipts.KindAccount}); err != nil {
			return err
		}
	}
	s.users[ghost.Key], s.users[account.Key] = ghost, account
	clear(s.memberships)
	for _, key := range groups {
		g, err := s.group(ctx, key)
		if err != nil {
			return err
		}
		row, membership, err := s.soundReader(ctx, key, ghost.Key)
		if err != nil {
			return err
		}
		other, _, err := s.soundReader(ctx, key, account.Key)
		if err != nil {
			return err
		}
		other.Read, other.Claims = row.Read.Union(other.Read), row.Claims.Union(other.Claims)
		other.Latest = max(other.Latest, row.Latest)
		if err = s.disowned(ctx, g, row, account.Key); err != nil {
			return err
		}
		row.Claims = receipts.Claims{}
		// What Matrix showed was the person's own marker. The ghost has shown nothing yet.
		row.Shown, row.Sent, row.Frontier, row.Solid = 0, 0, 0, 0
		s.save(row)
		s.save(other)
		s.due(row)
		if !other.Tencent.ContainsAll(other.Read) {
			s.ackDue(other) // what he read before they were one may not have been told in this name yet
		}
		if g.RoomID == "" || !membership.IsMember() {
			continue
		}
		if err = s.roomTask(ctx, g.RoomID, ghost.Key); err != nil {
			return err
		}
		room := g.RoomID
		s.after = append(s.after, func() { s.b.refreshMembers(room) })
	}
	return nil
}
