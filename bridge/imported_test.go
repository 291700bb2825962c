package bridge

import (
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

func TestImportedMessagesAreLearntAtStart(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse(), func(cfg *config.Config) { cfg.Mapping.StampSenders = []string{"@other:localhost"} })
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := ann.CreateRoom(matrixtest.RoomOptions{Public: true})
	h.mapGroup("team", room, "stamped", "alice")
	h.join(ben, room)
	first, second := ben.Send(room, "one"), ben.Send(room, "two") // unstamped: nobody knows yet what messages they are
	ann.SendReceipt(room, second)
	h.hs.WaitPushed()
	h.b.hs.SyncNow()
	h.settled()
	group, err := h.b.maps.GroupByID(h.ctx, "team")
	require.NoError(t, err)
	h.wait("ann's claim", func() bool {
		rows, err := h.b.reads.AllReaders(h.ctx, group.Key)
		require.NoError(t, err)
		for _, row := range rows {
			if !row.Claims.IsZero() {
				return true
			}
		}
		return false
	})
	places, err := h.b.maps.Places(h.ctx, []id.EventID{first, second})
	require.NoError(t, err)
	// What `timbridge import` does.
	alice, err := h.b.maps.UserByID(h.ctx, "alice")
	require.NoError(t, err)
	var list []mapping.Message
	for i, event := range []id.EventID{first, second} {
		m := mapping.Message{Group: group.Key, RoomID: room}
		m.Seq, m.MsgID, m.EventID, m.Pos, m.Sender, m.Wants = receipts.MsgSeq(i+1), "m"+string(rune('1'+i)), event.String(), places[event].Pos, alice.Key, receipts.WantsYes
		list = append(list, m)
	}
	h.stopAndChange(func() {
		_, err = h.b.maps.PutMessages(h.ctx, list)
		require.NoError(t, err)
		require.NoError(t, h.b.own.SetValue(h.ctx, bridgedb.KeyImported, "yes"))
	})
	h.wait("ann's reading", func() bool {
		for _, m := range h.messages("team", 2) {
			if m.ReadNum != 1 {
				return false
			}
		}
		return true
	})
	value, err := h.b.own.Value(h.ctx, bridgedb.KeyImported)
	require.NoError(t, err)
	h.wait("import gone through", func() bool {
		value, err = h.b.own.Value(h.ctx, bridgedb.KeyImported)
		return err == nil && value == ""
	})
}
