package mappingtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

func testTransactions(t *testing.T, open func(t *testing.T) *bench) {
	b := open(t)
	failed := errors.New("failed")
	err := b.db.DoTxn(b.ctx, nil, func(ctx context.Context) error {
		inner := &bench{Store: b.Store, t: t, db: b.db, ctx: ctx}
		g := inner.group("g", roomA)
		bob := inner.ghost("bob")
		inner.append(roomA, 1)
		inner.put(message(g, 1, 1))
		inner.join(g, bob, 0, 0, true)
		// A conflict leaves the transaction usable, and what the refused call wanted undone.
		_, err := b.PutMessages(ctx, []mapping.Message{message(g, 5, 5), message(g, 2, 1)})
		require.ErrorIs(t, err, mapping.ErrConflict)
		_, err = b.MapGroup(ctx, mapping.Group{GroupID: "h", RoomID: roomA, SeqSource: mapping.SeqSourceOwn})
		require.ErrorIs(t, err, mapping.ErrConflict)
		inner.put(message(g, 2, 2))
		require.Equal(t, []receipts.MsgSeq{1, 2}, seqs(mustSeqs(inner, g, 1, 2, 5)), "it sees what it did")
		return failed
	})
	require.ErrorIs(t, err, failed)
	counts, err := b.Counts(b.ctx)
	require.NoError(t, err)
	require.Zero(t, counts, "all of it joined the transaction")
	head, err := b.Head(b.ctx, roomA)
	require.NoError(t, err)
	require.Zero(t, head)
}

func testConcurrency(t *testing.T, open func(t *testing.T) *bench) {
	b := open(t)
	g := b.group("g", roomA)
	const workers, each, events = 4, 15, 40
	var wg sync.WaitGroup
	errs := make(chan error, workers)
	given := make([]map[id.EventID]receipts.Pos, workers)
	numbers := make([][]receipts.MsgSeq, workers)
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			given[w] = make(map[id.EventID]receipts.Pos)
			rng := rand.New(rand.NewPCG(uint64(w), 0))
			for range each {
				// All of them want places for the same events.
				ev := event(1 + rng.IntN(events))
				places, err := b.Append(b.ctx, roomA, []mapping.NewEvent{{EventID: ev}, {EventID: event(1 + rng.IntN(events))}})
				if err != nil {
					errs <- err
					return
				}
				for _, p := range places {
					given[w][p.EventID] = p.Pos
				}
				seq, err := b.NextSeq(b.ctx, g.Key)
				if err != nil {
					errs <- err
					return
				}
				numbers[w] = append(numbers[w], seq)
				if _, err = b.PutMessages(b.ctx, []mapping.Message{message(g, seq, 1000+int(seq))}); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	pos := make(map[receipts.Pos]id.EventID)
	seen := make(map[receipts.MsgSeq]bool)
	for w := range workers {
		for ev, p := range given[w] {
			if other, ok := pos[p]; ok {
				require.Equal(t, other, ev, "two events at place %d", p)
			}
			pos[p] = ev
		}
		for _, seq := range numbers[w] {
			require.False(t, seen[seq], "seq %d given twice", seq)
			seen[seq] = true
		}
	}
	head, err := b.Head(b.ctx, roomA)
	require.NoError(t, err)
	require.EqualValues(t, len(pos), head, "no place was given away for nothing")
	require.Len(t, seen, workers*each)
}

// testAnyOrder: what is said about messages may come in any order and more than
// once; what is known in the end is the same.
func testAnyOrder(t *testing.T, open func(t *testing.T) *bench) {
	type step func(b *bench, g mapping.Group, bob mapping.User)
	var steps []step
	for seq := receipts.MsgSeq(1); seq <= 6; seq++ {
		n := int(seq)
		steps = append(steps,
			func(b *bench, g mapping.Group, _ mapping.User) { b.put(message(g, seq, 0)) },
			func(b *bench, g mapping.Group, _ mapping.User) { b.put(message(g, seq, n)) },
			func(b *bench, g mapping.Group, bob mapping.User) {
				m := message(g, seq, 0)
				m.MsgID, m.Sender, m.At, m.Random, m.HasRandom = fmt.Sprintf("1-2-%d", seq), bob.Key, clock, uint32(seq), true
				b.put(m)
			},
			func(b *bench, g mapping.Group, _ mapping.User) {
				m := message(g, seq, 0)
				m.Wants = receipts.Wants(seq % 3)
				b.put(m)
			},
			func(b *bench, g mapping.Group, _ mapping.User) {
				m := message(g, seq, 0)
				m.Wants, m.Recalled = receipts.WantsNo, seq%2 == 0
				b.put(m)
			},
		)
	}
	var want []mapping.Message
	for seed := range uint64(6) {
		b := open(t)
		g, bob := b.group("g", roomA), b.ghost("bob")
		rng := rand.New(rand.NewPCG(seed, 0))
		todo := append(append([]step{}, steps...), steps...)
		rng.Shuffle(len(todo), func(i, j int) { todo[i], todo[j] = todo[j], todo[i] })
		appendAt := rng.IntN(len(todo) + 1)
		for i, do := range todo {
			if i == appendAt {
				b.append(roomA, 3, 1, 6, 2, 5, 4)
			}
			do(b, g, bob)
		}
		b.append(roomA, 3, 1, 6, 2, 5, 4)
		got, err := b.MessagesPage(b.ctx, g.Key, 0, 0)
		require.NoError(t, err)
		require.Len(t, got, 6)
		if want == nil {
			want = got
		}
		require.Equal(t, want, got, "seed %d", seed)
		require.Equal(t, []receipts.Pos{3, 5, 6, 1, 4, 2}, positions(got))
	}
}
