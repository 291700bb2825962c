package bridge

import (
	"context"
	"encoding/json"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// memberEvent keeps the group's membership true to the room's.
func (s *session) memberEvent(ctx context.Context, g *mapping.Group, ev *matrix.Event, pos receipts.Pos) error {
	mxid := id.UserID(*ev.StateKey)
	membership := membershipOf(ev)
	if mxid == s.b.bot() {
		switch membership {
		case "leave", "ban":
			zerolog.Ctx(ctx).Warn().Stringer("room_id", ev.RoomID).Str("group_id", g.GroupID).Msg("The bot was removed from a bridged room; invite it again or unmap the group")
		case "invite":
			room := ev.RoomID
			s.after = append(s.after, func() { s.b.enterRoom(room) })
		}
	}
	if s.b.ownBot(mxid) {
		return nil
	}
	users, err := s.usersOf(ctx, []id.UserID{mxid})
	if err != nil {
		return err
	}
	u := users[mxid]
	if u.Kind == receipts.KindLinked && u.MXID != mxid && membership == "join" {
		return s.roomTask(ctx, g.RoomID, u.Key) // his ghost, which was on its way in when he was linked: it goes again
	}
	if s.b.foreignPuppet(u) || u.MXID != mxid {
		return nil // the latter: the ghost of somebody who has been linked since
	}
	switch membership {
	case "join":
		if u.Kind == receipts.KindGhost {
			return s.ghostJoined(ctx, g, u)
		}
		if err = s.profileOf(ctx, g, u); err != nil {
			return err
		}
		if err = s.joinPlaced(ctx, g, u, ev); err != nil {
			return err
		}
		return s.memberJoined(ctx, g, u, pos, true)
	case "invite":
		// Somebody lets a ghost in where the bot may not: it need not wait for the next try. The bot's own invitations are one.
		if u.Kind == receipts.KindGhost && ev.Sender != s.b.bot() {
			return s.invited(ctx, g, u)
		}
	case "leave", "ban":
		// A ghost leaves by itself only when we told it to, which the membership knows already; should its user be back since, it
		// follows. Removed by somebody else, the Tencent user is out of the group.
		if u.Kind == receipts.KindGhost && ev.Sender == mxid {
			return s.invited(ctx, g, u)
		}
		if err = s.leavePlaced(ctx, g, u); err != nil {
			return err
		}
		if err = s.leaveTencent(ctx, g, u); err != nil {
			return err
		}
		return s.memberLeft(ctx, g, u, pos)
	}
	return nil
}

func (s *session) memberJoined(ctx context.Context, g *mapping.Group, u mapping.User, pos receipts.Pos, posKnown bool) error {
	changed, err := s.b.maps.Join(ctx, g.Key, u.Key, g.LastSeq, pos, posKnown)
	if err != nil {
		return err
	}
	if s.b.cfg.Bridge.MatrixMembers == config.MatrixMembersAll {
		if err = s.wantJoin(ctx, g, u); err != nil {
			return err
		}
	}
	if !changed {
		return s.letIn(ctx, g, u)
	}
	return s.joined(ctx, g, u)
}

// letIn looks at the marker of somebody who was a member already: he may have been refused before and be let in now.
func (s *session) letIn(ctx context.Context, g *mapping.Group, u mapping.User) error {
	row, _, err := s.reader(ctx, g.Key, u.Key)
	if err == nil && u.Kind != receipts.KindAccount && row.Latest > row.Shown {
		s.due(row)
	}
	return err
}

// ghostJoined hears that a ghost is in the room. That makes no member: it is there because its user is in the group, not the other way
// round. Should he have left meanwhile, it goes again.
func (s *session) ghostJoined(ctx context.Context, g *mapping.Group, u mapping.User) error {
	_, membership, err := s.reader(ctx, g.Key, u.Key)
	if err != nil {
		return err
	} else if !membership.IsMember() {
		if inCloud(g) && !hasReceipts(g) {
			return nil // nobody tells who is in such a group
		}
		return s.roomTask(ctx, g.RoomID, u.Key)
	}
	return s.letIn(ctx, g, u)
}

// invited has a ghost come in that was invited, or has gone out, if its user is in the group.
func (s *session) invited(ctx context.Context, g *mapping.Group, u mapping.User) error {
	_, membership, err := s.reader(ctx, g.Key, u.Key)
	if err != nil || !membership.IsMember() {
		return err
	}
	return s.roomTask(ctx, g.RoomID, u.Key)
}

func (s *session) memberLeft(ctx context.Context, g *mapping.Group, u mapping.User, pos receipts.Pos) error {
	_, err := s.b.maps.Leave(ctx, g.Key, u.Key, g.LastSeq, pos)
	delete(s.memberships, reader{g.Key, u.Key})
	return err
}

// strangers asks the homeserver who is in the room, after the commit: somebody acts there of whom we do not know that he is in.
func (s *session) strangers(g *mapping.Group, u mapping.User) {
	room := g.RoomID
	s.after = append(s.after, func() { s.b.refreshMembers(room) })
}

// members takes a full list of who is in the room, as the homeserver gave it when it was asked; asOf is the room's head before that.
// What is known of later places is newer than the list and stays.
//
// Who was not known as a member has joined somewhere before. He begins at asOf and not at the place of the linking: his join may still
// be on its way to us, and what he finds in the room then was not said to him. Where that place is not known the rules have a window.
func (s *session) members(ctx context.Context, g *mapping.Group, mxids []id.UserID, asOf receipts.Pos) error {
	var list []id.UserID
	for _, mxid := range mxids {
		if !s.b.ownBot(mxid) {
			list = append(list, mxid)
		}
	}
	users, err := s.usersOf(ctx, list)
	if err != nil {
		return err
	}
	current, err := s.b.maps.Members(ctx, g.Key)
	if err != nil {
		return err
	}
	known := make(map[mapping.UserKey]receipts.Membership, len(current))
	for _, m := range current {
		known[m.User.Key] = m.Membership
	}
	present := make(map[mapping.UserKey]bool)
	for _, mxid := range list {
		u := users[mxid]
		if s.b.foreignPuppet(u) || u.MXID != mxid {
			continue
		}
		present[u.Key] = true
		switch membership := known[u.Key]; {
		case u.Kind == receipts.KindGhost: // in the group by the word of the Tencent side only
		case membership.IsMember():
			if u.Kind == receipts.KindLinked {
				err = s.letIn(ctx, g, u)
			} else if s.b.cfg.Bridge.MatrixMembers == config.MatrixMembersAll {
				err = s.wantJoin(ctx, g, u)
			}
		case changedAfter(membership, asOf): // he has left since
		default:
			err = s.listedJoined(ctx, g, u, asOf)
		}
		if err != nil {
			return err
		}
	}
	head, err := s.b.maps.Head(ctx, g.RoomID)
	if err != nil {
		return err
	}
	for _, m := range current {
		switch {
		case !m.Membership.IsMember() || present[m.User.Key]:
		case m.User.Kind == receipts.KindGhost:
			if err = s.roomTask(ctx, g.RoomID, m.User.Key); err != nil {
				return err
			}
		case m.User.Kind == receipts.KindLinked: // a member by the word of the Tencent side too
		case changedAfter(m.Membership, asOf): // he has joined since
		default:
			if err = s.listedLeft(ctx, g, m.User, head); err != nil {
				return err
			}
		}
	}
	return nil
}

// changedAfter tells whether somebody joined or left at a place of the room above pos.
func changedAfter(membership receipts.Membership, pos receipts.Pos) bool {
	for _, stay := range membership {
		if stay.JoinedPosKnown && stay.JoinedPos > pos || stay.Left && stay.LeftPos > pos {
			return true
		}
	}
	return false
}

// roomTask asks for a look at whether a ghost is in the room if and only if it should be.
func (s *session) roomTask(ctx context.Context, room id.RoomID, user mapping.UserKey) error {
	s.work = true
	return s.b.own.PutRoomTask(ctx, bridgedb.RoomTask{RoomID: room, User: user, Due: s.now})
}

// tombstone follows a room upgrade: the group moves to the new room.
func (s *session) tombstone(ctx context.Context, g *mapping.Group, ev *matrix.Event) error {
	var content struct {
		Replacement id.RoomID `json:"replacement_room"`
	}
	if json.Unmarshal(ev.Content, &content) != nil || mapping.ValidateRoomID(content.Replacement) != nil || content.Replacement == g.RoomID {
		return nil
	}
	if other, err := s.groupOfRoom(ctx, content.Replacement); err != nil {
		return err
	} else if other != nil {
		zerolog.Ctx(ctx).Warn().Str("group_id", g.GroupID).Stringer("room_id", content.Replacement).Msg("Not following room upgrade: the new room is another group's")
		return nil
	}
	return s.moveGroup(ctx, g, content.Replacement)
}

// moveGroup makes room the group's room. What was shown and claimed belonged to the old one.
func (s *session) moveGroup(ctx context.Context, g *mapping.Group, room id.RoomID) error {
	old := g.RoomID
	head, err := s.b.maps.Head(ctx, room)
	if err != nil {
		return err
	}
	if err = s.b.maps.MoveGroup(ctx, g.Key, room, head); err != nil {
		return err
	}
	if err = s.leaveRoom(ctx, g.Key, old); err != nil {
		return err
	}
	if err = s.b.own.MoveOutgoing(ctx, g.Key, room); err != nil {
		return err
	}
	s.after = append(s.after, func() { s.b.enterRoom(room) })
	s.forgetGroup(g.Key)
	return s.ghostTasks(ctx, g.Key, room)
}

// leaveRoom forgets what readers showed and claimed in a room that is no longer the group's, and sends its ghosts out of it.
func (s *session) leaveRoom(ctx context.Context, group mapping.GroupKey, old id.RoomID) error {
	err := s.keepShown(ctx, group, old)
	if err != nil {
		return err
	}
	if err = s.changeStored(ctx, group, func() error { return s.b.reads.ResetRoom(ctx, group) }); err != nil {
		return err
	}
	if err = s.b.maps.ForgetPlaces(ctx, group); err != nil {
		return err
	}
	if err = s.b.own.DropGuesses(ctx, group); err != nil {
		return err
	}
	clear(s.memberships)
	if old == "" {
		return nil
	}
	return s.ghostTasks(ctx, group, old)
}

// ghostTasks asks for a look at the place of each of the group's ghosts in the room.
func (s *session) ghostTasks(ctx context.Context, group mapping.GroupKey, room id.RoomID) error {
	members, err := s.b.maps.Members(ctx, group)
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.User.Kind == receipts.KindGhost && m.Membership.IsMember() {
			if err = s.roomTask(ctx, room, m.User.Key); err != nil {
				return err
			}
		}
	}
	return nil
}
