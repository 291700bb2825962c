package bridge

import (
	"context"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// disowned takes back that Tencent need not be told of what a ghost's row holds as his own: when he is unlinked, what his account wrote is
// somebody else's again, and Tencent does not count him as one who has read it. Else the catch-up, which compares numbers, would take him
// for somebody whose webhook was lost. What he did read there himself the catch-up then asks for, so this goes as far back as it does.
func (s *session) disowned(ctx context.Context, g *mapping.Group, row *receiptsdb.Row, account mapping.UserKey) error {
	if s.b.cloud == nil || g.SeqSource != mapping.SeqSourceCloud {
		return nil
	}
	s.after = append(s.after, func() { s.b.cloud.compareAgain(row.Group) })
	ms, err := s.b.maps.MessagesPage(ctx, g.Key, 0, s.b.cfg.Tencent.CatchUpMessages)
	if err != nil {
		return err
	}
	var seqs []receipts.MsgSeq
	for _, m := range ms {
		if m.Sender == account {
			seqs = append(seqs, m.Seq)
		}
	}
	row.Tencent = row.Tencent.Difference(receipts.SetOf(seqs...))
	return nil
}

// compareAgain has the next catch-up ask also where it could not bring the numbers together before: other readers may make them up now.
func (c *cloud) compareAgain(group mapping.GroupKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.compared, group)
}
