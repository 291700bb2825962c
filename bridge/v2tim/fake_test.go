package v2tim_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/v2tim"
)

// fakeCore is a strict in-memory bridge core. It records every call as one line,
// answers what the test has put in, and fails the test on arguments that this
// package promises never to pass on.
type fakeCore struct {
	t testing.TB

	mu    sync.Mutex
	calls []string
	err   error // what every call answers

	receipts []v2tim.MessageReceipt
	members  v2tim.MemberList
	detail   v2tim.ReceiptDetail
	block    bool // calls wait for their context
}

func (f *fakeCore) called(ctx context.Context, format string, args ...any) error {
	f.mu.Lock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	err, block := f.err, f.block
	f.mu.Unlock()
	if block {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

// took returns the calls so far and forgets them.
func (f *fakeCore) took() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

func (f *fakeCore) answers(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fakeCore) checkIDs(ids []string) {
	sorted := slices.Clone(ids)
	slices.Sort(sorted)
	if len(ids) == 0 || len(ids) > 30 || slices.Contains(ids, "") || len(slices.Compact(sorted)) != len(ids) {
		f.t.Errorf("the core got a list it never should: %q", ids)
	}
}

func (f *fakeCore) checkSeqs(seqs []uint64, most int) {
	sorted := slices.Clone(seqs)
	slices.Sort(sorted)
	if len(seqs) == 0 || len(seqs) > most || slices.Contains(seqs, 0) || len(slices.Compact(sorted)) != len(seqs) {
		f.t.Errorf("the core got seqs it never should: %v", seqs)
	}
}

func (f *fakeCore) SendMessageReadReceipts(ctx context.Context, caller string, ids []string) error {
	f.checkIDs(ids)
	return f.called(ctx, "ack %s %q", caller, ids)
}

func (f *fakeCore) GetMessageReadReceipts(ctx context.Context, caller string, ids []string) ([]v2tim.MessageReceipt, error) {
	f.checkIDs(ids)
	return f.receipts, f.called(ctx, "counts %s %q", caller, ids)
}

func (f *fakeCore) GetGroupMessageReadMemberList(ctx context.Context, caller, id string, filter int, next uint64, count int) (v2tim.MemberList, error) {
	if id == "" || filter < 0 || filter > 1 || count < 1 || count > 100 {
		f.t.Errorf("the core got a page it never should: %q %d %d", id, filter, count)
	}
	return f.members, f.called(ctx, "members %s %s %d %d %d", caller, id, filter, next, count)
}

func (f *fakeCore) SendMessage(ctx context.Context, caller string, m v2tim.OutgoingMessage) (v2tim.SentMessage, error) {
	if (m.Text == "") == (m.CustomData == "") || m.GroupID == "" {
		f.t.Errorf("the core got a message it never should: %+v", m)
	}
	return v2tim.SentMessage{MsgID: "m-7", Seq: 7, GroupID: m.GroupID}, f.called(ctx, "send %s %+v", caller, m)
}

func (f *fakeCore) GroupMsgReceipt(ctx context.Context, group, from string, seqs []uint64) error {
	f.checkSeqs(seqs, v2tim.MaxAckSeqs)
	return f.called(ctx, "group ack %s %s %v", group, from, seqs)
}

func (f *fakeCore) GetGroupMsgReceipt(ctx context.Context, group string, seqs []uint64) ([]v2tim.SeqReceipt, error) {
	f.checkSeqs(seqs, v2tim.MaxReceiptSeqs)
	var list []v2tim.SeqReceipt
	for _, seq := range seqs {
		r := v2tim.SeqReceipt{MsgSeq: seq, ReadNum: 2, UnreadNum: 3}
		if seq == 404 {
			r = v2tim.SeqReceipt{MsgSeq: seq, Code: 10062}
		}
		list = append(list, r)
	}
	return list, f.called(ctx, "group counts %s %v", group, seqs)
}

func (f *fakeCore) GetGroupMsgReceiptDetail(ctx context.Context, group string, seq uint64, filter int, cursor string, count int) (v2tim.ReceiptDetail, error) {
	if seq == 0 || filter < 0 || filter > 1 || count < 1 || count > v2tim.MaxDetailPage {
		f.t.Errorf("the core got a page it never should: %d %d %d", seq, filter, count)
	}
	return f.detail, f.called(ctx, "group detail %s %d %d %q %d", group, seq, filter, cursor, count)
}

// fakeAdmin records like fakeCore.
type fakeAdmin struct{ *fakeCore }

func (f fakeAdmin) MapGroup(ctx context.Context, r v2tim.MapGroupRequest) (v2tim.MapGroupResponse, error) {
	return v2tim.MapGroupResponse{GroupId: r.GroupId, RoomId: r.RoomId, Type: r.Type}, f.called(ctx, "map_group %+v", r)
}

func (f fakeAdmin) UnmapGroup(ctx context.Context, r v2tim.UnmapGroupRequest) error {
	return f.called(ctx, "unmap_group %+v", r)
}

func (f fakeAdmin) AddGroupMember(ctx context.Context, r v2tim.AddGroupMemberRequest) (v2tim.AddGroupMemberResponse, error) {
	var resp v2tim.AddGroupMemberResponse
	for _, m := range r.MemberList {
		resp.MemberList = append(resp.MemberList, v2tim.MemberResult{Member_Account: m.Member_Account, Result: v2tim.MemberAdded})
	}
	return resp, f.called(ctx, "add_group_member %+v", r)
}

func (f fakeAdmin) DeleteGroupMember(ctx context.Context, r v2tim.DeleteGroupMemberRequest) error {
	return f.called(ctx, "delete_group_member %+v", r)
}

func (f fakeAdmin) GetGroupMemberInfo(ctx context.Context, r v2tim.GetGroupMemberInfoRequest) (v2tim.GetGroupMemberInfoResponse, error) {
	return v2tim.GetGroupMemberInfoResponse{MemberNum: 1, MemberList: []v2tim.MemberProfile{{Member_Account: "bob", Role: "Member"}}},
		f.called(ctx, "get_group_member_info %+v", r)
}

func (f fakeAdmin) MapMessages(ctx context.Context, r v2tim.MapMessagesRequest) (v2tim.MapMessagesResponse, error) {
	var resp v2tim.MapMessagesResponse
	line := "map_messages " + r.GroupId
	for _, m := range r.MessageList {
		wants := "?"
		if m.NeedReadReceipt != nil {
			wants = strconv.FormatBool(bool(*m.NeedReadReceipt))
		}
		line += fmt.Sprintf(" %s=%d/%s/%s/%s", m.EventId, m.MsgSeq, m.MsgId, m.From_Account, wants)
		resp.MessageList = append(resp.MessageList, v2tim.MappedMessage{EventId: m.EventId, MsgSeq: uint64(m.MsgSeq), MsgId: m.MsgId})
	}
	return resp, f.called(ctx, "%s", line)
}

func (f fakeAdmin) LinkUser(ctx context.Context, r v2tim.LinkUserRequest) error {
	return f.called(ctx, "link_user %+v", r)
}

func (f fakeAdmin) UnlinkUser(ctx context.Context, r v2tim.UnlinkUserRequest) error {
	return f.called(ctx, "unlink_user %+v", r)
}

func (f fakeAdmin) GetGroups(ctx context.Context, r v2tim.GetGroupsRequest) (v2tim.GetGroupsResponse, error) {
	return v2tim.GetGroupsResponse{}, f.called(ctx, "get_groups %+v", r)
}

func (f fakeAdmin) GetGroupMessages(ctx context.Context, r v2tim.GetGroupMessagesRequest) (v2tim.GetGroupMessagesResponse, error) {
	return v2tim.GetGroupMessagesResponse{GroupId: r.GroupId, IsFinished: 1}, f.called(ctx, "get_group_messages %+v", r)
}

// fakeEvents is one log of everybody's events. Cursors are the places in it.
type fakeEvents struct {
	mu     sync.Mutex
	log    []loggedEvent
	oldest int // cursors below are too old
	wakes  map[chan struct{}]string
	err    error
}

type loggedEvent struct {
	user string
	item any // MessageReceipt or NewMessage
}

func newFakeEvents() *fakeEvents { return &fakeEvents{wakes: make(map[chan struct{}]string)} }

func (f *fakeEvents) put(user string, items ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, item := range items {
		f.log = append(f.log, loggedEvent{user, item})
	}
	for c, u := range f.wakes {
		if u == user {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}
}

func (f *fakeEvents) set(change func(f *fakeEvents)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakeEvents) Subscribe(user string) (<-chan struct{}, func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := make(chan struct{}, 1)
	f.wakes[c] = user
	return c, func() { f.set(func(f *fakeEvents) { delete(f.wakes, c) }) }
}

func (f *fakeEvents) subscribers() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.wakes)
}

func (f *fakeEvents) Read(_ context.Context, user, after string, limit int) (v2tim.EventBatch, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := strconv.Atoi(after)
	switch {
	case f.err != nil:
		return v2tim.EventBatch{}, f.err
	case err != nil || at < f.oldest || at > len(f.log):
		return v2tim.EventBatch{}, fmt.Errorf("failed to read: %w", v2tim.ErrCursorTooOld)
	case limit < 1:
		return v2tim.EventBatch{}, errors.New("no limit")
	}
	var batch v2tim.EventBatch
	for ; at < len(f.log) && len(batch.Receipts)+len(batch.Messages) < limit; at++ {
		if f.log[at].user != user {
			continue
		}
		switch v := f.log[at].item.(type) {
		case v2tim.MessageReceipt:
			batch.Receipts = append(batch.Receipts, v)
		case v2tim.NewMessage:
			batch.Messages = append(batch.Messages, v)
		}
	}
	batch.Cursor, batch.More = strconv.Itoa(at), at < len(f.log)
	return batch, nil
}

func (f *fakeEvents) Now(context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strconv.Itoa(max(f.oldest, len(f.log))), nil
}

func receipt(msgID string, read, unread uint64) v2tim.MessageReceipt {
	return v2tim.MessageReceipt{MsgID: msgID, GroupID: "g1", ReadCount: read, UnreadCount: unread}
}

func message(msgID string) v2tim.NewMessage {
	return v2tim.NewMessage{MsgID: msgID, GroupID: "g1", Sender: "bob", Text: "text of " + msgID}
}

func requireCalls(t *testing.T, core *fakeCore, want ...string) {
	t.Helper()
	require.Equal(t, want, core.took())
}
