package bridge

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

func TestReceiptsMadeWhileStoppedArrive(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts)
		ann := h.hs.User("ann")
		room := h.room("team", ann, "alice")
		sent, err := h.client("alice").SendText(h.ctx, "team", "hello")
		require.NoError(t, err)
		event := h.event("team", sent.MsgID)
		h.settled()
		h.restart(func() { ann.SendReceipt(room, event) })
		h.waitCounts(h.client("alice"), sent.MsgID, 1, 0)
	})
}

func TestReceiptWhoseTransactionFailedArrives(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	alice := h.client("alice")
	sent, err := alice.SendText(h.ctx, "team", "hello")
	require.NoError(t, err)
	event := h.event("team", sent.MsgID)
	h.settled()
	h.hs.FailTransactions(1)
	ann.SendReceipt(room, event)
	// Pushed receipts of a failed transaction are gone; the bot's /sync has them.
	h.b.hs.SyncNow()
	h.waitCounts(alice, sent.MsgID, 1, 0)
}

func TestAcksMadeWhileTheHomeserverIsDownArrive(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts)
		ann, ben := h.hs.User("ann"), h.hs.User("ben")
		room := h.room("team", ann, "alice")
		h.join(ben, room)
		m := h.message("team", ann.Send(room, "hello"))
		h.settled()
		h.hs.SetOutage(true)
		require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, m.MsgId))
		h.restart(nil)
		h.hs.SetOutage(false)
		ben.WaitReceipt(room, h.ghost("alice"), id.EventID(m.EventId))
	})
}

func TestMessagesSentWhileTheHomeserverIsDownArriveOnce(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts)
		ann := h.hs.User("ann")
		room := h.room("team", ann, "alice")
		h.settled()
		h.hs.SetOutage(true)
		alice := h.client("alice")
		var ids []string
		for _, text := range []string{"one", "two", "three"} {
			sent, err := alice.SendText(h.ctx, "team", text)
			require.NoError(t, err)
			ids = append(ids, sent.MsgID)
		}
		h.restart(nil)
		h.hs.SetOutage(false)
		for _, msgID := range ids {
			h.event("team", msgID)
		}
		h.settled()
		var texts []string
		for _, ev := range h.hs.Timeline(room) {
			if ev.Type == "m.room.message" {
				texts = append(texts, body(ev))
			}
		}
		require.Equal(t, []string{"one", "two", "three"}, texts)
	})
}

// Messages of different people stand in the room as they were sent: side by side they would have no order that everybody agrees on.
func TestMessagesOfManySendersKeepTheirOrder(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Options{})
	people := []string{"alice", "bob", "carol", "dave", "erin"}
	room := h.room("team", h.hs.User("ann"), people...)
	h.settled()
	answer := make(chan struct{})
	h.hs.FailRequests(func(_, _ string, _ id.UserID) bool { <-answer; return false }, 1, 500, "", 0)
	var texts []string
	for i := range 40 {
		text := fmt.Sprint("message ", i)
		_, err := h.client(people[i%len(people)]).SendText(h.ctx, "team", text)
		require.NoError(t, err)
		texts = append(texts, text)
	}
	close(answer)
	h.settled()
	var shown []string
	for _, ev := range h.hs.Timeline(room) {
		if ev.Type == "m.room.message" {
			shown = append(shown, body(ev))
		}
	}
	require.Equal(t, texts, shown)
}

func TestRepeatedTransactionsChangeNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	first := ann.Send(room, "one")
	h.message("team", first)
	h.hs.WaitPushed()
	before := h.messages("team", 1)

	require.Equal(t, http.StatusOK, h.hs.RepeatLast(""), "same id")
	require.Equal(t, http.StatusOK, h.hs.RepeatLast("another"), "other id")
	require.Equal(t, before, h.messages("team", 1))

	h.hs.Restart() // ids begin at 1 again
	second := ann.Send(room, "two")
	h.message("team", second)
	list := h.messages("team", 2)
	require.Len(t, list, 2)
	require.EqualValues(t, 2, list[1].MsgSeq)
	require.Equal(t, before[0], list[0])
}

func TestSecondEventOfOneMessageIsRedacted(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	sent, err := h.client("alice").SendText(h.ctx, "team", "hello")
	require.NoError(t, err)
	event := h.event("team", sent.MsgID)
	h.settled()
	// What a homeserver does that forgot the transaction id: the same content as a new event.
	content := h.timeline(room, event).Content
	twin := h.hs.User(h.ghost("alice").Localpart()).SendEvent(room, "m.room.message", content)
	require.NotEqual(t, event, twin)
	h.wait("redaction", func() bool { return body(h.timeline(room, twin)) == "" })
	require.Equal(t, "hello", body(h.timeline(room, event)))
	require.Len(t, h.messages("team", 1), 1)
}

func TestListenerResumesByCursor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice", "bob")
	alice := h.client("alice")
	listener := h.listen(alice)
	cursor := listener.Cursor
	listener.Close()
	sent, err := alice.SendText(h.ctx, "team", "hello")
	require.NoError(t, err)
	ann.SendReceipt(room, h.event("team", sent.MsgID))
	fromAnn := h.message("team", ann.Send(room, "hi alice"))
	h.waitCounts(alice, sent.MsgID, 1, 1)
	h.restart(nil)

	again, err := h.client("alice").Listen(h.ctx, cursor)
	require.NoError(t, err)
	defer again.Close()
	got := map[string]bool{}
	for !got["receipt"] || !got["message"] {
		e, err := again.Next(h.ctx)
		require.NoError(t, err)
		for _, r := range e.ReceiptList {
			got["receipt"] = got["receipt"] || r.MsgID == sent.MsgID && r.ReadCount == 1
		}
		if e.Message != nil && e.Message.MsgID == fromAnn.MsgId {
			require.Equal(t, "hi alice", e.Message.Text)
			got["message"] = true
		}
	}
}
