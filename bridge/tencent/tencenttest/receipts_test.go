package tencenttest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/receipts"
)

func TestAckByServerAndByClient(t *testing.T) {
	s := Start(t, Options{})
	s.Group(t, "g", "alice", "bob", "carol", "dave")
	first := send(t, s, "alice", "g", "one", wanted)
	second := send(t, s, "carol", "g", "two", wanted)
	require.Equal(t, []uint64{1, 2}, []uint64{first.Seq, second.Seq})
	require.Regexp(t, `^1441\d{14}-\d{10}-\d+$`, first.MsgID)
	require.Contains(t, first.MsgID, fmt.Sprintf("-%d", first.Random))

	good(t, s, "group_open_http_svc/group_msg_receipt", obj{"GroupId": "g", "From_Account": "bob", "MsgSeqList": seqs(1, 2, 1)})
	require.NoError(t, s.User("dave").Ack("g", 1))
	require.NoError(t, s.User("alice").Ack("g", 1, 2), "one's own is no reading, and no error")

	require.Equal(t, []string{"bob", "dave"}, s.ReadBy("g", 1))
	require.Equal(t, []string{"carol"}, s.UnreadBy("g", 1))
	require.True(t, s.HasRead("g", "bob", 1, 2))
	require.False(t, s.HasRead("g", "dave", 1, 2))
	require.False(t, s.HasRead("g", "bob"))
	require.False(t, s.HasRead("x", "bob", 1))
	read, unread := s.Counts("g", 2)
	require.Equal(t, []int{2, 1}, []int{read, unread})
	require.Equal(t, []Receipt{
		{GroupID: "g", MsgID: first.MsgID, Seq: 1, ReadCount: 1, UnreadCount: 2},
		{GroupID: "g", MsgID: first.MsgID, Seq: 1, ReadCount: 2, UnreadCount: 1},
	}, s.User("alice").Receipts())

	answer := good(t, s, "group_open_http_svc/get_group_msg_receipt", obj{"GroupId": "g", "MsgSeqList": seqs(1, 9)})
	require.Equal(t, []any{
		obj{"MsgSeq": 1.0, "Code": 0.0, "ReadNum": 2.0, "UnreadNum": 1.0},
		obj{"MsgSeq": 9.0, "Code": 10052.0, "ReadNum": 0.0, "UnreadNum": 0.0},
	}, answer["GroupMsgReceiptList"])
}

func TestQueryTellsWhatHasNoReceipt(t *testing.T) {
	s := scene(t, Options{})
	answer := good(t, s, "group_open_http_svc/get_group_msg_receipt", obj{"GroupId": "g", "MsgSeqList": seqs(1, 2, 3, 4, 5)})
	var codes []any
	for _, entry := range answer["GroupMsgReceiptList"].([]any) {
		codes = append(codes, entry.(obj)["Code"])
	}
	require.Equal(t, []any{0.0, 10062.0, 10061.0, 10062.0, 10052.0}, codes)
}

func TestDetailPages(t *testing.T) {
	for finish, opts := range map[string]Options{"IsFinish": {}, "IsFinished": {Points: Points{IsFinished: true}}} {
		s := Start(t, opts)
		s.Group(t, "g", names(8)...)
		send(t, s, "u0", "g", "one", wanted)
		for _, reader := range []string{"u3", "u1", "u2"} {
			require.NoError(t, s.User(reader).Ack("g", 1))
		}
		pages := func(filter int, list, entry string) (users []any, calls int) {
			for cursor := ""; ; {
				answer := good(t, s, "group_open_http_svc/get_group_msg_receipt_detail",
					obj{"GroupId": "g", "MsgSeq": 1, "Filter": filter, "Cursor": cursor, "Count": 2})
				calls++
				for _, item := range answer[list].([]any) {
					users = append(users, item.(obj)[entry])
				}
				if answer[finish] == 1.0 {
					return users, calls
				}
				cursor = answer["Cursor"].(string)
			}
		}
		users, calls := pages(0, "ReadList", "Read_Account")
		require.Equal(t, []any{"u3", "u1", "u2"}, users)
		require.Equal(t, 2, calls)
		users, calls = pages(1, "UnreadList", "Unread_Account")
		require.Equal(t, []any{"u4", "u5", "u6", "u7"}, users)
		require.Equal(t, 2, calls)
	}
}

func TestBadAckPoints(t *testing.T) {
	for _, tc := range []struct {
		bad  BadAck
		code receipts.Code
		read []string
	}{
		{BadAckRefusesAll, 10062, nil},
		{BadAckRefusesOne, 10062, []string{"bob"}},
		{BadAckIgnored, 0, []string{"bob"}},
	} {
		s := scene(t, Options{Points: Points{BadAck: tc.bad}})
		code, _ := call(t, s, "group_open_http_svc/group_msg_receipt", obj{"GroupId": "g", "From_Account": "bob", "MsgSeqList": seqs(2, 1, 3)})
		require.Equal(t, tc.code, code)
		require.Equal(t, tc.read, s.ReadBy("g", 1))
	}
}

func TestAckPoints(t *testing.T) {
	ack := func(s *Server, reader string, list ...uint64) receipts.Code {
		code, _ := call(t, s, "group_open_http_svc/group_msg_receipt", obj{"GroupId": "g", "From_Account": reader, "MsgSeqList": seqs(list...)})
		return code
	}
	fired := func(s *Server) int { return len(s.Webhooks(AfterReadReceipt)) }

	s := scene(t, Options{})
	before := fired(s)
	require.Zero(t, ack(s, "bob", 1))
	require.Zero(t, ack(s, "bob", 1))
	require.NoError(t, s.User("bob").Ack("g", 1))
	require.Equal(t, before, fired(s), "neither by the server API nor again")
	require.NoError(t, s.User("carol").Ack("g", 1))
	require.Equal(t, before+1, fired(s))

	s = scene(t, Options{Points: Points{EchoAcks: true, RepeatFires: true, OwnAckCounts: true, NonMemberAcks: true, QueryMax: 2, ClientAckMax: 1}})
	before = fired(s)
	require.Zero(t, ack(s, "bob", 1))
	require.Zero(t, ack(s, "bob", 1))
	require.Equal(t, before+2, fired(s))
	require.Zero(t, ack(s, "alice", 1))
	require.Zero(t, ack(s, "dave", 1))
	require.Equal(t, []string{"bob", "alice"}, s.ReadBy("g", 1))
	code, _ := call(t, s, "group_open_http_svc/get_group_msg_receipt", obj{"GroupId": "g", "MsgSeqList": seqs(1, 1, 1)})
	require.Equal(t, receipts.CodeGroupInvalidParameters, code)
	requireCode(t, receipts.CodeInvalidParameters, s.User("carol").Ack("g", 1, 1))
	requireCode(t, receipts.CodeInvalidParameters, s.User("carol").Ack("g"))

	s = scene(t, Options{Points: Points{NoAckCommand: true}})
	require.Equal(t, receipts.CodeGroupAPINameError, ack(s, "bob", 1))

	c := newClock()
	s = scene(t, Options{Now: c.now, Points: Points{ReceiptsKept: time.Hour}})
	c.forward(time.Hour)
	require.Zero(t, ack(s, "bob", 1))
	c.forward(time.Second)
	require.Equal(t, receipts.CodeReceiptNotExist, ack(s, "bob", 1))
}

func TestMembersComeAndGo(t *testing.T) {
	for _, follows := range []bool{false, true} {
		s := Start(t, Options{Points: Points{UnreadFollows: follows}})
		s.Group(t, "g", "alice", "bob", "carol")
		send(t, s, "alice", "g", "one", wanted)
		require.NoError(t, s.User("dave").Join("g"))
		require.NoError(t, s.User("bob").Leave("g"))
		requireCode(t, receipts.CodePermissionDeny, s.User("bob").Ack("g", 1))
		want := []string{"bob", "carol"}
		if follows {
			want = []string{"carol", "dave"}
		}
		require.Equal(t, want, s.UnreadBy("g", 1))
	}
}

func TestGroupPassesTheSize(t *testing.T) {
	for _, keeps := range []bool{false, true} {
		s := Start(t, Options{Points: Points{LargeKeepsReceipts: keeps}})
		s.Group(t, "g", names(receiptMembers)...)
		require.True(t, send(t, s, "u0", "g", "one", wanted).HasReceipt)
		require.NoError(t, s.User("u1").Ack("g", 1))
		require.NoError(t, s.User("late").Join("g"))
		require.False(t, send(t, s, "u0", "g", "two", wanted).HasReceipt)
		err := s.User("u2").Ack("g", 1)
		if keeps {
			require.NoError(t, err)
		} else {
			requireCode(t, receipts.CodeReceiptGroupTooLarge, err)
		}
	}
}

func TestReceiptsAfterRecallAndModify(t *testing.T) {
	for _, drops := range []bool{false, true} {
		s := Start(t, Options{Points: Points{RecallDropsReceipts: drops, ModifyDropsReceipts: drops}})
		s.Group(t, "g", "alice", "bob")
		send(t, s, "alice", "g", "one", wanted)
		send(t, s, "alice", "g", "two", wanted)
		require.NoError(t, s.User("alice").Recall("g", 1))
		require.NoError(t, s.User("alice").Edit("g", 2, "zwei"))
		for seq := uint64(1); seq <= 2; seq++ {
			err := s.User("bob").Ack("g", seq)
			if drops {
				requireCode(t, receipts.CodeReceiptNotExist, err)
			} else {
				require.NoError(t, err)
			}
		}
	}
}

func TestClientWithoutPackage(t *testing.T) {
	s := Start(t, Options{Edition: EditionPro})
	s.Group(t, "g", "alice", "bob")
	require.False(t, send(t, s, "alice", "g", "one", wanted).HasReceipt)
	requireCode(t, receipts.CodeInterfaceNotSupported, s.User("bob").Ack("g", 1))
}

// TestManyAtOnce is the burst that a bridge has to carry: 200 readers, 50 messages, one call each, while
// others look on.
func TestManyAtOnce(t *testing.T) {
	b := newBackend(t)
	s := Start(t, Options{Limits: Limits{Command: -1, Group: -1}, Hook: Hook{URL: b.url}, Points: Points{EchoAcks: true}})
	readers := names(199)
	s.Group(t, "g", append([]string{"alice"}, readers...)...)
	var list []uint64
	for range 50 {
		list = append(list, send(t, s, "alice", "g", "hi", wanted).Seq)
	}
	var all sync.WaitGroup
	for i, reader := range readers {
		all.Go(func() {
			if i%2 == 0 {
				assert.NoError(t, s.User(reader).Ack("g", list...))
			} else {
				refused := s.acked("g", reader, list)
				assert.Nil(t, refused)
			}
			s.Counts("g", list[0])
			s.Webhooks("")
		})
	}
	all.Wait()
	require.NoError(t, s.WaitDelivered(t.Context()))
	for _, seq := range list {
		read, unread := s.Counts("g", seq)
		require.Equal(t, []int{199, 0}, []int{read, unread})
	}
	require.Len(t, b.of(AfterReadReceipt), 50+199)
	require.Len(t, s.User("alice").Receipts(), 50*199)
}

// acked acknowledges by the server API, without HTTP.
func (s *Server) acked(groupID, reader string, list []uint64) *receipts.Error {
	req := groupMsgReceiptRequest{GroupID: groupID, FromAccount: reader}
	for _, seq := range list {
		req.MsgSeqList = append(req.MsgSeqList, seqItem{MsgSeq: seq})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, refused := s.groupMsgReceipt(caller{}, req)
	return refused
}
