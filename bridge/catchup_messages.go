package bridge

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/rs/zerolog"

	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// This file is the part of the catch-up that is about messages: those that never came, and recalls of which nobody told.

// catchUpMessages fetches the messages whose webhooks never came. Up to which seq that has been done is kept.
func (c *cloud) catchUpMessages(ctx context.Context, g *mapping.Group, info tencent.GroupInfo) error {
	if info.NextMsgSeq <= 1 || info.NextMsgSeq > maxCloudSeq {
		return nil
	}
	last := receipts.MsgSeq(info.NextMsgSeq - 1)
	done, err := c.caughtUp(ctx, g.Key)
	if err != nil || last <= done {
		return err
	}
	missing, err := c.missingTo(ctx, g, last)
	if err != nil {
		return err
	}
	missed, err := c.history(ctx, g, missing)
	if err != nil {
		return err
	}
	for page := range slices.Chunk(missed, missedPage) {
		if err = c.b.commits.do(ctx, func(ctx context.Context, s *session) error { return s.missed(ctx, g.Key, page) }); err != nil {
			return err
		}
	}
	return c.b.commits.do(ctx, func(ctx context.Context, s *session) error {
		now, err := s.group(ctx, g.Key)
		if err != nil || !inCloud(now) {
			return err
		}
		if err = c.b.maps.RaiseSeq(ctx, g.Key, last); err != nil {
			return err
		}
		now.LastSeq = max(now.LastSeq, last)
		return c.b.own.SetValue(ctx, caughtUpKey(g.Key), fmt.Sprint(uint64(last)))
	})
}

// caughtUp is up to which seq a group's history has been looked through.
func (c *cloud) caughtUp(ctx context.Context, group mapping.GroupKey) (receipts.MsgSeq, error) {
	value, err := c.b.own.Value(ctx, caughtUpKey(group))
	done, _ := strconv.ParseUint("0"+value, 10, 64)
	return receipts.MsgSeq(done), err
}

// missingTo finds the messages up to a seq of which nobody has told yet. What lies too far back is given up.
func (c *cloud) missingTo(ctx context.Context, g *mapping.Group, last receipts.MsgSeq) (missing receipts.Set, err error) {
	first, err := c.caughtUp(ctx, g.Key)
	if err != nil {
		return missing, err
	}
	first++
	if span := receipts.MsgSeq(c.b.cfg.Tencent.CatchUpMessages); last >= span {
		first = max(first, last-span+1)
	}
	if first > last {
		return missing, nil
	}
	missing = receipts.SetOfRanges(receipts.Range{First: first, Last: last})
	known, err := c.b.maps.MessagesBySeq(ctx, g.Key, missing, int(missing.Len()))
	if err != nil {
		return missing, err
	}
	var have []receipts.MsgSeq
	for _, m := range known {
		if m.Sender != 0 || m.Recalled {
			have = append(have, m.Seq)
		}
	}
	return missing.Difference(receipts.SetOf(have...)), nil
}

// catchUpRecalls looks which of the newest messages have been recalled.
func (c *cloud) catchUpRecalls(ctx context.Context, g *mapping.Group) error {
	ms, err := c.b.maps.MessagesPage(ctx, g.Key, 0, c.b.cfg.Tencent.CatchUpMessages)
	if err != nil {
		return err
	}
	var seqs []receipts.MsgSeq
	for _, m := range ms {
		if m.Sender != 0 && !m.Recalled {
			seqs = append(seqs, m.Seq)
		}
	}
	found, err := c.history(ctx, g, receipts.SetOf(seqs...))
	if err != nil {
		return err
	}
	recalled := slices.DeleteFunc(found, func(m tencent.HistoryMsg) bool { return m.IsPlaceMsg != tencent.PlaceRecalled })
	if len(recalled) == 0 {
		return nil
	}
	return c.b.commits.do(ctx, func(ctx context.Context, s *session) error { return s.missed(ctx, g.Key, recalled) })
}

// history reads messages from the group's history, the oldest first.
func (c *cloud) history(ctx context.Context, g *mapping.Group, missing receipts.Set) ([]tencent.HistoryMsg, error) {
	var found []tencent.HistoryMsg
	for !missing.IsEmpty() {
		from := missing.Max()
		page, err := c.client.GroupMsgGetSimple(ctx, g.GroupID, from, tencent.MaxHistory)
		if err != nil {
			return nil, err
		}
		for _, m := range page.Messages {
			if missing.Contains(receipts.MsgSeq(m.MsgSeq)) {
				found = append(found, m)
			}
		}
		if page.Next == 0 || page.Next >= from {
			break
		}
		missing = missing.Difference(receipts.SetOfRanges(receipts.Range{First: page.Next + 1, Last: from}))
	}
	slices.SortFunc(found, func(a, b tencent.HistoryMsg) int { return int(int64(a.MsgSeq) - int64(b.MsgSeq)) })
	return found, nil
}

// missed takes messages of the history as if their webhooks had come.
func (s *session) missed(ctx context.Context, group mapping.GroupKey, list []tencent.HistoryMsg) error {
	for _, m := range list {
		g, err := s.group(ctx, group)
		if err != nil || !inCloud(g) {
			return err
		}
		g.LastSeq = max(g.LastSeq, receipts.MsgSeq(m.MsgSeq)) // it is no gap
		switch m.IsPlaceMsg {
		case tencent.PlaceRecalled:
			err = s.groupMsgRecalled(ctx, g, []receipts.MsgSeq{receipts.MsgSeq(m.MsgSeq)})
		case tencent.PlaceMessage:
			e := &tencent.GroupMsgSent{
				From_Account: m.From_Account, Random: m.MsgRandom, MsgSeq: m.MsgSeq, MsgTime: m.MsgTimeStamp, MsgBody: m.MsgBody,
				CloudCustomData: m.CloudCustomData, NeedReadReceipt: m.NeedReadReceipt,
			}
			e.GroupId = g.GroupID
			if m.From_Account != "" {
				err = s.groupMsgSent(ctx, g, e)
			}
		}
		if refusedForGood(err) {
			zerolog.Ctx(ctx).Error().Err(err).Str("group_id", g.GroupID).Uint64("seq", uint64(m.MsgSeq)).Msg("Ignoring message of the history that cannot be taken")
		} else if err != nil {
			return err
		}
	}
	return nil
}
