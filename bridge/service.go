package bridge

import (
	"context"
	"errors"
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
//
// The checks are made in the commit: there what they ask is read once for all the calls that ride in it, and without a lock for each
// statement. A call whose messages are not all known waits outside and comes once more.
func (b service) SendMessageReadReceipts(ctx context.Context, caller string, ids []string) error {
	done, err := b.acknowledgeIDs(ctx, caller, ids, false)
	if done || err != nil {
		return err
	}
	if _, _, err = b.resolveWaiting(ctx, caller, ids); err != nil {
		return err
	}
	_, err = b.acknowledgeIDs(ctx, caller, ids, true)
	return err
}

// acknowledgeIDs checks and merges in one commit. Unless it is the last try, done is false if a message is not one that the caller
// may know of.
func (b service) acknowledgeIDs(ctx context.Context, caller string, ids []string, last bool) (done bool, err error) {
	err = b.commitOrRefuse(ctx, ask{caller: caller, msgIDs: ids}, func(ctx context.Context, s *session) (err error) {
		done, err = s.acknowledgeIDs(ctx, caller, ids, last)
		return err
	})
	return done, err
}

// commitOrRefuse commits a change that says no with a receipts.Error before it changes anything. Those who ride in the same commit are
// not to blame for that, so it must not fail.
func (b *Bridge) commitOrRefuse(ctx context.Context, asked ask, fn change) error {
	var refused *receipts.Error
	err := b.commits.doAsking(ctx, asked, func(ctx context.Context, s *session) error {
		refused = nil
		err := fn(ctx, s)
		if errors.As(err, &refused) {
			return nil
		}
		return err
	})
	if err == nil && refused != nil {
		return refused
	}
	return err
}

func (s *session) acknowledgeIDs(ctx context.Context, caller string, ids []string, last bool) (done bool, err error) {
	u, err := s.ahead.person(ctx, caller)
	if err != nil {
		return false, err
	}
	resolved, err := s.ahead.resolve(ctx, u, ids)
	if err != nil {
		return false, err
	}
	if !last && countHis(resolved) < countDistinct(ids) {
		return false, nil
	}
	req, err := receipts.Check(u.Key, ids, resolved, s.b.checkLimits())
	if err != nil {
		return false, err
	}
	g, err := s.group(ctx, mapping.GroupKey(req.Group))
	if err != nil {
		return false, err
	}
	return true, s.acknowledge(ctx, g, u, req.Seqs, req.Messages)
}

func (b *Bridge) checkLimits() receipts.CheckLimits {
	return receipts.CheckLimits{MaxIDs: b.cfg.V2TIM.MaxIDs, MaxMembers: b.cfg.Tencent.MaxMembers}
}

// acknowledge merges what a user has read on the Tencent side; what adds nothing writes nothing. ms are the messages of seqs; nil: they
// are looked up.
func (s *session) acknowledge(ctx context.Context, g *mapping.Group, u mapping.User, seqs receipts.Set, ms []receipts.Message) error {
	row, err := s.soundRow(ctx, g.Key, u.Key)
	if err != nil {
		return err
	}
	inCloud := g.SeqSource == mapping.SeqSourceCloud // then we are not the Tencent side: it has yet to be told
	if row.Read.ContainsAll(seqs) && (inCloud || row.Tencent.ContainsAll(seqs)) {
		return nil
	}
	s.save(row)
	if inCloud {
		return s.readMore(ctx, row, u.Kind, row.Add(seqs), ms)
	}
	return s.readMore(ctx, row, u.Kind, row.AddTencent(seqs), ms)
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

// acknowledgeChecked merges a request that was checked before, and returns after the commit.
func (b service) acknowledgeChecked(ctx context.Context, u mapping.User, req receipts.Request) error {
	return b.commitOrRefuse(ctx, ask{}, func(ctx context.Context, s *session) error {
		u, err := s.personOf(ctx, u.Key) // he may have been linked since
		if err != nil {
			return err
		}
		g, err := s.group(ctx, mapping.GroupKey(req.Group))
		if err != nil {
			return err
		}
		ms := req.Messages
		if slices.ContainsFunc(ms, func(m receipts.Message) bool { return m.Pos == 0 }) {
			ms = nil // the room may have got it since the request was checked: look again, in this commit
		}
		return s.acknowledge(ctx, g, u, req.Seqs, ms)
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
		resolved, err := newLookups(b.Bridge).resolve(ctx, u, ids)
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
