package bridge

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// Tencent does not repeat webhooks by default, so what they tell is only the fast way. The catch-up compares groups with Tencent's own
// record: at every start, now and then, and when a gap shows.

const (
	// gapWait is how long a webhook may be late before its group is caught up with.
	gapWait = 5 * time.Second
	// catchUpTimeout bounds the catch-up of one group.
	catchUpTimeout = 5 * time.Minute
	// missedPage is how many missed messages are stored in one commit.
	missedPage = 100
)

func (c *cloud) catchUpLoop(ctx context.Context) {
	done := make(map[mapping.GroupKey]bool) // once since the start
	for {
		if c.b.cfg.Bridge.AutoCreate {
			if err := c.findGroups(ctx); err != nil && ctx.Err() == nil {
				c.b.log.Warn().Err(err).Msg("Failed to look for new groups at Tencent")
			}
		}
		err := c.b.eachMapped(ctx, func(g mapping.Group) error {
			if !inCloud(&g) {
				return nil
			}
			one, cancel := context.WithTimeout(ctx, catchUpTimeout)
			defer cancel()
			if err := c.catchUp(one, g.Key, !done[g.Key]); err == nil {
				done[g.Key] = true
			} else if ctx.Err() == nil {
				c.b.log.Warn().Err(err).Str("group_id", g.GroupID).Msg("Failed to catch up with a group, the next time will do")
			}
			return ctx.Err()
		})
		if err != nil && ctx.Err() == nil {
			c.b.log.Error().Err(err).Msg("Failed to list groups to catch up with")
		}
		if !sleep(ctx, c.b.cfg.Tencent.CatchUpInterval) {
			return
		}
	}
}

// catchUpSoon catches up, after the commit and a while, with a group of which something was missed.
func (c *cloud) catchUpSoon(s *session, g *mapping.Group, wait time.Duration) {
	key := g.Key
	s.after = append(s.after, func() {
		c.b.background(fmt.Sprint("catch up ", key), func(ctx context.Context) error {
			if !sleep(ctx, wait) {
				return nil
			}
			return c.catchUp(ctx, key, true)
		})
	})
}

// gapSoon is catchUpSoon for a message that is not the next one: those between may only be late, and then Tencent is not asked.
func (c *cloud) gapSoon(s *session, g *mapping.Group) {
	key := g.Key
	s.after = append(s.after, func() {
		c.b.background(fmt.Sprint("gap ", key), func(ctx context.Context) error {
			if !sleep(ctx, gapWait) {
				return nil
			}
			g, err := c.b.maps.GroupByKey(ctx, key)
			if err != nil || !inCloud(&g) {
				return err
			}
			if missing, err := c.missingTo(ctx, &g, g.LastSeq); err != nil || missing.IsEmpty() {
				return err
			}
			return c.catchUp(ctx, key, true)
		})
	})
}

// findGroups makes rooms for groups whose making was missed.
func (c *cloud) findGroups(ctx context.Context) error {
	for next := uint64(0); ; {
		page, err := c.client.GetAppidGroupList(ctx, tencent.MaxGroupPage, next, "")
		if err != nil {
			return err
		}
		for _, groupID := range page.GroupIDs {
			if _, err := c.b.maps.GroupByID(ctx, groupID); !isNotFound(err) {
				continue
			}
			if err := c.createRoomNow(ctx, groupID); err != nil {
				zerolog.Ctx(ctx).Warn().Err(err).Str("group_id", groupID).Msg("Failed to make a room for a group")
			}
		}
		if next = page.Next; next == 0 {
			return nil
		}
	}
}

// catchUp compares one group with Tencent's record of it. away tells that webhooks have surely been missed: then it is also looked
// which of the known messages have been recalled, of which nothing else tells.
func (c *cloud) catchUp(ctx context.Context, key mapping.GroupKey, away bool) error {
	g, err := c.b.maps.GroupByKey(ctx, key)
	if err != nil || !inCloud(&g) {
		return err
	}
	info, err := c.groupInfo(ctx, g.GroupID)
	if isCode(err, receipts.CodeGroupNotFound) {
		return c.destroyed(ctx, g.GroupID)
	} else if err != nil {
		return err
	}
	if err = c.catchUpInfo(ctx, &g, info); err != nil {
		return err
	}
	if hasReceipts(&g) { // those types have no list of members either
		if err = c.catchUpMembers(ctx, &g); err != nil {
			return err
		}
	}
	if !keepsHistory(&g) {
		return nil
	}
	if away {
		if err = c.catchUpRecalls(ctx, &g); err != nil {
			return err
		}
	}
	if err = c.catchUpMessages(ctx, &g, info); err != nil || !hasReceipts(&g) {
		return err
	}
	return c.catchUpReceipts(ctx, &g)
}

func (c *cloud) catchUpInfo(ctx context.Context, g *mapping.Group, info tencent.GroupInfo) error {
	info.Name, info.Type = cmp.Or(info.Name, g.Name), cmp.Or(info.Type, g.Type)
	if info.Name == g.Name && info.Type == g.Type {
		return nil
	}
	return c.b.commits.do(ctx, func(ctx context.Context, s *session) error {
		now, err := s.group(ctx, g.Key)
		if err != nil || !inCloud(now) {
			return err
		}
		now.Type = info.Type
		if err = s.renamed(ctx, now, info.Name); err == nil {
			g.Type, g.Name = now.Type, now.Name
		}
		return err
	})
}

// catchUpMembers brings the members in line with Tencent's list, unless they have changed while it was read.
func (c *cloud) catchUpMembers(ctx context.Context, g *mapping.Group) error {
	before := c.movements(g.Key)
	accounts, all, err := c.tencentMembers(ctx, g.GroupID)
	if err != nil {
		return err
	}
	err = c.b.commits.do(ctx, func(ctx context.Context, s *session) error {
		g, err := s.group(ctx, g.Key)
		if err != nil || !inCloud(g) || c.movements(g.Key) != before {
			return err
		}
		return s.tencentMembers(ctx, g, accounts, all)
	})
	if err == nil {
		c.profileGhosts(g.Key)
	}
	return err
}

// tencentMembers takes a list of who is in the Tencent group. Only where it has all of them does it say who is not.
func (s *session) tencentMembers(ctx context.Context, g *mapping.Group, accounts []string, all bool) error {
	present := make(map[string]bool, len(accounts))
	for _, account := range accounts {
		present[account] = true
	}
	members, err := s.b.maps.Members(ctx, g.Key)
	if err != nil {
		return err
	}
	var left []string
	known := make(map[string]bool, len(members))
	for _, m := range members {
		if m.User.Kind == receipts.KindAccount || !m.Membership.IsMember() {
			continue
		}
		known[m.User.UserID] = true
		if all && m.User.Kind == receipts.KindGhost && !present[m.User.UserID] {
			left = append(left, m.User.UserID)
		}
	}
	joins, err := s.b.own.JoinsOf(ctx, g.Key)
	if err != nil {
		return err
	}
	keys := make([]mapping.UserKey, len(joins))
	for i, j := range joins {
		keys[i] = j.User
	}
	if err = s.loadUsers(ctx, keys); err != nil {
		return err
	}
	for _, j := range joins {
		u := s.users[j.User]
		// Who has been linked has no place there.
		known[u.UserID] = j.Joined && (u.AliasOf == 0 || !j.Wanted)
		if all && j.Joined && j.Wanted && !present[u.UserID] { // he is brought in again
			j.Joined, j.Due, j.Attempts = false, s.now, 0
			s.work = true
			if err = s.b.own.PutJoin(ctx, j); err != nil {
				return err
			}
		}
	}
	joined := slices.DeleteFunc(slices.Clone(accounts), func(account string) bool { return known[account] })
	if len(joined) > 0 {
		if err = s.tencentMembersJoined(ctx, g, joined); err != nil {
			return err
		}
	}
	if len(left) > 0 {
		return s.tencentMembersLeft(ctx, g, left, true)
	}
	return nil
}
