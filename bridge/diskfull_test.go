package bridge

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// These are the tests of a database that takes nothing for a while. Whatever comes then must be refused where it came from, and
// taken once when it comes again; cmd/timbridge has the same with the real program and a real limit of the system.

// everywhere runs statements on every connection of the pool, since settings of SQLite are a connection's own.
func (h *house) everywhere(statements string) {
	h.t.Helper()
	h.sqliteOnly()
	var conns []*sql.Conn
	for range h.cfg.Database.MaxOpenConns {
		conn, err := h.db.RawDB.Conn(h.ctx)
		require.NoError(h.t, err)
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		_, err := conn.ExecContext(h.ctx, statements)
		require.NoError(h.t, err)
		require.NoError(h.t, conn.Close())
	}
}

// trouble is a way in which the database takes nothing.
type trouble struct {
	name       string
	begin, end func(h *house)
}

func troubles() []trouble {
	var lock *sql.DB
	return []trouble{
		{"read-only", func(h *house) { h.everywhere("PRAGMA query_only=1") }, func(h *house) { h.everywhere("PRAGMA query_only=0") }},
		{"locked", func(h *house) {
			h.everywhere("PRAGMA busy_timeout=20")
			var err error
			lock, err = sql.Open("sqlite", "file:"+string(h.cfg.Database.URI)+"?_pragma=busy_timeout(10000)")
			require.NoError(h.t, err)
			lock.SetMaxOpenConns(1)
			_, err = lock.ExecContext(h.ctx, "BEGIN IMMEDIATE")
			require.NoError(h.t, err)
		}, func(h *house) {
			_, err := lock.ExecContext(h.ctx, "ROLLBACK")
			require.NoError(h.t, err)
			require.NoError(h.t, lock.Close())
			h.everywhere("PRAGMA busy_timeout=10000")
		}},
	}
}

func eachTrouble(t *testing.T, test func(t *testing.T, bad trouble)) {
	for _, bad := range troubles() {
		t.Run(bad.name, func(t *testing.T) {
			t.Parallel()
			test(t, bad)
		})
	}
}

func syncTokenOf(h *house) string {
	h.t.Helper()
	token, err := h.b.SyncToken(h.ctx)
	require.NoError(h.t, err)
	return token
}

func TestNothingIsAcknowledgedThatCannotBeStored(t *testing.T) {
	t.Parallel()
	eachTrouble(t, func(t *testing.T, bad trouble) {
		h := newHouse(t, matrixtest.Dendrite()) // receipts come by /sync alone
		ann, ben := h.hs.User("ann"), h.hs.User("ben")
		room := h.room("team", ann, "alice", "bob")
		h.join(ben, room)
		alice, bob := h.client("alice"), h.client("bob")
		first, err := alice.SendText(h.ctx, "team", "first")
		require.NoError(t, err)
		event := h.event("team", first.MsgID)
		h.settled()
		// Work that is left over from before: a message and a marker.
		h.hs.SetOutage(true)
		waiting, err := alice.SendText(h.ctx, "team", "waiting")
		require.NoError(t, err)
		require.NoError(t, bob.SendMessageReadReceipts(h.ctx, first.MsgID))
		h.wait("the marker failed, and that is written down", func() bool { return h.row("team", "bob").Attempts > 0 })
		token := syncTokenOf(h)

		bad.begin(h)
		h.hs.ClearLog()
		h.hs.SetOutage(false)
		repeat := v2tim.OutgoingMessage{GroupID: "team", Text: "refused", NeedReadReceipt: true, Random: 77, HasRandom: true}
		text := map[string]any{"msgtype": "m.text", "body": "from Matrix"}
		for range 3 {
			require.NotEqual(t, http.StatusOK, h.pushed([]any{rawEvent(room, "$new", ann.ID.String(), "m.room.message", text)}))
			_, err = alice.SendMessage(h.ctx, repeat)
			requireCode(t, receipts.CodeGroupInternalError, err)
			requireCode(t, receipts.CodeGroupInternalError, bob.SendMessageReadReceipts(h.ctx, waiting.MsgID))
			_, err = h.root.MapGroup(h.ctx, v2tim.MapGroupRequest{GroupId: "other"})
			require.Error(t, err)
		}
		before := h.requests("/sync")
		ann.SendReceipt(room, event)
		h.wait("/sync is read in vain", func() bool { return h.requests("/sync") >= before+2 })
		require.Equal(t, token, syncTokenOf(h))
		require.Equal(t, [2]uint64{0, 3}, h.counts(alice, waiting.MsgID), "what can be read is answered")
		require.LessOrEqual(t, h.requests("/send/m.room.message/"), 1, "what cannot be written down is not sent again and again")

		bad.end(h)
		require.Equal(t, http.StatusOK, h.pushed([]any{rawEvent(room, "$new", ann.ID.String(), "m.room.message", text)}))
		sent, err := alice.SendMessage(h.ctx, repeat)
		require.NoError(t, err)
		again, err := alice.SendMessage(h.ctx, repeat)
		require.NoError(t, err)
		require.Equal(t, sent.MsgID, again.MsgID)
		h.event("team", waiting.MsgID)
		h.event("team", sent.MsgID)
		ben.WaitReceipt(room, h.ghost("bob"), event)
		h.waitCounts(alice, first.MsgID, 2, 1) // bob and ann
		h.wait("the token moves on", func() bool { return syncTokenOf(h) != token })
		h.settled()
		require.Len(t, h.messages("team", 4), 4, "none is missing and none is there twice")
		for _, want := range []string{"first", "waiting", "refused"} {
			n := 0
			for _, ev := range h.hs.Timeline(room) {
				if body(ev) == want {
					n++
				}
			}
			require.Equal(t, 1, n, want)
		}
	})
}

// requests is how many requests the homeserver has got whose path holds this.
func (h *house) requests(path string) int { return len(h.hs.Requests(matrixtest.Path(path))) }

func TestWebhooksThatCannotBeStoredFail(t *testing.T) {
	t.Parallel()
	eachTrouble(t, func(t *testing.T, bad trouble) {
		h := plainCloud(t, tencenttest.Points{})
		ann := h.hs.User("ann")
		room := h.link("team", ann, "alice", "bob")
		event := ann.Send(room, "hello")
		h.wait("ann in the group", func() bool { return h.isMember("team", ann) })
		m, first := h.send("team", "alice", "first")
		own := h.arrived("team", event)
		h.quiet()
		bad.begin(h.house)
		require.NoError(t, h.cloud.User("bob").Ack("team", m.Seq, own.Seq))
		h.delivered()
		ann.SendReceipt(room, first)
		last := h.lastDelivery(tencenttest.AfterReadReceipt)
		require.NotEqual(t, "OK", last.ActionStatus)
		require.NotEqual(t, http.StatusOK, last.Status)
		require.False(t, h.row("team", "bob").Read.Contains(receipts.MsgSeq(m.Seq)))
		bad.end(h.house)
		h.cloud.Fire(tencenttest.AfterReadReceipt, "team", last.Body)
		h.delivered()
		require.Equal(t, "OK", h.lastDelivery(tencenttest.AfterReadReceipt).ActionStatus)
		ann.WaitReceipt(room, h.ghost("bob"), first)
		h.acked("team", ann, m.Seq)
		h.quiet()
	})
}

func (h *cloudHouse) lastDelivery(command string) tencenttest.Delivery {
	h.t.Helper()
	list := h.cloud.Deliveries(command)
	require.NotEmpty(h.t, list)
	return list[len(list)-1]
}

// TestFullDiskLosesNothing fills the database to its last page with inputs of all kinds. A full database still takes what fits into
// pages that are there; the answers must say which inputs that were.
func TestFullDiskLosesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice", "bob")
	alice, bob := h.client("alice"), h.client("bob")
	h.settled()
	h.everywhere("PRAGMA max_page_count=1") // not below what there is
	rng := rand.New(rand.NewPCG(1, 2))
	taken, refused := make(map[string]string), make(map[string]func() (string, error)) // by what they are: the message's ID
	read := make(map[string]bool)
	try := func(name string, input func() (string, error)) {
		msgID, err := input()
		if err == nil {
			taken[name] = msgID
			delete(refused, name)
		} else {
			refused[name] = input
		}
	}
	for i := range 60 {
		text := fmt.Sprint(i, " ", strings.Repeat("x", rng.IntN(3000)))
		name := fmt.Sprint("tim ", i)
		switch rng.IntN(3) {
		case 0:
			msg := v2tim.OutgoingMessage{GroupID: "team", Text: text, NeedReadReceipt: true, Random: uint32(i + 1), HasRandom: true}
			try(name, func() (string, error) {
				sent, err := alice.SendMessage(h.ctx, msg)
				return sent.MsgID, err
			})
		case 1:
			event := fmt.Sprint("$full", i)
			name = event
			try(name, func() (string, error) {
				if status := h.pushed([]any{rawEvent(room, event, ann.ID.String(), "m.room.message", map[string]any{"msgtype": "m.text", "body": text})}); status != http.StatusOK {
					return "", errors.New(http.StatusText(status))
				}
				return h.message("team", id.EventID(event)).MsgId, nil
			})
		case 2:
			for of, msgID := range taken {
				name = "read " + of
				if _, ok := refused[name]; !ok && !read[of] && !strings.HasPrefix(of, "read ") {
					try(name, func() (string, error) { return msgID, bob.SendMessageReadReceipts(h.ctx, msgID) })
					read[of] = true
					break
				}
			}
		}
	}
	t.Logf("%d taken, %d refused", len(taken), len(refused))
	require.NotEmpty(t, taken)
	require.NotEmpty(t, refused)
	// As after a power cut: what is there is what was acknowledged, all of it and nothing else.
	h.restart(nil)
	check := func() {
		t.Helper()
		g, err := h.b.maps.GroupByID(h.ctx, "team")
		require.NoError(t, err)
		stored, err := h.b.maps.MessagesPage(h.ctx, g.Key, 0, 0)
		require.NoError(t, err)
		messages, readers := 0, make(map[string]mapping.Message)
		for _, m := range stored {
			readers[m.MsgID] = m
		}
		rows, err := h.b.reads.Readers(h.ctx, g.Key, []mapping.UserKey{h.key("bob")})
		require.NoError(t, err)
		row := rows[h.key("bob")]
		acked := 0
		for name, msgID := range taken {
			m, ok := readers[msgID]
			require.True(t, ok, name)
			if strings.HasPrefix(name, "read ") {
				require.True(t, row.Read.Contains(m.Seq), name)
				acked++
			} else {
				messages++
			}
		}
		require.Len(t, stored, messages)
		require.EqualValues(t, acked, row.Read.Len())
	}
	check()
	// A new connection knows no limit: there is space again.
	for name, input := range refused {
		try(name, input)
	}
	require.Empty(t, refused)
	check()
	h.settled()
	for name, msgID := range taken {
		if !strings.HasPrefix(name, "read ") && !strings.HasPrefix(name, "$") {
			h.event("team", msgID)
		}
	}
}

// TestWaitsForAnotherWriter: a lock that is given back in time is only waited for.
func TestWaitsForAnotherWriter(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	h.room("team", ann, "alice")
	h.settled()
	bad := troubles()[1]
	bad.begin(h)
	h.everywhere("PRAGMA busy_timeout=10000")
	done := make(chan error, 1)
	go func() {
		_, err := h.client("alice").SendText(h.ctx, "team", "patience")
		done <- err
	}()
	select {
	case err := <-done:
		require.Fail(t, "did not wait", err)
	case <-time.After(300 * time.Millisecond):
	}
	bad.end(h)
	require.NoError(t, <-done)
}

// TestReconcilersTryBeforeTheyAct: what could not be written down is not done again before the database takes something.
func TestReconcilersTryBeforeTheyAct(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	require.NoError(t, h.b.writable(h.ctx))
	value, err := h.b.own.Value(h.ctx, "tried")
	require.NoError(t, err)
	require.Empty(t, value, "without trouble nothing is written")
	boom := errors.New("boom")
	require.ErrorIs(t, h.b.commits.do(h.ctx, func(context.Context, *session) error { return boom }), boom)
	require.NoError(t, h.b.writable(h.ctx))
	h.everywhere("PRAGMA query_only=1")
	require.Error(t, h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error { return h.b.own.SetValue(ctx, "x", "y") }))
	require.ErrorContains(t, h.b.writable(h.ctx), "readonly")
	h.everywhere("PRAGMA query_only=0")
	require.NoError(t, h.b.writable(h.ctx))
	require.NoError(t, h.b.writable(h.ctx))
}
