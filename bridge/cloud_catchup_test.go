package bridge

import (
	"fmt"
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

// away does something while no webhook comes, and starts the bridge anew.
func (h *cloudHouse) away(what func()) {
	h.t.Helper()
	h.quiet()
	h.cloud.Deliver(tencenttest.Nothing)
	what()
	h.restart(nil)
	h.cloud.Deliver(nil)
}

// TestCloudCatchUp: whatever happened while no webhook came is found out at the next start.
func TestCloudCatchUp(t *testing.T) {
	for name, points := range map[string]tencenttest.Points{"plain": {}, "short_pages": {HistoryMax: 3, TipSeqs: true}, "flags": {FlagInHistory: true, IsFinished: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := plainCloud(t, points)
			ann := h.hs.User("ann")
			before, err := h.cloud.CreateGroup(tencenttest.GroupSpec{ID: "team", Owner: "alice", Members: []string{"bob", "carl"}})
			require.NoError(t, err)
			_, err = h.cloud.User("alice").Send(before, "before the linking", tencenttest.SendOptions{NeedReadReceipt: true})
			require.NoError(t, err)
			room := ann.CreateRoom(matrixtest.RoomOptions{Public: true})
			_, err = h.root.MapGroup(h.ctx, mapRequest("team", room))
			require.NoError(t, err)
			seen, seenEvent := h.send("team", "alice", "seen")
			taken, takenEvent := h.send("team", "bob", "taken back")
			var missed []string
			h.away(func() {
				require.NoError(t, h.cloud.User("bob").Ack("team", seen.Seq))
				require.NoError(t, h.cloud.User("dora").Join("team"))
				require.NoError(t, h.cloud.User("dora").Ack("team", seen.Seq))
				require.NoError(t, h.cloud.User("carl").Leave("team"))
				require.NoError(t, h.cloud.User("bob").Recall("team", taken.Seq))
				require.NoError(t, h.cloud.SetGroupName("team", "renamed"))
				for i := range 25 {
					missed = append(missed, fmt.Sprint("missed ", i))
					m, err := h.cloud.User("alice").Send("team", missed[i], tencenttest.SendOptions{NeedReadReceipt: i%2 == 0})
					require.NoError(t, err)
					if i == 20 {
						require.NoError(t, h.cloud.User("bob").Ack("team", m.Seq))
					}
				}
				gone, err := h.cloud.User("alice").Send("team", "sent and recalled", tencenttest.SendOptions{NeedReadReceipt: true})
				require.NoError(t, err)
				require.NoError(t, h.cloud.User("alice").Recall("team", gone.Seq))
			})
			h.hs.WaitFor("all messages", func() bool { return len(h.bodies(room)) >= 26 })
			h.hs.WaitFor("what was recalled is gone", func() bool { return body(h.timeline(room, takenEvent)) == "" })
			require.Equal(t, append([]string{"seen"}, missed...), h.bodies(room), "in order, and nothing from before the linking")
			ann.WaitReceipt(room, h.ghost("dora"), seenEvent)
			for _, m := range h.messages("team", 26) {
				sent, _ := h.cloud.Message("team", m.MsgSeq)
				if sent.Text == "missed 20" {
					ann.WaitReceipt(room, h.ghost("bob"), id.EventID(m.EventId))
				}
			}
			h.hs.WaitFor("carl is out", func() bool { return h.hs.Membership(room, h.ghost("carl")) == "leave" })
			require.Equal(t, "renamed", h.group("team").Name)
		})
	}
}

// TestCloudNothingMissed: where nothing is missing nothing is fetched, however often it is looked.
func TestCloudNothingMissed(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann := h.hs.User("ann")
	room := h.link("team", ann, "alice", "bob")
	seqs, last := h.sendMany("team", 30, "alice")
	ann.SendReceipt(room, last)
	h.acked("team", ann, seqs...)
	require.NoError(t, h.cloud.User("bob").Ack("team", seqs...))
	ann.WaitReceipt(room, h.ghost("bob"), last)
	h.idle()
	h.cloud.ClearCalls()
	key := h.group("team").Key
	for range 3 {
		require.NoError(t, h.b.cloud.catchUp(h.ctx, key, false))
	}
	h.quiet()
	require.Zero(t, h.cloud.Calls("group_msg_get_simple"))
	require.Zero(t, h.cloud.Calls("get_group_msg_receipt_detail"))
	require.Zero(t, h.cloud.Calls("group_msg_receipt"))
	require.Equal(t, 3, h.cloud.Calls("get_group_info"))
	require.Equal(t, 3, h.cloud.Calls("get_group_member_info"))
	require.Equal(t, 3, h.cloud.Calls("get_group_msg_receipt"), "50 messages a call")
	require.LessOrEqual(t, h.cloud.Calls("portrait_get"), 3)
}

// TestCloudDisagreement: what cannot be brought together is asked about once, not for ever.
func TestCloudDisagreement(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann := h.hs.User("ann")
	h.link("team", ann, "alice", "bob")
	m, _ := h.send("team", "alice", "one")
	h.idle()
	h.readHook("team", m.Seq, "bob") // Tencent knows nothing of that
	h.quiet()
	key := h.group("team").Key
	for range 3 {
		require.NoError(t, h.b.cloud.catchUp(h.ctx, key, false))
	}
	require.Equal(t, 1, h.cloud.Calls("get_group_msg_receipt_detail"))
}

// TestCloudForgottenAck: a receipt that Tencent answered with success and did not keep is told again.
func TestCloudForgottenAck(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{NonMemberAcks: true})
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.link("team", ann, "alice", "bob")
	h.join(ben, room)
	m, event := h.send("team", "alice", "one")
	ann.SendReceipt(room, event)
	h.acked("team", ann, m.Seq)
	require.NoError(t, h.root.LinkUser(h.ctx, "bob", ben.ID.String()))
	h.quiet()
	h.cloud.Deliver(tencenttest.Nothing)
	require.NoError(t, h.cloud.User("alice").Kick("team", mapping.AccountID(ann.ID), "bob"))
	h.cloud.Deliver(nil)
	second, secondEvent := h.send("team", "alice", "two")
	ann.SendReceipt(room, secondEvent)
	ben.SendReceipt(room, secondEvent)
	h.wait("told of ann and bob", func() bool {
		return h.row("team", mapping.AccountID(ann.ID)).Tencent.Contains(receipts.MsgSeq(second.Seq)) && h.row("team", "bob").Tencent.Contains(receipts.MsgSeq(second.Seq))
	})
	require.False(t, h.cloud.HasRead("team", mapping.AccountID(ann.ID), second.Seq))
	require.NoError(t, h.cloud.User("bob").Join("team"))
	h.quiet()
	h.restart(nil)
	h.acked("team", ann, second.Seq)
	h.cloud.WaitFor(t, "bob too", func() bool { return h.cloud.HasRead("team", "bob", second.Seq) })
}

// TestCloudGroupGone: a group that is dismissed, told or not, is linked no more; a webhook alone proves nothing.
func TestCloudGroupGone(t *testing.T) {
	for _, told := range []bool{true, false} {
		t.Run(fmt.Sprint("told=", told), func(t *testing.T) {
			t.Parallel()
			h := plainCloud(t, tencenttest.Points{})
			ann := h.hs.User("ann")
			room := h.link("team", ann, "alice")
			h.hook(tencenttest.AfterGroupDestroyed, "team", map[string]any{"Owner_Account": "alice", "MemberList": []any{}})
			h.quiet()
			require.Equal(t, room, h.group("team").RoomID)
			dismiss := func() { require.NoError(t, h.cloud.DestroyGroup("team")) }
			if told {
				dismiss()
			} else {
				h.away(dismiss)
			}
			h.noticed(room, "dismissed")
			h.wait("unlinked", func() bool { return h.group("team").RoomID == "" })
			h.wait("no webhook is taken", func() bool { return !h.b.cloud.Linked("team") })
			h.hs.WaitFor("alice is out", func() bool { return h.hs.Membership(room, h.ghost("alice")) == "leave" })
		})
	}
}

// TestCloudGap: a message that never came shows by the number of the next one, and is fetched; one that is only late is not.
func TestCloudGap(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann := h.hs.User("ann")
	room := h.link("team", ann, "alice")
	h.send("team", "alice", "one")
	h.quiet()
	h.cloud.ClearCalls()
	h.cloud.Deliver(tencenttest.Nothing)
	_, err := h.cloud.User("alice").Send("team", "lost", tencenttest.SendOptions{NeedReadReceipt: true})
	require.NoError(t, err)
	h.cloud.Deliver(nil)
	h.send("team", "alice", "three")
	h.hs.WaitFor("what was lost", func() bool { return len(h.bodies(room)) == 3 })
	require.ElementsMatch(t, []string{"one", "lost", "three"}, h.bodies(room))
	h.idle()
	h.cloud.ClearCalls()

	h.cloud.Hold()
	for i := range 4 {
		_, err := h.cloud.User("alice").Send("team", fmt.Sprint("late ", i), tencenttest.SendOptions{NeedReadReceipt: true})
		require.NoError(t, err)
	}
	h.cloud.Release(func(held []tencenttest.Webhook) []tencenttest.Webhook {
		for i, j := 0, len(held)-1; i < j; i, j = i+1, j-1 {
			held[i], held[j] = held[j], held[i]
		}
		return held
	})
	h.delivered()
	h.hs.WaitFor("all are there", func() bool { return len(h.bodies(room)) == 7 })
	h.idle()
	require.Zero(t, h.cloud.Calls("get_group_info"), "nothing was missing")
	require.Zero(t, h.cloud.Calls("group_msg_get_simple"))
}

// TestCloudLinking: what happens between the question to Tencent and the linking is not lost, and linking again what is linked skips
// nothing.
func TestCloudLinking(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann := h.hs.User("ann")
	room := h.link("team", ann, "alice")
	h.quiet()
	h.cloud.Deliver(tencenttest.Nothing) // as those are that come before the linking is committed
	_, err := h.cloud.User("alice").Send("team", "in between", tencenttest.SendOptions{NeedReadReceipt: true})
	require.NoError(t, err)
	_, err = h.root.MapGroup(h.ctx, mapRequest("team", room)) // again
	require.NoError(t, err)
	h.hs.WaitFor("the message", func() bool { return len(h.bodies(room)) == 1 })
}

// TestCloudAutoCreate: a room is made for each new group, also for one whose making was not told, and only one.
func TestCloudAutoCreate(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{}, func(cfg *config.Config) {
		cfg.Bridge.AutoCreate, cfg.Bridge.AutoInvite = true, []string{"@ann:localhost"}
	})
	h.hs.User("ann")
	h.cloud.Deliver(tencenttest.Twice)
	h.cloud.FailNext("get_group_info", 1, tencenttest.Fault{Status: http.StatusBadGateway})
	h.hs.FailRequests(matrixtest.Path("/createRoom"), 1, http.StatusBadGateway, "", 0)
	told, err := h.cloud.CreateGroup(tencenttest.GroupSpec{Owner: "alice", Members: []string{"bob"}})
	require.NoError(t, err)
	linked := func(group string) func() bool {
		return func() bool {
			g, err := h.b.maps.GroupByID(h.ctx, group)
			return err == nil && g.RoomID != ""
		}
	}
	h.wait("a room", linked(told))
	room := h.group(told).RoomID
	h.hs.WaitFor("bob in it", func() bool { return h.hs.Membership(room, h.ghost("bob")) == "join" })
	require.Equal(t, "invite", h.hs.Membership(room, "@ann:localhost"))
	var untold string
	h.away(func() {
		untold, err = h.cloud.CreateGroup(tencenttest.GroupSpec{Owner: "alice"})
		require.NoError(t, err)
	})
	h.wait("a room", linked(untold))
	require.Equal(t, 2, h.hs.Rooms())
	require.NoError(t, h.cloud.SetGroupName(told, "another name"))
	h.hs.WaitFor("the name", func() bool { return containsFold(h.hs.State(room, "m.room.name", ""), "another name") })
}

// TestCloudLostWebhooks: with a third of all webhooks lost, and the rest late and in disorder, everything arrives in the end.
func TestCloudLostWebhooks(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{}, func(cfg *config.Config) { cfg.Tencent.CatchUpInterval = time.Second })
	ann := h.hs.User("ann")
	room := h.link("team", ann, "alice", "bob", "carl")
	lossy, shuffled := tencenttest.Lossy(1, 0.33), tencenttest.Shuffled(2, 300*time.Millisecond)
	h.cloud.Deliver(func(w tencenttest.Webhook) []time.Duration {
		if lossy(w) == nil {
			return nil
		}
		return shuffled(w)
	})
	var seqs []uint64
	var want []string
	for i := range 30 {
		want = append(want, fmt.Sprint("message ", i))
		m, err := h.cloud.User([]string{"alice", "bob", "carl"}[i%3]).Send("team", want[i], tencenttest.SendOptions{NeedReadReceipt: true})
		require.NoError(t, err)
		seqs = append(seqs, m.Seq)
		require.NoError(t, h.cloud.User("bob").Ack("team", seqs...))
	}
	h.hs.WaitFor("all messages", func() bool { return len(h.bodies(room)) == 30 })
	require.ElementsMatch(t, want, h.bodies(room))
	h.wait("all receipts", func() bool {
		row := h.row("team", "bob")
		for i, seq := range seqs {
			if i%3 != 1 && !row.Tencent.Contains(receipts.MsgSeq(seq)) {
				return false
			}
		}
		return true
	})
}
