package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// admin implements v2tim.Admin: what is mapped to what. It is safe for concurrent use.
type admin struct {
	*Bridge
}

// refused turns an error of the mapping into one of the server API: what is malformed, missing or taken is the caller's to mend.
func refused(err error) error {
	switch {
	case isConflict(err), errors.Is(err, mapping.ErrInvalid):
		return receipts.NewError(receipts.CodeGroupInvalidParameters, err.Error())
	case isNotFound(err):
		return receipts.NewError(receipts.CodeGroupNotFound, err.Error())
	}
	return err
}

// MapGroup implements v2tim.Admin. The bot enters the room first: a mapping to a room that we cannot hear would be a lie.
func (b admin) MapGroup(ctx context.Context, req v2tim.MapGroupRequest) (resp v2tim.MapGroupResponse, err error) {
	g, err := b.newGroup(req)
	if err != nil {
		return resp, refused(err)
	}
	if g.SeqSource == mapping.SeqSourceCloud && len(req.MemberList) > 0 {
		return resp, inTencentCloud()
	}
	for _, m := range req.MemberList {
		if err = mapping.ValidateUserID(m.Member_Account); err != nil {
			return resp, refused(err)
		}
	}
	if strings.HasPrefix(req.RoomId, "#") {
		if g.RoomID, err = b.hs.ResolveAlias(ctx, id.RoomAlias(req.RoomId)); err != nil {
			return resp, roomError(err, "the alias does not lead to a room")
		}
	}
	var info tencent.GroupInfo
	var accounts []string
	if g.SeqSource == mapping.SeqSourceCloud {
		if info, accounts, err = b.cloud.cloudGroup(ctx, g.GroupID); err != nil {
			return resp, err
		}
		g.Type, g.Name = info.Type, cmp.Or(info.Name, g.Name)
	}
	if err = b.hs.JoinBot(ctx, g.RoomID); err != nil {
		return resp, roomError(err, fmt.Sprintf("the bot %s cannot join the room: invite it first", b.bot()))
	}
	asOf, err := b.maps.Head(ctx, g.RoomID)
	if err != nil {
		return resp, err
	}
	present, err := b.hs.JoinedMembers(ctx, g.RoomID)
	if err != nil {
		return resp, roomError(err, "the bot cannot see who is in the room")
	}
	err = b.commits.do(ctx, func(ctx context.Context, s *session) error {
		mapped, err := s.mapGroup(ctx, g, present, asOf)
		if err != nil {
			return err
		}
		if mapped.SeqSource == mapping.SeqSourceCloud {
			if err = s.linkCloud(ctx, mapped, info, accounts); err != nil {
				return err
			}
		}
		resp = v2tim.MapGroupResponse{GroupId: mapped.GroupID, RoomId: mapped.RoomID.String(), Type: mapped.Type, Name: mapped.Name, SeqSource: string(mapped.SeqSource)}
		resp.MemberList, err = s.addMembers(ctx, mapped, req.MemberList)
		return err
	})
	if err == nil {
		b.hs.SyncNow() // receipts made before the bot was there
	}
	return resp, refused(err)
}

// roomError is what the caller has to know when the homeserver says no.
func roomError(err error, text string) error {
	if temporary := (*matrix.TemporaryError)(nil); errors.As(err, &temporary) {
		// Dendrite says 500 to a room that it does not know, so that trying again may not be all there is to do.
		return receipts.NewError(receipts.CodeGroupInternalError, "the homeserver failed, try again or look whether there is such a room ("+err.Error()+")")
	}
	return receipts.NewError(receipts.CodeGroupInvalidParameters, text+" ("+err.Error()+")")
}

// inTencentCloud sends who wants to change members of a cloud group to where that is done.
func inTencentCloud() error {
	return receipts.NewError(receipts.CodePermissionDeny, "the group lives in Tencent Cloud: its members are changed there")
}

// newGroup reads a request. What it does not say stays empty, see settle; but with Tencent Cloud a group is one that lives there, unless
// the request says something else.
func (b *Bridge) newGroup(req v2tim.MapGroupRequest) (g mapping.Group, err error) {
	g = mapping.Group{GroupID: req.GroupId, RoomID: id.RoomID(req.RoomId), Type: req.Type, Name: req.Name, SeqSource: mapping.SeqSource(req.SeqSource), ToMatrix: true, ToTencent: true}
	if err = mapping.ValidateGroupID(g.GroupID); err != nil {
		return g, err
	}
	if g.SeqSource == "" && b.cloud != nil {
		g.SeqSource = mapping.SeqSourceCloud
	}
	switch {
	case g.SeqSource == "", g.SeqSource.Valid() && (g.SeqSource != mapping.SeqSourceCloud || b.cloud != nil):
	case g.SeqSource == mapping.SeqSourceCloud:
		return g, fmt.Errorf("%w: SeqSource cloud needs tencent.mode cloud", mapping.ErrInvalid)
	default:
		return g, fmt.Errorf("%w: SeqSource is own, stamped or cloud", mapping.ErrInvalid)
	}
	switch g.Type {
	case "", "Public", "Work", "Private", "Meeting", "ChatRoom", "AVChatRoom", "Community":
	default:
		return g, fmt.Errorf("%w: Type is Public, Work, Meeting, AVChatRoom or Community", mapping.ErrInvalid)
	}
	if strings.HasPrefix(req.RoomId, "#") {
		return g, nil
	}
	return g, mapping.ValidateRoomID(g.RoomID)
}

// settle fills in what the request has left open: as the group is known, else Public and numbered by us. A group that Tencent Cloud
// has numbered goes on with us.
func settle(g, before mapping.Group) mapping.Group {
	if g.SeqSource == "" {
		g.SeqSource = mapping.SeqSourceOwn
		if before.SeqSource == mapping.SeqSourceStamped {
			g.SeqSource = before.SeqSource
		}
	}
	if g.Type == "" && before.Type == "" {
		g.Type = "Public"
	}
	return g
}

func (s *session) mapGroup(ctx context.Context, g mapping.Group, present []id.UserID, asOf receipts.Pos) (*mapping.Group, error) {
	before, err := s.b.maps.GroupByID(ctx, g.GroupID)
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	g = settle(g, before)
	if before.RoomID == g.RoomID && before.Key != 0 && before.SeqSource == g.SeqSource { // the same again: only learn who is there
		known, err := s.group(ctx, before.Key)
		if err != nil {
			return nil, err
		}
		return known, s.members(ctx, known, present, asOf)
	}
	if g.LinkedPos, err = s.b.maps.Head(ctx, g.RoomID); err != nil {
		return nil, err
	}
	g.LinkedPosKnown = true
	mapped, err := s.b.maps.MapGroup(ctx, g)
	if err != nil {
		return nil, err
	}
	s.forgetGroup(mapped.Key)
	known, err := s.group(ctx, mapped.Key)
	if err != nil {
		return nil, err
	}
	if known.SeqSource != mapping.SeqSourceCloud { // what it was before does not matter any more
		if err = s.b.own.DropPause(ctx, known.Key); err != nil {
			return nil, err
		}
	}
	if err = s.enterLinked(ctx, known); err != nil {
		return nil, err
	}
	if err = s.b.own.MoveOutgoing(ctx, known.Key, known.RoomID); err != nil {
		return nil, err
	}
	s.work = true
	return known, s.members(ctx, known, present, asOf)
}

// UnmapGroup implements v2tim.Admin. What was read and who belongs to the group on the Tencent side stays.
func (b admin) UnmapGroup(ctx context.Context, req v2tim.UnmapGroupRequest) error {
	g, err := b.groupByID(ctx, req.GroupId)
	if err != nil {
		return err
	} else if g.RoomID == "" {
		return nil
	}
	return refused(b.commits.do(ctx, func(ctx context.Context, s *session) error {
		known, err := s.group(ctx, g.Key)
		if err != nil {
			return err
		}
		room := known.RoomID
		members, err := b.maps.Members(ctx, g.Key)
		if err != nil {
			return err
		}
		head, err := b.maps.Head(ctx, room)
		if err != nil {
			return err
		}
		for _, m := range members {
			if m.User.Kind == receipts.KindAccount && m.Membership.IsMember() { // in the group by being in the room
				if err = s.leaveTencent(ctx, known, m.User); err != nil {
					return err
				}
				if err = s.memberLeft(ctx, known, m.User, head); err != nil {
					return err
				}
			}
		}
		if err = b.maps.UnmapGroup(ctx, g.Key); err != nil {
			return err
		}
		if err = b.own.DropPause(ctx, g.Key); err != nil {
			return err
		}
		s.forgetGroup(g.Key)
		// What waits to be sent waits for the next room: this one may become another group's.
		if err = b.own.MoveOutgoing(ctx, g.Key, ""); err != nil {
			return err
		}
		return s.leaveRoom(ctx, g.Key, room)
	}))
}

// AddGroupMember implements v2tim.Admin.
func (b admin) AddGroupMember(ctx context.Context, req v2tim.AddGroupMemberRequest) (resp v2tim.AddGroupMemberResponse, err error) {
	g, err := b.groupByID(ctx, req.GroupId)
	if err != nil {
		return resp, err
	} else if g.SeqSource == mapping.SeqSourceCloud {
		return resp, inTencentCloud()
	}
	err = b.commits.do(ctx, func(ctx context.Context, s *session) error {
		known, err := s.group(ctx, g.Key)
		if err != nil {
			return err
		}
		resp.MemberList, err = s.addMembers(ctx, known, req.MemberList)
		return err
	})
	return resp, refused(err)
}

// addMembers makes Tencent users members. One that is no valid UserID fails alone, as with Tencent.
func (s *session) addMembers(ctx context.Context, g *mapping.Group, list []v2tim.MemberAccount) ([]v2tim.MemberResult, error) {
	head := receipts.Pos(0)
	if g.RoomID != "" {
		var err error
		if head, err = s.b.maps.Head(ctx, g.RoomID); err != nil {
			return nil, err
		}
	}
	results := make([]v2tim.MemberResult, len(list))
	for i, m := range list {
		results[i] = v2tim.MemberResult{Member_Account: m.Member_Account, Result: v2tim.MemberFailed}
		if mapping.ValidateUserID(m.Member_Account) != nil {
			continue
		}
		u, err := s.tencentUser(ctx, m.Member_Account)
		if err != nil {
			return nil, err
		}
		changed, err := s.b.maps.Join(ctx, g.Key, u.Key, g.LastSeq, head, g.RoomID != "")
		if err != nil {
			return nil, err
		}
		results[i].Result = v2tim.MemberAlready
		if changed {
			results[i].Result = v2tim.MemberAdded
			if err = s.joined(ctx, g, u); err != nil {
				return nil, err
			}
		}
		if g.RoomID != "" {
			if err = s.roomTask(ctx, g.RoomID, u.Key); err != nil {
				return nil, err
			}
		}
	}
	s.mapped = true // a call that waits may now be a member's
	return results, nil
}

// tencentUser finds a Tencent user or makes one, with his ghost's name.
func (s *session) tencentUser(ctx context.Context, userID string) (mapping.User, error) {
	u, err := s.b.person(ctx, userID)
	if isNotFound(err) {
		u, err = s.b.maps.EnsureUser(ctx, mapping.User{
			UserID: userID, Kind: receipts.KindGhost, MXID: mapping.GhostMXID(s.b.cfg.AppService.GhostPrefix(), userID, s.b.cfg.Homeserver.Domain),
		})
	}
	if err == nil {
		s.users[u.Key] = u
	}
	return u, err
}

// DeleteGroupMember implements v2tim.Admin. Ghosts leave the room; real Matrix users are removed from it.
func (b admin) DeleteGroupMember(ctx context.Context, req v2tim.DeleteGroupMemberRequest) error {
	g, err := b.groupByID(ctx, req.GroupId)
	if err != nil {
		return err
	} else if g.SeqSource == mapping.SeqSourceCloud {
		return inTencentCloud()
	}
	return refused(b.commits.do(ctx, func(ctx context.Context, s *session) error {
		known, err := s.group(ctx, g.Key)
		if err != nil {
			return err
		}
		head := receipts.Pos(0)
		if known.RoomID != "" {
			if head, err = b.maps.Head(ctx, known.RoomID); err != nil {
				return err
			}
		}
		for _, userID := range req.MemberToDel_Account {
			u, err := b.person(ctx, userID)
			if isNotFound(err) {
				continue
			} else if err != nil {
				return err
			}
			if err = s.memberLeft(ctx, known, u, head); err != nil {
				return err
			}
			if known.RoomID != "" {
				if err = s.roomTask(ctx, known.RoomID, u.Key); err != nil {
					return err
				}
			}
		}
		return nil
	}))
}
