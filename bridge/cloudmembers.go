package bridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// tencentMembersJoined takes that accounts are members of the Tencent group: ghosts enter the room, Matrix users' accounts have arrived.
func (s *session) tencentMembersJoined(ctx context.Context, g *mapping.Group, accounts []string) error {
	var others []v2tim.MemberAccount
	for _, account := range accounts {
		u, err := s.b.person(ctx, account)
		if err != nil && !isNotFound(err) {
			return err
		}
		if u.Kind == receipts.KindAccount && u.Key != 0 {
			if err = s.tencentJoined(ctx, g, u, true); err != nil {
				return err
			}
			continue
		}
		others = append(others, v2tim.MemberAccount{Member_Account: account})
	}
	s.b.cloud.membersMoved(g.Key)
	if len(others) == 0 {
		return nil
	}
	key := g.Key
	s.after = append(s.after, func() { s.b.cloud.profileGhosts(key) })
	_, err := s.addMembers(ctx, g, others)
	return err
}

// tencentMembersLeft takes that accounts are members no more. With remove, Matrix users whose account was put out of the group are put
// out of the room too.
func (s *session) tencentMembersLeft(ctx context.Context, g *mapping.Group, accounts []string, remove bool) error {
	head, err := s.b.maps.Head(ctx, g.RoomID)
	if err != nil {
		return err
	}
	for _, account := range accounts {
		u, err := s.b.person(ctx, account)
		if isNotFound(err) {
			continue
		} else if err != nil {
			return err
		}
		if u.Kind == receipts.KindAccount {
			j, err := s.b.own.JoinOf(ctx, g.Key, u.Key)
			if err != nil {
				return err
			} else if !j.Joined {
				continue
			}
			if err = s.tencentJoined(ctx, g, u, false); err != nil {
				return err
			} else if !remove {
				continue
			}
		}
		if err = s.memberLeft(ctx, g, u, head); err != nil {
			return err
		}
		if err = s.roomTask(ctx, g.RoomID, u.Key); err != nil {
			return err
		}
	}
	s.b.cloud.membersMoved(g.Key)
	s.work = true
	return s.b.own.ReleaseJoins(ctx, g.Key, s.now) // there is a place free
}

// membersMoved notes that something is known of a group's members that is newer than a list that was asked for before.
func (c *cloud) membersMoved(group mapping.GroupKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved[group]++
}

func (c *cloud) movements(group mapping.GroupKey) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moved[group]
}

// groupInfoChanged takes a group's new name, for a room that we made to its title too.
func (s *session) groupInfoChanged(ctx context.Context, g *mapping.Group, e *tencent.GroupInfoChanged) error {
	if e.Name == nil || *e.Name == "" || *e.Name == g.Name {
		return nil
	}
	return s.renamed(ctx, g, *e.Name)
}

func (s *session) renamed(ctx context.Context, g *mapping.Group, name string) error {
	changed := *g
	changed.Name = name
	mapped, err := s.b.maps.MapGroup(ctx, changed)
	if err != nil {
		return err
	}
	*g = mapped
	room := g.RoomID
	s.after = append(s.after, func() {
		s.b.background("name "+room.String(), func(ctx context.Context) error {
			ours, err := s.b.hs.CreatedByBot(ctx, room)
			if err != nil || !ours {
				return err
			}
			return s.b.hs.SetRoomName(ctx, room, name)
		})
	})
	return nil
}

// destroyed looks whether a group is really gone, and ends its mapping if so: webhooks may be late, and the group may be there anew.
func (c *cloud) destroyed(ctx context.Context, groupID string) error {
	g, err := c.b.maps.GroupByID(ctx, groupID)
	if isNotFound(err) || err == nil && !inCloud(&g) {
		return nil
	} else if err != nil {
		return err
	}
	if _, err = c.groupInfo(ctx, groupID); !isCode(err, receipts.CodeGroupNotFound) {
		return err
	}
	if err = c.b.hs.SendNotice(ctx, g.RoomID, "The Tencent group was dismissed. This room is not linked any more.", fmt.Sprintf("dismissed_%d_%d", g.Key, g.LastSeq)); err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Stringer("room_id", g.RoomID).Msg("Failed to say in the room that its group was dismissed")
	}
	c.b.log.Info().Str("group_id", groupID).Msg("Tencent group was dismissed")
	return admin{c.b}.UnmapGroup(ctx, v2tim.UnmapGroupRequest{GroupId: groupID})
}

// createRoom makes a room for a new group, in the background; the alias sees to it that there is only one.
func (c *cloud) createRoom(groupID string) {
	if !c.b.cfg.Bridge.AutoCreate || mapping.ValidateGroupID(groupID) != nil {
		return
	}
	c.b.background("create "+groupID, func(ctx context.Context) error { return c.createRoomNow(ctx, groupID) })
}

func (c *cloud) createRoomNow(ctx context.Context, groupID string) error {
	if g, err := c.b.maps.GroupByID(ctx, groupID); err == nil {
		return nil // mapped, or unmapped by somebody's wish
	} else if !isNotFound(err) {
		return fmt.Errorf("failed to look up group %q: %w", g.GroupID, err)
	}
	info, err := c.groupInfo(ctx, groupID)
	if err != nil {
		return err
	}
	if info.Type == "Community" || info.Type == "AVChatRoom" {
		return nil // without members and receipts; whoever wants one links it
	}
	spec := matrix.GroupRoom{AliasLocalpart: c.b.cfg.AppService.GhostPrefix() + id.EncodeUserLocalpart(groupID), Name: info.Name}
	for _, mxid := range c.b.cfg.Bridge.AutoInvite {
		spec.Invite = append(spec.Invite, id.UserID(mxid))
	}
	room, err := c.b.hs.CreateGroupRoom(ctx, spec)
	if err != nil {
		return fmt.Errorf("failed to make room for group %q: %w", groupID, err)
	}
	_, err = admin{c.b}.MapGroup(ctx, v2tim.MapGroupRequest{GroupId: groupID, RoomId: room.String()})
	return err
}

// cloudGroup asks Tencent about a group that is to be linked, and who is in it.
func (c *cloud) cloudGroup(ctx context.Context, groupID string) (info tencent.GroupInfo, members []string, err error) {
	info, err = c.groupInfo(ctx, groupID)
	if err == nil && info.Type != "Community" && info.Type != "AVChatRoom" {
		members, err = c.tencentMembers(ctx, groupID)
	}
	var refused *tencent.APIError
	if errors.As(err, &refused) {
		return info, nil, receipts.NewError(refused.Code, "Tencent says: "+refused.Code.String())
	}
	return info, members, err
}

// maxMembers bounds how many members of a group are looked at. Tencent's largest groups that are no communities have 6,000.
const maxMembers = 10_000

func (c *cloud) tencentMembers(ctx context.Context, groupID string) ([]string, error) {
	var accounts []string
	for len(accounts) < maxMembers {
		const page = 100 // as Tencent advises
		list, err := c.client.GetGroupMemberInfo(ctx, groupID, page, len(accounts))
		if err != nil {
			return nil, err
		}
		for _, m := range list.MemberList {
			accounts = append(accounts, m.Member_Account)
		}
		if len(list.MemberList) < page {
			break
		}
	}
	return accounts, nil
}

// linkCloud takes what Tencent said of a group that has just been linked. What was written before is not ours to show.
func (s *session) linkCloud(ctx context.Context, g *mapping.Group, info tencent.GroupInfo, members []string) error {
	if next := info.NextMsgSeq; next > 0 && next <= maxCloudSeq {
		if err := s.b.maps.RaiseSeq(ctx, g.Key, receipts.MsgSeq(next-1)); err != nil {
			return err
		}
		g.LastSeq = max(g.LastSeq, receipts.MsgSeq(next-1))
	}
	if err := s.b.own.SetValue(ctx, caughtUpKey(g.Key), fmt.Sprint(uint64(g.LastSeq))); err != nil {
		return err
	}
	if err := s.tencentMembersJoined(ctx, g, members); err != nil {
		return err
	}
	return s.releaseAcks(ctx, g.Key)
}

// caughtUpKey is where is kept up to which seq a group's history has been looked through.
func caughtUpKey(group mapping.GroupKey) string { return fmt.Sprint(bridgedb.KeyCaughtUp, group) }
