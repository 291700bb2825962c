package receipts_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/timbridge/timbridge/receipts"
)

// drawSeqs draws a set among the first 40 messages.
func drawSeqs(t *rapid.T, label string) receipts.Set {
	return receipts.SetOf(rapid.SliceOf(rapid.Custom(func(t *rapid.T) receipts.MsgSeq {
		return receipts.MsgSeq(rapid.IntRange(1, 40).Draw(t, "seq"))
	})).Draw(t, label)...)
}

// drawHistory draws what is known of some of the first 40 messages, in any order and some of them twice.
func drawHistory(t *rapid.T, label string) []receipts.Message {
	return rapid.SliceOf(rapid.Custom(func(t *rapid.T) receipts.Message {
		return receipts.Message{
			Seq:        receipts.MsgSeq(rapid.IntRange(1, 40).Draw(t, "seq")),
			Sender:     receipts.UserKey(rapid.IntRange(0, 3).Draw(t, "sender")),
			Wants:      receipts.Wants(rapid.IntRange(0, 2).Draw(t, "wants")),
			Recalled:   rapid.IntRange(0, 5).Draw(t, "recalled") == 0,
			OnlineOnly: rapid.IntRange(0, 5).Draw(t, "online") == 0,
		}
	})).Draw(t, label)
}

func drawStays(t *rapid.T) receipts.Membership {
	joined := receipts.MsgSeq(rapid.IntRange(0, 40).Draw(t, "joined"))
	m := receipts.Membership{{JoinedSeq: joined}}
	switch rapid.IntRange(0, 3).Draw(t, "stays") {
	case 0:
		return nil
	case 1:
		m[0].Left, m[0].LeftSeq = true, joined+receipts.MsgSeq(rapid.IntRange(0, 40).Draw(t, "left"))
	}
	return m
}

// TestLawSettle: what Tencent need not be told is settled, and nothing else. What is pending, and what is undecided, is the same before
// and after; Tencent stays a part of Read; settling again changes nothing.
func TestLawSettle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const self = 1
		var r receipts.Reader
		r.Add(drawSeqs(t, "read"))
		r.AddTencent(drawSeqs(t, "tencent"))
		ms, m := drawHistory(t, "messages"), drawStays(t)
		// What is told of one message is one thing.
		told := make(map[receipts.MsgSeq]receipts.Message)
		for i := range ms {
			if first, again := told[ms[i].Seq]; again {
				ms[i] = first
			}
			told[ms[i].Seq] = ms[i]
		}
		before := r
		pending, undecided := r.PendingAcks(self, m, ms), r.Undecided(self, m, ms)
		changed := r.SettleTencent(self, ms)

		require.Equal(t, pending, r.PendingAcks(self, m, ms))
		require.Equal(t, undecided, r.Undecided(self, m, ms))
		require.True(t, r.Read.ContainsAll(r.Tencent), "Tencent is a part of Read")
		require.True(t, r.Read.Equal(before.Read), "nothing is read by it")
		require.True(t, r.Tencent.ContainsAll(before.Tencent), "nothing is forgotten")
		require.Equal(t, !r.Tencent.Equal(before.Tencent), changed)
		require.False(t, r.SettleTencent(self, ms), "again")
		for seq := range r.Tencent.Difference(before.Tencent).All() {
			msg, known := told[seq]
			require.True(t, known)
			require.True(t, msg.Wants == receipts.WantsNo || msg.Recalled || msg.OnlineOnly || msg.Sender == self, "message %d", seq)
		}
	})
}

// TestLawUndecided: pending and undecided messages are open, of somebody else and in his time, each is one or the other, and an undecided
// one becomes pending, or is settled, when it is known what it wants.
func TestLawUndecided(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const self = 1
		var r receipts.Reader
		r.Add(drawSeqs(t, "read"))
		r.AddTencent(drawSeqs(t, "tencent"))
		m := drawStays(t)
		var ms []receipts.Message
		seen, bySeq := make(map[receipts.MsgSeq]bool), make(map[receipts.MsgSeq]receipts.Message)
		for _, msg := range drawHistory(t, "messages") {
			if !seen[msg.Seq] {
				ms = append(ms, msg)
				bySeq[msg.Seq] = msg
			}
			seen[msg.Seq] = true
		}
		pending, undecided := r.PendingAcks(self, m, ms), r.Undecided(self, m, ms)
		open := r.Read.Difference(r.Tencent)
		for _, seq := range append(pending[:len(pending):len(pending)], undecided...) {
			require.True(t, open.Contains(seq))
			require.True(t, m.IsMember() && m.Concerns(bySeq[seq]))
		}
		require.True(t, receipts.SetOf(pending...).Intersect(receipts.SetOf(undecided...)).IsEmpty())
		require.IsIncreasing(t, append([]receipts.MsgSeq{0}, pending...))
		require.IsIncreasing(t, append([]receipts.MsgSeq{0}, undecided...))
		wants := receipts.Wants(rapid.IntRange(1, 2).Draw(t, "what it is"))
		for i := range ms {
			if ms[i].Wants == receipts.WantsUnknown {
				ms[i].Wants = wants
			}
		}
		require.Empty(t, r.Undecided(self, m, ms))
		want := receipts.SetOf(pending...)
		if wants == receipts.WantsYes {
			want = want.Union(receipts.SetOf(undecided...))
		} else {
			r.SettleTencent(self, ms)
			require.True(t, r.Tencent.ContainsAll(receipts.SetOf(undecided...)))
		}
		require.True(t, want.Equal(receipts.SetOf(r.PendingAcks(self, m, ms)...)))
	})
}
