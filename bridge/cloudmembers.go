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
		u, err := s.b.maps.UserByID(ctx, account)
		known := !isNotFound(err)
		if err != nil && known {
			return err
		}
		switch {
		case !known && accountForm(account):
			// The account of a Matrix user whom we do not know (any more). He would never get it back from a ghost of that name.
		case known && (u.Kind == receipts.KindAccount || u.AliasOf != 0):
			if err = s.accountArrived(ctx, g, u); err != nil {
				return err
			}
		default:
			others = append(others, v2tim.MemberAccount{Member_Account: account})
		}
	}
	s.b.cloud.membersMoved(g.Key)
	if len(others) == 0 {
		return nil
	}
	key := g.Key
	s.after = append(s.after, func() { s.b.cloud.profileGhosts(key) })
	if _, err := s.addMembers(ctx, g, others); err != nil {
		return err
	}
	for _, m := range others { // one who has been told to us as a member all the time may have had receipts refused meanwhile
		u, err := s.b.maps.UserByID(ctx, m.Member_Account)
		if isNotFound(err) || err == nil && u.Kind != receipts.KindLinked {
			continue
		} else if err != nil {
			return err
		}
		if row, _, err := s.reader(ctx, g.Key, u.Key); err != nil {
			return err
		} else if !row.Tencent.ContainsAll(row.Read) {
			s.ackDue(row)
		}
	}
	return nil
}

// accountArrived hears that the account of a Matrix user is in the Tencent group. It belongs there as long as he is in the room, and not
// since he has been linked with an account of his own.
func (s *session) accountArrived(ctx context.Context, g *mapping.Group, account mapping.User) error {
	_, membership, err := s.reader(ctx, g.Key, account.Key)
	if err != nil {
		return err
	} else if account.AliasOf == 0 && membership.IsMember() {
		return s.tencentJoined(ctx, g, account, true)
	}
	return s.takeOut(ctx, g, account)
}

// tencentMembersLeft takes that accounts are members no more. With remove, Matrix users whose account was put out of the group are put
// out of the room too.
func (s *session) tencentMembersLeft(ctx context.Context, g *mapping.Group, accounts []string, remove bool) error {
	head, err := s.b.maps.Head(ctx, g.RoomID)
	if err != nil {
		return err
	}
	for _, account := range accounts {
		u, err := s.b.maps.UserByID(ctx, account)
		if isNotFound(err) {
			continue
		} else if err != nil {
			return err
		}
		if u.Kind == receipts.KindAccount || u.AliasOf != 0 {
			if kicked, err := s.accountLeft(ctx, g, u, remove); err != nil {
				return err
			} else if !kicked {
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

// accountLeft hears that the account of a Matrix user is not in the Tencent group any more. kicked tells that he has to leave the room too.
func (s *session) accountLeft(ctx context.Context, g *mapping.Group, u mapping.User, remove bool) (kicked bool, err error) {
	j, err := s.b.own.JoinOf(ctx, g.Key, u.Key)
	if err != nil || !j.Joined {
		return false, err
	}
	if !remove && j.Wanted { // we took him out, and brought him in again since: whichever was the last, he should be in
		j.Joined, j.Due, j.Attempts = false, s.now, 0
		s.work = true
		return false, s.b.own.PutJoin(ctx, j)
	}
	return remove && u.AliasOf == 0, s.tencentJoined(ctx, g, u, false)
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
	c.b.background("create "+groupID, func(ctx context.Context) error {
		for attempts := 1; ; attempts++ {
			err := c.createRoomNow(ctx, groupID)
			var there *matrix.TemporaryError
			var here *tencent.TemporaryError
			if !errors.As(err, &there) && !errors.As(err, &here) || !sleep(ctx, backoff(attempts, 0)) {
				return err // the catch-up makes what is not made here
			}
		}
	})
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
	if err = c.b.hs.EnsureBot(ctx); err != nil { // right after the first start it may not be
		return err
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
		members, _, err = c.tencentMembers(ctx, groupID)
	}
	var refused *tencent.APIError
	if errors.As(err, &refused) {
		return info, nil, receipts.NewError(refused.Code, "Tencent says: "+refused.Code.String())
	}
	return info, members, err
}

// groupInfo asks Tencent about one group.
func (c *cloud) groupInfo(ctx context.Context, groupID string) (tencent.GroupInfo, error) {
	infos, err := c.client.GetGroupInfo(ctx, []string{groupID})
	if err != nil {
		return tencent.GroupInfo{}, err
	}
	for _, info := range infos {
		if info.GroupId == groupID {
			if info.ErrorCode != 0 {
				return info, &tencent.APIError{Command: "get_group_info", Code: receipts.Code(info.ErrorCode)}
			}
			return info, nil
		}
	}
	return tencent.GroupInfo{}, errors.New("failed to read group: Tencent did not answer about it")
}

// maxMembers bounds how many members of a group are looked at. Tencent's largest groups that are no communities have 6,000.
const maxMembers = 10_000

// tencentMembers lists the members of a group. all tells that these are all of them: pages may be shorter than was asked for, and may
// move while they are read.
func (c *cloud) tencentMembers(ctx context.Context, groupID string) (accounts []string, all bool, err error) {
	for len(accounts) < maxMembers {
		const page = 100 // as Tencent advises
		list, err := c.client.GetGroupMemberInfo(ctx, groupID, page, len(accounts))
		if err != nil {
			return nil, false, err
		}
		for _, m := range list.MemberList {
			accounts = append(accounts, m.Member_Account)
		}
		if all = len(accounts) >= int(list.MemberNum); all && list.MemberNum > 0 || len(list.MemberList) == 0 {
			break
		}
	}
	return accounts, all, nil
}

// linkCloud takes what Tencent said of a group that has just been linked. What was written before is not ours to show; what happened
// since Tencent was asked, and what is missing of one that was linked already, the catch-up finds.
func (s *session) linkCloud(ctx context.Context, g *mapping.Group, info tencent.GroupInfo, members []string) error {
	s.b.cloud.catchUpSoon(s, g, 0)
	if _, anew := s.remapped[g.Key]; !anew {
		return nil
	}
	if err := s.b.own.DropPause(ctx, g.Key); err != nil { // somebody may have bought the package since
		return err
	}
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
