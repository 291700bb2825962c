package bridge

import (
	"context"
	"slices"
	"time"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

type receiptsCallback = receiptsdb.Callback

// service implements v2tim.Service: what apps and their backends ask about receipts. It is safe for concurrent use.
type service struct {
	*Bridge
}

// SendMessageReadReceipts implements v2tim.Service. Steps 4 to 8 of the order of checks; the adapter has done the others.
func (b service) SendMessageReadReceipts(ctx context.Context, caller string, ids []string) error {
	u, resolved, err := b.resolveWaiting(ctx, caller, ids)
	if err != nil {
		return err
	}
	req, err := receipts.Check(u.Key, ids, resolved, receipts.CheckLimits{MaxIDs: b.cfg.V2TIM.MaxIDs, MaxMembers: b.cfg.Tencent.MaxMembers})
	if err != nil {
		return err
	}
	return b.acknowledge(ctx, u, req)
}

// person finds the user behind a UserID. The account of a Matrix user who has been linked is the linked user: what he does by that name
// is his own.
func (b *Bridge) person(ctx context.Context, userID string) (mapping.User, error) {
	u, err := b.maps.UserByID(ctx, userID)
	if err != nil || u.AliasOf == 0 {
		return u, err
	}
	return b.personByKey(ctx, u.AliasOf)
}

func (b *Bridge) personByKey(ctx context.Context, key mapping.UserKey) (mapping.User, error) {
	users, err := b.maps.UsersByKey(ctx, []mapping.UserKey{key})
	if err != nil || users[key].AliasOf == 0 {
		return users[key], err
	}
	return b.personByKey(ctx, users[key].AliasOf)
}

// acknowledge merges what a user has read on the Tencent side and returns after the commit. What adds nothing costs none.
func (b service) acknowledge(ctx context.Context, u mapping.User, req receipts.Request) error {
	key := mapping.GroupKey(req.Group)
	known, err := b.reads.Readers(ctx, key, []mapping.UserKey{u.Key})
	if err != nil {
		return err
	}
	g, err := b.maps.GroupByKey(ctx, key)
	if err != nil {
		return err
	}
	inCloud := g.SeqSource == mapping.SeqSourceCloud // then we are not the Tencent side: it has yet to be told
	if damage := known[u.Key].Damage; damage != nil {
		b.damages.tell(ctx, damage, b.clock())
		return errDamaged()
	}
	if row := known[u.Key]; row.Read.ContainsAll(req.Seqs) && (inCloud || row.Tencent.ContainsAll(req.Seqs)) {
		return nil
	}
	return b.commits.do(ctx, func(ctx context.Context, s *session) error {
		u, err := s.personOf(ctx, u.Key) // he may have been linked since
		if err != nil {
			return err
		}
		row, err := s.soundRow(ctx, key, u.Key)
		if err != nil {
			return err
		}
		s.save(row)
		ms := req.Messages
		if slices.ContainsFunc(ms, func(m receipts.Message) bool { return m.Pos == 0 }) {
			ms = nil // the room may have got it since the request was checked: look again, in this commit
		}
		if inCloud {
			return s.readMore(ctx, row, u.Kind, row.Add(req.Seqs), ms)
		}
		return s.readMore(ctx, row, u.Kind, row.AddTencent(req.Seqs), ms)
	})
}

// resolveWaiting finds out who calls (the zero user: nobody that is known) and what ids stand for. An id that is not known yet may
// belong to a message whose mapping is under way, so it gets a moment. One of a group without the caller gets the same moment: he
// may be about to become a member, and must not learn from our haste that there is such a message.
func (b service) resolveWaiting(ctx context.Context, caller string, ids []string) (mapping.User, map[string]receipts.Resolved, error) {
	deadline := time.NewTimer(b.cfg.Bridge.MappingWait)
	defer deadline.Stop()
	for {
		changed := b.mapped.wait()
		u, err := b.person(ctx, caller)
		if err != nil && !isNotFound(err) {
			return u, nil, err
		}
		resolved, err := b.resolve(ctx, u, ids)
		if err != nil || countHis(resolved) == countDistinct(ids) {
			return u, resolved, err
		}
		select {
		case <-changed:
		case <-deadline.C:
			return u, resolved, nil
		case <-ctx.Done():
			return u, nil, ctx.Err()
		}
	}
}

// countHis counts the messages of groups in which the caller is.
func countHis(resolved map[string]receipts.Resolved) (n int) {
	for _, r := range resolved {
		if r.CallerIsMember {
			n++
		}
	}
	return n
}

func countDistinct(ids []string) int {
	distinct := make(map[string]struct{}, len(ids))
	for _, id := range ids {
		distinct[id] = struct{}{}
	}
	return len(distinct)
}

// resolve finds the messages behind ids, with what the rules need to know of their groups and of the caller in them.
func (b *Bridge) resolve(ctx context.Context, caller mapping.User, ids []string) (map[string]receipts.Resolved, error) {
	messages, err := b.maps.MessagesByMsgID(ctx, ids)
	if err != nil {
		return nil, err
	}
	groups := make(map[mapping.GroupKey]receipts.Resolved)
	resolved := make(map[string]receipts.Resolved, len(messages))
	for msgID, m := range messages {
		r, ok := groups[m.Group]
		if !ok {
			if r, err = b.resolveGroup(ctx, caller, m.Group); err != nil {
				return nil, err
			}
			groups[m.Group] = r
		}
		r.Message = m.Message
		resolved[msgID] = r
	}
	return resolved, nil
}

func (b *Bridge) resolveGroup(ctx context.Context, caller mapping.User, key mapping.GroupKey) (r receipts.Resolved, err error) {
	g, err := b.maps.GroupByKey(ctx, key)
	if err != nil {
		return r, err
	}
	r = receipts.Resolved{GroupID: g.GroupID, Group: key, GroupType: g.Type, Edition: b.cfg.Tencent.Edition.HasReceipts()}
	if caller.Key != 0 {
		membership, err := b.maps.MembershipOf(ctx, key, []mapping.UserKey{caller.Key})
		if err != nil {
			return r, err
		}
		r.CallerIsMember = membership[caller.Key].IsMember()
	}
	if most := b.cfg.Tencent.MaxMembers; most > 0 {
		r.Members, err = b.maps.MembersAtMost(ctx, key)
		if err == nil && r.Members > most {
			r.Members, err = b.maps.MemberCount(ctx, key)
		}
	}
	return r, err
}

// readers gathers all who are or were in a group, with what they have read: what counts are made of.
func (b *Bridge) readers(ctx context.Context, group mapping.GroupKey) ([]receipts.Member, error) {
	members, err := b.maps.Members(ctx, group)
	if err != nil {
		return nil, err
	}
	rows, err := b.reads.AllReaders(ctx, group)
	if err != nil {
		return nil, err
	}
	read := make(map[mapping.UserKey]receipts.Set, len(rows))
	for _, row := range rows {
		if row.Damage != nil {
			b.damages.tell(ctx, row.Damage, b.clock())
		}
		read[row.User] = row.Read // of a damaged row nothing: nobody is told that something was read of which we do not know
	}
	list := make([]receipts.Member, 0, len(members))
	for _, m := range members {
		list = append(list, receipts.Member{User: m.User.Key, Name: m.User.UserID, Read: read[m.User.Key], Membership: m.Membership})
		delete(read, m.User.Key)
	}
	return b.addGuests(ctx, list, read)
}

// addGuests adds who has read something and is not known to have been a member: he has come and gone, and nobody told.
func (b *Bridge) addGuests(ctx context.Context, list []receipts.Member, read map[mapping.UserKey]receipts.Set) ([]receipts.Member, error) {
	var keys []mapping.UserKey
	for key, set := range read {
		if !set.IsEmpty() {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return list, nil
	}
	users, err := b.maps.UsersByKey(ctx, keys)
	if err != nil {
		return nil, err
	}
	for key, u := range users {
		if u.AliasOf == 0 { // else he is counted as who he has become
			list = append(list, receipts.Member{User: key, Name: u.UserID, Read: read[key]})
		}
	}
	return list, nil
}

// GetMessageReadReceipts implements v2tim.Service.
func (b service) GetMessageReadReceipts(ctx context.Context, caller string, ids []string) ([]v2tim.MessageReceipt, error) {
	_, resolved, err := b.resolveWaiting(ctx, caller, ids)
	if err != nil {
		return nil, err
	}
	if err = receipts.CheckKnown(ids, resolved); err != nil {
		return nil, err
	}
	members := make(map[mapping.GroupKey][]receipts.Member)
	seqs := make(map[mapping.GroupKey][]receipts.MsgSeq)
	var list []v2tim.MessageReceipt
	for _, id := range ids {
		r := resolved[id]
		if r.Message.Wants == receipts.WantsNo {
			continue
		}
		seqs[r.Group] = append(seqs[r.Group], r.Message.Seq)
		if _, ok := members[r.Group]; !ok {
			if members[r.Group], err = b.readers(ctx, r.Group); err != nil {
				return nil, err
			}
		}
		list = append(list, messageReceipt(mapping.Group{GroupID: r.GroupID}, mapping.Message{Message: r.Message}, members[r.Group]))
	}
	if len(list) == 0 {
		return nil, &receipts.Error{Code: receipts.CodeReceiptNotExist, Desc: "none of the messages was sent with needReadReceipt"}
	}
	if b.cloud != nil {
		b.cloud.newerCounts(ctx, resolved, seqs, list)
	}
	return list, nil
}

// GetGroupMessageReadMemberList implements v2tim.Service.
func (b service) GetGroupMessageReadMemberList(ctx context.Context, caller, messageID string, filter int, nextSeq uint64, count int) (list v2tim.MemberList, err error) {
	ids := []string{messageID}
	_, resolved, err := b.resolveWaiting(ctx, caller, ids)
	if err != nil {
		return list, err
	}
	if err = receipts.CheckKnown(ids, resolved); err != nil {
		return list, err
	}
	r := resolved[messageID]
	if r.Message.Wants == receipts.WantsNo {
		return list, &receipts.Error{Code: receipts.CodeReceiptNotExist, Desc: "the message was not sent with needReadReceipt"}
	}
	members, err := b.readers(ctx, r.Group)
	if err != nil {
		return list, err
	}
	page, next, finished := receipts.MemberPage(r.Message, members, receipts.Filter(filter), nextSeq, count)
	list = v2tim.MemberList{NextSeq: next, IsFinished: finished, MemberInfoList: make([]v2tim.MemberInfo, len(page))}
	for i, name := range page {
		list.MemberInfoList[i].UserID = name
	}
	return list, nil
}
