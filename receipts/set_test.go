package receipts_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/timbridge/timbridge/receipts"
)

const top = receipts.MsgSeq(math.MaxUint64)

func rg(first, last receipts.MsgSeq) receipts.Range { return receipts.Range{First: first, Last: last} }

func TestSetOf(t *testing.T) {
	tests := map[string]struct {
		got  receipts.Set
		want []receipts.Range
	}{
		"nothing":              {receipts.SetOf(), nil},
		"zero is no message":   {receipts.SetOf(0), nil},
		"zero among others":    {receipts.SetOf(2, 0, 1), []receipts.Range{rg(1, 2)}},
		"one":                  {receipts.SetOf(7), []receipts.Range{rg(7, 7)}},
		"order and repeats":    {receipts.SetOf(9, 3, 4, 9, 3, 2), []receipts.Range{rg(2, 4), rg(9, 9)}},
		"the highest":          {receipts.SetOf(top, top-1, 1), []receipts.Range{rg(1, 1), rg(top-1, top)}},
		"ranges touch":         {receipts.SetOfRanges(rg(6, 9), rg(1, 5)), []receipts.Range{rg(1, 9)}},
		"ranges overlap":       {receipts.SetOfRanges(rg(1, 5), rg(3, 4), rg(5, 7)), []receipts.Range{rg(1, 7)}},
		"ranges apart":         {receipts.SetOfRanges(rg(7, 8), rg(1, 5)), []receipts.Range{rg(1, 5), rg(7, 8)}},
		"range upside down":    {receipts.SetOfRanges(rg(5, 1)), nil},
		"range from zero":      {receipts.SetOfRanges(rg(0, 2)), []receipts.Range{rg(1, 2)}},
		"range of zero":        {receipts.SetOfRanges(rg(0, 0)), nil},
		"everything":           {receipts.SetOfRanges(rg(0, top), rg(5, top)), []receipts.Range{rg(1, top)}},
		"union touches":        {receipts.SetOf(1, 3).Union(receipts.SetOf(2)), []receipts.Range{rg(1, 3)}},
		"difference splits":    {receipts.SetOfRanges(rg(1, 9)).Difference(receipts.SetOf(4, 6)), []receipts.Range{rg(1, 3), rg(5, 5), rg(7, 9)}},
		"difference up to top": {receipts.SetOfRanges(rg(1, top)).Difference(receipts.SetOfRanges(rg(2, top))), []receipts.Range{rg(1, 1)}},
		"intersection":         {receipts.SetOfRanges(rg(1, 5), rg(8, 12)).Intersect(receipts.SetOfRanges(rg(4, 9))), []receipts.Range{rg(4, 5), rg(8, 9)}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, test.got.Ranges())
		})
	}
}

func TestSetAnswers(t *testing.T) {
	s := receipts.SetOfRanges(rg(2, 4), rg(9, 9))
	require.EqualValues(t, 4, s.Len())
	require.EqualValues(t, 9, s.Max())
	require.Equal(t, "2-4,9", s.String())
	require.Equal(t, []receipts.MsgSeq{2, 3, 4, 9}, slices.Collect(s.All()))
	require.EqualValues(t, top, receipts.SetOfRanges(rg(1, top)).Len())
	require.Zero(t, receipts.Set{}.Max())
	require.True(t, receipts.Set{}.IsEmpty())

	var first []receipts.MsgSeq
	for seq := range receipts.SetOfRanges(rg(top-1, top)).All() { // ends although the number after wraps
		first = append(first, seq)
	}
	require.Equal(t, []receipts.MsgSeq{top - 1, top}, first)
	for seq := range receipts.SetOfRanges(rg(1, top)).All() { // can be left
		require.EqualValues(t, 1, seq)
		break
	}
}

// model is a set as anybody would write it.
type model map[receipts.MsgSeq]bool

// universe is small, so that ranges meet often, and has its upper end at the
// highest number half of the time.
func drawSet(t *rapid.T, name string, base receipts.MsgSeq) (receipts.Set, model) {
	var rs []receipts.Range
	m := model{}
	for range rapid.IntRange(0, 6).Draw(t, name+" ranges") {
		first := receipts.MsgSeq(rapid.IntRange(0, 20).Draw(t, "first"))
		last := first + receipts.MsgSeq(rapid.IntRange(0, 20-int(first)).Draw(t, "length"))
		rs = append(rs, rg(base+first, base+last))
		for seq := base + first; ; seq++ {
			if seq != 0 {
				m[seq] = true
			}
			if seq == base+last {
				break
			}
		}
	}
	return receipts.SetOfRanges(rs...), m
}

func drawBase(t *rapid.T) receipts.MsgSeq {
	return rapid.SampledFrom([]receipts.MsgSeq{0, top - 20}).Draw(t, "base")
}

func requireModel(t *rapid.T, want model, got receipts.Set) {
	var seqs []receipts.MsgSeq
	for seq := range want {
		seqs = append(seqs, seq)
	}
	slices.Sort(seqs)
	require.Equal(t, seqs, slices.Collect(got.All()))
	require.EqualValues(t, len(seqs), got.Len())
	rs := got.Ranges()
	for i := 1; i < len(rs); i++ {
		require.Greater(t, uint64(rs[i].First), uint64(rs[i-1].Last)+1, "ranges are in order and apart")
	}
}

func TestSetAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := drawBase(t)
		a, am := drawSet(t, "a", base)
		b, bm := drawSet(t, "b", base)
		union, difference, both, all := model{}, model{}, model{}, true
		for seq := range am {
			union[seq] = true
			if bm[seq] {
				both[seq] = true
			} else {
				difference[seq] = true
			}
		}
		for seq := range bm {
			union[seq] = true
			all = all && am[seq]
		}
		requireModel(t, am, a)
		requireModel(t, union, a.Union(b))
		requireModel(t, difference, a.Difference(b))
		requireModel(t, both, a.Intersect(b))
		require.Equal(t, all, a.ContainsAll(b))
		for i := range receipts.MsgSeq(21) {
			require.Equal(t, am[base+i], a.Contains(base+i))
		}
		requireModel(t, am, a) // and none of them changed it
		requireModel(t, bm, b)
	})
}

func TestUnionLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := drawBase(t)
		a, _ := drawSet(t, "a", base)
		b, _ := drawSet(t, "b", base)
		c, _ := drawSet(t, "c", base)
		require.True(t, a.Union(b).Equal(b.Union(a)), "commutative")
		require.True(t, a.Union(b).Union(c).Equal(a.Union(b.Union(c))), "associative")
		require.True(t, a.Union(a).Equal(a), "idempotent")
		require.True(t, a.Union(receipts.Set{}).Equal(a), "the empty set adds nothing")
		require.True(t, a.Union(b).ContainsAll(a), "only ever adds")
		require.True(t, b.Difference(a).Union(a).Equal(a.Union(b)), "what is new and what was there is all")
	})
}

// TestSetsDoNotShare writes into everything that a caller can hold.
func TestSetsDoNotShare(t *testing.T) {
	seqs := []receipts.MsgSeq{5, 1}
	ranges := []receipts.Range{rg(9, 9), rg(3, 4)}
	a, b := receipts.SetOf(seqs...), receipts.SetOfRanges(ranges...)
	require.Equal(t, []receipts.MsgSeq{5, 1}, seqs, "the caller's slice stays in its order")
	require.Equal(t, []receipts.Range{rg(9, 9), rg(3, 4)}, ranges)
	seqs[0], ranges[0] = 100, rg(100, 200)
	got := a.Ranges()
	got[0] = rg(1, 100)
	union := a.Union(b)
	more := union.Union(receipts.SetOf(2, 50))
	_ = union.Union(receipts.SetOf(60, 70)) // must not write behind more
	raw, err := b.MarshalBinary()
	require.NoError(t, err)
	parsed, err := receipts.ParseSet(raw)
	require.NoError(t, err)
	clear(raw)
	require.Equal(t, "1,5", a.String())
	require.Equal(t, "3-4,9", b.String())
	require.Equal(t, "3-4,9", parsed.String())
	require.Equal(t, "1,3-5,9", union.String())
	require.Equal(t, "1-5,9,50", more.String())
}
