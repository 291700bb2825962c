package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// ackCalls are the acknowledgements that Tencent got: group, account and how many messages.
func (h *cloudHouse) ackCalls() (list []ackCall) {
	h.t.Helper()
	for _, c := range h.cloud.CallLog("group_msg_receipt") {
		var body struct {
			GroupId, From_Account string
			MsgSeqList            []struct{ MsgSeq uint64 }
		}
		require.NoError(h.t, json.Unmarshal(c.Body, &body))
		list = append(list, ackCall{body.GroupId, body.From_Account, len(body.MsgSeqList), c.Code})
	}
	return list
}

type ackCall struct {
	group, account string
	messages       int
	code           receipts.Code
}

// sendMany has members send messages that want receipts, and waits until all are in the room.
func (h *cloudHouse) sendMany(group string, n int, from ...string) (seqs []uint64, last id.EventID) {
	h.t.Helper()
	for i := range n {
		m, err := h.cloud.User(from[i%len(from)]).Send(group, fmt.Sprint("message ", i), tencenttest.SendOptions{NeedReadReceipt: true})
		require.NoError(h.t, err)
		seqs = append(seqs, m.Seq)
	}
	room := h.group(group).RoomID
	require.NoError(h.t, h.cloud.Wait(h.ctx, func() bool { return len(h.hs.Timeline(room)) >= n }))
	h.quiet()
	timeline := h.hs.Timeline(room)
	return seqs, timeline[len(timeline)-1].ID
}

// noLimit lets the fake cloud take messages as fast as they come.
var noLimit = tencenttest.Limits{Command: -1, Account: -1, Group: -1}

func busyCloud(t testing.TB, points tencenttest.Points, change ...func(*config.Config)) *cloudHouse {
	return newCloudHouse(t, matrixtest.Dendrite(), tencenttest.Options{Points: points, Limits: noLimit}, append(change, func(cfg *config.Config) {
		cfg.Tencent.CallsPerSecond, cfg.Tencent.AccountCallsPerSecond = 100_000, 100_000
		cfg.Tencent.CatchUpInterval = lastRetry
	})...)
}

// TestCloudManyMessagesAtOnce: one receipt over many messages is as few calls as Tencent's limit allows, each of one group.
func TestCloudManyMessagesAtOnce(t *testing.T) {
	t.Parallel()
	h := busyCloud(t, tencenttest.Points{})
	ann := h.hs.User("ann")
	writers := []string{"alice", "bob", "carl", "dora"}
	rooms := map[string]id.RoomID{"team": h.link("team", ann, writers...), "other": h.link("other", ann, writers...)}
	var ends []id.EventID
	var all [][]uint64
	for _, group := range []string{"team", "other"} {
		seqs, last := h.sendMany(group, 130, writers...)
		ends, all = append(ends, last), append(all, seqs)
	}
	ann.SendReceipt(rooms["team"], ends[0])
	ann.SendReceipt(rooms["other"], ends[1])
	h.acked("team", ann, all[0]...)
	h.acked("other", ann, all[1]...)
	h.quiet()
	count := map[string][]int{}
	for _, call := range h.ackCalls() {
		require.LessOrEqual(t, call.messages, receipts.MaxAcksPerCall)
		count[call.group] = append(count[call.group], call.messages)
	}
	require.Equal(t, map[string][]int{"team": {50, 50, 30}, "other": {50, 50, 30}}, count)
}

// TestCloudTwoHundredReaders: as many people as a group with receipts can have, each of whom reads 50 messages at once, are one call
// each and not one more. That they come as fast as is configured is BenchmarkBurst's to show.
func TestCloudTwoHundredReaders(t *testing.T) {
	t.Parallel()
	h := busyCloud(t, tencenttest.Points{EchoAcks: true}, func(cfg *config.Config) { cfg.Bridge.MatrixMembers = config.MatrixMembersAll })
	readers := []*matrixtest.User{h.hs.User("ann")}
	room := h.link("team", readers[0], "alice")
	for i := range 198 {
		readers = append(readers, h.hs.User(fmt.Sprint("reader", i)))
		readers[i+1].Join(room)
	}
	require.NoError(t, h.cloud.Wait(h.ctx, func() bool { return len(h.cloud.Members("team")) == 200 }))
	for _, c := range h.cloud.CallLog("add_group_member") {
		var body struct {
			Silence    int
			MemberList []any
		}
		require.NoError(t, json.Unmarshal(c.Body, &body))
		require.Equal(t, 1, body.Silence)
		require.LessOrEqual(t, len(body.MemberList), 20)
	}
	seqs, last := h.sendMany("team", 50, "alice")
	for _, u := range readers {
		u.SendReceipt(room, last)
	}
	for _, u := range readers {
		h.acked("team", u, seqs...)
	}
	h.quiet()
	require.Equal(t, len(readers), h.cloud.Calls("group_msg_receipt"))
	for _, call := range h.ackCalls() {
		require.Equal(t, 50, call.messages)
	}
}

// TestCloudWantsAreAsked: what nobody has said is asked once, for all messages together, and kept; nothing that has no receipt is ever
// acknowledged.
func TestCloudWantsAreAsked(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.link("team", ann, "alice")
	h.join(ben, room)
	asked := func(seq uint64) (n int) {
		for _, c := range h.cloud.CallLog("get_group_msg_receipt") {
			if strings.Contains(string(c.Body), fmt.Sprintf(`{"MsgSeq":%d}`, seq)) {
				n++
			}
		}
		return n
	}
	h.idle()
	var wanting, others []uint64
	var last id.EventID
	for i := range 12 {
		m, err := h.cloud.User("alice").Send("team", fmt.Sprint("message ", i), tencenttest.SendOptions{NeedReadReceipt: i%2 == 0})
		require.NoError(t, err)
		if i%2 == 0 {
			wanting = append(wanting, m.Seq)
		} else {
			others = append(others, m.Seq)
		}
		last = h.eventOf("team", m.Seq)
	}
	h.quiet()
	ann.SendReceipt(room, last)
	h.acked("team", ann, wanting...)
	h.quiet()
	for _, seq := range others {
		require.Equal(t, receipts.WantsNo, h.wantsOf("team", seq))
		require.Equal(t, 1, asked(seq), "one question for all")
	}
	// Who has asked while the answer was on its way does not have it asked for again.
	key, late := h.group("team").Key, make([]receipts.MsgSeq, len(others))
	for i, seq := range others {
		late[i] = receipts.MsgSeq(seq)
	}
	require.NoError(t, h.b.commits.do(h.ctx, func(_ context.Context, s *session) error { s.askWants(key, late); return nil }))
	h.idle()
	for _, seq := range others {
		require.Equal(t, 1, asked(seq), "the answer is there")
	}
	h.restart(nil)
	ben.SendReceipt(room, last)
	h.acked("team", ben, wanting...)
	h.quiet()
	for _, seq := range others {
		require.Equal(t, 1, asked(seq), "the answer is kept")
	}
	require.Equal(t, map[receipts.Code]int{0: h.cloud.Calls("group_msg_receipt")}, h.cloud.Codes("group_msg_receipt"))
	require.True(t, h.row("team", mapping.AccountID(ann.ID)).Tencent.Equal(h.row("team", mapping.AccountID(ann.ID)).Read), "nothing is open")
}

// TestCloudWhatNeverCrosses: private receipts, own and recalled messages, and what users and groups have switched off.
func TestCloudWhatNeverCrosses(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.link("team", ann, "alice")
	h.join(ben, room)

	m, event := h.send("team", "alice", "private")
	ann.SendReceipt(room, event, matrixtest.ReceiptOptions{Private: true})
	recalled, recalledEvent := h.send("team", "alice", "recalled")
	require.NoError(t, h.cloud.User("alice").Recall("team", recalled.Seq))
	h.hs.WaitFor("it is redacted", func() bool { return body(h.timeline(room, recalledEvent)) == "" })
	own := ben.Send(room, "my own")
	written := h.arrived("team", own)
	h.quiet()
	require.Zero(t, h.cloud.Calls("group_msg_receipt"))
	ben.SendReceipt(room, own)
	h.acked("team", ben, m.Seq)
	h.quiet()
	require.False(t, h.cloud.HasRead("team", mapping.AccountID(ben.ID), recalled.Seq))
	require.False(t, h.cloud.HasRead("team", mapping.AccountID(ben.ID), written.Seq))
	require.Equal(t, []ackCall{{"team", mapping.AccountID(ben.ID), 1, 0}}, h.ackCalls())

	// His own wish, for as long as it is that.
	require.Contains(t, h.command(ben, room, "!tim my-receipts off"), "do not cross")
	second, secondEvent := h.send("team", "alice", "two")
	ben.SendReceipt(room, secondEvent)
	h.quiet()
	require.False(t, h.cloud.HasRead("team", mapping.AccountID(ben.ID), second.Seq))
	h.restart(nil)
	h.command(ben, room, "!tim my-receipts on")
	third, thirdEvent := h.send("team", "alice", "three")
	ben.SendReceipt(room, thirdEvent)
	h.acked("team", ben, second.Seq, third.Seq)

	// The room's.
	require.Contains(t, h.command(ann, room, "!tim receipts off to-tencent"), "to Tencent: off")
	fourth, fourthEvent := h.send("team", "alice", "four")
	ben.SendReceipt(room, fourthEvent)
	h.quiet()
	require.False(t, h.cloud.HasRead("team", mapping.AccountID(ben.ID), fourth.Seq))
	h.command(ann, room, "!tim receipts on to-tencent")
	fifth, fifthEvent := h.send("team", "alice", "five")
	ben.SendReceipt(room, fifthEvent)
	h.acked("team", ben, fourth.Seq, fifth.Seq)
	h.command(ann, room, "!tim receipts off to-matrix")
	require.NoError(t, h.cloud.User("bob").Join("team"))
	require.NoError(t, h.cloud.User("bob").Ack("team", fifth.Seq))
	h.quiet()
	require.Empty(t, ann.ReceiptOf(room, h.ghost("bob")))
	h.command(ann, room, "!tim receipts on to-matrix")
	ann.WaitReceipt(room, h.ghost("bob"), fifthEvent)
}
