package mappingtest

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

func testMessages(t *testing.T, open func(t *testing.T) *bench) {
	t.Run("Whole", func(t *testing.T) {
		b := open(t)
		g, bob := b.group("g", roomA), b.ghost("bob")
		pos := b.append(roomA, 5, 1)[1].Pos
		m := mapping.Message{Group: g.Key, RoomID: roomA, Random: 1<<32 - 1, HasRandom: true}
		m.Message = receipts.Message{
			Seq: 7, Pos: pos, EventID: event(1).String(), MsgID: "144115233406643804-1727580296-4026038328", Thread: event(5).String(),
			Sender: bob.Key, Wants: receipts.WantsYes, Recalled: true, OnlineOnly: true, At: clock.Add(5 * time.Millisecond),
		}
		require.Equal(t, []bool{true}, b.put(m))
		require.Equal(t, m, b.bySeq(g, 7))
		require.Equal(t, []bool{false}, b.put(m), "the same again")
		require.Equal(t, []bool{false, false}, b.put(message(g, 7, 0), message(g, 7, 1)), "less of the same")
	})
	t.Run("FilledLater", func(t *testing.T) {
		b := open(t)
		g, bob := b.group("g", roomA), b.ghost("bob")
		b.append(roomA, 1)
		require.Equal(t, []bool{true}, b.put(message(g, 7, 0)))
		bare := b.bySeq(g, 7)
		want := mapping.Message{Group: g.Key}
		want.Seq = 7
		require.Equal(t, want, bare)
		byMsgID := message(g, 7, 0)
		byMsgID.MsgID = "id"
		steps := []mapping.Message{byMsgID, message(g, 7, 1), message(g, 7, 0), message(g, 7, 0), message(g, 7, 0), message(g, 7, 0)}
		steps[2].Sender = bob.Key
		steps[3].Wants = receipts.WantsNo
		steps[4].At = clock
		steps[5].Random, steps[5].HasRandom = 0, true
		for i, m := range steps {
			require.Equal(t, []bool{true}, b.put(m), i)
			require.Equal(t, []bool{false}, b.put(m), i)
		}
		want.MsgID, want.EventID, want.RoomID, want.Pos, want.Sender, want.Wants, want.At, want.HasRandom = "id", event(1).String(), roomA, 1, bob.Key, receipts.WantsNo, clock, true
		require.Equal(t, want, b.bySeq(g, 7))
	})
	t.Run("SameBatch", func(t *testing.T) {
		b := open(t)
		g := b.group("g", roomA)
		b.append(roomA, 1)
		require.Equal(t, []bool{true, true, false}, b.put(message(g, 1, 0), message(g, 1, 1), message(g, 1, 1)))
		_, err := b.PutMessages(b.ctx, []mapping.Message{message(g, 2, 9), message(g, 3, 9)})
		conflict(t, err, "event "+event(9).String()+` is already message 2 of group "g"`)
		require.Empty(t, seqs(mustSeqs(b, g, 2, 3)), "all or nothing")
	})
	t.Run("WantsOnlyRises", func(t *testing.T) {
		for _, order := range [][]receipts.Wants{
			{receipts.WantsYes, receipts.WantsNo, receipts.WantsUnknown}, {receipts.WantsUnknown, receipts.WantsNo, receipts.WantsYes}, {receipts.WantsNo, receipts.WantsUnknown, receipts.WantsYes},
		} {
			b := open(t)
			g := b.group("g", roomA)
			for _, wants := range order {
				m := message(g, 1, 0)
				m.Wants = wants
				b.put(m)
			}
			require.Equal(t, receipts.WantsYes, b.bySeq(g, 1).Wants)
		}
	})
	t.Run("SetWants", func(t *testing.T) {
		b := open(t)
		g, h := b.group("g", roomA), b.group("h", roomB)
		for seq := receipts.MsgSeq(1); seq <= 50; seq++ {
			b.put(message(g, seq, 0))
		}
		b.put(message(h, 7, 0))
		recalled := message(g, 40, 0)
		recalled.Recalled = true
		b.put(recalled)
		all := receipts.SetOfRanges(receipts.Range{First: 1, Last: 60})
		odd := receipts.SetOf(1, 3, 5, 7, 99)
		news, err := b.SetWants(b.ctx, g.Key, odd, receipts.WantsYes)
		require.NoError(t, err)
		require.True(t, news.Equal(receipts.SetOf(1, 3, 5, 7)), news)
		news, err = b.SetWants(b.ctx, g.Key, all, receipts.WantsNo)
		require.NoError(t, err)
		require.EqualValues(t, 46, news.Len())
		require.True(t, news.Intersect(odd).IsEmpty(), "a yes is never taken back")
		news, err = b.SetWants(b.ctx, g.Key, receipts.SetOf(40, 41), receipts.WantsYes)
		require.NoError(t, err)
		require.True(t, news.Equal(receipts.SetOf(40, 41)), "a no may turn out wrong")
		news, err = b.SetWants(b.ctx, g.Key, receipts.SetOf(40, 41), receipts.WantsYes)
		require.NoError(t, err)
		require.True(t, news.IsEmpty())
		news, err = b.SetWants(b.ctx, g.Key, all, receipts.WantsUnknown)
		require.NoError(t, err)
		require.True(t, news.IsEmpty())
		require.Equal(t, receipts.WantsYes, b.bySeq(g, 40).Wants)
		require.True(t, b.bySeq(g, 40).Recalled)
		require.Equal(t, receipts.WantsUnknown, b.bySeq(h, 7).Wants, "another group's")
	})
	t.Run("Recalled", func(t *testing.T) {
		b := open(t)
		g := b.group("g", roomA)
		m := message(g, 1, 1)
		m.Wants = receipts.WantsYes
		b.put(m)
		got, changed, err := b.SetRecalled(b.ctx, event(1))
		require.NoError(t, err)
		require.True(t, changed)
		require.True(t, got.Recalled)
		require.Equal(t, receipts.WantsYes, got.Wants)
		_, changed, err = b.SetRecalled(b.ctx, event(1))
		require.NoError(t, err)
		require.False(t, changed)
		b.put(m)
		require.True(t, b.bySeq(g, 1).Recalled, "and stays so")
		_, _, err = b.SetRecalled(b.ctx, event(2))
		require.ErrorIs(t, err, mapping.ErrNotFound)
	})
	t.Run("Place", func(t *testing.T) {
		b := open(t)
		g := b.group("g", roomA)
		own := message(g, 1, 0)
		own.MsgID = "id"
		b.put(own)
		place := b.append(roomA, 1)[0]
		require.NoError(t, b.PlaceMessage(b.ctx, g.Key, 1, roomA, event(1), place.Pos))
		require.NoError(t, b.PlaceMessage(b.ctx, g.Key, 1, roomA, event(1), place.Pos), "a second time")
		require.Equal(t, place.Pos, b.bySeq(g, 1).Pos)
		err := b.PlaceMessage(b.ctx, g.Key, 1, roomA, event(2), 0)
		conflict(t, err, `message 1 of group "g" is already event `+event(1).String())
		require.ErrorIs(t, b.PlaceMessage(b.ctx, g.Key, 2, roomA, event(2), 0), mapping.ErrNotFound)
	})
	t.Run("OtherRoom", func(t *testing.T) {
		b := open(t)
		g := b.group("g", roomA)
		b.append(roomA, 1, 2)
		b.put(message(g, 1, 1), message(g, 2, 2))
		require.NoError(t, b.UnmapGroup(b.ctx, g.Key))
		require.Zero(t, b.bySeq(g, 1).Pos)
		b.append(roomB, 10, 11, 12)
		g = b.group("g", roomB)
		require.Equal(t, receipts.Pos(3), g.LinkedPos)
		old := b.bySeq(g, 1)
		require.Zero(t, old.Pos, "its place is not in the current room")
		require.Equal(t, roomA, old.RoomID)
		require.Equal(t, []bool{false}, b.put(message(g, 1, 1)), "its event is known, in the old room")
		b.append(roomB, 13)
		b.put(message(g, 3, 13))
		between, err := b.MessagesBetween(b.ctx, g.Key, 0, 100, 0)
		require.NoError(t, err)
		require.Equal(t, []receipts.MsgSeq{3}, seqs(between))
		place, err := b.Places(b.ctx, []id.EventID{event(1)})
		require.NoError(t, err)
		require.Equal(t, roomA, place[event(1)].RoomID)
		// Back again, they are where they were.
		require.NoError(t, b.MoveGroup(b.ctx, g.Key, roomA, 0))
		require.Equal(t, receipts.Pos(1), b.bySeq(g, 1).Pos)
		require.Zero(t, b.bySeq(g, 3).Pos)
	})
	t.Run("Invalid", func(t *testing.T) {
		b := open(t)
		g, unmapped := b.group("g", roomA), b.group("h", "")
		for name, edit := range map[string]func(m *mapping.Message){
			"no group":       func(m *mapping.Message) { m.Group = 0 },
			"no seq":         func(m *mapping.Message) { m.Seq = 0 },
			"huge seq":       func(m *mapping.Message) { m.Seq = 1 << 63 },
			"no sigil":       func(m *mapping.Message) { m.EventID = "event" },
			"empty event":    func(m *mapping.Message) { m.EventID = "$" },
			"long event":     func(m *mapping.Message) { m.EventID = "$" + strings.Repeat("x", 255) },
			"bad thread":     func(m *mapping.Message) { m.Thread = "x" },
			"bad room":       func(m *mapping.Message) { m.RoomID = "x" },
			"bad msgID":      func(m *mapping.Message) { m.MsgID = "a b" },
			"negative place": func(m *mapping.Message) { m.Pos = -1 },
			"only a place":   func(m *mapping.Message) { m.EventID, m.Pos = "", 1 },
			"no room":        func(m *mapping.Message) { m.Group = unmapped.Key },
			"bad wants":      func(m *mapping.Message) { m.Wants = 3 },
		} {
			m := message(g, 1, 1)
			edit(&m)
			_, err := b.PutMessages(b.ctx, []mapping.Message{m})
			require.ErrorIs(t, err, mapping.ErrInvalid, name)
		}
		m := message(g, 1, 1)
		m.Group = 99
		_, err := b.PutMessages(b.ctx, []mapping.Message{m})
		require.ErrorIs(t, err, mapping.ErrNotFound)
		changed, err := b.PutMessages(b.ctx, nil)
		require.NoError(t, err)
		require.Empty(t, changed)
	})
}

func mustSeqs(b *bench, g mapping.Group, list ...receipts.MsgSeq) []mapping.Message {
	b.t.Helper()
	found, err := b.MessagesBySeq(b.ctx, g.Key, receipts.SetOf(list...), 0)
	require.NoError(b.t, err)
	return found
}

func testConflicts(t *testing.T, open func(t *testing.T) *bench) {
	withID := func(m mapping.Message, msgID string) mapping.Message {
		m.MsgID = msgID
		return m
	}
	inRoom := func(m mapping.Message, room id.RoomID, pos receipts.Pos) mapping.Message {
		m.RoomID, m.Pos = room, pos
		return m
	}
	b := open(t)
	g, h := b.group("g", roomA), b.group("h", roomB)
	b.append(roomA, 1, 2, 3)
	b.append(roomB, 11)
	b.put(withID(message(g, 1, 1), "id1"), message(g, 2, 2), message(h, 1, 11))
	e := func(n int) string { return event(n).String() }
	for name, c := range map[string]struct {
		m    mapping.Message
		text string
	}{
		"message to second event":         {message(g, 1, 3), `message 1 of group "g" is already event ` + e(1)},
		"event to second message":         {message(g, 5, 2), `event ` + e(2) + ` is already message 2 of group "g"`},
		"event to message of other group": {inRoom(message(h, 5, 2), roomA, 0), `event ` + e(2) + ` is already message 2 of group "g"`},
		"msgID twice":                     {withID(message(g, 6, 0), "id1"), `msgID "id1" is already message 1 of group "g"`},
		"msgID of other group":            {withID(message(h, 6, 0), "id1"), `msgID "id1" is already message 1 of group "g"`},
		"second msgID":                    {withID(message(g, 1, 0), "id2"), `message 1 of group "g" is already msgID "id1"`},
		"message's event in other room":   {inRoom(message(g, 1, 1), roomB, 0), `event ` + e(1) + ` is already in another room than !b:example.com`},
		"anchor in other room":            {message(h, 7, 3), `event ` + e(3) + ` is already in another room than !b:example.com`},
		"other place":                     {inRoom(message(g, 1, 1), roomA, 2), `event ` + e(1) + ` is already at place 1 of room !a:example.com`},
		"anchor at other place":           {inRoom(message(g, 7, 3), roomA, 9), `event ` + e(3) + ` is already at place 3 of room !a:example.com`},
		"place taken":                     {inRoom(message(g, 7, 77), roomA, 1), `place 1 of room !a:example.com is already that of event ` + e(1)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.PutMessages(b.ctx, []mapping.Message{c.m})
			conflict(t, err, c.text)
			_, err = b.PutMessages(b.ctx, []mapping.Message{message(g, 100, 0), c.m})
			conflict(t, err, c.text)
			require.Empty(t, mustSeqs(b, g, 100), "nothing of the call is stored")
		})
	}
	t.Run("SchemaEnforcesIt", func(t *testing.T) {
		for _, set := range []string{
			`event_id = (SELECT event_id FROM tim_message WHERE group_key = $1 AND seq = 1)`,
			`msg_id = (SELECT msg_id FROM tim_message WHERE group_key = $1 AND seq = 1)`,
			`pos = 1`,
			`seq = 1`,
		} {
			_, err := b.db.Exec(b.ctx, `UPDATE tim_message SET `+set+` WHERE group_key = $1 AND seq = 2`, g.Key)
			require.Error(t, err, set)
		}
	})
}
