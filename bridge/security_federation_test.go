package bridge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// receiptWay is one of the two ways on which receipts of a homeserver come in.
type receiptWay func(h *house, room id.RoomID, event id.EventID, user id.UserID)

// receiptWays are pushed transactions, and what was read from /sync.
func receiptWays() map[string]receiptWay {
	return map[string]receiptWay{
		"pushed": func(h *house, room id.RoomID, event id.EventID, user id.UserID) {
			h.t.Helper()
			body, err := json.Marshal(map[string]any{"events": []any{}, "ephemeral": []any{map[string]any{
				"type": "m.receipt", "room_id": room,
				"content": map[id.EventID]any{event: map[string]any{"m.read": map[id.UserID]any{user: map[string]any{"ts": time.Now().UnixMilli()}}}},
			}}})
			require.NoError(h.t, err)
			status, answer := h.hs.PutTransaction(fmt.Sprintf("forged-%s-%s", user, event), body)
			require.Equal(h.t, http.StatusOK, status, string(answer))
		},
		"sync": func(h *house, room id.RoomID, event id.EventID, user id.UserID) {
			h.t.Helper()
			token, err := h.b.SyncToken(h.ctx)
			require.NoError(h.t, err)
			require.NoError(h.t, h.b.HandleSync(h.ctx, token, nil, []matrix.Receipt{{RoomID: room, EventID: event, UserID: user}}))
		},
	}
}

// TestFederationCannotForgeReceipts: whatever receipt a server of the federation sends, it moves nobody's but those of its own users
// who are in that very room.
func TestFederationCannotForgeReceipts(t *testing.T) {
	t.Parallel()
	for name, send := range receiptWays() {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, matrixtest.Synapse())
			ann, zoe := h.hs.User("ann"), h.hs.User("zoe")
			room, other := h.room("team", ann, "alice", "bob"), h.room("other", zoe, "oscar")
			alice, oscar := h.client("alice"), h.client("oscar")
			sent, err := alice.SendText(h.ctx, "team", "hello")
			require.NoError(t, err)
			event := h.event("team", sent.MsgID)
			foreign, err := oscar.SendText(h.ctx, "other", "elsewhere")
			require.NoError(t, err)
			elsewhere := h.event("other", foreign.MsgID)
			h.settled()
			listener := h.listen(alice)

			for what, forged := range map[string]struct {
				room  id.RoomID
				event id.EventID
				user  id.UserID
			}{
				"a ghost of ours":                       {room, event, h.ghost("bob")},
				"a ghost that is not there":             {room, event, h.ghost("nobody")},
				"a ghost that looks like an account":    {room, event, h.ghost(mapping.AccountID(ann.ID))},
				"a ghost's name on another server":      {room, event, "@tim_bob:evil.example"},
				"a user of another server, not in room": {room, event, "@eve:evil.example"},
				"a user of ours, not in this room":      {room, event, zoe.ID},
				"the bot":                               {room, event, h.b.bot()},
				"the event of another room":             {room, elsewhere, ann.ID},
				"the other way round":                   {other, event, zoe.ID},
				"a room that is no group's":             {"!nowhere:evil.example", event, ann.ID},
			} {
				send(h, forged.room, forged.event, forged.user)
				h.settled() // also of what is found out behind it
				require.Equal(t, [2]uint64{0, 2}, h.counts(alice, sent.MsgID), what)
				require.Equal(t, [2]uint64{0, 1}, h.counts(oscar, foreign.MsgID), what)
			}
			require.EqualValues(t, 2, h.b.stats.foreignReceipts.Load())
			for _, reader := range []string{"bob", "nobody"} { // nor does it hold back what is really read
				require.Zero(t, h.row("team", reader).Read.Len(), reader)
			}
			send(h, room, event, ann.ID)
			h.waitCounts(alice, sent.MsgID, 1, 1)
			e, err := listener.Next(h.ctx)
			require.NoError(t, err)
			require.Len(t, e.ReceiptList, 1)
			require.EqualValues(t, 1, e.ReceiptList[0].ReadCount, "the first that the sender hears is a true reader")
			require.NoError(t, h.client("bob").SendMessageReadReceipts(h.ctx, sent.MsgID))
			ann.WaitReceipt(room, h.ghost("bob"), event)
		})
	}
}

// TestForgedReceiptsReachNoTencentCloud: no call is made in the name of anybody who did not read.
func TestForgedReceiptsReachNoTencentCloud(t *testing.T) {
	t.Parallel()
	for name, send := range receiptWays() {
		t.Run(name, func(t *testing.T) {
			h := plainCloud(t, tencenttest.Points{})
			ann, zoe := h.hs.User("ann"), h.hs.User("zoe")
			room := h.link("team", ann, "alice", "bob")
			m, event := h.send("team", "alice", "hello")
			h.quiet()
			before := h.cloud.Calls("group_msg_receipt")
			for _, user := range []id.UserID{h.ghost("bob"), h.ghost("alice"), "@tim_bob:evil.example", "@eve:evil.example", zoe.ID, h.b.bot()} {
				send(h.house, room, event, user)
				h.quiet()
			}
			require.Equal(t, before, h.cloud.Calls("group_msg_receipt"))
			require.False(t, h.cloud.HasRead("team", "bob", m.Seq))
			send(h.house, room, event, ann.ID)
			h.acked("team", ann, m.Seq)
		})
	}
}

// TestInventedUsersAreBounded: a server that sends receipts for users whom it invents fills no database, and keeps nobody else out.
func TestInventedUsersAreBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse(), func(cfg *config.Config) { cfg.Bridge.EventWait = time.Hour })
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	sent, err := h.client("alice").SendText(h.ctx, "team", "hello")
	require.NoError(t, err)
	event := h.event("team", sent.MsgID)
	h.settled()
	rows := func() (users, parked int) {
		require.NoError(t, h.db.QueryRow(h.ctx, "SELECT (SELECT COUNT(*) FROM tim_user), (SELECT COUNT(*) FROM tim_parked)").Scan(&users, &parked))
		return users, parked
	}
	before, _ := rows()
	for batch := range 5 {
		var list []matrix.Receipt
		for i := range 300 {
			user := id.UserID(fmt.Sprintf("@invented%d-%d:evil.example", batch, i))
			list = append(list, matrix.Receipt{RoomID: room, EventID: event, UserID: user},
				matrix.Receipt{RoomID: room, EventID: id.EventID(fmt.Sprintf("$unknown%d-%d", batch, i)), UserID: user})
		}
		require.NoError(t, h.b.HandleTransaction(h.ctx, nil, list))
	}
	users, parked := rows()
	require.LessOrEqual(t, users-before, strangersAtOnce+10)
	require.LessOrEqual(t, parked, strangersAtOnce+10)

	// One user parks few, however many he sends.
	var list []matrix.Receipt
	for i := range 1000 {
		list = append(list, matrix.Receipt{RoomID: room, EventID: id.EventID(fmt.Sprintf("$more%d", i)), UserID: ann.ID})
	}
	_, parked = rows()
	require.NoError(t, h.b.HandleTransaction(h.ctx, nil, list))
	_, now := rows()
	require.LessOrEqual(t, now-parked, receiptsdb.MaxParked)

	late := h.hs.User("late")
	h.join(late, room) // whoever joins is known by that
	sent, err = h.client("alice").SendText(h.ctx, "team", "hello again")
	require.NoError(t, err)
	late.SendReceipt(room, h.event("team", sent.MsgID))
	h.waitCounts(h.client("alice"), sent.MsgID, 1, 1)
}
