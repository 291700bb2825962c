package bridge

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// oneCommit has calls ride in one commit, in their order, and returns when all have ended.
func (h *house) oneCommit(calls ...func()) {
	h.t.Helper()
	gate, held := make(chan struct{}), make(chan struct{})
	go func() {
		_ = h.b.commits.do(h.ctx, func(context.Context, *session) error { close(held); <-gate; return nil })
	}()
	<-held
	var wg sync.WaitGroup
	for _, call := range calls {
		before := len(h.b.commits.queue)
		wg.Go(call)
		h.wait("queued", func() bool { return len(h.b.commits.queue) > before })
	}
	close(gate)
	wg.Wait()
}

// ack is a call of sendMessageReadReceipts, and change a change that may write anything.
func (h *house) ack(err *error, caller string, ids ...string) func() {
	return func() { *err = service{h.b}.SendMessageReadReceipts(h.ctx, caller, ids) }
}

func (h *house) change(fn change) func() {
	return func() {
		h.t.Helper()
		if err := h.b.commits.do(h.ctx, fn); err != nil {
			h.t.Error(err)
		}
	}
}

// readOf is what a user has read in the house's first group.
func (h *house) readOf(user string) receipts.Set {
	h.t.Helper()
	key := h.key(user)
	rows, err := h.b.reads.Readers(h.ctx, 1, []mapping.UserKey{key})
	require.NoError(h.t, err)
	return rows[key].Read
}

func (h *house) text(group, from, text string) v2tim.SentMessage {
	h.t.Helper()
	sent, err := h.client(from).SendText(h.ctx, group, text)
	require.NoError(h.t, err)
	return sent
}

func TestCallsOfOneReaderInOneCommit(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	h.room("team", h.hs.User("ann"), "alice", "bob")
	first, second := h.text("team", "alice", "first"), h.text("team", "alice", "second")
	h.settled()
	errs := make([]error, 3)
	h.oneCommit(h.ack(&errs[0], "bob", first.MsgID), h.ack(&errs[1], "bob", second.MsgID), h.ack(&errs[2], "bob", first.MsgID))
	require.Equal(t, make([]error, 3), errs)
	require.Equal(t, receipts.SetOf(receipts.MsgSeq(first.Seq), receipts.MsgSeq(second.Seq)), h.readOf("bob"))
}

// Refused calls change nothing, and those who ride with them neither fail nor run again.
func TestRefusedCallsAmongOthersInOneCommit(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	h.room("team", ann, "alice", "bob", "carol", "dave")
	h.room("other", ann, "alice", "bob", "carol")
	m, other := h.text("team", "alice", "hello"), h.text("other", "alice", "hello")
	h.settled()
	h.spoilt = true
	h.damage("read_set", h.key("dave"))
	errs := make([]error, 7)
	ran := 0
	h.oneCommit(
		h.change(func(context.Context, *session) error { ran++; return nil }),
		h.ack(&errs[0], "bob", m.MsgID),
		h.ack(&errs[1], "carol", m.MsgID, other.MsgID), // of two groups
		h.ack(&errs[2], "alice", m.MsgID),              // her own
		h.ack(&errs[3], "dave", m.MsgID),               // his row is damaged
		h.ack(&errs[4], "mallory", m.MsgID),            // nobody
		h.ack(&errs[5], "carol", other.MsgID),
		h.ack(&errs[6], "mal\x00lory", m.MsgID), // PostgreSQL refuses to look for such a name
	)
	require.NoError(t, errs[0])
	requireCode(t, receipts.CodeInvalidParameters, errs[1])
	requireCode(t, receipts.CodeReceiptNotExist, errs[2])
	requireCode(t, receipts.CodeGroupInternalError, errs[3])
	requireCode(t, receipts.CodeInvalidParameters, errs[4])
	require.NoError(t, errs[5])
	requireCode(t, receipts.CodeInvalidParameters, errs[6])
	require.Equal(t, 1, ran, "nothing was repeated")
	require.Equal(t, receipts.SetOf(receipts.MsgSeq(m.Seq)), h.readOf("bob"))
	require.True(t, h.readOf("carol").IsEmpty())
	h.mend(h.key("dave"))
}

// What a change in between writes is seen by the calls after it.
func TestCallsAroundOtherChangesInOneCommit(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	h.room("team", h.hs.User("ann"), "alice", "bob", "carol")
	first, second := h.text("team", "alice", "first"), h.text("team", "alice", "second")
	h.settled()
	bob, alice := h.key("bob"), h.key("alice")
	const late = "144115-1727580297-9"
	errs := make([]error, 4)
	var early bool
	h.oneCommit(
		h.ack(&errs[0], "bob", first.MsgID),
		func() { early, errs[1] = service{h.b}.acknowledgeIDs(h.ctx, "carol", []string{late}, false) },
		h.change(func(ctx context.Context, s *session) error {
			g, err := s.group(ctx, 1)
			if err != nil {
				return err
			}
			if err = s.memberLeft(ctx, g, mapping.User{Key: bob}, 0); err != nil {
				return err
			}
			m := mapping.Message{Group: 1}
			if m.Seq, err = s.b.maps.NextSeq(ctx, 1); err != nil {
				return err
			}
			m.MsgID, m.Sender, m.Wants, m.At = late, alice, receipts.WantsYes, s.now
			_, err = s.b.maps.PutMessages(ctx, []mapping.Message{m})
			return err
		}),
		h.ack(&errs[2], "bob", second.MsgID),
		h.ack(&errs[3], "carol", late),
	)
	require.NoError(t, errs[0])
	require.NoError(t, errs[1])
	require.False(t, early, "not known yet")
	requireCode(t, receipts.CodeInvalidParameters, errs[2])
	require.NoError(t, errs[3])
	require.Equal(t, receipts.SetOf(receipts.MsgSeq(first.Seq)), h.readOf("bob"))
	require.Equal(t, uint64(1), h.readOf("carol").Len())
}

// receiptHook is a webhook of who has read a message.
func (h *cloudHouse) receiptHook(group string, seq uint64, accounts ...string) func() {
	e := &tencent.ReadReceipt{GroupMsgReceiptList: []tencent.ReadMsg{{MsgSeq: tencent.Uint(seq), ReadReceiptMembers: accounts}}}
	e.GroupId = group
	return func() {
		h.t.Helper()
		if err := h.b.cloud.HandleEvent(h.ctx, e); err != nil {
			h.t.Error(err)
		}
	}
}

// What a webhook writes of messages and users is seen by those that ride with it.
func TestWebhooksInOneCommit(t *testing.T) {
	t.Parallel()
	h := newCloudHouse(t, matrixtest.Dendrite(), tencenttest.Options{}, func(cfg *config.Config) { cfg.Tencent.CatchUpInterval = time.Hour })
	h.link("team", h.hs.User("ann"), "alice", "bob", "carol")
	sent, err := h.cloud.User("alice").Send("team", "hello", tencenttest.SendOptions{})
	require.NoError(t, err)
	h.eventOf("team", sent.Seq)
	h.settled()
	first := receipts.SetOf(receipts.MsgSeq(sent.Seq))
	h.change(func(ctx context.Context, s *session) error {
		_, err := s.b.maps.SetWants(ctx, 1, first, receipts.WantsNo)
		return err
	})()
	found, err := h.b.maps.MessagesBySeq(h.ctx, 1, first, 1)
	require.NoError(t, err)
	require.Equal(t, receipts.WantsNo, found[0].Wants)
	msgID := found[0].MsgID
	errs := make([]error, 2)
	next := sent.Seq + 1 // nobody has told of it
	h.oneCommit(
		h.ack(&errs[0], "carol", msgID),
		h.receiptHook("strangers", next, "bob"),
		h.receiptHook("team", next, "bob"),
		h.receiptHook("team", next, "zoe"),
		h.receiptHook("team", sent.Seq, "zoe", "bob"),
		h.ack(&errs[1], "carol", msgID),
	)
	requireCode(t, receipts.CodeReceiptNotExist, errs[0])
	require.NoError(t, errs[1])
	both := receipts.SetOf(receipts.MsgSeq(sent.Seq), receipts.MsgSeq(next))
	require.Equal(t, both, h.readOf("bob"))
	require.Equal(t, both, h.readOf("zoe"))
	require.Equal(t, first, h.readOf("carol"))
	found, err = h.b.maps.MessagesBySeq(h.ctx, 1, both, 2)
	require.NoError(t, err)
	require.Len(t, found, 2)
	for _, m := range found {
		require.Equal(t, receipts.WantsYes, m.Wants)
	}
}
