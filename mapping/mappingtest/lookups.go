package mappingtest

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// many maps 1,500 messages of g, whose seq order is not their order in the room.
// It returns seq by place (from 1 on).
func (b *bench) many(g mapping.Group) []receipts.MsgSeq {
	b.t.Helper()
	const n = 1500
	bySpot := make([]receipts.MsgSeq, n+1)
	ns := make([]int, n)
	ms := make([]mapping.Message, n)
	for i, spot := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		ns[i] = i + 1
		ms[i] = message(g, receipts.MsgSeq(spot+1), i+1)
		ms[i].MsgID = mapping.MsgID("bob", clock, mapping.Random(event(i+1)))
		bySpot[i+1] = receipts.MsgSeq(spot + 1)
	}
	b.append(g.RoomID, ns...)
	b.put(ms...)
	return bySpot
}

func testLookups(t *testing.T, open func(t *testing.T) *bench) {
	b := open(t)
	g, h := b.group("g", roomA), b.group("h", roomB)
	bySpot := b.many(g)
	b.put(message(h, 5, 0))
	b.append(roomB, 50_000)
	b.put(message(h, 6, 50_000))

	t.Run("ByEvent", func(t *testing.T) {
		events := make([]id.EventID, 0, 1600)
		for n := range 1600 {
			events = append(events, event(n))
		}
		found, err := b.MessagesByEvent(b.ctx, events)
		require.NoError(t, err)
		require.Len(t, found, 1500)
		for n := 1; n <= 1500; n++ {
			require.Equal(t, bySpot[n], found[event(n)].Seq)
			require.Equal(t, receipts.Pos(n), found[event(n)].Pos)
		}
	})
	t.Run("ByMsgID", func(t *testing.T) {
		want := mapping.MsgID("bob", clock, mapping.Random(event(3)))
		found, err := b.MessagesByMsgID(b.ctx, []string{want, want, "", "nonsense", "1-2", "01-2-3"})
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.Equal(t, bySpot[3], found[want].Seq)
	})
	t.Run("BySeq", func(t *testing.T) {
		set := receipts.SetOfRanges(receipts.Range{First: 2, Last: 2}, receipts.Range{First: 10, Last: 700}, receipts.Range{First: 1400, Last: 9_000_000_000})
		for seq := receipts.MsgSeq(801); seq < 1300; seq += 2 {
			set = set.Union(receipts.SetOf(seq))
		}
		var want []receipts.MsgSeq
		for seq := receipts.MsgSeq(1); seq <= 1500; seq++ {
			if set.Contains(seq) {
				want = append(want, seq)
			}
		}
		found, err := b.MessagesBySeq(b.ctx, g.Key, set, 0)
		require.NoError(t, err)
		require.Equal(t, want, seqs(found))
		for _, limit := range []int{1, 2, 691, 692, 693, 900} {
			found, err = b.MessagesBySeq(b.ctx, g.Key, set, limit)
			require.NoError(t, err)
			require.Equal(t, want[:limit], seqs(found))
		}
		found, err = b.MessagesBySeq(b.ctx, g.Key, receipts.SetOfRanges(receipts.Range{First: 1 << 63, Last: 1<<64 - 1}), 0)
		require.NoError(t, err)
		require.Empty(t, found)
	})
	t.Run("ByPlace", func(t *testing.T) {
		found, err := b.MessagesBetween(b.ctx, g.Key, 10, 20, 0)
		require.NoError(t, err)
		require.Equal(t, bySpot[11:21], seqs(found))
		found, err = b.MessagesBetween(b.ctx, g.Key, 10, 20, 3)
		require.NoError(t, err)
		require.Equal(t, bySpot[11:14], seqs(found))
		found, err = b.MessagesBelow(b.ctx, g.Key, 20, 3)
		require.NoError(t, err)
		require.Equal(t, []receipts.MsgSeq{bySpot[20], bySpot[19], bySpot[18]}, seqs(found))
		found, err = b.MessagesBelow(b.ctx, g.Key, 5000, 0)
		require.NoError(t, err)
		require.Len(t, found, 1500)
		m, err := b.MessageAt(b.ctx, g.Key, 77)
		require.NoError(t, err)
		require.Equal(t, bySpot[77], m.Seq)
		_, err = b.MessageAt(b.ctx, g.Key, 1501)
		require.ErrorIs(t, err, mapping.ErrNotFound)
		_, err = b.MessageAt(b.ctx, h.Key, 77)
		require.ErrorIs(t, err, mapping.ErrNotFound)
		found, err = b.MessagesBetween(b.ctx, h.Key, 0, 9999, 0)
		require.NoError(t, err)
		require.Equal(t, []receipts.MsgSeq{6}, seqs(found))
	})
	t.Run("Pages", func(t *testing.T) {
		var all []receipts.MsgSeq
		for before := receipts.MsgSeq(0); ; {
			page, err := b.MessagesPage(b.ctx, g.Key, before, 400)
			require.NoError(t, err)
			all = append(all, seqs(page)...)
			if len(page) < 400 {
				break
			}
			before = page[399].Seq
		}
		require.Len(t, all, 1500)
		for i, seq := range all {
			require.Equal(t, receipts.MsgSeq(1500-i), seq)
		}
		page, err := b.MessagesPage(b.ctx, h.Key, 0, 0)
		require.NoError(t, err)
		require.Equal(t, []receipts.MsgSeq{6, 5}, seqs(page), "with those that have no event")
	})
	t.Run("ByRandom", func(t *testing.T) {
		bob := b.ghost("bob")
		for seq, at := range map[receipts.MsgSeq]time.Duration{100: 0, 101: time.Minute, 102: 2 * time.Minute} {
			m := message(h, seq, 0)
			m.Sender, m.Random, m.HasRandom, m.At = bob.Key, 42, true, clock.Add(at)
			b.put(m)
		}
		m, err := b.MessageByRandom(b.ctx, h.Key, bob.Key, 42, clock)
		require.NoError(t, err)
		require.Equal(t, receipts.MsgSeq(102), m.Seq, "the newest")
		for name, find := range map[string]func() (mapping.Message, error){
			"too old": func() (mapping.Message, error) {
				return b.MessageByRandom(b.ctx, h.Key, bob.Key, 42, clock.Add(time.Hour))
			},
			"other sender": func() (mapping.Message, error) { return b.MessageByRandom(b.ctx, h.Key, 99, 42, clock) },
			"other random": func() (mapping.Message, error) { return b.MessageByRandom(b.ctx, h.Key, bob.Key, 41, clock) },
			"other group":  func() (mapping.Message, error) { return b.MessageByRandom(b.ctx, g.Key, bob.Key, 42, clock) },
		} {
			_, err = find()
			require.ErrorIs(t, err, mapping.ErrNotFound, name)
		}
	})
}

func testEntries(t *testing.T, open func(t *testing.T) *bench) {
	b := open(t)
	g := b.group("g", roomA)
	// Of four events in a row: a message, a gap, another message, something else.
	var want []receipts.Pos
	for n := 1; n <= 200; n += 4 {
		_, err := b.Append(b.ctx, roomA, []mapping.NewEvent{
			{EventID: event(n)}, {EventID: event(n + 1), Gap: true, At: clock, Thread: event(1).String()}, {EventID: event(n + 2)}, {EventID: event(n + 3)},
		})
		require.NoError(t, err)
		b.put(message(g, receipts.MsgSeq(1000-n), n), message(g, receipts.MsgSeq(n), n+2))
		want = append(want, receipts.Pos(n), receipts.Pos(n+1), receipts.Pos(n+2))
	}
	for _, limit := range []int{0, 1, 2, 3, 7, 100, 149, 150, 151} {
		var got []receipts.Pos
		for after := receipts.Pos(0); ; {
			page, err := b.Entries(b.ctx, g.Key, after, limit)
			require.NoError(t, err)
			for _, e := range page {
				got = append(got, e.Pos)
				if e.Gap {
					require.Equal(t, receipts.Message{Pos: e.Pos, EventID: event(int(e.Pos)).String(), Thread: event(1).String(), At: clock}, e.Message)
				} else {
					require.NotZero(t, e.Seq)
				}
			}
			if limit == 0 || len(page) < limit {
				break
			}
			after = page[len(page)-1].Pos
		}
		require.Equal(t, want, got, "limit %d", limit)
	}
	t.Run("SharedPlace", func(t *testing.T) {
		for n := 501; n <= 503; n++ {
			require.NoError(t, b.AnchorAt(b.ctx, roomA, mapping.NewEvent{EventID: event(n), Gap: true, At: clock}, 1))
		}
		page, err := b.Entries(b.ctx, g.Key, 0, 2)
		require.NoError(t, err)
		require.Len(t, page, 4, "what shares the last place comes along")
		page, err = b.Entries(b.ctx, g.Key, 0, 1)
		require.NoError(t, err)
		require.Len(t, page, 4)
		require.False(t, page[0].Gap)
	})
	t.Run("Unmapped", func(t *testing.T) {
		none, err := b.Entries(b.ctx, b.group("h", "").Key, 0, 10)
		require.NoError(t, err)
		require.Empty(t, none)
	})
}
