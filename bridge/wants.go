package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// Tencent does not say in its webhooks which messages were sent with needReadReceipt. Where somebody has to know, because he has read
// one, Tencent is asked: once for many messages, and the answer is kept.

// askWants has Tencent asked, after the commit, whether messages want a receipt.
func (s *session) askWants(group mapping.GroupKey, seqs []receipts.MsgSeq) {
	c := s.b.cloud
	s.after = append(s.after, func() {
		c.mu.Lock()
		c.unknown[group] = c.unknown[group].Union(receipts.SetOf(seqs...))
		c.mu.Unlock()
		c.b.background(fmt.Sprint("wants ", group), func(ctx context.Context) error { return c.answerWants(ctx, group) })
	})
}

// answerWants asks for all that somebody wants to know. Should it fail for good, the readers who wait for it ask again.
func (c *cloud) answerWants(ctx context.Context, group mapping.GroupKey) error {
	c.mu.Lock()
	seqs := slices.Collect(c.unknown[group].All())
	delete(c.unknown, group)
	c.mu.Unlock()
	g, err := c.b.maps.GroupByKey(ctx, group)
	if err != nil || !inCloud(&g) {
		return err
	}
	if seqs, err = c.stillUnknown(ctx, group, seqs); err != nil {
		return err
	}
	attempts := 0
	for len(seqs) > 0 {
		page := seqs[:min(len(seqs), tencent.MaxReceiptSeqs)]
		_, err = c.receiptCounts(ctx, &g, page)
		var temporary *tencent.TemporaryError
		switch {
		case err == nil:
			seqs, attempts = seqs[len(page):], 0
		case !errors.As(err, &temporary):
			return err
		default:
			attempts++
			if !sleep(ctx, backoff(attempts, temporary.RetryAfter)) {
				return err
			}
		}
	}
	return nil
}

// stillUnknown leaves out what has been answered since somebody asked: by the question before this one, perhaps.
func (c *cloud) stillUnknown(ctx context.Context, group mapping.GroupKey, seqs []receipts.MsgSeq) (unknown []receipts.MsgSeq, err error) {
	found, err := c.b.maps.MessagesBySeq(ctx, group, receipts.SetOf(seqs...), len(seqs))
	for _, m := range found {
		if m.Wants == receipts.WantsUnknown {
			unknown = append(unknown, m.Seq)
		}
	}
	return unknown, err
}

// receiptCounts asks what Tencent counts for messages, and takes from the answer whether they want a receipt. An error about the group
// pauses it.
func (c *cloud) receiptCounts(ctx context.Context, g *mapping.Group, seqs []receipts.MsgSeq) ([]tencent.MsgReceipt, error) {
	list, err := c.client.GetGroupMsgReceipt(ctx, g.GroupID, seqs)
	if len(seqs) > 1 && (errors.Is(err, tencent.ErrMessage) || errors.Is(err, tencent.ErrRefused)) {
		// One of them, or how many they are. Tencent names no limit.
		half := len(seqs) / 2
		if list, err = c.receiptCounts(ctx, g, seqs[:half]); err != nil {
			return nil, err
		}
		rest, err := c.receiptCounts(ctx, g, seqs[half:])
		return append(list, rest...), err
	}
	var refused *tencent.APIError
	if errors.Is(err, tencent.ErrMessage) && errors.As(err, &refused) {
		list, err = []tencent.MsgReceipt{{MsgSeq: tencent.Uint(seqs[0]), Code: tencent.Uint(refused.Code)}}, nil
	}
	commitErr := c.b.commits.do(ctx, func(ctx context.Context, s *session) error {
		g, found := s.group(ctx, g.Key)
		if found != nil {
			return found
		}
		if errors.Is(err, tencent.ErrGroup) || isCode(err, receipts.CodePermissionDeny) { // the latter is about no person here
			return s.pause(ctx, g, nil, err)
		} else if err != nil {
			return nil
		}
		if err := s.wantsCounted(ctx, g, list); err != nil {
			return err
		}
		return s.countable(ctx, g)
	})
	return list, errors.Join(err, commitErr)
}

// countsWithin is how long a caller waits for Tencent's counts before he gets ours.
const countsWithin = time.Second

// newerCounts puts Tencent's counts in the place of ours where they are newer. They are where more people have read: a count of readers
// only rises. Where Tencent does not answer in time, ours stay.
func (c *cloud) newerCounts(ctx context.Context, resolved map[string]receipts.Resolved, seqs map[mapping.GroupKey][]receipts.MsgSeq, list []v2tim.MessageReceipt) {
	ctx, cancel := context.WithTimeout(ctx, countsWithin)
	defer cancel()
	type message struct {
		group mapping.GroupKey
		seq   receipts.MsgSeq
	}
	theirs := make(map[message]tencent.MsgReceipt)
	for key, all := range seqs {
		g, err := c.b.maps.GroupByKey(ctx, key)
		if err != nil || !inCloud(&g) {
			continue
		}
		for page := range slices.Chunk(all, tencent.MaxReceiptSeqs) {
			counted, err := c.client.GetGroupMsgReceipt(ctx, g.GroupID, page)
			if err != nil {
				zerolog.Ctx(ctx).Debug().Err(err).Str("group_id", g.GroupID).Msg("Giving our own counts: Tencent's cannot be had")
				continue
			}
			for _, m := range counted {
				if m.Code == 0 {
					theirs[message{key, receipts.MsgSeq(m.MsgSeq)}] = m
				}
			}
		}
	}
	for i := range list {
		r := resolved[list[i].MsgID]
		if m, ok := theirs[message{r.Group, r.Message.Seq}]; ok && uint64(m.ReadNum) >= list[i].ReadCount {
			list[i].ReadCount, list[i].UnreadCount = uint64(m.ReadNum), uint64(m.UnreadNum)
		}
	}
}

// wantsCounted learns from Tencent's counts: what is counted wants a receipt, what has no receipt or is no message wants none.
func (s *session) wantsCounted(ctx context.Context, g *mapping.Group, list []tencent.MsgReceipt) error {
	var yes, no []receipts.MsgSeq
	for _, m := range list {
		switch code := receipts.Code(m.Code); {
		case code == receipts.CodeOK:
			yes = append(yes, receipts.MsgSeq(m.MsgSeq))
		case errors.Is(tencent.Classify(code), tencent.ErrMessage):
			no = append(no, receipts.MsgSeq(m.MsgSeq))
		}
	}
	if err := s.wants(ctx, g, receipts.SetOf(yes...), receipts.WantsYes); err != nil {
		return err
	}
	return s.wants(ctx, g, receipts.SetOf(no...), receipts.WantsNo)
}

// wants takes in whether messages that are known want a receipt.
func (s *session) wants(ctx context.Context, g *mapping.Group, seqs receipts.Set, wants receipts.Wants) error {
	if seqs.IsEmpty() {
		return nil
	}
	news, err := s.b.maps.SetWants(ctx, g.Key, seqs, wants)
	if err != nil || news.IsEmpty() {
		return err
	}
	ms, err := s.messagesBySeq(ctx, g.Key, news)
	if err != nil {
		return err
	}
	if err = s.messagesLearnt(ctx, g, ms, false); err != nil {
		return err
	}
	if s.b.policy == receipts.PolicyContiguous {
		return s.lookAgain(ctx, g.Key) // it may have held markers back
	}
	return nil
}
