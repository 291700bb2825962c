package bridge

import (
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/mapping"
)

// unheard stops the homeserver's pushes, lets things happen and starts the bridge anew, so that it asks who is in the room before it
// hears what has happened there. When known holds it gets to hear it.
func (h *house) unheard(happens func(), known func() bool) {
	h.t.Helper()
	h.hs.WaitPushed()
	h.hs.SetASURL(h.cfg.AppService.ID, "")
	h.restart(happens)
	h.wait("the list of members to be taken", known)
	h.hs.SetASURL(h.cfg.AppService.ID, h.mx.URL)
	h.settled()
}

// isListed tells whether timbridge has a Matrix user among the members of a group.
func (h *house) isListed(group string, user id.UserID) bool {
	h.t.Helper()
	info, err := h.root.GetGroupMemberInfo(h.ctx, v2tim.GetGroupMemberInfoRequest{GroupId: group, Limit: 100})
	require.NoError(h.t, err)
	for _, m := range info.MemberList {
		if m.Member_Account == mapping.AccountID(user) {
			return true
		}
	}
	return false
}

// TestListedLeaveBeforeItsEvent: who has read a message and left, both before the bridge heard of either, has read it.
func TestListedLeaveBeforeItsEvent(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.room("team", ben, "alice")
	h.join(ann, room)
	alice := h.client("alice")
	var read, later id.EventID
	h.unheard(func() {
		read = ben.Send(room, "read by ann")
		ann.SendReceipt(room, read)
		ann.Leave(room)
		later = ben.Send(room, "not said to ann")
	}, func() bool { return !h.isListed("team", ann.ID) })
	h.waitCounts(alice, h.message("team", read).MsgId, 1, 1)
	require.Equal(t, [2]uint64{0, 1}, h.counts(alice, h.message("team", later).MsgId))
}

// TestListedJoinBeforeItsEvent: what was written before somebody joined was not said to him, though the bridge hears of it after it
// has found him in the room.
func TestListedJoinBeforeItsEvent(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.room("team", ben, "alice")
	h.hs.WaitPushed()
	alice := h.client("alice")
	var before, after id.EventID
	h.unheard(func() {
		before = ben.Send(room, "not said to ann")
		ann.Join(room)
		after = ben.Send(room, "read by ann")
		ann.SendReceipt(room, after)
	}, func() bool { return h.isListed("team", ann.ID) })
	h.waitCounts(alice, h.message("team", after).MsgId, 1, 1)
	require.Equal(t, [2]uint64{0, 1}, h.counts(alice, h.message("team", before).MsgId))
}

// TestListedTwiceBeforeItsEvents: the lists of two starts contradict each other, and the events that explain both come after them.
func TestListedTwiceBeforeItsEvents(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.room("team", ben, "alice")
	h.join(ann, room)
	alice := h.client("alice")
	h.hs.SetASURL(h.cfg.AppService.ID, "")
	read := ben.Send(room, "read by ann")
	ann.SendReceipt(room, read)
	ann.Leave(room)
	h.restart(nil)
	h.wait("her leaving", func() bool { return !h.isListed("team", ann.ID) })
	away := ben.Send(room, "said while ann was away")
	ann.Join(room)
	h.restart(nil)
	h.wait("her joining", func() bool { return h.isListed("team", ann.ID) })
	back := ben.Send(room, "read by ann again")
	ann.SendReceipt(room, back)
	h.hs.SetASURL(h.cfg.AppService.ID, h.mx.URL)
	h.settled()
	h.waitCounts(alice, h.message("team", back).MsgId, 1, 1)
	require.Equal(t, [2]uint64{1, 1}, h.counts(alice, h.message("team", read).MsgId))
	require.Equal(t, [2]uint64{0, 1}, h.counts(alice, h.message("team", away).MsgId))
}

// TestListedMemberChangesHisName: a member who was found by the list has no other begin because he takes another name later.
func TestListedMemberChangesHisName(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := ben.CreateRoom(matrixtest.RoomOptions{Public: true})
	ann.Join(room)
	h.mapGroup("team", room, "", "alice")
	h.wait("ann", func() bool { return h.isListed("team", ann.ID) })
	alice := h.client("alice")
	first := ben.Send(room, "said to ann")
	ben.SendState(room, "m.room.member", ann.ID.String(), map[string]any{"membership": "join", "displayname": "Ann"})
	second := ben.Send(room, "said to ann too")
	ann.SendReceipt(room, second)
	h.waitCounts(alice, h.message("team", second).MsgId, 1, 1)
	require.Equal(t, [2]uint64{1, 1}, h.counts(alice, h.message("team", first).MsgId))
}

// TestListedSinceTheLinking: who was in the room when it was linked has no event of his joining to come. The list finds him gone before
// the event of his leaving comes.
func TestListedSinceTheLinking(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := ben.CreateRoom(matrixtest.RoomOptions{Public: true})
	ann.Join(room)
	h.mapGroup("team", room, "", "alice")
	h.wait("ann", func() bool { return h.isListed("team", ann.ID) })
	alice := h.client("alice")
	first := ben.Send(room, "read by ann")
	ann.SendReceipt(room, first)
	h.waitCounts(alice, h.message("team", first).MsgId, 1, 1)
	var read id.EventID
	h.unheard(func() {
		read = ben.Send(room, "read by ann too")
		ann.SendReceipt(room, read)
		ann.Leave(room)
	}, func() bool { return true })
	h.waitCounts(alice, h.message("team", read).MsgId, 1, 1)
	require.Equal(t, [2]uint64{1, 1}, h.counts(alice, h.message("team", first).MsgId))
	h.wait("her leaving", func() bool { return !h.isListed("team", ann.ID) })
}

// TestListedJoinAmongWhatComesLate: the same, where what was written before comes after what was written, and read, since.
func TestListedJoinAmongWhatComesLate(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.room("team", ann, "alice")
	h.message("team", ann.Send(room, "first"))
	h.settled()
	h.hs.Withhold(ann.ID, 1)
	before := ann.Send(room, "not said to ben")
	h.hs.Withhold(ben.ID, 1)
	ben.Join(room)
	changes := h.hs.MemberChanges(room)
	join := changes[len(changes)-1].Event
	require.NoError(t, h.b.refresh(h.ctx, room))
	require.True(t, h.isListed("team", ben.ID))
	after := ann.Send(room, "read by ben")
	ben.SendReceipt(room, after)
	h.wait("ben's receipt", func() bool { return h.message("team", after).ReadNum == 1 })
	require.Zero(t, h.positions(before)[0])

	h.killed()
	h.deliver(before, join)
	h.settled()
	require.IsIncreasing(t, h.positions(before, join, after))
	require.Zero(t, h.message("team", before).ReadNum, "he has read it, by a stay that was a guess")
	require.EqualValues(t, 1, h.message("team", after).ReadNum)
}
