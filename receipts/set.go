package receipts

import (
	"iter"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Range is the messages from First to Last, both included.
type Range struct{ First, Last MsgSeq }

// Set is a set of messages of one group. It is kept as ranges, so that its size
// and the cost of its operations depend on the number of ranges and not of
// messages: a reader of a million messages in a row costs a few bytes.
//
// A Set is an immutable value: no method changes it, none shares memory with a
// caller's slice, and it may be copied and used by several goroutines. The zero
// value is the empty set. 0 is no message and never in a set. Sets are compared
// with [Set.Equal].
type Set struct {
	// r is sorted, and between two ranges at least one number is missing. The
	// array may be shared between sets, since nobody writes to it.
	r []Range
}

// SetOf returns the set of the given messages, in any order and with repeats.
// Zeros are left out. It costs O(n log n).
func SetOf(seqs ...MsgSeq) Set {
	switch len(seqs) {
	case 0:
		return Set{}
	case 1:
		if seqs[0] == 0 {
			return Set{}
		}
		return Set{r: []Range{{seqs[0], seqs[0]}}}
	}
	sorted := slices.Clone(seqs)
	slices.Sort(sorted)
	b := builder{}
	for _, seq := range sorted {
		b.add(Range{seq, seq})
	}
	return b.set()
}

// SetOfRanges returns the union of the given ranges, in any order and
// overlapping at will. A range whose Last is below its First holds nothing.
func SetOfRanges(rs ...Range) Set {
	sorted := slices.Clone(rs)
	slices.SortFunc(sorted, func(a, b Range) int {
		switch {
		case a.First < b.First:
			return -1
		case a.First > b.First:
			return 1
		default:
			return 0
		}
	})
	b := builder{}
	for _, r := range sorted {
		b.add(r)
	}
	return b.set()
}

// builder puts ranges together that come in order of First.
type builder struct{ r []Range }

func (b *builder) add(r Range) {
	if r.First == 0 {
		r.First = 1
	}
	if r.Last < r.First {
		return
	}
	if n := len(b.r); n > 0 {
		last := &b.r[n-1]
		// First-1 cannot wrap, as First is at least 1.
		if r.First-1 <= last.Last {
			last.Last = max(last.Last, r.Last)
			return
		}
	}
	b.r = append(b.r, r)
}

func (b *builder) set() Set {
	if len(b.r) == 0 {
		return Set{}
	}
	return Set{r: b.r}
}

// find returns the index of the first range that ends at seq or after it.
func (s Set) find(seq MsgSeq) int {
	return sort.Search(len(s.r), func(i int) bool { return s.r[i].Last >= seq })
}

// Contains reports whether seq is in s, in O(log r).
func (s Set) Contains(seq MsgSeq) bool {
	if seq == 0 {
		return false
	}
	i := s.find(seq)
	return i < len(s.r) && s.r[i].First <= seq
}

// ContainsAll reports whether every message of o is in s.
func (s Set) ContainsAll(o Set) bool {
	i := 0
	for _, r := range o.r {
		for i < len(s.r) && s.r[i].Last < r.First {
			i++
		}
		if i == len(s.r) || s.r[i].First > r.First || s.r[i].Last < r.Last {
			return false
		}
	}
	return true
}

// Equal reports whether s and o hold the same messages.
func (s Set) Equal(o Set) bool { return slices.Equal(s.r, o.r) }

// IsEmpty reports whether s holds nothing.
func (s Set) IsEmpty() bool { return len(s.r) == 0 }

// Len is the number of messages in s.
func (s Set) Len() uint64 {
	var n uint64
	for _, r := range s.r {
		n += uint64(r.Last-r.First) + 1
	}
	return n
}

// Max is the highest message in s, 0 if there is none.
func (s Set) Max() MsgSeq {
	if len(s.r) == 0 {
		return 0
	}
	return s.r[len(s.r)-1].Last
}

// Ranges returns the ranges of s, rising, with at least one number missing
// between two. The slice is the caller's.
func (s Set) Ranges() []Range { return slices.Clone(s.r) }

// All yields the messages of s, rising. A set may be huge: stop when enough.
func (s Set) All() iter.Seq[MsgSeq] {
	return func(yield func(MsgSeq) bool) {
		for _, r := range s.r {
			for seq := r.First; ; seq++ {
				if !yield(seq) {
					return
				}
				if seq == r.Last {
					break
				}
			}
		}
	}
}

// String writes s for people: "1-5,7". At most 32 ranges are written out.
func (s Set) String() string {
	const most = 32
	var b strings.Builder
	for i, r := range s.r {
		if i > 0 {
			b.WriteByte(',')
		}
		if i == most {
			b.WriteString("…")
			break
		}
		b.WriteString(strconv.FormatUint(uint64(r.First), 10))
		if r.Last > r.First {
			b.WriteByte('-')
			b.WriteString(strconv.FormatUint(uint64(r.Last), 10))
		}
	}
	return b.String()
}
