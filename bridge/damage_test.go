package bridge

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// key is the key of a user, by MXID or Tencent UserID.
func (h *house) key(user string) mapping.UserKey {
	h.t.Helper()
	u, err := h.b.person(h.ctx, user)
	if strings.HasPrefix(user, "@") {
		u, err = h.b.maps.UserByMXID(h.ctx, id.UserID(user))
	}
	require.NoError(h.t, err)
	return u.Key
}

// damage spoils a column of a reader's row, and has it be due first of all.
func (h *house) damage(column string, user mapping.UserKey) {
	h.t.Helper()
	_, err := h.db.Exec(h.ctx, "INSERT INTO tim_reader (group_key, user_key, claim_max, latest, frontier, solid, shown, sent, attempts, ack_attempts)"+
		" VALUES (1, $1, 0, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT DO NOTHING", user)
	require.NoError(h.t, err)
	_, err = h.db.Exec(h.ctx, "UPDATE tim_reader SET "+column+"=$1, due=1, ack_due=1 WHERE user_key=$2", []byte{1, 2, 3}, user)
	require.NoError(h.t, err)
}

// mend deletes damaged rows, as docs/operations.md says.
func (h *house) mend(users ...mapping.UserKey) {
	h.t.Helper()
	for _, user := range users {
		_, err := h.db.Exec(h.ctx, "DELETE FROM tim_reader WHERE user_key=$1", user)
		require.NoError(h.t, err)
	}
}

func requireCode(t testing.TB, code receipts.Code, err error) {
	t.Helper()
	var refused *receipts.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, code, refused.Code)
}

func TestDamagedRowStopsItselfOnly(t *testing.T) {
	for _, column := range []string{"read_set", "tencent_set", "claims"} {
		t.Run(column, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, matrixtest.Synapse(), func(cfg *config.Config) { cfg.Matrix.Concurrency = 1 })
			ann, ben := h.hs.User("ann"), h.hs.User("ben")
			room := h.room("team", ann, "alice", "bob", "carol")
			h.join(ben, room)
			alice := h.client("alice")
			first, err := alice.SendText(h.ctx, "team", "first")
			require.NoError(t, err)
			event := h.event("team", first.MsgID)
			ann.SendReceipt(room, event)
			h.waitCounts(alice, first.MsgID, 1, 3)
			h.settled()

			annKey, bobKey := h.key(ann.ID.String()), h.key("bob")
			h.damage(column, annKey)
			h.damage(column, bobKey)

			// One transaction with the receipts of both, and a message beside them.
			second, err := alice.SendText(h.ctx, "team", "second")
			require.NoError(t, err)
			event = h.event("team", second.MsgID)
			require.Equal(t, http.StatusOK, h.pushed([]any{rawEvent(room, "$third", ben.ID.String(), "m.room.message", map[string]any{"msgtype": "m.text", "body": "third"})},
				rawReceipt(room, event.String(), ann.ID.String(), ben.ID.String())))
			h.waitCounts(alice, second.MsgID, 1, 3)
			h.message("team", "$third")

			// His app is told that nothing was taken; all others go on.
			requireCode(t, receipts.CodeGroupInternalError, h.client("bob").SendMessageReadReceipts(h.ctx, second.MsgID))
			require.NoError(t, h.client("carol").SendMessageReadReceipts(h.ctx, second.MsgID))
			h.waitCounts(alice, second.MsgID, 2, 2)
			ben.WaitReceipt(room, h.ghost("carol"), event)
			h.settled()
			requireCode(t, receipts.CodeGroupInternalError, h.root.LinkUser(h.ctx, "bob", ann.ID.String()))
			// What concerns every reader of the group passes the damaged ones by.
			require.Equal(t, http.StatusOK, h.pushed([]any{rawEvent(room, "$redaction", ben.ID.String(), "m.room.redaction", map[string]any{"redacts": "$third"}, "redacts", "$third")}))
			h.settled()

			// Mended, the receipt that was taken meanwhile counts, once it is tried again.
			kept := func() []receiptsdb.Parked {
				list, err := h.b.reads.ParkedOlder(h.ctx, time.Now().Add(time.Hour), 10)
				require.NoError(t, err)
				// /sync may have said her first one again.
				return slices.DeleteFunc(list, func(p receiptsdb.Parked) bool { return p.EventID != event.String() })
			}
			parked := kept()
			require.Len(t, parked, 1)
			where := place{parked[0].RoomID, parked[0].EventID}
			_, err = h.b.placeParked(h.ctx, where, parked)
			require.NoError(t, err)
			require.Equal(t, parked, kept(), "it keeps its age")
			h.mend(annKey, bobKey)
			_, err = h.b.placeParked(h.ctx, where, parked)
			require.NoError(t, err)
			h.waitCounts(alice, second.MsgID, 3, 1)
			h.waitCounts(alice, first.MsgID, 2, 2) // she says "up to"; ben has said so too
			require.NoError(t, h.client("bob").SendMessageReadReceipts(h.ctx, second.MsgID))
			h.waitCounts(alice, second.MsgID, 4, 0)
			require.Empty(t, kept())
		})
	}
}

func TestDamagedRowInTheCloud(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{}, func(cfg *config.Config) { cfg.Tencent.Concurrency, cfg.Matrix.Concurrency = 1, 1 })
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.link("team", ann, "alice", "bob", "carol")
	h.join(ben, room)
	ann.Send(room, "hello")
	ben.Send(room, "hello")
	h.wait("both in the group", func() bool { return h.isMember("team", ann) && h.isMember("team", ben) })
	m, event := h.send("team", "alice", "read me")
	h.quiet()

	bobKey, annKey := h.key("bob"), h.key(ann.ID.String())
	h.damage("read_set", bobKey)
	h.damage("claims", annKey)

	// A webhook that names a damaged reader is taken for the others.
	h.readHook("team", m.Seq, "bob", "carol")
	require.True(t, h.row("team", "carol").Read.Contains(receipts.MsgSeq(m.Seq)))
	require.NotNil(t, h.row("team", "bob").Damage)
	ann.WaitReceipt(room, h.ghost("carol"), event)

	// And of two Matrix users the sound one's receipt goes out.
	ann.SendReceipt(room, event)
	ben.SendReceipt(room, event)
	h.acked("team", ben, m.Seq)
	h.quiet()
	require.False(t, h.cloud.HasRead("team", mapping.AccountID(ann.ID), m.Seq))

	// What Tencent has of a mended row the catch-up asks for; here the webhook comes again.
	h.mend(bobKey, annKey)
	h.readHook("team", m.Seq, "bob")
	require.True(t, h.row("team", "bob").Read.Contains(receipts.MsgSeq(m.Seq)))
	parked, err := h.b.reads.ParkedOlder(h.ctx, time.Now().Add(time.Hour), 10)
	require.NoError(t, err)
	require.NotEmpty(t, parked)
	_, err = h.b.placeParked(h.ctx, place{parked[0].RoomID, parked[0].EventID}, parked)
	require.NoError(t, err)
	h.acked("team", ann, m.Seq)
}

func TestDamageIsReportedOnceAnHour(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	ctx := zerolog.New(&out).WithContext(t.Context())
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var log damageLog
	one, other := &receiptsdb.RowError{Group: 7, User: 12, Err: errors.New("spoilt")}, &receiptsdb.RowError{Group: 7, User: 13, Err: errors.New("spoilt")}
	for range 3 {
		log.tell(ctx, one, now)
		log.tell(ctx, other, now)
	}
	require.Equal(t, 2, strings.Count(out.String(), "\n"))
	require.Contains(t, out.String(), `"group_key":7,"user_key":12`)
	require.Contains(t, out.String(), `"cause":"spoilt"`)
	log.tell(ctx, one, now.Add(damageRepeat))
	require.Equal(t, 3, strings.Count(out.String(), "\n"))
}
