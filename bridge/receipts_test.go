package bridge

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/receipts"
)

// eachServer runs a test against homeservers of both kinds.
func eachServer(t *testing.T, test func(t *testing.T, opts matrixtest.Options)) {
	for name, opts := range map[string]matrixtest.Options{"synapse": matrixtest.Synapse(), "dendrite": matrixtest.Dendrite()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, opts)
		})
	}
}

func TestReceiptFromV2TIMReachesMatrix(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts)
		ann, ben := h.hs.User("ann"), h.hs.User("ben")
		room := h.room("team", ann, "alice", "bob")
		h.join(ben, room)
		event := ann.Send(room, "hello")
		m := h.message("team", event)

		require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, m.MsgId))
		ben.WaitReceipt(room, h.ghost("alice"), event)
		require.Empty(t, ben.ReceiptOf(room, h.ghost("bob")), "bob has read nothing")
		h.settled()

		require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, m.MsgId), "again")
		h.settled()
	})
}

func TestReceiptFromMatrixReachesV2TIM(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts)
		ann := h.hs.User("ann")
		room := h.room("team", ann, "alice", "bob")
		alice := h.client("alice")
		listener := h.listen(alice)
		sent, err := alice.SendText(h.ctx, "team", "hello")
		require.NoError(t, err)
		require.EqualValues(t, 1, sent.Seq)
		event := h.event("team", sent.MsgID)
		h.waitCounts(alice, sent.MsgID, 0, 2)

		ann.SendReceipt(room, event)
		_, err = listener.WaitReceipt(h.ctx, sent.MsgID, 1, 1)
		require.NoError(t, err)
		require.NoError(t, h.client("bob").SendMessageReadReceipts(h.ctx, sent.MsgID))
		_, err = listener.WaitReceipt(h.ctx, sent.MsgID, 2, 0)
		require.NoError(t, err)
		readers, err := alice.ReadMembers(h.ctx, sent.MsgID, v2tim.FilterRead)
		require.NoError(t, err)
		require.Len(t, readers, 2)
		require.Contains(t, readers, "bob")
	})
}

func TestReadUpToCoversMessagesOfSeveralSenders(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts)
		ann, ben := h.hs.User("ann"), h.hs.User("ben")
		room := h.room("team", ann, "alice", "bob")
		h.join(ben, room)
		alice, bob := h.client("alice"), h.client("bob")
		one, err := alice.SendText(h.ctx, "team", "one")
		require.NoError(t, err)
		h.event("team", one.MsgID)
		two, err := bob.SendText(h.ctx, "team", "two")
		require.NoError(t, err)
		h.event("team", two.MsgID)
		last := ben.Send(room, "three")
		h.message("team", last)

		ann.SendReceipt(room, last)
		h.waitCounts(alice, one.MsgID, 1, 2)
		h.waitCounts(bob, two.MsgID, 1, 2)
	})
}

func TestManyMessagesAtOnceBecomeFewReceipts(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.room("team", ann, "alice")
	h.join(ben, room)
	const n = 25
	for i := range n {
		ann.Send(room, fmt.Sprint("message ", i))
	}
	list := h.messages("team", n)
	ids := make([]string, n)
	for i, m := range list {
		ids[i] = m.MsgId
	}
	require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, ids...))
	ben.WaitReceipt(room, h.ghost("alice"), id.EventID(list[n-1].EventId))
	h.settled()
	sent := h.hs.Requests(matrixtest.Path("/receipt/m.read/"))
	require.LessOrEqual(t, len(sent), 2, "one marker, and at most one more for what came while it was under way")
}

func TestMixedGroupsAreRefusedAndNothingChanges(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts)
		ann := h.hs.User("ann")
		roomA, roomB := h.room("a", ann, "alice"), h.room("b", ann, "alice")
		a, b := h.message("a", ann.Send(roomA, "in a")), h.message("b", ann.Send(roomB, "in b"))

		err := h.client("alice").SendMessageReadReceipts(h.ctx, a.MsgId, b.MsgId)
		var coded *receipts.Error
		require.ErrorAs(t, err, &coded)
		require.Equal(t, receipts.CodeInvalidParameters, coded.Code)
		require.Contains(t, coded.Desc, `"a"`)
		require.Contains(t, coded.Desc, `"b"`)
		h.settled()
		for _, group := range []string{"a", "b"} {
			require.Zero(t, h.messages(group, 1)[0].ReadNum, group)
		}
		require.Empty(t, ann.ReceiptOf(roomA, h.ghost("alice")))
		require.Empty(t, ann.ReceiptOf(roomB, h.ghost("alice")))
	})
}

func TestStrangersLearnNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	m := h.message("team", ann.Send(room, "secret"))
	known := h.client("mallory").SendMessageReadReceipts(h.ctx, m.MsgId)
	unknown := h.client("mallory").SendMessageReadReceipts(h.ctx, "144115-1-1")
	var a, b *receipts.Error
	require.ErrorAs(t, known, &a)
	require.ErrorAs(t, unknown, &b)
	require.Equal(t, b.Code, a.Code)
	_, err := h.client("mallory").GetMessageReadReceipts(h.ctx, m.MsgId)
	require.ErrorAs(t, err, &a)
	_, err = h.client("mallory").SendText(h.ctx, "team", "let me in")
	require.ErrorAs(t, err, &a)
	require.Equal(t, receipts.CodePermissionDeny, a.Code)
}

func TestReceiptNamingAnEventOfAnotherRoomIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Dendrite()) // Synapse would not even show it
	ann := h.hs.User("ann")
	roomA, roomB := h.room("a", ann, "alice"), h.room("b", ann, "alice")
	alice := h.client("alice")
	a, err := alice.SendText(h.ctx, "a", "in a")
	require.NoError(t, err)
	b, err := alice.SendText(h.ctx, "b", "in b")
	require.NoError(t, err)
	h.event("a", a.MsgID)
	foreign := h.event("b", b.MsgID)
	ann.SendReceipt(roomA, foreign)
	h.wait("refusal", func() bool { return h.b.stats.foreignReceipts.Load() > 0 })
	require.Equal(t, [2]uint64{0, 1}, h.counts(alice, a.MsgID))
	require.Equal(t, [2]uint64{0, 1}, h.counts(alice, b.MsgID))
	ann.SendReceipt(roomB, foreign)
	h.waitCounts(alice, b.MsgID, 1, 0)
	require.Equal(t, [2]uint64{0, 1}, h.counts(alice, a.MsgID))
}

func TestPrivateReceiptDoesNotCross(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	alice := h.client("alice")
	one, err := alice.SendText(h.ctx, "team", "one")
	require.NoError(t, err)
	event := h.event("team", one.MsgID)
	ann.SendReceipt(room, event, matrixtest.ReceiptOptions{Private: true})
	// Something public behind it, so that we know the private one has been passed over.
	ben := h.hs.User("ben")
	h.join(ben, room)
	two, err := alice.SendText(h.ctx, "team", "two")
	require.NoError(t, err)
	ben.SendReceipt(room, h.event("team", two.MsgID))
	h.waitCounts(alice, two.MsgID, 1, 1)
	require.Equal(t, [2]uint64{0, 1}, h.counts(alice, one.MsgID))
}

func TestThreads(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.room("team", ann, "alice")
	h.join(ben, room)
	root := ben.Send(room, "root")
	inThread := ben.SendThread(room, root, "in thread")
	main := ben.Send(room, "main")
	rootM, threadM, mainM := h.message("team", root), h.message("team", inThread), h.message("team", main)
	count := func(m v2tim.GroupMessage) uint64 {
		for _, now := range h.messages("team", 3) {
			if now.MsgSeq == m.MsgSeq {
				return now.ReadNum
			}
		}
		return 99
	}
	ann.SendReceipt(room, main, matrixtest.ReceiptOptions{Thread: "main"})
	h.wait("main timeline", func() bool { return count(mainM) == 1 && count(rootM) == 1 })
	require.Zero(t, count(threadM), "a receipt on the main timeline says nothing of threads")
	ann.SendReceipt(room, inThread, matrixtest.ReceiptOptions{Thread: root.String()})
	h.wait("thread", func() bool { return count(threadM) == 1 })
}

func TestReactionAsLastReadEvent(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts)
		ann, ben := h.hs.User("ann"), h.hs.User("ben")
		room := h.room("team", ann, "alice")
		h.join(ben, room)
		alice := h.client("alice")
		sent, err := alice.SendText(h.ctx, "team", "hello")
		require.NoError(t, err)
		event := h.event("team", sent.MsgID)
		reaction := ben.React(room, event, "👍")
		ann.SendReceipt(room, reaction)
		h.waitCounts(alice, sent.MsgID, 1, 1)
		require.Len(t, h.messages("team", 1), 1, "a reaction is no message")
	})
}
