package bridge

import (
	"context"
	"slices"

	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// ask is what a change will look for: a call or a webhook of somebody who has read something.
type ask struct {
	caller  string   // a UserID
	msgIDs  []string // of messages that he acknowledges
	webhook *tencent.ReadReceipt
}

// lookAhead prepares what the first of the changes asks, together with what those ask that follow it. A run ends with a change that
// does not say what it asks: it may write anything, so that whatever has been read for the run is forgotten.
func (s *session) lookAhead(ctx context.Context, changes []*queuedChange) error {
	if changes[0].ask == nil {
		s.ahead = nil
		return nil
	} else if s.ahead != nil {
		return nil
	}
	var run []*ask
	for _, q := range changes {
		if q.ask == nil {
			break
		}
		run = append(run, q.ask)
	}
	s.ahead = newLookups(s.b)
	if err := s.acksAhead(ctx, run); err != nil {
		return err
	}
	return s.webhooksAhead(ctx, run)
}

// acksAhead reads who acknowledges, what, and in which groups.
func (s *session) acksAhead(ctx context.Context, run []*ask) error {
	var callers, msgIDs []string
	for _, a := range run {
		callers, msgIDs = append(callers, a.caller), append(msgIDs, a.msgIDs...)
	}
	if _, err := s.ahead.usersByID(ctx, callers); err != nil {
		return err
	}
	if err := s.ahead.load(ctx, msgIDs); err != nil {
		return err
	}
	readers := make(map[mapping.GroupKey][]mapping.User)
	for _, a := range run {
		u, err := s.ahead.person(ctx, a.caller)
		if err != nil {
			return err
		}
		for _, msgID := range a.msgIDs {
			group := s.ahead.messages[msgID].Group
			list := readers[group]
			if again := len(list) > 0 && list[len(list)-1] == u; group != 0 && u.Key != 0 && !again {
				readers[group] = append(list, u)
			}
		}
	}
	for group, people := range readers {
		if err := s.ahead.loadMemberships(ctx, group, people...); err != nil {
			return err
		}
		var keys []mapping.UserKey
		for _, u := range people {
			if s.ahead.memberships[reader{group, u.Key}].IsMember() {
				keys = append(keys, u.Key)
			}
		}
		if err := s.loadRows(ctx, group, keys); err != nil {
			return err
		}
	}
	return nil
}

// webhooksAhead reads the messages that were read, and their readers.
func (s *session) webhooksAhead(ctx context.Context, run []*ask) error {
	var accounts []string
	seqs, readers := make(map[mapping.GroupKey][]receipts.MsgSeq), make(map[mapping.GroupKey][]string)
	for _, a := range run {
		if a.webhook == nil {
			continue
		}
		g, err := s.groupByID(ctx, a.webhook.Group())
		if err != nil {
			return err
		} else if !inCloud(g) {
			continue
		}
		for _, m := range a.webhook.GroupMsgReceiptList {
			seqs[g.Key] = append(seqs[g.Key], receipts.MsgSeq(m.MsgSeq))
			readers[g.Key] = append(readers[g.Key], m.ReadReceiptMembers...)
			accounts = append(accounts, m.ReadReceiptMembers...)
		}
	}
	users, err := s.ahead.usersByID(ctx, accounts)
	if err != nil {
		return err
	}
	for _, u := range users {
		s.users[u.Key] = u
	}
	for group, list := range seqs {
		if _, err = s.ahead.messagesBySeq(ctx, group, receipts.SetOf(list...)); err != nil {
			return err
		}
		var keys []mapping.UserKey
		for _, account := range readers[group] {
			if u, ok := users[account]; ok {
				keys = append(keys, u.Person())
			}
		}
		slices.Sort(keys)
		if err = s.loadReaders(ctx, group, slices.Compact(keys)); err != nil {
			return err
		}
	}
	return nil
}
