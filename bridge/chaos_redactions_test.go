package bridge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
)

// TestRecallOfSomebodyWhoLeft: the owner of a group recalls a message of somebody who has left it, so that his ghost is not in the
// room any more. The bot has no right to redact.
func TestRecallOfSomebodyWhoLeft(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]matrixtest.Options{"Synapse": matrixtest.Synapse(), "Dendrite": matrixtest.Dendrite()} {
		t.Run(name, func(t *testing.T) {
			h := newCloudHouse(t, opts, tencenttest.Options{})
			ann := h.hs.User("ann")
			room := h.link("team", ann, "alice", "bob")
			m, event := h.send("team", "bob", "to be recalled")
			require.NoError(t, h.cloud.User("bob").Leave("team"))
			h.hs.WaitFor("bob's leaving", func() bool { return h.hs.Membership(room, h.ghost("bob")) == "leave" })
			require.NoError(t, h.cloud.User("alice").Recall("team", m.Seq))
			h.hs.WaitFor("redaction", func() bool { return h.hs.Redacted(event) })
			h.settled()
			h.hs.WaitFor("bob's leaving again", func() bool { return h.hs.Membership(room, h.ghost("bob")) == "leave" })
		})
	}
}

// TestTakenBackWhileUnderWay: a Matrix user takes a message back while nobody knows whether Tencent has got it, and leaves. It is
// recalled at Tencent, and what Tencent then says of that leaves no work that cannot be done.
func TestTakenBackWhileUnderWay(t *testing.T) {
	t.Parallel()
	h := newCloudHouse(t, matrixtest.Synapse(), tencenttest.Options{})
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.link("team", ann, "alice")
	h.join(ben, room)
	h.cloud.Hold()
	h.cloud.FailNext("send_group_msg", 1, tencenttest.Fault{Drop: true, Acted: true})
	event := ben.Send(room, "taken back")
	h.wait("sending", func() bool { return h.cloud.Calls("send_group_msg") > 0 })
	ben.Redact(room, event)
	ben.Leave(room)
	h.wait("recall at Tencent", func() bool {
		list := h.cloud.Messages("team")
		return len(list) == 1 && list[0].Recalled
	})
	h.cloud.Release(nil)
	require.NoError(t, h.cloud.WaitDelivered(h.ctx))
	h.settled()
}

// TestRedactionSeenBeforeEarlierMessages: /sync tells of a redaction before the transactions tell of what was written before it. Who
// marks the redaction as read, as clients do with the newest event, has read that all the same.
func TestRedactionSeenBeforeEarlierMessages(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.room("team", ben, "alice")
	h.join(ann, room)
	alice := h.client("alice")
	first := ben.Send(room, "to be redacted")
	h.message("team", first)
	h.hs.SetASURL(h.cfg.AppService.ID, "")
	read := ben.Send(room, "read by ann")
	redaction := ben.Redact(room, first)
	ann.SendReceipt(room, redaction)
	h.restart(nil) // and /sync is read
	h.wait("the receipt", func() bool {
		parked, err := h.b.reads.ParkedOlder(h.ctx, time.Now().Add(time.Minute), 10)
		return err == nil && len(parked) > 0
	})
	h.hs.SetASURL(h.cfg.AppService.ID, h.mx.URL)
	h.settled()
	h.waitCounts(alice, h.message("team", read).MsgId, 1, 1)
}

// TestReceiptOnUnpushedEventWhileOthersAreOnTheirWay: a receipt on an event that the homeserver never pushes (Dendrite: a redaction) is
// taken as one on the event before it. If that is still on its way when the homeserver is asked, it counts when it has come, and not
// an hour later.
func TestReceiptOnUnpushedEventWhileOthersAreOnTheirWay(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Dendrite(), func(cfg *config.Config) { cfg.Bridge.EventWait = 10 * time.Millisecond })
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.room("team", ben, "alice")
	h.join(ann, room)
	first := ben.Send(room, "to be redacted")
	h.message("team", first)
	h.hs.WaitPushed()
	h.hs.SetASURL(h.cfg.AppService.ID, "")
	read := ben.Send(room, "read by ann")
	ann.SendReceipt(room, ben.Redact(room, first))
	h.hs.WaitFor("question", func() bool { return len(h.hs.Requests(matrixtest.Path("/context/"))) > 0 })
	h.hs.SetASURL(h.cfg.AppService.ID, h.mx.URL)
	h.waitCounts(h.client("alice"), h.message("team", read).MsgId, 1, 1)
}
