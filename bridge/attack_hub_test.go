package bridge

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// TestNoEventIsSkippedWhileOthersCommit: a cursor that is handed out must have everything below it.
func TestNoEventIsSkippedWhileOthersCommit(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	h.room("team", h.hs.User("ann"), "alice", "bob")
	alice := h.client("alice")
	const n = 120
	seqs := make([]uint64, n)
	for i := range seqs {
		sent, err := alice.SendText(h.ctx, "team", fmt.Sprint(i))
		require.NoError(t, err)
		seqs[i] = sent.Seq
	}
	cursor, err := h.b.hub.Now(h.ctx)
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() { // callbacks for alice
		for _, seq := range seqs {
			_ = h.root.GroupMsgReceipt(h.ctx, "team", "bob", seq)
		}
	})
	stop := make(chan struct{})
	wg.Go(func() { // new messages
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = h.client("bob").SendMessage(h.ctx, v2tim.OutgoingMessage{GroupID: "team", Text: "x", OnlineUserOnly: true})
			}
		}
	})
	got := make(map[string]bool)
	read := func() (more bool) {
		batch, err := h.b.hub.Read(h.ctx, "alice", cursor, 200)
		require.NoError(t, err)
		for _, r := range batch.Receipts {
			got[r.MsgID] = true
		}
		cursor = batch.Cursor
		return batch.More
	}
	done := make(chan struct{})
	go func() { time.Sleep(time.Second); close(stop); wg.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		read()
	}
	for read() {
	}
	require.Len(t, got, n)
}

// TestMessagesBehindThoseOfATimeAwayArrive: who comes back after many messages were not for him gets the next.
func TestMessagesBehindThoseOfATimeAwayArrive(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	room := h.room("team", h.hs.User("ann"), "alice", "bob")
	h.settled()
	cursor, err := h.b.hub.Now(h.ctx)
	require.NoError(t, err)
	require.NoError(t, h.root.DeleteGroupMember(h.ctx, "team", "bob"))
	g, err := h.b.maps.GroupByID(h.ctx, "team")
	require.NoError(t, err)
	alice, err := h.b.maps.UserByID(h.ctx, "alice")
	require.NoError(t, err)
	require.NoError(t, h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error {
		for i := range 450 {
			m := mapping.Message{Group: g.Key}
			m.Seq, m.Sender, m.Wants, m.At = receipts.MsgSeq(i+1), alice.Key, receipts.WantsYes, s.now
			if _, err := s.b.maps.PutMessages(ctx, []mapping.Message{m}); err != nil {
				return err
			}
			if err := s.newMessage(ctx, &g, m, "alice", "not for bob", ""); err != nil {
				return err
			}
		}
		return nil
	}))
	_, err = h.root.AddGroupMember(h.ctx, "team", "bob")
	require.NoError(t, err)
	h.hs.WaitFor("bob back", func() bool { return h.hs.Membership(room, h.ghost("bob")) == "join" })
	sent, err := h.client("alice").SendText(h.ctx, "team", "for bob")
	require.NoError(t, err)
	var got []string
	for more := true; more; {
		batch, err := h.b.hub.Read(h.ctx, "bob", cursor, 200)
		require.NoError(t, err)
		for _, m := range batch.Messages {
			got = append(got, m.MsgID)
		}
		require.True(t, !batch.More || batch.Cursor != cursor, "a step forward each time")
		cursor, more = batch.Cursor, batch.More
	}
	require.Equal(t, []string{sent.MsgID}, got)
}

// TestMessagesForThoseOnlineAreNotKeptForOthers: who was away does not get them later.
func TestMessagesForThoseOnlineAreNotKeptForOthers(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	h.room("team", h.hs.User("ann"), "alice", "bob")
	alice, bob := h.client("alice"), h.client("bob")
	listener := h.listen(bob)
	cursor := listener.Cursor
	sent, err := alice.SendMessage(h.ctx, v2tim.OutgoingMessage{GroupID: "team", Text: "now or never", OnlineUserOnly: true})
	require.NoError(t, err)
	for {
		e, err := listener.Next(h.ctx)
		require.NoError(t, err)
		if e.Message != nil {
			require.Equal(t, sent.MsgID, e.Message.MsgID)
			break
		}
	}
	later, err := alice.SendText(h.ctx, "team", "later")
	require.NoError(t, err)
	_, err = h.db.Exec(h.ctx, "UPDATE tim_feed SET at=at-$1", time.Hour.Milliseconds())
	require.NoError(t, err)
	batch, err := h.b.hub.Read(h.ctx, "bob", cursor, 200)
	require.NoError(t, err)
	require.Len(t, batch.Messages, 1)
	require.Equal(t, later.MsgID, batch.Messages[0].MsgID)
}

// TestAnIdleListenerIsNotToldToResync: nothing that was for him has been forgotten.
func TestAnIdleListenerIsNotToldToResync(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	h.room("team", h.hs.User("ann"), "alice")
	h.room("other", h.hs.User("ann"), "bob")
	cursor, err := h.b.hub.Now(h.ctx)
	require.NoError(t, err)
	_, err = h.client("alice").SendText(h.ctx, "team", "hello")
	require.NoError(t, err)
	batch, err := h.b.hub.Read(h.ctx, "bob", cursor, 200)
	require.NoError(t, err)
	require.Empty(t, batch.Messages)
	require.NoError(t, h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error {
		highest, err := h.b.own.DropFeed(ctx, s.now.Add(time.Hour))
		if err != nil {
			return err
		}
		return s.raiseCursorFloor(ctx, highest)
	}))
	value, err := h.b.own.Value(h.ctx, bridgedb.KeyCursorFloor)
	require.NoError(t, err)
	require.NotEmpty(t, value)
	_, err = h.b.hub.Read(h.ctx, "bob", batch.Cursor, 200)
	require.NoError(t, err)
}
