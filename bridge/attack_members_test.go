package bridge

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/mapping"
)

func (h *house) isMember(group, user string) bool {
	h.t.Helper()
	info, err := h.root.GetGroupMemberInfo(h.ctx, v2tim.GetGroupMemberInfoRequest{GroupId: group, Limit: 200})
	require.NoError(h.t, err)
	for _, m := range info.MemberList {
		if m.Member_Account == user {
			return true
		}
	}
	return false
}

// TestALateJoinOfAGhostMakesNoMember: a ghost is in the room because its user is in the group, never the other way round.
func TestALateJoinOfAGhostMakesNoMember(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	h.settled()
	h.hs.FailTransactions(1_000_000)
	_, err := h.root.AddGroupMember(h.ctx, "team", "carol")
	require.NoError(t, err)
	h.hs.WaitFor("carol in", func() bool { return h.hs.Membership(room, h.ghost("carol")) == "join" })
	require.NoError(t, h.root.DeleteGroupMember(h.ctx, "team", "carol"))
	h.hs.WaitFor("carol out", func() bool { return h.hs.Membership(room, h.ghost("carol")) == "leave" })
	h.hs.StopFailing()
	h.settled()
	require.False(t, h.isMember("team", "carol"))
	require.Equal(t, "leave", h.hs.Membership(room, h.ghost("carol")))
}

// TestAMarkerDoesNotBringBackWhoWasRemoved: a receipt still on its way must not make the ghost join again.
func TestAMarkerDoesNotBringBackWhoWasRemoved(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice", "bob")
	m := h.message("team", ann.Send(room, "hello"))
	h.settled()
	h.hs.FailRequests(matrixtest.Path("/receipt/"), 1, 502, "", 0)
	h.hs.FailRequests(matrixtest.Path("/receipt/"), 1, 403, "M_FORBIDDEN", 0)
	require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, m.MsgId))
	h.wait("a try", func() bool { return len(h.hs.Requests(matrixtest.Path("/receipt/"))) > 0 })
	require.NoError(t, h.root.DeleteGroupMember(h.ctx, "team", "alice"))
	h.hs.WaitFor("alice out", func() bool { return h.hs.Membership(room, h.ghost("alice")) == "leave" })
	h.settled()
	require.Equal(t, "leave", h.hs.Membership(room, h.ghost("alice")))
	require.False(t, h.isMember("team", "alice"))
	joins := h.hs.Requests(func(_, path string, user id.UserID) bool {
		return user == h.ghost("alice") && strings.HasSuffix(path, "/join")
	})
	require.Len(t, joins, 1)
}

// TestAnOldListOfMembersIsNoNews: who joined or left after the homeserver was asked is not judged by its answer.
func TestAnOldListOfMembersIsNoNews(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann, ben, cleo := h.hs.User("ann"), h.hs.User("ben"), h.hs.User("cleo")
	room := h.room("team", ann, "alice")
	h.join(cleo, room)
	h.settled()
	before, err := h.b.maps.Head(h.ctx, room)
	require.NoError(t, err)
	list, err := h.b.hs.JoinedMembers(h.ctx, room)
	require.NoError(t, err)
	h.join(ben, room)
	cleo.Leave(room)
	h.hs.WaitPushed()
	require.NoError(t, h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error {
		g, err := s.groupOfRoom(ctx, room)
		require.NoError(t, err)
		return s.members(ctx, g, list, before)
	}))
	require.True(t, h.isMember("team", mapping.AccountID(ben.ID)))
	require.False(t, h.isMember("team", mapping.AccountID(cleo.ID)))
}

// TestWhoIsFoundInTheRoomHasNotReadWhatWasBefore: a receipt that is quicker than its sender's join, as on Dendrite, must not count
// for what was said before he came.
func TestWhoIsFoundInTheRoomHasNotReadWhatWasBefore(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Dendrite())
	ann, late := h.hs.User("ann"), h.hs.User("late")
	room := h.room("team", ann, "alice")
	alice := h.client("alice")
	old, err := alice.SendText(h.ctx, "team", "before he came")
	require.NoError(t, err)
	event := h.event("team", old.MsgID)
	h.settled()
	h.hs.FailTransactions(1_000_000)
	late.Join(room)
	late.SendReceipt(room, event)
	h.wait("he is found", func() bool { return h.isMember("team", mapping.AccountID(late.ID)) })
	h.hs.StopFailing()
	h.hs.WaitPushed()
	next, err := alice.SendText(h.ctx, "team", "after he came")
	require.NoError(t, err)
	late.SendReceipt(room, h.event("team", next.MsgID))
	h.waitCounts(alice, next.MsgID, 1, 1)
	require.Equal(t, [2]uint64{0, 1}, h.counts(alice, old.MsgID))
}

// TestALinkedUserWhoIsNotInTheRoomStaysInTheGroup: he is in it by the word of the Tencent side.
func TestALinkedUserWhoIsNotInTheRoomStaysInTheGroup(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.room("team", ann, "alice")
	require.NoError(t, h.root.LinkUser(h.ctx, "alice", ben.ID.String()))
	h.hs.WaitFor("ghost gone", func() bool { return h.hs.Membership(room, h.ghost("alice")) == "leave" })
	require.NoError(t, h.b.refresh(h.ctx, room))
	require.True(t, h.isMember("team", "alice"))
	m := h.message("team", ann.Send(room, "hello"))
	require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, m.MsgId))
}
