package bridge

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// TestManyReceiptsAheadOfTheirEvents: after an outage the receipts of all that was written meanwhile come before the events, those pushed
// in one transaction and what stands of them by /sync. Whatever waits, nobody's last word is among what goes. (Found by the fault harness,
// seed 31 of replicas: what stood by /sync was parked first and went for what was pushed, and of nine pushed at once those eight were kept
// whose event IDs came first.)
func TestManyReceiptsAheadOfTheirEvents(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]int{"some": 12, "more than are kept": receiptsdb.MaxParked + 12} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, matrixtest.Synapse())
			ann, ben := h.hs.User("ann"), h.hs.User("ben")
			room := h.room("team", ann, "alice")
			h.join(ben, room)
			h.settled()
			h.hs.FailTransactions(1_000_000)
			root := ann.Send(room, "root")
			threaded := ann.SendThread(room, root, "in a thread")
			var pushed []matrix.Receipt
			var last id.EventID
			for i := range n {
				last = ann.Send(room, fmt.Sprint("message ", i))
				pushed = append(pushed, matrix.Receipt{RoomID: room, EventID: last, UserID: ben.ID, Pushed: true})
			}
			stand := []matrix.Receipt{
				{RoomID: room, EventID: threaded, UserID: ben.ID, HasThread: true, ThreadID: root.String()},
				{RoomID: room, EventID: last, UserID: ben.ID, HasThread: true, ThreadID: "main"},
			}
			token, err := h.b.SyncToken(h.ctx)
			require.NoError(t, err)
			if n > receiptsdb.MaxParked {
				require.NoError(t, h.b.HandleSync(h.ctx, token, nil, stand))
			}
			require.NoError(t, h.b.HandleTransaction(h.ctx, nil, pushed))
			h.hs.StopFailing()
			h.message("team", last)
			var all []receipts.MsgSeq
			for _, m := range h.messages("team", n+2) {
				if n > receiptsdb.MaxParked || m.EventId != threaded.String() {
					all = append(all, receipts.MsgSeq(m.MsgSeq))
				}
			}
			row := h.row("team", mapping.AccountID(ben.ID))
			require.True(t, row.Read.ContainsAll(receipts.SetOf(all...)), "read %v of %v", row.Read, all)
		})
	}
}

// TestABorrowedPlaceAndAGuessedJoin: somebody is in the room by the list, and the event of his joining is on its way, as is the one that he
// has read up to. What was said before he came he has not read. (Found by the fault harness, seed 311 of replicas.)
func TestABorrowedPlaceAndAGuessedJoin(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse(), func(cfg *config.Config) { cfg.Bridge.EventWait = time.Hour })
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.room("team", ann, "alice")
	h.message("team", ann.Send(room, "one"))
	h.settled()
	h.hs.FailTransactions(1_000_000)
	before := ann.Send(room, "before he came")
	ben.Join(room)
	after := ann.Send(room, "after he came")
	ben.SendReceipt(room, after)
	require.NoError(t, h.b.refresh(h.ctx, room))
	status, _ := h.hs.PutTransaction("ahead", []byte(fmt.Sprintf(`{"events":[%s]}`, h.hs.EventJSON(before))))
	require.Equal(t, http.StatusOK, status)
	early := receipts.MsgSeq(h.message("team", before).MsgSeq)
	var parked []receiptsdb.Parked
	h.wait("parked", func() bool {
		var err error
		parked, err = h.b.reads.ParkedFor(h.ctx, []string{after.String()})
		return err == nil && len(parked) > 0
	})
	_, err := h.b.placeParked(h.ctx, place{room.String(), after.String()}, parked)
	require.NoError(t, err)
	account := mapping.AccountID(ben.ID)
	require.False(t, h.row("team", account).Read.Contains(early))

	h.hs.StopFailing()
	late := receipts.MsgSeq(h.message("team", after).MsgSeq)
	h.wait("what he has read is read", func() bool { return h.row("team", account).Read.Contains(late) })
	require.False(t, h.row("team", account).Read.Contains(early))
}
