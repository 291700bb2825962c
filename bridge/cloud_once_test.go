package bridge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// This file is about each message being there once, on both sides, whatever is interrupted.

// TestCloudKilledWhileSending: the process ends at any step of a message in parts, with the database as it was before that step.
func TestCloudKilledWhileSending(t *testing.T) {
	for step := 1; step <= 4; step++ {
		for _, hooks := range []string{"told", "not_told"} {
			t.Run(fmt.Sprint("after_call_", step, "_", hooks), func(t *testing.T) {
				t.Parallel()
				h := plainCloud(t, tencenttest.Points{})
				ann := h.hs.User("ann")
				room := h.link("team", ann, "alice")
				h.idle()
				if hooks == "not_told" {
					h.cloud.Deliver(tencenttest.Nothing)
				}
				text := strings.Repeat("0123456789 ", 2500) // three parts
				h.hs.FailTransactions(1)
				before := h.cloud.Calls("send_group_msg")
				// The call after the step hangs: that is where it is killed.
				h.cloud.FailNext("send_group_msg", step-1, tencenttest.Fault{Acted: true, Half: true})
				h.cloud.FailNext("send_group_msg", 1, tencenttest.Fault{Acted: step%2 == 0, Hang: true})
				long := ann.Send(room, text)
				h.cloud.WaitFor(t, "the first call", func() bool { return h.cloud.Calls("send_group_msg") > before })
				snapshot := h.snapshot()
				h.cloud.StopFailing()
				h.killed(snapshot)
				h.cloud.Deliver(nil)
				last := h.arrived("team", long)
				h.quiet()
				require.Equal(t, text, strings.Join(h.texts("team"), ""))
				require.NoError(t, h.cloud.User("alice").Ack("team", last.Seq))
				ann.WaitReceipt(room, h.ghost("alice"), long)
			})
		}
	}
}

// TestCloudDuplicateWithoutNumber: where Tencent drops a repeat as such and does not say its number, the number is looked for.
func TestCloudDuplicateWithoutNumber(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{DuplicateHidesSeq: true})
	ann := h.hs.User("ann")
	room := h.link("team", ann, "alice")
	h.idle()
	h.cloud.Deliver(tencenttest.Nothing)
	h.cloud.FailNext("send_group_msg", 1, tencenttest.Fault{Drop: true, Acted: true})
	// The history does not have it yet when it is looked for.
	h.cloud.FailNext("send_group_msg", 0, tencenttest.Fault{})
	written := ann.Send(room, "hello")
	h.cloud.WaitFor(t, "it is there", func() bool { return len(h.texts("team")) == 1 })
	_, err := h.db.Exec(h.ctx, "UPDATE tim_relay SET tried=false") // as if the first call had never been made
	require.NoError(t, err)
	m := h.arrived("team", written)
	require.NoError(t, h.cloud.User("alice").Ack("team", m.Seq))
	require.Equal(t, []string{"hello"}, h.texts("team"))
	h.cloud.Deliver(nil)
	h.readHook("team", m.Seq, "alice")
	ann.WaitReceipt(room, h.ghost("alice"), written)
}

// TestCloudLinkedWhileSending: who is linked while a message of his is under way still has sent it once.
func TestCloudLinkedWhileSending(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.link("team", ann, "alice", "bob")
	h.join(ben, room)
	h.idle()
	h.cloud.Hold()
	h.cloud.FailNext("send_group_msg", 1, tencenttest.Fault{Drop: true, Acted: true})
	written := ben.Send(room, "hello")
	h.cloud.WaitFor(t, "it is there", func() bool { return len(h.texts("team")) == 1 })
	require.NoError(t, h.root.LinkUser(h.ctx, "bob", ben.ID.String()))
	h.cloud.Release(nil)
	m := h.arrived("team", written)
	require.NoError(t, h.cloud.User("alice").Ack("team", m.Seq))
	ann.WaitReceipt(room, h.ghost("alice"), written)
	h.quiet()
	require.Equal(t, []string{"hello"}, h.texts("team"))
	require.Equal(t, []string{"hello"}, h.bodies(room))
	require.Equal(t, "join", h.hs.Membership(room, ben.ID), "that his old account has left is nothing to him")
}

// TestCloudPushedTwice: what the homeserver pushes again, under another transaction id, is no second message.
func TestCloudPushedTwice(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newCloudHouse(t, opts, tencenttest.Options{})
		ann := h.hs.User("ann")
		room := h.link("team", ann, "alice")
		h.hs.LoseAnswers(3)
		first, second := ann.Send(room, "one"), ann.Send(room, "one")
		a, b := h.arrived("team", first), h.arrived("team", second)
		require.NotEqual(t, a.Seq, b.Seq, "the same words twice are two messages")
		require.Equal(t, http.StatusOK, h.hs.RepeatLast("again", h.hs.EventJSON(first), h.hs.EventJSON(second)))
		h.quiet()
		require.Equal(t, []string{"one", "one"}, h.texts("team"))
	})
}

// TestCloudSecondEvent: a second event of one message, as a homeserver makes it that has forgotten transaction ids, is taken back.
func TestCloudSecondEvent(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann := h.hs.User("ann")
	room := h.link("team", ann, "alice")
	h.idle()
	h.hs.FailTransactions(1_000)
	m, err := h.cloud.User("alice").Send("team", "hello", tencenttest.SendOptions{NeedReadReceipt: true})
	require.NoError(t, err)
	h.delivered()
	before := h.snapshot()
	h.hs.WaitFor("the event", func() bool { return len(h.bodies(room)) == 1 })
	h.stop()
	h.hs.Restart()
	h.cfg.Database = testDatabase(before)
	h.start()
	h.hs.StopFailing()
	h.eventOf("team", m.Seq)
	h.quiet()
	h.hs.WaitFor("one event", func() bool { return len(h.bodies(room)) == 1 })
}

// TestCloudStampWithoutWish: a bridge that stamps need not know whether a message wants a receipt. Tencent does.
func TestCloudStampWithoutWish(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{}, func(cfg *config.Config) {
		cfg.Relay.Messages = false
		cfg.Mapping.StampSenders = []string{"@other_*:localhost"}
	})
	ann, puppet := h.hs.User("ann"), h.hs.User("other_alice")
	room := h.link("team", ann, "alice", "bob")
	h.join(puppet, room)
	h.cloud.Hold()
	m, err := h.cloud.User("alice").Send("team", "hello", tencenttest.SendOptions{NeedReadReceipt: true})
	require.NoError(t, err)
	event := puppet.SendEvent(room, "m.room.message", map[string]any{"msgtype": "m.text", "body": "hello",
		mapping.StampKey: json.RawMessage(mustStamp(t, mapping.Stamp{GroupID: "team", Seq: receipts.MsgSeq(m.Seq)}))})
	ann.SendReceipt(room, event)
	h.settled()
	h.cloud.Release(nil)
	h.acked("team", ann, m.Seq)
}
