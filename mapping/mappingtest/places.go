package mappingtest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

func testPlaces(t *testing.T, open func(t *testing.T) *bench) {
	t.Run("OrderOfArrival", func(t *testing.T) {
		b := open(t)
		places := b.append(roomA, 10, 30, 20)
		for i, want := range []mapping.Place{
			{EventID: event(10), RoomID: roomA, Pos: 1}, {EventID: event(30), RoomID: roomA, Pos: 2}, {EventID: event(20), RoomID: roomA, Pos: 3},
		} {
			require.Equal(t, want, places[i])
		}
		require.Equal(t, receipts.Pos(1), b.append(roomB, 40)[0].Pos, "each room counts by itself")
		head, err := b.Head(b.ctx, roomA)
		require.NoError(t, err)
		require.Equal(t, receipts.Pos(3), head)
		head, err = b.Head(b.ctx, roomC)
		require.NoError(t, err)
		require.Zero(t, head)
	})
	t.Run("Repeats", func(t *testing.T) {
		b := open(t)
		b.append(roomA, 1, 2)
		// Known ones between new ones, and one that comes twice in the same call.
		places := b.append(roomA, 3, 2, 4, 3, 1)
		require.Equal(t, []mapping.Place{
			{EventID: event(3), RoomID: roomA, Pos: 3},
			{EventID: event(2), RoomID: roomA, Pos: 2, Known: true},
			{EventID: event(4), RoomID: roomA, Pos: 4},
			{EventID: event(3), RoomID: roomA, Pos: 3, Known: true},
			{EventID: event(1), RoomID: roomA, Pos: 1, Known: true},
		}, places)
		for _, p := range b.append(roomA, 1, 2, 3, 4) {
			require.True(t, p.Known)
		}
	})
	t.Run("OtherRoom", func(t *testing.T) {
		b := open(t)
		b.append(roomA, 1)
		places := b.append(roomB, 1, 2)
		require.Equal(t, mapping.Place{EventID: event(1), RoomID: roomA, Pos: 1, Known: true}, places[0])
		require.Equal(t, receipts.Pos(1), places[1].Pos)
	})
	t.Run("KnownAsMessage", func(t *testing.T) {
		b := open(t)
		g := b.group("g", roomA)
		b.append(roomA, 1, 2)
		b.put(message(g, 1, 1), message(g, 2, 9)) // 9 is mapped before it arrives
		places := b.append(roomA, 1, 9, 3)
		require.Equal(t, mapping.Place{EventID: event(1), RoomID: roomA, Pos: 1, Known: true}, places[0])
		require.Equal(t, mapping.Place{EventID: event(9), RoomID: roomA, Pos: 3}, places[1])
		require.Equal(t, receipts.Pos(4), places[2].Pos)
		require.Equal(t, receipts.Pos(3), b.bySeq(g, 2).Pos)
		require.True(t, b.append(roomA, 9)[0].Known)
	})
	t.Run("Lookup", func(t *testing.T) {
		b := open(t)
		g := b.group("g", roomA)
		_, err := b.Append(b.ctx, roomA, []mapping.NewEvent{
			{EventID: event(1)}, {EventID: event(2), Thread: event(1).String()}, {EventID: "$1:example.com"}, {EventID: "$ä"},
		})
		require.NoError(t, err)
		b.put(message(g, 1, 2), message(g, 2, 7))
		found, err := b.Places(b.ctx, []id.EventID{event(1), event(2), event(2), "$1:example.com", "$ä", event(7), event(99), ""})
		require.NoError(t, err)
		require.Equal(t, map[id.EventID]mapping.Place{
			event(1):         {EventID: event(1), RoomID: roomA, Pos: 1, Known: true},
			event(2):         {EventID: event(2), RoomID: roomA, Pos: 2, Thread: event(1).String(), Known: true},
			"$1:example.com": {EventID: "$1:example.com", RoomID: roomA, Pos: 3, Known: true},
			"$ä":             {EventID: "$ä", RoomID: roomA, Pos: 4, Known: true},
			event(7):         {EventID: event(7), RoomID: roomA, Known: true},
		}, found)
		none, err := b.Places(b.ctx, nil)
		require.NoError(t, err)
		require.Empty(t, none)
	})
	t.Run("Invalid", func(t *testing.T) {
		b := open(t)
		_, err := b.Append(b.ctx, "", []mapping.NewEvent{{EventID: event(1)}})
		require.ErrorIs(t, err, mapping.ErrInvalid)
		_, err = b.Append(b.ctx, roomA, []mapping.NewEvent{{}})
		require.ErrorIs(t, err, mapping.ErrInvalid)
		places, err := b.Append(b.ctx, roomA, nil)
		require.NoError(t, err)
		require.Empty(t, places)
	})
}

func testInsert(t *testing.T, open func(t *testing.T) *bench) {
	t.Run("BeforeOthers", func(t *testing.T) {
		b := open(t)
		g := b.group("g", roomA)
		early, late, gone := b.ghost("early"), b.ghost("late"), b.ghost("gone")
		b.append(roomB, 900, 901, 902)
		other := b.group("other", roomB)
		b.join(other, late, 0, 2, true)
		b.append(roomA, 1, 2, 3, 4)
		ms := []mapping.Message{message(g, 1, 1), message(g, 2, 3), message(g, 3, 4), message(g, 4, 50), message(g, 5, 51)}
		for i := range ms {
			ms[i].At = clock
		}
		b.put(ms...)
		b.join(g, early, 0, 1, true)
		b.join(g, late, 0, 2, true)
		b.join(g, gone, 0, 0, true)
		b.leave(g, gone, 0, 4)
		unplaced, err := b.Unplaced(b.ctx, roomA, clock, 1)
		require.NoError(t, err)
		require.Len(t, unplaced, 1)
		unplaced, err = b.Unplaced(b.ctx, roomA, clock, 0)
		require.NoError(t, err)
		require.ElementsMatch(t, []id.EventID{event(50), event(51)}, unplaced)
		unplaced, err = b.Unplaced(b.ctx, roomA, clock.Add(time.Second), 0)
		require.NoError(t, err)
		require.Empty(t, unplaced, "older")

		b.insert(roomA, 50, 2) // 1 50 2 3 4
		b.insert(roomA, 51, 5) // 1 50 2 3 51 4
		found, err := b.Places(b.ctx, []id.EventID{event(1), event(2), event(3), event(4), event(50), event(51), event(902)})
		require.NoError(t, err)
		var order []receipts.Pos
		for _, n := range []int{1, 50, 2, 3, 51, 4, 902} {
			order = append(order, found[event(n)].Pos)
		}
		require.Equal(t, []receipts.Pos{1, 2, 3, 4, 5, 6, 3}, order)
		places := map[string]receipts.Interval{}
		for _, m := range b.members(g) {
			places[m.User.UserID] = m.Membership[0]
		}
		require.Equal(t, []receipts.Pos{1, 3, 0, 6}, []receipts.Pos{places["early"].JoinedPos, places["late"].JoinedPos, places["gone"].JoinedPos, places["gone"].LeftPos})
		require.Equal(t, receipts.Pos(2), b.members(other)[0].Membership[0].JoinedPos, "another room is not touched")
		require.Equal(t, receipts.Pos(7), b.append(roomA, 5)[0].Pos)
		require.True(t, b.append(roomA, 50)[0].Known, "handed over after all")
		unplaced, err = b.Unplaced(b.ctx, roomA, clock, 0)
		require.NoError(t, err)
		require.Empty(t, unplaced)
	})
	t.Run("Unknown", func(t *testing.T) {
		b := open(t)
		g := b.group("g", roomA)
		b.append(roomA, 1, 2)
		b.insert(roomA, 60, 2) // 1 60 2
		b.insert(roomA, 61, 1) // 61 1 60 2
		found, err := b.Places(b.ctx, []id.EventID{event(61), event(1), event(60), event(2)})
		require.NoError(t, err)
		for i, n := range []int{61, 1, 60, 2} {
			require.Equal(t, receipts.Pos(i+1), found[event(n)].Pos)
		}
		b.put(message(g, 1, 60))
		require.Equal(t, receipts.Pos(3), b.bySeq(g, 1).Pos, "it is a message like any other")
		require.Equal(t, receipts.Pos(5), b.append(roomA, 3)[0].Pos)
	})
	t.Run("Refused", func(t *testing.T) {
		b := open(t)
		g := b.group("g", roomA)
		b.append(roomA, 1, 2)
		b.append(roomB, 3)
		b.put(message(g, 1, 1), message(g, 2, 50))
		for _, wrong := range []struct {
			room   id.RoomID
			event  int
			before receipts.Pos
			why    string
		}{
			{roomA, 1, 1, "it has its place"},
			{roomA, 2, 1, "it has its place"},
			{roomB, 50, 1, "another room"},
			{roomA, 50, 0, "places begin at 1"},
			{roomA, 50, 3, "nothing stands there"},
		} {
			_, err := b.Insert(b.ctx, wrong.room, mapping.NewEvent{EventID: event(wrong.event), At: clock}, wrong.before)
			require.ErrorIs(t, err, mapping.ErrInvalid, wrong.why)
		}
		_, err := b.Insert(b.ctx, roomA, mapping.NewEvent{}, 1)
		require.ErrorIs(t, err, mapping.ErrInvalid)
		require.Zero(t, b.bySeq(g, 2).Pos)
	})
}

func testAnchors(t *testing.T, open func(t *testing.T) *bench) {
	t.Run("OldOnesGo", func(t *testing.T) {
		b := open(t)
		g := b.group("g", roomA)
		b.append(roomB, 900_001) // another room is not touched
		b.append(roomA, 1, 2)
		b.put(message(g, 1, 1))
		const more = 5000
		for n := 10; n < 10+more; n += 100 {
			ns := make([]int, 100)
			for i := range ns {
				ns[i] = n + i
			}
			b.append(roomA, ns...)
		}
		var anchors int
		require.NoError(t, b.db.QueryRow(b.ctx, `SELECT COUNT(*) FROM tim_anchor`).Scan(&anchors))
		require.LessOrEqual(t, anchors, 2000+250+1)
		require.Greater(t, anchors, 2000)
		ids := []id.EventID{event(1), event(2), event(10 + more - 2000), event(10 + more - 1), event(900_001)}
		found, err := b.Places(b.ctx, ids)
		require.NoError(t, err)
		require.Contains(t, found, event(1), "a message keeps its place for ever")
		require.NotContains(t, found, event(2))
		require.Contains(t, found, event(900_001))
		require.Equal(t, receipts.Pos(2+more), found[event(10+more-1)].Pos)
		require.Contains(t, found, event(10+more-2000), "the last 2,000 are kept")
		require.Equal(t, receipts.Pos(more+3), b.append(roomA, 2)[0].Pos, "places are never given twice")
	})
	t.Run("BecomesMessage", func(t *testing.T) {
		b := open(t)
		g := b.group("g", roomA)
		_, err := b.Append(b.ctx, roomA, []mapping.NewEvent{{EventID: event(1), Thread: event(8).String(), Gap: true, At: clock}})
		require.NoError(t, err)
		b.put(message(g, 1, 1))
		m := b.bySeq(g, 1)
		require.Equal(t, receipts.Pos(1), m.Pos)
		require.Equal(t, event(8).String(), m.Thread, "the anchor knew the thread")
		entries, err := b.Entries(b.ctx, g.Key, 0, 10)
		require.NoError(t, err)
		require.Len(t, entries, 1)
		require.False(t, entries[0].Gap)
	})
	t.Run("Found", func(t *testing.T) {
		b := open(t)
		g := b.group("g", roomA)
		b.append(roomA, 1, 2, 3)
		b.put(message(g, 1, 2))
		require.NoError(t, b.AnchorAt(b.ctx, roomA, mapping.NewEvent{EventID: event(50), Thread: event(1).String()}, 2))
		require.NoError(t, b.AnchorAt(b.ctx, roomA, mapping.NewEvent{EventID: event(51), Gap: true, At: clock.Add(time.Second)}, 2))
		require.NoError(t, b.AnchorAt(b.ctx, roomA, mapping.NewEvent{EventID: event(50)}, 3), "it has its place")
		require.NoError(t, b.AnchorAt(b.ctx, roomA, mapping.NewEvent{EventID: event(3)}, 1), "so has this")
		found, err := b.Places(b.ctx, []id.EventID{event(3), event(50)})
		require.NoError(t, err)
		require.Equal(t, receipts.Pos(3), found[event(3)].Pos)
		require.Equal(t, mapping.Place{EventID: event(50), RoomID: roomA, Pos: 2, Thread: event(1).String(), Known: true}, found[event(50)])
		conflict(t, b.AnchorAt(b.ctx, roomB, mapping.NewEvent{EventID: event(50)}, 1), "event "+event(50).String()+" is already in room !a:example.com")
		require.True(t, b.append(roomA, 50)[0].Known)

		// It turns out to be a message: one without a place of its own.
		b.put(message(g, 2, 51))
		require.Zero(t, b.bySeq(g, 2).Pos)
		require.Equal(t, receipts.Pos(2), b.bySeq(g, 1).Pos)
		found, err = b.Places(b.ctx, []id.EventID{event(51)})
		require.NoError(t, err)
		require.Equal(t, receipts.Pos(2), found[event(51)].Pos, "a receipt on it still means up to here")
		entries, err := b.Entries(b.ctx, g.Key, 0, 10)
		require.NoError(t, err)
		require.Len(t, entries, 1, "and it is no gap any more")

		require.ErrorIs(t, b.AnchorAt(b.ctx, roomA, mapping.NewEvent{EventID: "x"}, 1), mapping.ErrInvalid)
		require.ErrorIs(t, b.AnchorAt(b.ctx, "x", mapping.NewEvent{EventID: event(60)}, 1), mapping.ErrInvalid)
		require.ErrorIs(t, b.AnchorAt(b.ctx, roomA, mapping.NewEvent{EventID: event(60)}, -1), mapping.ErrInvalid)
	})
	t.Run("FoundWithMessage", func(t *testing.T) {
		b := open(t)
		g := b.group("g", roomA)
		b.append(roomA, 1)
		b.put(message(g, 1, 9))
		require.NoError(t, b.AnchorAt(b.ctx, roomA, mapping.NewEvent{EventID: event(9), Gap: true, At: clock}, 1))
		found, err := b.Places(b.ctx, []id.EventID{event(9)})
		require.NoError(t, err)
		require.Equal(t, receipts.Pos(1), found[event(9)].Pos)
		require.Zero(t, b.bySeq(g, 1).Pos)
		entries, err := b.Entries(b.ctx, g.Key, 0, 10)
		require.NoError(t, err)
		require.Empty(t, entries)
	})
}
