package receipts_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/timbridge/timbridge/receipts"
)

// TestLawAnyOrder: acks, claims, mappings, news of wishes and joins, in any order
// and with repeats, end in the same state; and that state, kept up step by step,
// is the one that is worked out from all of them at once. After each input, not
// only at the end.
func TestLawAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		again := rapid.SliceOfN(rapid.SampledFrom(w.facts), 0, 6).Draw(t, "repeats")
		order := rapid.Permutation(append(append([]fact(nil), w.facts...), again...)).Draw(t, "order")
		b := newBridge(w)
		for i, f := range order {
			b.apply(f)
			for u, r := range b.readers {
				requireReader(t, naive(w, order[:i+1], u), *r, fmt.Sprintf("user %d after %s", u, f.name))
			}
		}
		other := newBridge(w)
		for _, f := range w.facts {
			other.apply(f)
		}
		for u, r := range b.readers {
			requireReader(t, *other.readers[u], *r, fmt.Sprintf("user %d, other order", u))
		}
	})
}

// run is a bridge with its outputs, and the two sides that they reach.
type run struct {
	*bridge
	t      *rapid.T
	policy receipts.Policy
	given  []fact
	echoes []claim // of our own receipts, on their way back, any number of times
	owners []receipts.UserKey
	marks  map[receipts.UserKey]receipts.Pos
	counts map[receipts.MsgSeq]int
}

// TestLawOutput: whatever goes out, and comes back, at any time between the
// inputs: a marker never moves back, nothing that comes back adds a read, no ack
// leaves for what its user has not read, readCount never falls.
func TestLawOutput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		r := &run{bridge: newBridge(w), t: t, policy: receipts.Policy(rapid.IntRange(0, 1).Draw(t, "policy")),
			marks: make(map[receipts.UserKey]receipts.Pos), counts: make(map[receipts.MsgSeq]int)}
		for _, f := range rapid.Permutation(w.facts).Draw(t, "order") {
			r.apply(f)
			r.given = append(r.given, f)
			r.checkCounts()
			for range rapid.IntRange(0, 3).Draw(t, "outputs") {
				u := rapid.SampledFrom([]receipts.UserKey{ghost, account, linked}).Draw(t, "who")
				switch rapid.IntRange(0, 2).Draw(t, "what") {
				case 0:
					r.sendMarker(u)
				case 1:
					r.echo()
				case 2:
					r.sendAcks(u)
				}
				r.checkCounts()
			}
		}
		// All outputs done, there is no more work: reconciliation ends.
		for u := range r.readers {
			r.sendMarker(u)
		}
		for len(r.echoes) > 0 {
			r.echo()
		}
		for u, reader := range r.readers {
			r.sendAcks(u)
			require.Empty(t, reader.PendingAcks(u, r.stays[u], r.all()))
			if p, pending := reader.MarkerPending(kindOf(u), r.policy); pending {
				t.Fatalf("user %d: marker %d is still to be sent", u, p)
			}
			// Output has changed nothing of what ghosts and accounts have read; for a
			// linked user it may only hide claims that cannot be told from an echo.
			want := naive(w, r.given, u)
			require.True(t, want.Read.ContainsAll(reader.Read))
			if u != linked {
				require.True(t, want.Read.Equal(reader.Read), "user %d", u)
			}
		}
	})
}

func (r *run) sendMarker(u receipts.UserKey) {
	reader := r.readers[u]
	p, pending := reader.MarkerPending(kindOf(u), r.policy)
	require.GreaterOrEqual(r.t, p, reader.Shown, "a marker never moves back")
	if !pending {
		return
	}
	require.NotEqual(r.t, account, u, "an account's marker is his own")
	require.GreaterOrEqual(r.t, p, r.marks[u], "a marker never moves back")
	r.marks[u] = p
	m, found := receipts.Message{}, false
	for _, k := range r.known {
		if k.Pos == p {
			m, found = k, true
		}
	}
	require.True(r.t, found && reader.Read.Contains(m.Seq), "a marker is a message that he has read")
	if u == linked || r.policy == receipts.PolicyContiguous {
		require.LessOrEqual(r.t, p, naive(r.w, r.given, u).Frontier, "a marker says nothing that is not true")
	}
	reader.Sent = p
	if rapid.IntRange(0, 3).Draw(r.t, "lost") > 0 || len(r.given) == len(r.w.facts) {
		scope := rapid.SampledFrom([]receipts.Scope{receipts.ScopeRoom, receipts.ScopeMain}).Draw(r.t, "scope of echo")
		r.echoes = append(r.echoes, claim{scope, p})
		r.owners = append(r.owners, u)
	}
}

func (r *run) echo() {
	if len(r.echoes) == 0 {
		return
	}
	i := rapid.IntRange(0, len(r.echoes)-1).Draw(r.t, "echo")
	c, u := r.echoes[i], r.owners[i]
	before := *r.readers[u]
	r.apply(fact{user: u, claim: c, isClaim: true})
	reader := r.readers[u]
	require.True(r.t, before.Read.Equal(reader.Read), "our own receipt of user %d came back and added reads", u)
	require.True(r.t, before.Claims.Equal(reader.Claims), "our own receipt of user %d came back as his claim", u)
	reader.Shown = max(reader.Shown, c.pos)
	if len(r.given) == len(r.w.facts) || rapid.Bool().Draw(r.t, "comes no more") {
		r.echoes = append(r.echoes[:i], r.echoes[i+1:]...)
		r.owners = append(r.owners[:i], r.owners[i+1:]...)
	}
}

func (r *run) sendAcks(u receipts.UserKey) {
	reader := r.readers[u]
	acks := reader.PendingAcks(u, r.stays[u], r.all())
	truth := naive(r.w, r.given, u).Read
	last := receipts.MsgSeq(0)
	for _, seq := range acks {
		m := r.known[seq]
		require.Greater(r.t, seq, last, "rising, each once")
		last = seq
		require.True(r.t, truth.Contains(seq), "user %d has not read %d", u, seq)
		require.False(r.t, reader.Tencent.Contains(seq), "Tencent has %d of user %d", seq, u)
		require.True(r.t, m.Wants == receipts.WantsYes && m.Sender != 0 && m.Sender != u && !m.Recalled && !m.OnlineOnly, "%+v", m)
		require.True(r.t, r.stays[u].IsMember() && r.stays[u].Concerns(m))
	}
	if rapid.IntRange(0, 3).Draw(r.t, "call fails") == 0 && len(r.given) < len(r.w.facts) {
		return
	}
	for range rapid.IntRange(1, 2).Draw(r.t, "answer and webhook") {
		require.True(r.t, reader.AddTencent(receipts.SetOf(acks...)).IsEmpty(), "our own ack came back and added reads")
	}
}

// checkCounts: readCount never falls, and nobody is counted twice.
func (r *run) checkCounts() {
	members := []receipts.Member{{User: 9, Name: "bot", Bot: true, Membership: receipts.Membership{{}}}}
	for u, reader := range r.readers {
		members = append(members, receipts.Member{User: u, Name: fmt.Sprint(u), Read: reader.Read, Membership: r.stays[u]})
	}
	for _, m := range r.known {
		if m.Sender == 0 && r.w.messages[m.Seq-1].Sender != 0 {
			continue // who sent it is not known yet: his own read is not told apart
		}
		read, unread := receipts.Count(m, members)
		require.GreaterOrEqual(r.t, read, r.counts[m.Seq], "readCount of %d fell", m.Seq)
		require.LessOrEqual(r.t, read+unread, 3)
		r.counts[m.Seq] = read
	}
}
