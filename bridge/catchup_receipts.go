package bridge

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// This file is the part of the catch-up that is about receipts: Tencent's counts are compared with what we know that it has.

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
		persons, err := c.personsOf(ctx, rows)
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
				if persons[row.User] != sender && row.Tencent.Contains(seq) {
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

// personsOf tells whose rows they are. What somebody's account wrote before he was linked is still its own in its row: it is the sender's,
// and counts for nobody else who has read it.
func (c *cloud) personsOf(ctx context.Context, rows []receiptsdb.Row) (map[mapping.UserKey]mapping.UserKey, error) {
	keys := make([]mapping.UserKey, len(rows))
	for i, row := range rows {
		keys[i] = row.User
	}
	users, err := c.b.maps.UsersByKey(ctx, keys)
	if err != nil {
		return nil, err
	}
	persons := make(map[mapping.UserKey]mapping.UserKey, len(rows))
	for _, key := range keys {
		persons[key] = cmp.Or(users[key].AliasOf, key)
	}
	return persons, nil
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

// tellAgain finds Matrix users whose receipt Tencent was told of and does not have, linked ones too. Who is no member of the group
// is told of when he is one.
func (s *session) tellAgain(ctx context.Context, g *mapping.Group, seq receipts.MsgSeq, sender mapping.UserKey, read map[string][]receipts.MsgSeq) error {
	keys, err := s.readersOf(ctx, g.Key)
	if err != nil {
		return err
	}
	for _, key := range keys {
		u := s.users[key]
		if _, has := read[u.UserID]; has || u.Kind == receipts.KindGhost || u.AliasOf != 0 || u.Key == sender {
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
