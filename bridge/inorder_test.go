package bridge

import (
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/receipts"
)

// These are the tests of a homeserver that goes on in another order than the room's after it was killed.

// killed has the homeserver be away until the bridge has seen it.
func (h *house) killed() {
	h.t.Helper()
	before := h.b.hs.Outages()
	h.hs.SetOutage(true)
	h.b.hs.SyncNow()
	h.wait("an outage", func() bool { return h.b.hs.Outages() > before })
	h.hs.SetOutage(false)
}

// TestEventsInTheOrderOfTheRoom: what a homeserver that was killed hands over late stands where it stands in the room, whether the bridge
// saw that the homeserver was away or was away itself. Whoever has read what followed has read it.
func TestEventsInTheOrderOfTheRoom(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		for name, away := range map[string]func(*house){
			"the homeserver was away": (*house).killed,
			"the bridge was away":     func(h *house) { h.restart(nil) },
		} {
			t.Run(name, func(t *testing.T) {
				h := newHouse(t, opts)
				ann, ben := h.hs.User("ann"), h.hs.User("ben")
				room := h.room("team", ann, "alice")
				h.join(ben, room)
				first := ann.Send(room, "first")
				h.message("team", first)
				h.settled()
				carl := h.hs.User("carl")
				h.hs.Withhold(ann.ID, 2)
				h.hs.Withhold(carl.ID, 1)
				h.hs.Withhold(ben.ID, 1)
				one := ann.Send(room, "one")
				carl.Join(room)
				two := ann.Send(room, "two")
				ben.Leave(room)
				away(h)
				ben.Join(room)
				three := ann.Send(room, "three")
				h.message("team", three)
				require.IsIncreasing(t, h.positions(first, one, two, three))
				carl.SendReceipt(room, three)
				ben.SendReceipt(room, three)
				h.wait("carl and ben have read it", func() bool { return h.message("team", three).ReadNum == 2 })
				h.settled()
				require.EqualValues(t, 1, h.message("team", one).ReadNum, "carl came after it")
				require.EqualValues(t, 2, h.message("team", two).ReadNum)

				at := h.positions(first, one, two, three)
				h.deliver(one, two)
				h.settled()
				require.Equal(t, at, h.positions(first, one, two, three))
				require.Len(t, h.messages("team", 4), 4)
			})
		}
	})
}

// TestLateEventsTakeTheirPlaces: what comes after what follows it in the room is put before that. Where later events say otherwise, those
// count.
func TestLateEventsTakeTheirPlaces(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann, ben, carl := h.hs.User("ann"), h.hs.User("ben"), h.hs.User("carl")
	room := h.room("team", ann, "alice")
	h.join(ben, room)
	first := ann.Send(room, "first")
	h.message("team", first)
	h.settled()
	h.hs.Withhold(ann.ID, 1)
	h.hs.Withhold(carl.ID, 2)
	h.hs.Withhold(ben.ID, 2)
	one := ann.Send(room, "one")
	carl.Join(room)
	carl.Leave(room)
	ben.Leave(room)
	ben.Join(room)
	var late []id.EventID
	for _, ev := range h.hs.MemberChanges(room) {
		if ev.User == carl.ID || ev.User == ben.ID {
			late = append(late, ev.Event)
		}
	}
	require.Len(t, late, 5, "ben came before, too")
	two := ann.Send(room, "two")
	h.message("team", two)
	ben.SendReceipt(room, two)
	h.wait("ben's receipt", func() bool { return h.message("team", two).ReadNum == 1 })
	h.settled()
	require.Zero(t, h.positions(one)[0])

	h.killed()
	h.deliver(append([]id.EventID{one}, late[1:]...)...)
	h.settled()
	at := h.positions(append(append([]id.EventID{first, one}, late[1:]...), two)...)
	require.IsIncreasing(t, at)
	m := h.message("team", one)
	require.EqualValues(t, 1, m.ReadNum, "ben has read what follows it")
	g, err := h.b.maps.GroupByID(h.ctx, "team")
	require.NoError(t, err)
	members, err := h.b.maps.Members(h.ctx, g.Key)
	require.NoError(t, err)
	stays := map[id.UserID]receipts.Membership{}
	for _, m := range members {
		stays[m.User.MXID] = m.Membership
	}
	require.True(t, stays[ben.ID].IsMember())
	require.False(t, stays[carl.ID].IsMember())
}

// TestLateLeaveBeforeAJoinOnItsWay: only what is known already is newer than what comes late.
func TestLateLeaveBeforeAJoinOnItsWay(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.room("team", ann, "alice")
	h.join(ben, room)
	h.message("team", ann.Send(room, "first"))
	h.settled()
	h.hs.Withhold(ben.ID, 2)
	ben.Leave(room)
	gone := ann.Send(room, "he is gone")
	h.message("team", gone)
	ben.Join(room)
	changes := h.hs.MemberChanges(room)
	leave, join := changes[len(changes)-2].Event, changes[len(changes)-1].Event
	h.killed()
	h.deliver(leave)
	h.settled()
	h.deliver(join)
	last := ann.Send(room, "last")
	h.message("team", last)
	ben.SendReceipt(room, last)
	h.wait("ben's receipt", func() bool { return h.message("team", last).ReadNum == 1 })
	require.Zero(t, h.message("team", gone).ReadNum, "it was not said to him")
	require.IsIncreasing(t, h.positions(leave, gone, join, last))
}

// TestWhatWasSaidWhileUnmappedIsNotTaken: what people said while the room was no group's is not missing.
func TestWhatWasSaidWhileUnmappedIsNotTaken(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	h.message("team", ann.Send(room, "first"))
	h.settled()
	require.NoError(t, h.root.UnmapGroup(h.ctx, "team"))
	between := []id.EventID{ann.Send(room, "between"), ann.Send(room, "us")}
	h.hs.WaitPushed()
	h.mapGroup("team", room, "own", "alice")
	h.killed()
	last := ann.Send(room, "last")
	h.message("team", last)
	h.settled()
	require.Len(t, h.messages("team", 2), 2)
	require.Equal(t, h.positions(between...), h.positions("$nobody", "$knows"))
}
