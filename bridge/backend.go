package bridge

import (
	"context"
	"strconv"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// backendPage is how many callbacks are taken together.
const backendPage = 200

// tellBackend posts every new reader to the app's backend, in the order of the cursors, each until it is answered. Where it stands
// is kept in the database, so that a restart goes on there; a post may be repeated, which says the same again.
func (b *Bridge) tellBackend() {
	defer b.backend.Close()
	for attempt := 0; ; {
		changed := b.called.wait()
		more, err := b.tellBackendPage(b.ctx)
		pause := b.cfg.V2TIM.CallbackCoalesce
		switch {
		case b.ctx.Err() != nil:
			return
		case err != nil:
			attempt++
			pause = backoff(attempt, 0)
			b.log.Warn().Err(err).Int("attempt", attempt).Msg("Failed to tell the app's backend of new readers, will try again")
		case !more:
			attempt = 0
			select {
			case <-changed:
			case <-b.ctx.Done():
				return
			}
		default:
			attempt, pause = 0, 0
		}
		if !sleep(b.ctx, pause) {
			return
		}
	}
}

func (b *Bridge) tellBackendPage(ctx context.Context) (more bool, err error) {
	value, err := b.own.Value(ctx, bridgedb.KeyBackend)
	if err != nil {
		return false, err
	}
	after, _ := strconv.ParseInt("0"+value, 10, 64)
	page, err := b.reads.AllCallbacks(ctx, after, backendPage)
	if err != nil || len(page) == 0 {
		return false, err
	}
	byGroup := make(map[mapping.GroupKey][]receipts.MsgSeq)
	var order []mapping.GroupKey
	for _, c := range page {
		if byGroup[c.Group] == nil {
			order = append(order, c.Group)
		}
		byGroup[c.Group] = append(byGroup[c.Group], c.Seq)
	}
	for _, key := range order {
		if err = b.postReaders(ctx, key, byGroup[key]); err != nil {
			return false, err
		}
	}
	last := strconv.FormatInt(page[len(page)-1].Cursor, 10)
	err = b.commits.do(ctx, func(ctx context.Context, _ *session) error { return b.own.SetValue(ctx, bridgedb.KeyBackend, last) })
	return len(page) == backendPage, err
}

// postReaders posts who has read some messages of a group.
func (b *Bridge) postReaders(ctx context.Context, key mapping.GroupKey, seqs []receipts.MsgSeq) error {
	g, err := b.maps.GroupByKey(ctx, key)
	if err != nil {
		return err
	}
	members, err := b.readers(ctx, key)
	if err != nil {
		return err
	}
	messages, err := b.maps.MessagesBySeq(ctx, key, receipts.SetOf(seqs...), len(seqs))
	if err != nil {
		return err
	}
	event := v2tim.CallbackAfterReadReceipt{GroupId: g.GroupID, Type: g.Type}
	for _, m := range messages {
		read, unread := receipts.Count(m.Message, members)
		item := v2tim.GroupMsgReceipt{MsgSeq: uint64(m.Seq), ReadNum: uint64(read), UnreadNum: uint64(unread), ReadReceiptMembers: []v2tim.MemberAccount{}}
		for next, finished := uint64(0), false; !finished; {
			var page []string
			page, next, finished = receipts.MemberPage(m.Message, members, receipts.FilterRead, next, receipts.MaxMemberPage)
			for _, name := range page {
				item.ReadReceiptMembers = append(item.ReadReceiptMembers, v2tim.MemberAccount{Member_Account: name})
			}
		}
		event.GroupMsgReceiptList = append(event.GroupMsgReceiptList, item)
	}
	return b.backend.Post(ctx, event)
}
