package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// TestCloudWebhookLoad: of many webhooks at a time none is lost. How soon they are answered is BenchmarkWebhooks's to show; what could
// not be stored in time, as on a slow machine, is stored all the same.
func TestCloudWebhookLoad(t *testing.T) {
	t.Parallel()
	h := newCloudHouse(t, matrixtest.Dendrite(), tencenttest.Options{Limits: noLimit, Points: tencenttest.Points{WebhookWorkers: 64}})
	ann := h.hs.User("ann")
	members := []string{"alice"}
	for i := range 40 {
		members = append(members, fmt.Sprint("app", i))
	}
	room := h.link("team", ann, members...)
	h.quiet()
	var wg sync.WaitGroup
	for _, user := range members[1:] {
		wg.Go(func() {
			for i := range 5 {
				m, err := h.cloud.User("alice").Send("team", fmt.Sprint(user, " ", i), tencenttest.SendOptions{NeedReadReceipt: true})
				if err == nil {
					err = h.cloud.User(user).Ack("team", m.Seq)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, h.cloud.WaitDelivered(h.ctx))
	for _, user := range members[1:] {
		require.NoError(t, h.cloud.Wait(h.ctx, func() bool { return h.row("team", user).Tencent.Len() == 5 }))
	}
	require.NoError(t, h.cloud.Wait(h.ctx, func() bool { return len(h.hs.Timeline(room)) == 200 }))
}

// TestCloudWebhookNotStored: what could not be stored is not answered with OK, and is taken when it comes again.
func TestCloudWebhookNotStored(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{WebhookRetries: 1000, OneSeqPerWebhook: true})
	ann := h.hs.User("ann")
	room := h.link("team", ann, "alice", "bob")
	m, event := h.send("team", "alice", "one")
	h.quiet()
	h.sqliteOnly()
	_, err := h.db.Exec(h.ctx, "CREATE TRIGGER broken BEFORE INSERT ON tim_reader BEGIN SELECT RAISE(ABORT, 'disk full'); END")
	require.NoError(t, err)
	failed := func() (n int) {
		for _, d := range h.cloud.Deliveries(tencenttest.AfterReadReceipt) {
			if d.ActionStatus != "OK" {
				n++
			}
		}
		return n
	}
	require.NoError(t, h.cloud.User("bob").Ack("team", m.Seq))
	h.wait("a failure", func() bool { return failed() > 0 })
	require.False(t, h.row("team", "bob").Read.Contains(receipts.MsgSeq(m.Seq)))
	_, err = h.db.Exec(h.ctx, "DROP TRIGGER broken")
	require.NoError(t, err)
	if len(only(h.cloud.Webhooks(""), tencenttest.AfterReadReceipt)) > 0 { // Tencent or the tee comes again
		h.readHook("team", m.Seq, "bob")
	}
	ann.WaitReceipt(room, h.ghost("bob"), event)
}

// TestCloudHandleEvent: an event is durable when HandleEvent returns, and an ended context withdraws it or not at all.
func TestCloudHandleEvent(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	h.link("team", h.hs.User("ann"), "alice", "bob")
	m, _ := h.send("team", "alice", "one")
	h.quiet()
	e := &tencent.ReadReceipt{GroupMsgReceiptList: []tencent.ReadMsg{{MsgSeq: tencent.Uint(m.Seq), ReadReceiptMembers: tencent.Accounts{"bob"}}}}
	e.GroupId = "team"
	ended, end := context.WithCancel(h.ctx)
	end()
	if err := h.b.cloud.HandleEvent(ended, e); err != nil {
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, h.row("team", "bob").Read.Contains(receipts.MsgSeq(m.Seq)))
	}
	require.NoError(t, h.b.cloud.HandleEvent(h.ctx, e))
	require.True(t, h.row("team", "bob").Tencent.Contains(receipts.MsgSeq(m.Seq)))
	e.GroupId = "nobody knows"
	require.NoError(t, h.b.cloud.HandleEvent(h.ctx, e))
	h.stop()
	e.GroupId = "team"
	require.True(t, errors.Is(h.b.cloud.HandleEvent(h.ctx, e), errStopped))
	h.start()
}

// TestCloudStopWhileBusy: a stop in the middle of everything is clean and loses nothing.
func TestCloudStopWhileBusy(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{}, func(cfg *config.Config) { cfg.Tencent.CatchUpInterval = 50 * time.Millisecond })
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.link("team", ann, "alice", "bob")
	h.join(ben, room)
	var want []string
	for i := range 6 {
		h.cloud.SetLatency(time.Duration(i*20) * time.Millisecond)
		text := fmt.Sprint("from ben ", i)
		event := ben.Send(room, text)
		want = append(want, text, fmt.Sprint("from alice ", i))
		m, err := h.cloud.User("alice").Send("team", want[len(want)-1], tencenttest.SendOptions{NeedReadReceipt: true})
		require.NoError(t, err)
		require.NoError(t, h.cloud.User("bob").Ack("team", m.Seq))
		ann.SendReceipt(room, event)
		h.restart(nil)
	}
	h.cloud.SetLatency(0)
	h.hs.WaitFor("all in the room", func() bool { return len(h.bodies(room)) == len(want) })
	h.cloud.WaitFor(t, "all in the group", func() bool { return len(h.texts("team")) == len(want) })
	h.quiet()
	require.ElementsMatch(t, want, h.bodies(room))
	require.ElementsMatch(t, want, h.texts("team"))
	last := h.hs.Timeline(room)
	ann.SendReceipt(room, last[len(last)-1].ID)
	for _, m := range h.cloud.Messages("team") {
		if m.From == "alice" {
			h.acked("team", ann, m.Seq)
		}
	}
}

// TestCloudLostDatabase: with a new database, the accounts of Matrix users that are in a group already are theirs again.
func TestCloudLostDatabase(t *testing.T) {
	t.Parallel()
	empty := houseDatabase(t)
	h := plainCloud(t, tencenttest.Points{})
	ann := h.hs.User("ann")
	room := h.link("team", ann, "alice")
	m, event := h.send("team", "alice", "one")
	ann.SendReceipt(room, event)
	h.acked("team", ann, m.Seq)
	h.stop()
	h.cfg.Database = empty
	h.start()
	_, err := h.root.MapGroup(h.ctx, mapRequest("team", room))
	require.NoError(t, err)
	h.readHook("team", m.Seq, mapping.AccountID(ann.ID))
	second, secondEvent := h.send("team", "alice", "two")
	ann.SendReceipt(room, secondEvent)
	h.acked("team", ann, second.Seq)
	sent := h.arrived("team", ann.Send(room, "hello"))
	require.Equal(t, mapping.AccountID(ann.ID), sent.From)
	require.Equal(t, "leave", h.hs.Membership(room, h.ghost(mapping.AccountID(ann.ID))))
}

// TestCloudHomeserverRestarts: with its transaction ids forgotten, a homeserver still has each message once.
func TestCloudHomeserverRestarts(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newCloudHouse(t, opts, tencenttest.Options{})
		ann := h.hs.User("ann")
		room := h.link("team", ann, "alice", "bob")
		h.hs.FailTransactions(5)
		h.hs.FailRequests(matrixtest.Path("/send/"), 1, http.StatusBadGateway, "", 0)
		m, err := h.cloud.User("alice").Send("team", "one", tencenttest.SendOptions{NeedReadReceipt: true})
		require.NoError(t, err)
		written := ann.Send(room, "two")
		h.hs.Restart()
		before := h.snapshot()
		event := h.eventOf("team", m.Seq)
		h.arrived("team", written)
		require.NoError(t, h.cloud.User("bob").Ack("team", m.Seq))
		ann.WaitReceipt(room, h.ghost("bob"), event)
		h.quiet()
		h.hs.Restart()
		_ = before
		require.ElementsMatch(t, []string{"one", "two"}, h.bodies(room))
		require.ElementsMatch(t, []string{"one", "two"}, h.texts("team"))
		third := h.arrived("team", ann.Send(room, "three"))
		require.NoError(t, h.cloud.User("bob").Ack("team", third.Seq))
		h.quiet()
		require.ElementsMatch(t, []string{"one", "two", "three"}, h.texts("team"))
	})
}

// TestCloudRelinked: a group that goes to another room takes along what waits, and shows nothing of what happened in between.
func TestCloudRelinked(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann := h.hs.User("ann")
	room := h.link("team", ann, "alice", "bob")
	h.send("team", "alice", "one")
	h.idle()
	h.cloud.SetOutage(true)
	h.hs.FailRequests(matrixtest.Path("/send/m.room.message/tim_"), 1000, http.StatusBadGateway, "", 0)
	ann.Send(room, "written in the old room")
	h.hs.WaitPushed()
	h.cloud.SetOutage(false)
	h.cloud.FailNext("send_group_msg", 1000, tencenttest.Fault{Status: http.StatusBadGateway})
	_, err := h.cloud.User("alice").Send("team", "on its way", tencenttest.SendOptions{NeedReadReceipt: true})
	require.NoError(t, err)
	h.delivered()
	require.NoError(t, h.root.UnmapGroup(h.ctx, "team"))
	between, err := h.cloud.User("alice").Send("team", "in between", tencenttest.SendOptions{NeedReadReceipt: true})
	require.NoError(t, err)
	other := ann.CreateRoom(matrixtest.RoomOptions{Public: true})
	h.hs.StopFailing()
	_, err = h.root.MapGroup(h.ctx, mapRequest("team", other))
	require.NoError(t, err)
	h.cloud.StopFailing()
	m, event := h.send("team", "alice", "two")
	require.Equal(t, "two", body(h.timeline(other, event)))
	ann.SendReceipt(other, event)
	h.acked("team", ann, m.Seq)
	h.hs.WaitFor("what was on its way", func() bool { return len(h.bodies(other)) == 2 })
	h.cloud.WaitFor(t, "what was written", func() bool { return len(h.texts("team")) == 5 })
	h.idle()
	require.ElementsMatch(t, []string{"on its way", "two"}, h.bodies(other))
	require.ElementsMatch(t, []string{"one", "written in the old room"}, h.bodies(room))
	require.False(t, h.cloud.HasRead("team", mapping.AccountID(ann.ID), between.Seq))
	require.Empty(t, h.hs.Members(room)[1:][1:], "of ours only the bot stays")
}
