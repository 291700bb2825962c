package bridge

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// TestCloudBadMessages: a message that Tencent has no receipt for costs its reader nothing but itself, whatever it does to the call.
func TestCloudBadMessages(t *testing.T) {
	for _, bad := range []struct {
		name string
		mode tencenttest.BadAck
	}{{"refuses_all", tencenttest.BadAckRefusesAll}, {"refuses_one", tencenttest.BadAckRefusesOne}, {"ignored", tencenttest.BadAckIgnored}} {
		t.Run(bad.name, func(t *testing.T) {
			t.Parallel()
			h := plainCloud(t, tencenttest.Points{BadAck: bad.mode})
			ann := h.hs.User("ann")
			room := h.link("team", ann, "alice")
			seqs, last := h.sendMany("team", 10, "alice")
			require.NoError(t, h.cloud.Forget("team", seqs[3], seqs[7])) // known to want a receipt, and gone since
			ann.SendReceipt(room, last)
			h.acked("team", ann, seqs[0], seqs[1], seqs[2], seqs[4], seqs[5], seqs[6], seqs[8], seqs[9])
			h.quiet()
			calls := h.cloud.Calls("group_msg_receipt")
			row := h.row("team", mapping.AccountID(ann.ID))
			require.True(t, row.Tencent.Equal(row.Read), "nothing is left to be told")
			h.restart(nil)
			h.quiet()
			require.Equal(t, calls, h.cloud.Calls("group_msg_receipt"), "what was refused for good is not tried again")
		})
	}
	for _, code := range []receipts.Code{receipts.CodeReceiptNotExist, receipts.CodeMessageNotInGroup, receipts.CodeMessageGone} {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			h := plainCloud(t, tencenttest.Points{})
			ann := h.hs.User("ann")
			room := h.link("team", ann, "alice")
			seqs, last := h.sendMany("team", 8, "alice")
			h.cloud.FailNext("group_msg_receipt", 1, tencenttest.Fault{Code: code})
			ann.SendReceipt(room, last)
			h.acked("team", ann, seqs...)
			h.quiet()
			var sizes []int
			for _, call := range h.ackCalls() {
				sizes = append(sizes, call.messages)
			}
			require.Equal(t, []int{8, 4, 4}, sizes, "halved")
		})
	}
}

// TestCloudRefusedPerson: whose receipts Tencent does not take because he is no member there is brought in again, and then they are taken.
func TestCloudRefusedPerson(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.link("team", ann, "alice", "bob")
	h.join(ben, room)
	m, event := h.send("team", "alice", "one")
	ann.SendReceipt(room, event)
	ben.SendReceipt(room, event)
	h.acked("team", ann, m.Seq)
	h.acked("team", ben, m.Seq)

	h.cloud.Deliver(tencenttest.Nothing)
	require.NoError(t, h.cloud.User("alice").Kick("team", mapping.AccountID(ann.ID)))
	h.cloud.Deliver(nil)
	second, secondEvent := h.send("team", "alice", "two")
	ann.SendReceipt(room, secondEvent)
	ben.SendReceipt(room, secondEvent)
	h.acked("team", ben, second.Seq)
	h.acked("team", ann, second.Seq)
	require.True(t, h.isMember("team", ann))
	require.Equal(t, "join", h.hs.Membership(room, ann.ID))
	_, paused := h.paused("team")
	require.False(t, paused)

	// A linked user is a member by his own doing: his receipts go on when he is back.
	require.NoError(t, h.root.LinkUser(h.ctx, "bob", ben.ID.String()))
	h.waitMember("team", ben, false)
	h.cloud.WaitFor(t, "bob has what ben has", func() bool { return h.cloud.HasRead("team", "bob", m.Seq, second.Seq) })
	h.quiet()
	h.cloud.Deliver(tencenttest.Nothing)
	require.NoError(t, h.cloud.User("bob").Leave("team"))
	h.cloud.Deliver(nil)
	third, thirdEvent := h.send("team", "alice", "three")
	ben.SendReceipt(room, thirdEvent)
	h.cloud.WaitFor(t, "refused", func() bool { return h.cloud.Codes("group_msg_receipt")[receipts.CodePermissionDeny] == 2 })
	h.quiet()
	require.NoError(t, h.cloud.User("bob").Join("team"))
	h.cloud.WaitFor(t, "bob has read", func() bool { return h.cloud.HasRead("team", "bob", third.Seq) })
}

// TestCloudPause: a group of which Tencent takes no receipts waits, which everybody can see; it is tried now and then, and goes on.
func TestCloudPause(t *testing.T) {
	for _, code := range []receipts.Code{
		receipts.CodeReceiptNotIncluded, receipts.CodeReceiptGroupTooLarge, receipts.CodeGroupNotFound, receipts.CodeGroupInvalidGroupID,
		receipts.CodeGroupAPINameError,
	} {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			h := plainCloud(t, tencenttest.Points{})
			ann, ben := h.hs.User("ann"), h.hs.User("ben")
			room := h.link("team", ann, "alice")
			other := h.link("other", ann, "alice")
			h.join(ben, room)
			m, event := h.send("team", "alice", "one")
			fail := func() {
				h.cloud.FailNext("group_msg_receipt", 1000, tencenttest.Fault{Code: code})
				if code != receipts.CodeGroupAPINameError { // only that is about the one command
					h.cloud.FailNext("get_group_msg_receipt", 1000, tencenttest.Fault{Code: code})
				}
			}
			fail()
			ann.SendReceipt(room, event)
			h.wait("the pause", func() bool { _, paused := h.paused("team"); return paused })
			got, _ := h.paused("team")
			require.Equal(t, code, got)
			h.noticed(room, code.String())
			require.Contains(t, h.command(ben, room, "!tim status"), code.String())
			ben.SendReceipt(room, event) // known to be of no use
			h.quietBut("team")
			calls := h.cloud.Calls("group_msg_receipt")
			require.LessOrEqual(t, calls, 2)
			counted := h.cloud.Calls("get_group_msg_receipt")
			h.restart(nil)
			h.cloud.WaitFor(t, "the catch-up has looked", func() bool { return h.cloud.Calls("get_group_msg_receipt") > counted })
			h.quietBut("team")
			require.Equal(t, calls, h.cloud.Calls("group_msg_receipt"), "a restart is no reason to try again")

			// Another group goes on as soon as it works there.
			h.cloud.StopFailing()
			n, otherEvent := h.send("other", "alice", "elsewhere")
			ann.SendReceipt(other, otherEvent)
			h.acked("other", ann, n.Seq)
			require.False(t, h.cloud.HasRead("team", mapping.AccountID(ann.ID), m.Seq), "not yet")

			// It is time to try again, without success and then with it.
			fail()
			counted = h.cloud.Calls("get_group_msg_receipt")
			h.probeNow("team")
			h.cloud.WaitFor(t, "the catch-up has looked at both", func() bool { return h.cloud.Calls("get_group_msg_receipt") >= counted+2 })
			h.cloud.WaitFor(t, "a try", func() bool { return h.cloud.Calls("group_msg_receipt") == calls+2 })
			h.quietBut("team")
			require.Equal(t, calls+2, h.cloud.Calls("group_msg_receipt"), "one reader tries for all")
			require.Equal(t, 1, h.noticedTimes(room, "takes no read receipts"), "said once")
			h.cloud.StopFailing()
			h.probeNow("team")
			h.acked("team", ann, m.Seq)
			h.acked("team", ben, m.Seq)
			h.noticed(room, "again.")
			_, paused := h.paused("team")
			require.False(t, paused)
			require.Contains(t, h.command(ben, room, "!tim status"), "Tencent takes receipts")
		})
	}
}

// quietBut waits until nothing but a paused group has work.
func (h *cloudHouse) quietBut(group string) {
	h.t.Helper()
	h.delivered()
	h.hs.WaitPushed()
	h.wait("only the paused group waits", func() bool {
		var n int
		err := h.db.QueryRow(h.ctx, "SELECT COUNT(*) FROM tim_reader WHERE ack_due < $1", time.Now().Add(10*time.Minute).UnixMilli()).Scan(&n)
		require.NoError(h.t, err)
		return n == 0
	})
}

// probeNow makes it time to try a paused group again.
func (h *cloudHouse) probeNow(group string) {
	h.stopAndChange(func() {
		_, err := h.db.Exec(h.ctx, "UPDATE tim_pause SET until=since")
		require.NoError(h.t, err)
	})
}

// TestCloudReceiptsNotTicked: the console's switch for the group's type is about the group, not about each of its readers.
func TestCloudReceiptsNotTicked(t *testing.T) {
	t.Parallel()
	h := newCloudHouse(t, matrixtest.Synapse(), tencenttest.Options{ReceiptTypes: []string{"Work"}})
	ann := h.hs.User("ann")
	room := h.link("team", ann, "alice")
	_, event := h.send("team", "alice", "one")
	ann.SendReceipt(room, event)
	h.wait("the pause", func() bool { code, paused := h.paused("team"); return paused && code == receipts.CodePermissionDeny })
	written := ann.Send(room, "it gets there all the same")
	require.False(t, h.arrived("team", written).HasReceipt)
}

// TestCloudPassingFaults: what passes by itself loses no receipt and repeats no more than it must.
func TestCloudPassingFaults(t *testing.T) {
	for name, fault := range map[string]tencenttest.Fault{
		"internal": {Code: receipts.CodeGroupInternalError}, "timeout": {Code: receipts.CodeRequestTimeout}, "overload": {Code: receipts.CodeOverload},
		"http_502": {Status: http.StatusBadGateway}, "http_429": {Status: http.StatusTooManyRequests}, "dropped": {Drop: true}, "half": {Half: true, Acted: true},
		"dropped_after": {Drop: true, Acted: true}, "hangs": {Hang: true}, "hangs_after": {Hang: true, Acted: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := plainCloud(t, tencenttest.Points{EchoAcks: true}, func(cfg *config.Config) { cfg.Tencent.RequestTimeout = 500 * time.Millisecond })
			ann := h.hs.User("ann")
			room := h.link("team", ann, "alice")
			seqs, last := h.sendMany("team", 3, "alice")
			h.cloud.FailNext("group_msg_receipt", 2, fault)
			h.cloud.FailNext("add_group_member", 1, fault)
			h.cloud.FailNext("get_group_info", 1, fault)
			ann.SendReceipt(room, last)
			h.acked("team", ann, seqs...)
			h.wait("all is written down", func() bool {
				row := h.row("team", mapping.AccountID(ann.ID))
				return row.Tencent.ContainsAll(receipts.SetOf(1, 2, 3))
			})
			h.quiet()
			require.LessOrEqual(t, h.cloud.Calls("group_msg_receipt"), 3)
			_, paused := h.paused("team")
			require.False(t, paused)
			require.Zero(t, h.row("team", mapping.AccountID(ann.ID)).AckAttempts)
		})
	}
}

// TestCloudTooFast: Tencent's complaint slows that command down, and the others not.
func TestCloudTooFast(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann := h.hs.User("ann")
	room := h.link("team", ann, "alice")
	m, event := h.send("team", "alice", "one")
	h.cloud.FailNext("group_msg_receipt", 1, tencenttest.Fault{Code: receipts.CodeCommandFrequencyLimit})
	ann.SendReceipt(room, event)
	h.cloud.WaitFor(t, "the complaint", func() bool { return h.cloud.Codes("group_msg_receipt")[receipts.CodeCommandFrequencyLimit] == 1 })
	h.wait("slower", func() bool { return h.b.cloud.client.Rate("group_msg_receipt") < h.cfg.Tencent.CallsPerSecond })
	require.InDelta(t, h.cfg.Tencent.CallsPerSecond, h.b.cloud.client.Rate("send_group_msg"), 0.01)
	h.acked("team", ann, m.Seq)
	slow := h.b.cloud.client.Rate("group_msg_receipt")
	h.wait("faster again", func() bool { return h.b.cloud.client.Rate("group_msg_receipt") > slow })
}

// TestCloudKilled: whatever had been done and not written down is found out again, and nothing is lost or doubled.
func TestCloudKilled(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{EchoAcks: true, RepeatFires: true})
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.link("team", ann, "alice", "bob")
	h.join(ben, room)
	seqs, last := h.sendMany("team", 3, "alice")
	h.cloud.FailNext("", 1_000_000, tencenttest.Fault{Status: http.StatusBadGateway})
	ann.SendReceipt(room, last)
	written := ann.Send(room, "from ann")
	h.hs.WaitPushed()
	before := h.snapshot()
	h.cloud.StopFailing()
	h.acked("team", ann, seqs...)
	h.arrived("team", written)
	h.quiet()
	// All of that happened, and the database knows nothing of it.
	h.killed(before)
	h.arrived("team", written)
	h.quiet()
	row := h.row("team", mapping.AccountID(ann.ID))
	require.True(t, row.Tencent.ContainsAll(receipts.SetOf(receipts.MsgSeq(seqs[0]), receipts.MsgSeq(seqs[1]), receipts.MsgSeq(seqs[2]))))
	require.Equal(t, []string{"message 0", "message 1", "message 2", "from ann"}, h.texts("team"), "sent once")
	require.Equal(t, []string{"message 0", "message 1", "message 2", "from ann"}, h.bodies(room))
	wanted, joined := h.joinOf("team", ann)
	require.True(t, wanted && joined)
	require.Len(t, h.cloud.Members("team"), 3)
}
