package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// Tencent does not repeat webhooks by default, so what they tell is only the fast way. The catch-up compares groups with Tencent's own
// record: at every start, now and then, and when a gap shows.

const (
	// gapWait is how long a webhook may be late before its group is caught up with.
	gapWait = 5 * time.Second
	// catchUpTimeout bounds the catch-up of one group.
	catchUpTimeout = 5 * time.Minute
	// missedPage is how many missed messages are stored in one commit.
	missedPage = 100
)

func (c *cloud) catchUpLoop(ctx context.Context) {
	for {
		if c.b.cfg.Bridge.AutoCreate {
			if err := c.findGroups(ctx); err != nil && ctx.Err() == nil {
				c.b.log.Warn().Err(err).Msg("Failed to look for new groups at Tencent")
			}
		}
		err := c.b.eachMapped(ctx, func(g mapping.Group) error {
			if !inCloud(&g) {
				return nil
			}
			one, cancel := context.WithTimeout(ctx, catchUpTimeout)
			defer cancel()
			if err := c.catchUp(one, g.Key); err != nil && ctx.Err() == nil {
				c.b.log.Warn().Err(err).Str("group_id", g.GroupID).Msg("Failed to catch up with a group, the next time will do")
			}
			return ctx.Err()
		})
		if err != nil && ctx.Err() == nil {
			c.b.log.Error().Err(err).Msg("Failed to list groups to catch up with")
		}
		if !sleep(ctx, c.b.cfg.Tencent.CatchUpInterval) {
			return
		}
	}
}

// catchUpSoon catches up with a group of which something was missed, once what is only late has had time to come.
func (c *cloud) catchUpSoon(s *session, g *mapping.Group) {
	key := g.Key
	s.after = append(s.after, func() {
		c.b.background(fmt.Sprint("catch up ", key), func(ctx context.Context) error {
			if !sleep(ctx, gapWait) {
				return nil
			}
			return c.catchUp(ctx, key)
		})
	})
}

// findGroups makes rooms for groups whose making was missed.
func (c *cloud) findGroups(ctx context.Context) error {
	for next := uint64(0); ; {
		page, err := c.client.GetAppidGroupList(ctx, tencent.MaxGroupPage, next, "")
		if err != nil {
			return err
		}
		for _, groupID := range page.GroupIDs {
			if _, err := c.b.maps.GroupByID(ctx, groupID); !isNotFound(err) {
				continue
			}
			if err := c.createRoomNow(ctx, groupID); err != nil {
				zerolog.Ctx(ctx).Warn().Err(err).Str("group_id", groupID).Msg("Failed to make a room for a group")
			}
		}
		if next = page.Next; next == 0 {
			return nil
		}
	}
}

// catchUp compares one group with Tencent's record of it.
func (c *cloud) catchUp(ctx context.Context, key mapping.GroupKey) error {
	g, err := c.b.maps.GroupByKey(ctx, key)
	if err != nil || !inCloud(&g) {
		return err
	}
	info, err := c.groupInfo(ctx, g.GroupID)
	if isCode(err, receipts.CodeGroupNotFound) {
		return c.destroyed(ctx, g.GroupID)
	} else if err != nil {
		return err
	}
	if err = c.catchUpInfo(ctx, &g, info); err != nil {
		return err
	}
	if hasReceipts(&g) { // those types have no list of members either
		if err = c.catchUpMembers(ctx, &g); err != nil {
			return err
		}
	}
	if err = c.catchUpMessages(ctx, &g, info); err != nil || !hasReceipts(&g) {
		return err
	}
	return c.catchUpReceipts(ctx, &g)
}

func (c *cloud) catchUpInfo(ctx context.Context, g *mapping.Group, info tencent.GroupInfo) error {
	if (info.Name == "" || info.Name == g.Name) && (info.Type == "" || info.Type == g.Type) {
		return nil
	}
	return c.b.commits.do(ctx, func(ctx context.Context, s *session) error {
		now, err := s.group(ctx, g.Key)
		if err != nil || !inCloud(now) {
			return err
		}
		now.Type = info.Type
		if err = s.renamed(ctx, now, info.Name); err == nil {
			g.Type, g.Name = now.Type, now.Name
		}
		return err
	})
}

// catchUpMembers brings the members in line with Tencent's list, unless they have changed while it was read.
func (c *cloud) catchUpMembers(ctx context.Context, g *mapping.Group) error {
	before := c.movements(g.Key)
	accounts, err := c.tencentMembers(ctx, g.GroupID)
	if err != nil {
		return err
	}
	err = c.b.commits.do(ctx, func(ctx context.Context, s *session) error {
		g, err := s.group(ctx, g.Key)
		if err != nil || !inCloud(g) || c.movements(g.Key) != before {
			return err
		}
		return s.tencentMembers(ctx, g, accounts)
	})
	if err == nil {
		c.profileGhosts(g.Key)
	}
	return err
}

// tencentMembers takes a full list of who is in the Tencent group.
func (s *session) tencentMembers(ctx context.Context, g *mapping.Group, accounts []string) error {
	present := make(map[string]bool, len(accounts))
	for _, account := range accounts {
		present[account] = true
	}
	members, err := s.b.maps.Members(ctx, g.Key)
	if err != nil {
		return err
	}
	var left []string
	known := make(map[string]bool, len(members))
	for _, m := range members {
		if m.User.Kind == receipts.KindAccount || !m.Membership.IsMember() {
			continue
		}
		known[m.User.UserID] = true
		if m.User.Kind == receipts.KindGhost && !present[m.User.UserID] {
			left = append(left, m.User.UserID)
		}
	}
	joins, err := s.b.own.JoinsOf(ctx, g.Key)
	if err != nil {
		return err
	}
	for _, j := range joins {
		u, err := s.user(ctx, j.User)
		if err != nil {
			return err
		}
		known[u.UserID] = j.Joined
		if j.Joined && j.Wanted && !present[u.UserID] { // he is brought in again
			j.Joined, j.Due, j.Attempts = false, s.now, 0
			s.work = true
			if err = s.b.own.PutJoin(ctx, j); err != nil {
				return err
			}
		}
	}
	joined := slices.DeleteFunc(slices.Clone(accounts), func(account string) bool { return known[account] })
	if len(joined) > 0 {
		if err = s.tencentMembersJoined(ctx, g, joined); err != nil {
			return err
		}
	}
	if len(left) > 0 {
		return s.tencentMembersLeft(ctx, g, left, true)
	}
	return nil
}

// catchUpMessages fetches the messages whose webhooks never came. Up to which seq that has been done is kept.
func (c *cloud) catchUpMessages(ctx context.Context, g *mapping.Group, info tencent.GroupInfo) error {
	if info.NextMsgSeq <= 1 || info.NextMsgSeq > maxCloudSeq {
		return nil
	}
	value, err := c.b.own.Value(ctx, caughtUpKey(g.Key))
	if err != nil {
		return err
	}
	last := receipts.MsgSeq(info.NextMsgSeq - 1)
	done, _ := strconv.ParseUint("0"+value, 10, 64)
	first := receipts.MsgSeq(done) + 1
	if span := receipts.MsgSeq(c.b.cfg.Tencent.CatchUpMessages); last >= span && first < last-span+1 {
		first = last - span + 1
	}
	if first > last {
		return nil
	}
	missing := receipts.SetOfRanges(receipts.Range{First: first, Last: last})
	known, err := c.b.maps.MessagesBySeq(ctx, g.Key, missing, int(missing.Len()))
	if err != nil {
		return err
	}
	var have []receipts.MsgSeq
	for _, m := range known {
		if m.Sender != 0 {
			have = append(have, m.Seq)
		}
	}
	missed, err := c.missed(ctx, g, missing.Difference(receipts.SetOf(have...)))
	if err != nil {
		return err
	}
	for page := range slices.Chunk(missed, missedPage) {
		if err = c.b.commits.do(ctx, func(ctx context.Context, s *session) error { return s.missed(ctx, g.Key, page) }); err != nil {
			return err
		}
	}
	return c.b.commits.do(ctx, func(ctx context.Context, _ *session) error {
		return c.b.own.SetValue(ctx, caughtUpKey(g.Key), fmt.Sprint(uint64(last)))
	})
}

// missed reads messages from the group's history, the oldest first.
func (c *cloud) missed(ctx context.Context, g *mapping.Group, missing receipts.Set) ([]tencent.HistoryMsg, error) {
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
		switch m.IsPlaceMsg {
		case tencent.PlaceRecalled:
			err = s.groupMsgRecalled(ctx, g, []receipts.MsgSeq{receipts.MsgSeq(m.MsgSeq)})
		case tencent.PlaceMessage:
			g.LastSeq = max(g.LastSeq, receipts.MsgSeq(m.MsgSeq)) // it is no gap
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

// counts are how many have read a message: by Tencent's word, and of whom we know that Tencent has it.
type counts struct{ theirs, ours int }

// catchUpReceipts compares how many have read the newest messages, and asks who they are where the numbers differ.
func (c *cloud) catchUpReceipts(ctx context.Context, g *mapping.Group) error {
	ms, err := c.b.maps.MessagesPage(ctx, g.Key, 0, c.b.cfg.Tencent.CatchUpMessages)
	if err != nil {
		return err
	}
	var seqs []receipts.MsgSeq
	senders := make(map[receipts.MsgSeq]mapping.UserKey)
	for _, m := range ms {
		if m.Wants != receipts.WantsNo && !m.Recalled && !m.OnlineOnly {
			seqs = append(seqs, m.Seq)
			senders[m.Seq] = m.Sender
		}
	}
	before := c.seen(g.Key, nil)
	now := make(map[uint64]counts)
	for page := range slices.Chunk(seqs, tencent.MaxReceiptSeqs) {
		list, err := c.receiptCounts(ctx, g, page)
		if err != nil {
			return err
		}
		rows, err := c.b.reads.AllReaders(ctx, g.Key)
		if err != nil {
			return err
		}
		for _, m := range list {
			seq := receipts.MsgSeq(m.MsgSeq)
			sender, asked := senders[seq]
			if m.Code != 0 || !asked {
				continue
			}
			count := counts{theirs: int(m.ReadNum)}
			for _, row := range rows {
				if row.User != sender && row.Tencent.Contains(seq) {
					count.ours++
				}
			}
			if count.theirs == count.ours {
				continue
			}
			now[uint64(seq)] = count
			if before[uint64(seq)] == count {
				continue // asked already; it cannot be brought together
			}
			if err = c.catchUpReaders(ctx, g, seq, sender); err != nil {
				return err
			}
		}
	}
	c.seen(g.Key, now)
	return nil
}

// seen returns what the catch-up before could not bring together, and keeps what this one could not, if it is given.
func (c *cloud) seen(group mapping.GroupKey, now map[uint64]counts) map[uint64]counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.compared[group]
	if now != nil {
		c.compared[group] = now
	}
	return before
}

// catchUpReaders asks who has read a message. Whoever is missing there though we have told Tencent of him is told of again.
func (c *cloud) catchUpReaders(ctx context.Context, g *mapping.Group, seq receipts.MsgSeq, sender mapping.UserKey) error {
	read := make(map[string][]receipts.MsgSeq)
	for cursor := ""; ; {
		page, err := c.client.GetGroupMsgReceiptDetail(ctx, g.GroupID, seq, tencent.FilterRead, cursor, tencent.MaxReceiptDetails)
		if errors.Is(err, tencent.ErrMessage) {
			return nil // gone meanwhile
		} else if err != nil {
			return err
		}
		for _, account := range page.Accounts {
			read[account] = []receipts.MsgSeq{seq}
		}
		if page.Finished {
			break
		}
		cursor = page.Cursor
	}
	return c.b.commits.do(ctx, func(ctx context.Context, s *session) error {
		g, err := s.group(ctx, g.Key)
		if err != nil || !inCloud(g) {
			return err
		}
		if err = s.tencentRead(ctx, g, read); err != nil {
			return err
		}
		return s.tellAgain(ctx, g, seq, sender, read)
	})
}

// tellAgain finds Matrix users whose receipt Tencent was told of and does not have.
func (s *session) tellAgain(ctx context.Context, g *mapping.Group, seq receipts.MsgSeq, sender mapping.UserKey, read map[string][]receipts.MsgSeq) error {
	joins, err := s.b.own.JoinsOf(ctx, g.Key)
	if err != nil {
		return err
	}
	for _, j := range joins {
		u, err := s.user(ctx, j.User)
		if err != nil {
			return err
		}
		if _, has := read[u.UserID]; has || !j.Joined || u.Key == sender {
			continue
		}
		row, _, err := s.reader(ctx, g.Key, u.Key)
		if err != nil {
			return err
		}
		if row.Read.Contains(seq) && row.Tencent.Contains(seq) && row.AckDue.IsZero() {
			row.Tencent = row.Tencent.Difference(receipts.SetOf(seq))
			s.ackDue(row)
		}
	}
	return nil
}
