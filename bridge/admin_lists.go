package bridge

import (
	"context"
	"fmt"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// GetGroupMemberInfo implements v2tim.Admin.
func (b admin) GetGroupMemberInfo(ctx context.Context, req v2tim.GetGroupMemberInfoRequest) (resp v2tim.GetGroupMemberInfoResponse, err error) {
	g, err := b.groupByID(ctx, req.GroupId)
	if err != nil {
		return resp, err
	}
	members, err := b.maps.Members(ctx, g.Key)
	if err != nil {
		return resp, err
	}
	rows, err := b.reads.AllReaders(ctx, g.Key)
	if err != nil {
		return resp, err
	}
	latest := make(map[mapping.UserKey]uint64, len(rows))
	for _, row := range rows {
		if ranges := row.Read.Ranges(); len(ranges) > 0 {
			latest[row.User] = uint64(ranges[len(ranges)-1].Last)
		}
	}
	skip, limit := int(min(req.Offset, 1<<30)), int(req.Limit)
	resp.MemberList = []v2tim.MemberProfile{}
	for _, m := range members {
		if !m.Membership.IsMember() {
			continue
		}
		resp.MemberNum++
		if resp.MemberNum <= skip || len(resp.MemberList) >= limit {
			continue
		}
		profile := v2tim.MemberProfile{Member_Account: m.User.UserID, Role: "Member", MsgFlag: "AcceptAndNotify", MsgSeq: latest[m.User.Key], MXID: m.User.MXID.String()}
		resp.MemberList = append(resp.MemberList, profile)
	}
	return resp, nil
}

// GetGroups implements v2tim.Admin.
func (b admin) GetGroups(ctx context.Context, req v2tim.GetGroupsRequest) (resp v2tim.GetGroupsResponse, err error) {
	limit := int(req.Limit)
	groups, err := b.maps.Groups(ctx, req.Next, limit+1)
	if err != nil {
		return resp, err
	}
	counts, err := b.maps.Counts(ctx)
	if err != nil {
		return resp, err
	}
	resp = v2tim.GetGroupsResponse{TotalCount: int(counts.Groups), GroupList: []v2tim.GroupInfo{}}
	if len(groups) > limit {
		groups = groups[:limit]
		resp.Next = groups[limit-1].GroupID
	}
	for _, g := range groups {
		info := v2tim.GroupInfo{GroupId: g.GroupID, RoomId: g.RoomID.String(), Type: g.Type, Name: g.Name, SeqSource: string(g.SeqSource), NextMsgSeq: uint64(g.LastSeq) + 1}
		if info.MemberNum, err = b.maps.MemberCount(ctx, g.Key); err != nil {
			return resp, err
		}
		resp.GroupList = append(resp.GroupList, info)
	}
	return resp, nil
}

// GetGroupMessages implements v2tim.Admin.
func (b admin) GetGroupMessages(ctx context.Context, req v2tim.GetGroupMessagesRequest) (resp v2tim.GetGroupMessagesResponse, err error) {
	g, err := b.groupByID(ctx, req.GroupId)
	if err != nil {
		return resp, err
	}
	limit := int(req.ReqMsgNumber)
	before := receipts.MsgSeq(0) // the newest
	if req.ReqMsgSeq > 0 {
		before = receipts.MsgSeq(req.ReqMsgSeq) + 1
	}
	messages, err := b.maps.MessagesPage(ctx, g.Key, before, limit+1)
	if err != nil {
		return resp, err
	}
	resp = v2tim.GetGroupMessagesResponse{GroupId: g.GroupID, IsFinished: 1, RspMsgList: []v2tim.GroupMessage{}}
	if len(messages) > limit {
		resp.IsFinished, resp.Next = 0, uint64(messages[limit].Seq)
		messages = messages[:limit]
	}
	members, err := b.readers(ctx, g.Key)
	if err != nil {
		return resp, err
	}
	names := make(map[mapping.UserKey]string, len(members))
	for _, m := range members {
		names[m.User] = m.Name
	}
	if err = b.addSenderNames(ctx, names, messages); err != nil {
		return resp, err
	}
	for _, m := range messages {
		read, unread := receipts.Count(m.Message, members)
		item := v2tim.GroupMessage{MsgSeq: uint64(m.Seq), MsgId: m.MsgID, EventId: m.EventID, From_Account: names[m.Sender], MsgTimeStamp: m.At.Unix(), ReadNum: uint64(read), UnreadNum: uint64(unread)}
		if m.Wants != receipts.WantsUnknown {
			wants := v2tim.Bool(m.Wants == receipts.WantsYes)
			item.NeedReadReceipt = &wants
		}
		if m.Recalled {
			item.IsPlaceMsg = 2
		}
		resp.RspMsgList = append(resp.RspMsgList, item)
	}
	return resp, nil
}

// addSenderNames adds the names of senders who were never members, such as the ghosts of another bridge.
func (b *Bridge) addSenderNames(ctx context.Context, names map[mapping.UserKey]string, messages []mapping.Message) error {
	var missing []mapping.UserKey
	for _, m := range messages {
		if _, ok := names[m.Sender]; !ok && m.Sender != 0 {
			missing = append(missing, m.Sender)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	users, err := b.maps.UsersByKey(ctx, missing)
	for key, u := range users {
		names[key] = u.UserID
	}
	return err
}

// MapMessages implements v2tim.Admin: messages that another bridge carries get their events, all or none.
func (b admin) MapMessages(ctx context.Context, req v2tim.MapMessagesRequest) (resp v2tim.MapMessagesResponse, err error) {
	g, err := b.groupByID(ctx, req.GroupId)
	if err != nil {
		return resp, err
	} else if g.RoomID == "" {
		return resp, receipts.NewError(receipts.CodeGroupNotFound, "the group has no room now")
	}
	for i, m := range req.MessageList {
		if err = mapping.ValidateEventID(id.EventID(m.EventId)); err == nil && m.MsgId != "" {
			err = mapping.ValidateMsgID(m.MsgId)
		}
		if err == nil && m.From_Account != "" {
			err = mapping.ValidateUserID(m.From_Account)
		}
		if err != nil {
			return resp, receipts.NewError(receipts.CodeGroupInvalidParameters, fmt.Sprintf("MessageList[%d]: %v", i, err))
		}
	}
	err = b.commits.do(ctx, func(ctx context.Context, s *session) error {
		known, err := s.group(ctx, g.Key)
		if err != nil {
			return err
		}
		resp.MessageList, err = s.mapMessages(ctx, known, req.MessageList)
		return err
	})
	return resp, refused(err)
}

func (s *session) mapMessages(ctx context.Context, g *mapping.Group, list []v2tim.MessageMapping) ([]v2tim.MappedMessage, error) {
	events := make([]id.EventID, len(list))
	for i, m := range list {
		events[i] = id.EventID(m.EventId)
	}
	places, err := s.b.maps.Places(ctx, events)
	if err != nil {
		return nil, err
	}
	known, err := s.b.maps.MessagesByEvent(ctx, events)
	if err != nil {
		return nil, err
	}
	var learnt []receipts.Message
	mapped := make([]v2tim.MappedMessage, len(list))
	for i, want := range list {
		m, ok := known[events[i]]
		if !ok {
			if m, err = s.newMapping(ctx, g, want, places[events[i]], i); err != nil {
				return nil, err
			}
		} else if m.Group != g.Key {
			return nil, &mapping.ConflictError{What: "event", Key: want.EventId, Holder: "a message of another group"}
		}
		if want.MsgSeq != 0 && m.Seq != receipts.MsgSeq(want.MsgSeq) {
			return nil, &mapping.ConflictError{What: "event", Key: want.EventId, Holder: fmt.Sprintf("message %d", m.Seq)}
		}
		if want.NeedReadReceipt != nil {
			m.Wants = receipts.WantsNo
			if *want.NeedReadReceipt {
				m.Wants = receipts.WantsYes
			}
		}
		if want.MsgId != "" {
			m.MsgID = want.MsgId
		}
		changed, err := s.b.maps.PutMessages(ctx, []mapping.Message{m})
		if err != nil {
			return nil, err
		}
		if changed[0] {
			learnt = append(learnt, m.Message)
		}
		g.LastSeq = max(g.LastSeq, m.Seq)
		mapped[i] = v2tim.MappedMessage{EventId: want.EventId, MsgSeq: uint64(m.Seq), MsgId: m.MsgID}
	}
	if err = s.messagesLearnt(ctx, g, learnt, false); err != nil {
		return nil, err
	}
	return mapped, nil
}

// newMapping prepares the message of an event that has none yet.
func (s *session) newMapping(ctx context.Context, g *mapping.Group, want v2tim.MessageMapping, place mapping.Place, i int) (m mapping.Message, err error) {
	if place.Pos == 0 || place.RoomID != g.RoomID {
		return m, fmt.Errorf("%w: MessageList[%d]: event %s is not known in the group's room", mapping.ErrInvalid, i, want.EventId)
	}
	m = mapping.Message{Group: g.Key, RoomID: g.RoomID}
	m.Pos, m.EventID, m.Thread, m.At, m.Seq = place.Pos, want.EventId, place.Thread, s.now, receipts.MsgSeq(want.MsgSeq)
	if why := refuseSeq(g, m.Seq); why != "" {
		return m, fmt.Errorf("%w: MessageList[%d]: %s", mapping.ErrInvalid, i, why)
	}
	if want.From_Account != "" {
		sender, err := s.tencentUser(ctx, want.From_Account)
		if err != nil {
			return m, err
		}
		m.Sender = sender.Key
	}
	if m.Seq == 0 {
		if m.Seq, err = s.b.maps.NextSeq(ctx, g.Key); err != nil {
			return m, err
		}
	}
	if want.MsgId == "" {
		m.MsgID = mapping.MsgID(want.From_Account, s.now, mapping.Random(id.EventID(want.EventId)))
	}
	return m, nil
}
