package bridge

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// This file is what the tests of cloud mode share.

// plainCloud is a house on a homeserver like Synapse whose catch-up runs at start and after gaps only.
func plainCloud(t testing.TB, points tencenttest.Points, change ...func(*config.Config)) *cloudHouse {
	return newCloudHouse(t, matrixtest.Synapse(), tencenttest.Options{Points: points}, append(change, func(cfg *config.Config) {
		cfg.Tencent.CatchUpInterval = time.Hour
	})...)
}

// hook has the cloud send a webhook of its own making and waits until all webhooks are answered.
func (h *cloudHouse) hook(command, group string, fields map[string]any) {
	h.t.Helper()
	body := map[string]any{"CallbackCommand": command, "GroupId": group, "Type": "Public", "EventTime": time.Now().UnixMilli()}
	maps.Copy(body, fields)
	raw, err := json.Marshal(body)
	require.NoError(h.t, err)
	h.cloud.Fire(command, group, raw)
	h.delivered()
}

// readHook is hook for who has read a message.
func (h *cloudHouse) readHook(group string, seq uint64, readers ...string) {
	h.t.Helper()
	members := []map[string]string{}
	for _, reader := range readers {
		members = append(members, map[string]string{"Member_Account": reader})
	}
	h.hook(tencenttest.AfterReadReceipt, group, map[string]any{
		"GroupMsgReceiptList": []any{map[string]any{"MsgSeq": seq, "ReadNum": len(readers), "UnreadNum": 1, "ReadReceiptMembers": members}},
	})
}

// delivered waits until all webhooks are answered.
func (h *cloudHouse) delivered() {
	h.t.Helper()
	require.NoError(h.t, h.cloud.WaitDelivered(h.ctx))
}

// quiet waits until all webhooks are answered and all work is done.
func (h *cloudHouse) quiet() {
	h.t.Helper()
	h.delivered()
	h.settled()
	h.delivered()
	h.settled()
}

// idle is quiet, also in the background.
func (h *cloudHouse) idle() {
	h.t.Helper()
	h.wait("the background", func() bool { h.b.mu.Lock(); defer h.b.mu.Unlock(); return len(h.b.running) == 0 })
	h.quiet()
}

// only keeps webhooks of one command.
func only(list []tencenttest.Webhook, command string) (kept []tencenttest.Webhook) {
	for _, w := range list {
		if w.Command == command {
			kept = append(kept, w)
		}
	}
	return kept
}

// row is what is stored of a reader.
func (h *house) row(group, userID string) (row receiptsdb.Row) {
	h.t.Helper()
	u, err := h.b.person(h.ctx, userID)
	if isNotFound(err) {
		return row
	}
	require.NoError(h.t, err)
	rows, err := h.b.reads.Readers(h.ctx, h.group(group).Key, []mapping.UserKey{u.Key})
	require.NoError(h.t, err)
	return rows[u.Key]
}

// wantsOf is whether a message is known to want a receipt.
func (h *cloudHouse) wantsOf(group string, seq uint64) receipts.Wants {
	h.t.Helper()
	found, err := h.b.maps.MessagesBySeq(h.ctx, h.group(group).Key, receipts.SetOf(receipts.MsgSeq(seq)), 1)
	require.NoError(h.t, err)
	if len(found) == 0 {
		return receipts.WantsUnknown
	}
	return found[0].Wants
}

// paused tells whether a group's receipts wait, and why.
func (h *cloudHouse) paused(group string) (code receipts.Code, ok bool) {
	h.t.Helper()
	p, ok, err := h.b.own.PauseOf(h.ctx, h.group(group).Key)
	require.NoError(h.t, err)
	return p.Code, ok
}

// acked waits until Tencent has a Matrix user's receipts.
func (h *cloudHouse) acked(group string, u *matrixtest.User, seqs ...uint64) {
	h.t.Helper()
	h.cloud.WaitFor(h.t, u.ID.String()+" has read", func() bool { return h.cloud.HasRead(group, mapping.AccountID(u.ID), seqs...) })
}

// isMember tells whether a Matrix user's account is in the Tencent group.
func (h *cloudHouse) isMember(group string, u *matrixtest.User) bool {
	for _, m := range h.cloud.Members(group) {
		if m == mapping.AccountID(u.ID) {
			return true
		}
	}
	return false
}

func (h *cloudHouse) waitMember(group string, u *matrixtest.User, is bool) {
	h.t.Helper()
	h.cloud.WaitFor(h.t, u.ID.String()+" in or out of "+group, func() bool { return h.isMember(group, u) == is })
}

// joinOf is an account's place in a group as it is stored.
func (h *cloudHouse) joinOf(group string, u *matrixtest.User) (wanted, joined bool) {
	h.t.Helper()
	user, err := h.b.maps.UserByID(h.ctx, mapping.AccountID(u.ID))
	if isNotFound(err) {
		return false, false
	}
	require.NoError(h.t, err)
	j, err := h.b.own.JoinOf(h.ctx, h.group(group).Key, user.Key)
	require.NoError(h.t, err)
	return j.Wanted, j.Joined
}

// texts are the texts of a group's messages at Tencent.
func (h *cloudHouse) texts(group string) (list []string) {
	for _, m := range h.cloud.Messages(group) {
		list = append(list, m.Text)
	}
	return list
}

// bodies are the bodies of the messages in a room but for those of the bot.
func (h *cloudHouse) bodies(room id.RoomID) (list []string) {
	for _, ev := range h.hs.Timeline(room) {
		if ev.Type == "m.room.message" && ev.Sender != h.b.bot() && body(ev) != "" {
			list = append(list, body(ev))
		}
	}
	return list
}

// noticed waits until the bot has said something in the room.
func (h *cloudHouse) noticed(room id.RoomID, part string) {
	h.t.Helper()
	h.wait("a notice: "+part, func() bool { return h.noticedTimes(room, part) > 0 })
}

func (h *cloudHouse) noticedTimes(room id.RoomID, part string) (n int) {
	for _, text := range h.answers(room) {
		if containsFold(text, part) {
			n++
		}
	}
	return n
}

// snapshot keeps the database as it is at this moment, for killed.
func (h *cloudHouse) snapshot() string {
	h.t.Helper()
	h.sqliteOnly()
	path := filepath.Join(h.t.TempDir(), "killed.db")
	_, err := h.db.Exec(h.ctx, "VACUUM INTO '"+path+"'")
	require.NoError(h.t, err)
	return path
}

// killed goes on with the database as it was at a snapshot: what has been done since was done, and never written down.
func (h *cloudHouse) killed(snapshot string) {
	h.stop()
	h.cfg.Database = testDatabase(snapshot)
	h.start()
}

func mapRequest(group string, room id.RoomID) v2tim.MapGroupRequest {
	return v2tim.MapGroupRequest{GroupId: group, RoomId: room.String()}
}
