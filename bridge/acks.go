package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// ack is what Tencent is told of one reader in one call: he has read these messages of one group.
type ack struct {
	group   mapping.GroupKey
	user    mapping.UserKey
	groupID string
	account string
	seqs    []receipts.MsgSeq
}

const (
	// ackLease is how long an acknowledgement counts as under way. It is longer than its calls may take.
	ackLease = 2 * time.Minute
	// ackPage is how many open messages of a reader are looked at in one step.
	ackPage = 500
	// pauseProbe is how often is tried whether Tencent takes receipts of a paused group again.
	pauseProbe = time.Hour
	// wantsRetry is when a reader is looked at again who waits for it being known whether messages want a receipt.
	wantsRetry = time.Minute
)

func (c *cloud) ackReconciler() *reconciler[ack] {
	return &reconciler[ack]{
		name:  "tencent receipts",
		limit: c.b.cfg.Tencent.Concurrency,
		due: func(ctx context.Context, limit int) ([]ack, error) {
			rows, err := c.b.reads.DueAcks(ctx, c.b.clock(), limit)
			list := make([]ack, len(rows))
			for i, row := range rows {
				list[i] = ack{group: row.Group, user: row.User}
			}
			return list, err
		},
		next:  c.b.reads.NextAck,
		key:   func(a ack) string { return fmt.Sprint(a.group, " ", a.user) },
		begin: c.claimAcks,
		do:    c.sendAck,
		clock: c.b.clock,
		wake:  make(chan struct{}, 1),
	}
}

// claimAcks computes what Tencent has yet to be told of each reader. Repeating an acknowledgement does no harm, so that nothing of it
// has to be written down before.
func (c *cloud) claimAcks(ctx context.Context, due []ack) (todo []ack, err error) {
	err = c.b.commits.do(ctx, func(ctx context.Context, s *session) error {
		todo = nil
		for _, d := range due {
			a, ok, err := s.claimAck(ctx, d)
			if err != nil {
				return err
			} else if ok {
				todo = append(todo, a)
			}
		}
		return nil
	})
	return todo, err
}

func (s *session) claimAck(ctx context.Context, d ack) (a ack, ok bool, err error) {
	row, membership, err := s.reader(ctx, d.group, d.user)
	if err == nil && row.Damage != nil {
		return a, false, s.b.reads.Shelve(ctx, d.group, d.user)
	}
	if err != nil || row.AckDue.IsZero() {
		return a, false, err
	}
	g, err := s.group(ctx, d.group)
	if err != nil {
		return a, false, err
	}
	u, err := s.user(ctx, d.user)
	if err != nil {
		return a, false, err
	}
	s.save(row)
	row.AckDue = time.Time{}
	if !inCloud(g) || !hasReceipts(g) || !g.ToTencent || s.b.private[u.Key] || u.AliasOf != 0 {
		return a, false, nil // what changes that looks again. What somebody read before he was linked is told under the name that he has now.
	}
	pending, undecided, err := s.openAcks(ctx, u, row, membership)
	if err != nil {
		return a, false, err
	}
	if len(pending)+len(undecided) == 0 {
		row.AckAttempts = 0
		return a, false, nil
	}
	if in, err := s.inTencentGroup(ctx, g, u); err != nil || !in {
		return a, false, err // joining looks again
	}
	if row.AckDue, err = s.pausedUntil(ctx, g.Key); err != nil || !row.AckDue.IsZero() {
		return a, false, err
	}
	if len(undecided) > 0 {
		s.askWants(g.Key, undecided)
		row.AckDue = s.now.Add(wantsRetry)
	}
	if len(pending) == 0 {
		return a, false, nil
	}
	row.AckDue = s.now.Add(ackLease)
	return ack{d.group, d.user, g.GroupID, u.UserID, pending[:min(len(pending), receipts.MaxAcksPerCall)]}, true, nil
}

// openAcks finds what Tencent does not have of a reader, the oldest first, until one call is full: what it is to be told, and what it
// might be. What it need never be told is settled on the way.
func (s *session) openAcks(ctx context.Context, u mapping.User, row *receiptsdb.Row, membership receipts.Membership) (pending, undecided []receipts.MsgSeq, err error) {
	rest := row.Read.Difference(row.Tencent)
	for !rest.IsEmpty() && len(pending) < receipts.MaxAcksPerCall {
		found, err := s.b.maps.MessagesBySeq(ctx, row.Group, rest, ackPage)
		if err != nil {
			return nil, nil, err
		}
		ms := make([]receipts.Message, len(found))
		for i, m := range found {
			ms[i] = m.Message
		}
		row.SettleTencent(u.Key, ms)
		pending = append(pending, row.PendingAcks(u.Key, membership, ms)...)
		undecided = append(undecided, row.Undecided(u.Key, membership, ms)...)
		if len(ms) < ackPage {
			break
		}
		rest = rest.Difference(receipts.SetOfRanges(receipts.Range{First: 1, Last: ms[len(ms)-1].Seq}))
	}
	return pending, undecided, nil
}

// outcome is what became of the messages of one acknowledgement.
type outcome struct {
	done   []receipts.MsgSeq
	gone   map[receipts.Code][]receipts.MsgSeq // refused for good, by code
	failed error                               // the rest was not decided
}

// sendAck tells Tencent what a reader has read, and writes down what it has now.
func (c *cloud) sendAck(ctx context.Context, a ack) {
	log := zerolog.Ctx(ctx).With().Str("group_id", a.groupID).Str("account", a.account).Logger()
	ctx = log.WithContext(ctx)
	out := outcome{gone: make(map[receipts.Code][]receipts.MsgSeq)}
	c.acknowledge(ctx, a, a.seqs, &out)
	if ctx.Err() != nil && len(out.done) == 0 {
		return // stopping; the lease runs out and it is told again
	}
	var attempt int
	commitErr := c.b.commits.record(ctx, func(ctx context.Context, s *session) error {
		var err error
		attempt, err = s.acknowledged(ctx, a, &out)
		return err
	})
	switch {
	case commitErr != nil:
		log.Error().Err(commitErr).Msg("Failed to record receipts sent to Tencent")
		sleep(ctx, errorPause)
	case out.failed != nil && ctx.Err() == nil:
		c.b.stats.acksRefused.Add(1)
		log.Warn().Err(out.failed).Int("attempt", attempt).Msg("Tencent did not take receipts, they are sent again")
	default:
		log.Debug().Int("messages", len(out.done)).Msg("Sent receipts to Tencent")
	}
	for code, seqs := range out.gone {
		log.Warn().Int("code", int(code)).Int("messages", len(seqs)).Msg("Tencent has no receipts for messages")
	}
}

// acknowledge makes the call. Where Tencent refuses it because of a message, it does not say which: the list is halved until only
// that one is left out.
func (c *cloud) acknowledge(ctx context.Context, a ack, seqs []receipts.MsgSeq, out *outcome) {
	c.b.stats.acksSent.Add(1)
	err := c.client.GroupMsgReceipt(ctx, a.groupID, a.account, seqs)
	var refused *tencent.APIError
	switch {
	case err == nil:
		out.done = append(out.done, seqs...)
	case !errors.Is(err, tencent.ErrMessage):
		out.failed = err
	case len(seqs) > 1:
		half := len(seqs) / 2
		c.acknowledge(ctx, a, seqs[:half], out)
		if out.failed == nil {
			c.acknowledge(ctx, a, seqs[half:], out)
		}
	case errors.As(err, &refused):
		out.gone[refused.Code] = append(out.gone[refused.Code], seqs...)
	}
}

// acknowledged takes the outcome into the reader's row and says how often it has failed in a row.
func (s *session) acknowledged(ctx context.Context, a ack, out *outcome) (attempt int, err error) {
	row, _, err := s.reader(ctx, a.group, a.user)
	if err != nil {
		return 0, err
	}
	g, err := s.group(ctx, a.group)
	if err != nil {
		return 0, err
	}
	u, err := s.user(ctx, a.user)
	if err != nil {
		return 0, err
	}
	s.save(row)
	settled := slices.Clone(out.done)
	for code, seqs := range out.gone {
		settled = append(settled, seqs...)
		if code == receipts.CodeReceiptNotExist {
			if _, err = s.b.maps.SetWants(ctx, a.group, receipts.SetOf(seqs...), receipts.WantsNo); err != nil {
				return 0, err
			}
		}
	}
	row.Tencent = row.Tencent.Union(receipts.SetOf(settled...).Intersect(row.Read))
	if news := row.AckDue; !news.IsZero() && news.Sub(s.now) > ackLease/2 {
		row.AckDue = time.Time{} // that was the lease; what is earlier are news that came meanwhile
	}
	switch err := out.failed; {
	case err == nil:
		row.AckAttempts = 0
		if !row.Tencent.ContainsAll(row.Read) {
			row.AckDue = s.now // more than one call holds, or than is known
		}
	case errors.Is(err, tencent.ErrGroup), isCode(err, receipts.CodeGroupAPINameError):
		row.AckAttempts = 0
		return 0, s.pause(ctx, g, row, err)
	case errors.Is(err, tencent.ErrPerson):
		// Joining, or his next newer message, looks again.
		row.AckAttempts++
		row.AckDue = time.Time{}
		return row.AckAttempts, s.notInTencentGroup(ctx, g, u, row.AckAttempts)
	default:
		var wait time.Duration
		row.AckAttempts, wait = s.b.again(row.AckAttempts, err)
		row.AckDue = s.now.Add(wait)
	}
	s.acksDue = s.acksDue || !row.AckDue.IsZero()
	attempt = row.AckAttempts
	if len(out.done) > 0 {
		err = s.resume(ctx, g)
	}
	return attempt, err
}

func isCode(err error, code receipts.Code) bool {
	var refused *tencent.APIError
	return errors.As(err, &refused) && refused.Code == code
}
