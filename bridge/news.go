package bridge

import (
	"context"
	"slices"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// This file is what happens when something new is known: a reader has read more, a message has got its place, a user has become
// a member. Whatever the source, it ends here.

// readMore is called when row's reader has just had news added to his set. ms are the messages of news as far as the caller
// has them at hand; nil: they are looked up.
func (s *session) readMore(ctx context.Context, row *receiptsdb.Row, kind receipts.Kind, news receipts.Set, ms []receipts.Message) error {
	if news.IsEmpty() {
		return nil
	}
	s.save(row)
	if !row.Tencent.ContainsAll(news) {
		s.ackDue(row)
	}
	if ms == nil {
		found, err := s.messagesBySeq(ctx, row.Group, news)
		if err != nil {
			return err
		}
		ms = found
	}
	read := ms[:0:0]
	for _, m := range ms {
		if news.Contains(m.Seq) {
			read = append(read, m)
		}
	}
	row.Note(read...)
	if kind != receipts.KindAccount {
		g, err := s.group(ctx, row.Group)
		if err != nil {
			return err
		}
		if g.ToMatrix { // else a look would find nothing to do, at the price of a commit; switching it on looks again
			s.due(row)
		}
	}
	return s.callBack(ctx, row.Group, row.User, read)
}

// callBack plans onRecvMessageReadReceipts for the senders of messages that reader has just read.
func (s *session) callBack(ctx context.Context, group mapping.GroupKey, reader mapping.UserKey, read []receipts.Message) error {
	senders := make([]mapping.UserKey, 0, len(read))
	for _, m := range read {
		senders = append(senders, m.Sender)
	}
	if err := s.loadUsers(ctx, senders); err != nil {
		return err
	}
	for _, m := range read {
		sender := s.users[m.Sender]
		if m.Wants != receipts.WantsYes || m.Sender == 0 || m.Sender == reader {
			continue
		}
		// A Matrix user without a Tencent identity of his own has no app that could be called back, only a backend.
		if sender.Kind == receipts.KindAccount && s.b.backend == nil {
			continue
		}
		s.callbacks[callback{m.Sender, group, m.Seq}] = struct{}{}
		s.wakeUsers[m.Sender] = struct{}{}
	}
	return nil
}

func (s *session) messagesBySeq(ctx context.Context, group mapping.GroupKey, seqs receipts.Set) ([]receipts.Message, error) {
	var found []mapping.Message
	var err error
	if s.ahead != nil && seqs.Len() <= maxWindow {
		found, err = s.ahead.messagesBySeq(ctx, group, seqs)
	} else {
		found, err = s.b.maps.MessagesBySeq(ctx, group, seqs, maxWindow)
	}
	if err != nil {
		return nil, err
	}
	ms := make([]receipts.Message, len(found))
	for i, m := range found {
		ms[i] = m.Message
	}
	return ms, nil
}

// claimed raises a user's claim and adds what it covers.
func (s *session) claimed(ctx context.Context, g *mapping.Group, u mapping.User, scope receipts.Scope, pos receipts.Pos) error {
	row, membership, err := s.reader(ctx, g.Key, u.Key)
	if err != nil {
		return err
	}
	before := row.Claims
	claims, rose := row.Claims.Raise(scope, pos)
	if !rose {
		return nil
	}
	row.Claims = claims
	s.save(row)
	if !membership.IsMember() {
		s.strangers(g, u)
	}
	return s.expand(ctx, g, u, row, membership, before.At(scope), pos)
}

// expand adds the messages with after < pos <= to that the reader's claims cover.
func (s *session) expand(ctx context.Context, g *mapping.Group, u mapping.User, row *receiptsdb.Row, membership receipts.Membership, after, to receipts.Pos) error {
	if len(membership) == 0 || u.Kind == receipts.KindGhost {
		return nil // someone not known to be a member: his claim waits for the membership
	}
	floor, err := s.floor(ctx, g)
	if err != nil {
		return err
	}
	return s.between(ctx, g.Key, after, to, func(ms []receipts.Message) error {
		news := row.Expand(u.Kind, membership, floor, ms)
		return s.readMore(ctx, row, u.Kind, news, ms)
	})
}

// floor stands in where the place at which a member joined is not known: the place at which the group was linked, else a window
// of the last messages that want a receipt.
func (s *session) floor(ctx context.Context, g *mapping.Group) (receipts.Pos, error) {
	if g.LinkedPosKnown {
		return g.LinkedPos, nil
	}
	head, err := s.b.maps.Head(ctx, g.RoomID)
	if err != nil {
		return 0, err
	}
	// Messages that want no receipt take room in the page, so it is larger than the window.
	found, err := s.b.maps.MessagesBelow(ctx, g.Key, head, 4*s.b.cfg.Receipts.Window)
	if err != nil {
		return 0, err
	}
	var wanting []receipts.Message
	for _, m := range found {
		if m.Wants == receipts.WantsYes {
			wanting = append(wanting, m.Message)
		}
	}
	return receipts.WindowFloor(wanting, s.b.cfg.Receipts.Window), nil
}

// messagesLearnt is called when messages of a group have got a place, or it has become known whether they want a receipt.
// fresh tells that none of them was known in any way before and that they stand at the end of the room, so that nobody can have
// read them yet.
func (s *session) messagesLearnt(ctx context.Context, g *mapping.Group, ms []receipts.Message, fresh bool) error {
	s.mapped = true
	delete(s.windows, g.Key)
	if fresh || len(ms) == 0 {
		return nil
	}
	keys, err := s.readersOf(ctx, g.Key)
	if err != nil {
		return err
	}
	if err = s.loadReaders(ctx, g.Key, keys); err != nil {
		return err
	}
	floor, err := s.floor(ctx, g)
	if err != nil {
		return err
	}
	for _, key := range keys {
		row, membership, err := s.reader(ctx, g.Key, key)
		if err != nil {
			return err
		}
		kind := s.users[key].Kind
		news := row.Expand(kind, membership, floor, ms)
		var known []receipts.Message // read before they were known here
		for _, m := range ms {
			if m.Pos > 0 && m.Pos <= row.Frontier && m.Seq != 0 {
				row.Lower(m.Pos)
				s.save(row)
			}
			if row.Read.Contains(m.Seq) && !news.Contains(m.Seq) {
				known = append(known, m)
			}
		}
		if err = s.readMore(ctx, row, kind, news, ms); err != nil {
			return err
		}
		if len(known) > 0 {
			row.Note(known...)
			s.save(row)
			if slices.ContainsFunc(known, func(m receipts.Message) bool { return !row.Tencent.Contains(m.Seq) }) {
				s.ackDue(row)
			}
			if err = s.callBack(ctx, g.Key, key, known); err != nil {
				return err
			}
		}
		if kind != receipts.KindAccount && (len(known) > 0 || kind == receipts.KindLinked) {
			s.due(row)
		}
	}
	return nil
}

// joined is called when a user has become a member: claims that he made before it was known count now.
func (s *session) joined(ctx context.Context, g *mapping.Group, u mapping.User) error {
	delete(s.memberships, reader{g.Key, u.Key})
	row, membership, err := s.reader(ctx, g.Key, u.Key)
	if err != nil {
		return err
	}
	if !row.Tencent.ContainsAll(row.Read) {
		s.ackDue(row)
	}
	if row.Claims.IsZero() {
		return nil
	}
	return s.expand(ctx, g, u, row, membership, 0, row.Claims.Highest())
}
