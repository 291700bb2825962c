package bridge

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// receiptRequests counts the receipts asked of the homeserver.
func (h *house) receiptRequests() int { return len(h.hs.Requests(matrixtest.Path("/receipt/m.read/"))) }

func TestReceiptSurvivesTemporaryRefusals(t *testing.T) {
	for name, refuse := range map[string]func(h *house){
		"429": func(h *house) {
			h.hs.FailRequests(matrixtest.Path("/receipt/m.read/"), 1, http.StatusTooManyRequests, "M_LIMIT_EXCEEDED", 20*time.Millisecond)
		},
		"500": func(h *house) {
			h.hs.FailRequests(matrixtest.Path("/receipt/m.read/"), 1, http.StatusInternalServerError, "M_UNKNOWN", 0)
		},
		"proxy's 404":    func(h *house) { h.hs.FailRequests(matrixtest.Path("/receipt/m.read/"), 1, http.StatusNotFound, "", 0) },
		"connection cut": func(h *house) { h.hs.FailRequests(matrixtest.Path("/receipt/m.read/"), 1, 0, "", 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, matrixtest.Synapse())
			ann := h.hs.User("ann")
			room := h.room("team", ann, "alice")
			m := h.message("team", ann.Send(room, "hello"))
			refuse(h)
			require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, m.MsgId))
			ann.WaitReceipt(room, h.ghost("alice"), id.EventID(m.EventId))
			h.settled()
		})
	}
}

// TestOutcomeThatCannotBeWrittenAtOnce: a database that takes nothing for a moment does not make receipts wait until the lease of what
// was under way has run out.
func TestOutcomeThatCannotBeWrittenAtOnce(t *testing.T) {
	// busy has writing fail where it says when, until free is called, which waits for that.
	busy := func(h *house, when string) (free func()) {
		h.sqliteOnly()
		_, err := h.db.Exec(h.ctx, "CREATE TRIGGER busy BEFORE UPDATE ON tim_reader WHEN "+when+" BEGIN SELECT RAISE(ABORT, 'database is locked'); END")
		require.NoError(h.t, err)
		before := h.asked.failed.Load()
		return func() {
			h.t.Helper()
			h.wait("a write that fails", func() bool { return h.asked.failed.Load() > before })
			_, err := h.db.Exec(h.ctx, "DROP TRIGGER busy")
			require.NoError(h.t, err)
		}
	}
	t.Run("marker", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, matrixtest.Synapse())
		ann := h.hs.User("ann")
		room := h.room("team", ann, "alice")
		m := h.message("team", ann.Send(room, "hello"))
		h.settled()
		free := busy(h, "NEW.attempts > 0")
		h.hs.FailRequests(matrixtest.Path("/receipt/m.read/"), 1, http.StatusInternalServerError, "M_UNKNOWN", 0)
		require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, m.MsgId))
		free()
		ann.WaitReceipt(room, h.ghost("alice"), id.EventID(m.EventId))
	})
	t.Run("acknowledgement", func(t *testing.T) {
		t.Parallel()
		h := plainCloud(t, tencenttest.Points{})
		ann := h.hs.User("ann")
		room := h.link("team", ann, "alice")
		m, event := h.send("team", "alice", "hello")
		h.quiet()
		free := busy(h.house, "NEW.tencent_set IS NOT OLD.tencent_set")
		ann.SendReceipt(room, event)
		h.acked("team", ann, m.Seq)
		free()
		h.wait("that it is written down", func() bool {
			row := h.row("team", mapping.AccountID(ann.ID))
			return row.Tencent.Contains(receipts.MsgSeq(m.Seq)) && row.AckDue.IsZero()
		})
	})
}

func TestReceiptOfAGhostThatIsNotInTheRoom(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	m := h.message("team", ann.Send(room, "hello"))
	// The homeserver says 403 once, as to somebody it does not find in the room: the ghost is brought in and asks again.
	h.hs.FailRequests(matrixtest.Path("/receipt/m.read/"), 1, http.StatusForbidden, "M_FORBIDDEN", 0)
	require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, m.MsgId))
	ann.WaitReceipt(room, h.ghost("alice"), id.EventID(m.EventId))
}

func TestReceiptRefusedForGoodIsTriedAgainWithTheNextMessage(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	alice := h.client("alice")
	first, second := h.message("team", ann.Send(room, "one")), h.message("team", ann.Send(room, "two"))
	h.settled() // the ghost's coming in may have its marker looked at once more
	h.hs.FailRequests(matrixtest.Path("/receipt/m.read/"), 2, http.StatusForbidden, "M_FORBIDDEN", 0)
	require.NoError(t, alice.SendMessageReadReceipts(h.ctx, first.MsgId))
	h.wait("refused twice", func() bool { return h.b.stats.markersRefused.Load() == 1 })
	h.settled() // it is not tried for ever
	require.Equal(t, 2, h.receiptRequests())
	require.NoError(t, alice.SendMessageReadReceipts(h.ctx, second.MsgId))
	ann.WaitReceipt(room, h.ghost("alice"), id.EventID(second.EventId))
}

func TestBotWithoutTheRightToInvite(t *testing.T) {
	t.Parallel()
	for name, letIn := range map[string]func(h *house, ann *matrixtest.User, room id.RoomID){
		"invited by hand": func(h *house, ann *matrixtest.User, room id.RoomID) { ann.Invite(room, h.ghost("alice")) },
		"right given to the bot": func(_ *house, ann *matrixtest.User, room id.RoomID) {
			ann.SendState(room, "m.room.power_levels", "", map[string]any{"users": map[id.UserID]int{ann.ID: 100}, "invite": 0})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, matrixtest.Synapse())
			ann := h.hs.User("ann")
			room := ann.CreateRoom(matrixtest.RoomOptions{InviteLevel: 50, Invite: []id.UserID{h.b.bot()}})
			h.hs.WaitFor("the bot in the room", func() bool { return h.hs.Membership(room, h.b.bot()) == "join" })
			h.mapGroup("team", room, "")
			_, err := h.root.AddGroupMember(h.ctx, "team", "alice")
			require.NoError(t, err)
			m := h.message("team", ann.Send(room, "hello"))
			require.EqualValues(t, 1, m.UnreadNum, "she is in the group, whatever the room says")
			require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, m.MsgId))
			require.EqualValues(t, 1, h.messages("team", 1)[0].ReadNum)
			// Both have been tried and are put off.
			h.wait("refusals", func() bool {
				var tried int
				require.NoError(t, h.db.QueryRow(h.ctx, "SELECT COUNT(*) FROM tim_room_task WHERE attempts > 0").Scan(&tried))
				return tried == 1 && h.b.stats.markersRefused.Load() == 1
			})
			letIn(h, ann, room)
			h.hs.WaitFor("alice in the room", func() bool { return h.hs.Membership(room, h.ghost("alice")) == "join" })
			ann.WaitReceipt(room, h.ghost("alice"), id.EventID(m.EventId))
		})
	}
}

func TestContiguousPolicyWaitsForTheHole(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse(), func(cfg *config.Config) { cfg.Matrix.Policy = config.PolicyContiguous })
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	alice := h.client("alice")
	one, two, three := h.message("team", ann.Send(room, "one")), h.message("team", ann.Send(room, "two")), h.message("team", ann.Send(room, "three"))
	require.NoError(t, alice.SendMessageReadReceipts(h.ctx, one.MsgId, three.MsgId))
	ann.WaitReceipt(room, h.ghost("alice"), id.EventID(one.EventId))
	h.settled()
	require.Equal(t, id.EventID(one.EventId), ann.ReceiptOf(room, h.ghost("alice")))
	ann.Redact(room, id.EventID(two.EventId)) // what was taken back is no hole
	ann.WaitReceipt(room, h.ghost("alice"), id.EventID(three.EventId))
}

func TestMarkerMovedBackByTheServerIsRestored(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Dendrite())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	one, two := h.message("team", ann.Send(room, "one")), h.message("team", ann.Send(room, "two"))
	require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, two.MsgId))
	ann.WaitReceipt(room, h.ghost("alice"), id.EventID(two.EventId))
	h.settled()
	h.hs.User(h.ghost("alice").Localpart()).SendReceipt(room, id.EventID(one.EventId)) // Dendrite lets it
	ann.WaitReceipt(room, h.ghost("alice"), id.EventID(one.EventId))
	ann.WaitReceipt(room, h.ghost("alice"), id.EventID(two.EventId))
}
