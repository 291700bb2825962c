package receipts_test

import (
	"fmt"
	"testing"

	"github.com/timbridge/timbridge/receipts"
)

// spread returns a set of n ranges of the given length each, with gaps between.
func spread(n int, length receipts.MsgSeq) receipts.Set {
	rs := make([]receipts.Range, n)
	for i := range rs {
		first := receipts.MsgSeq(i)*(length+2) + 1
		rs[i] = rg(first, first+length-1)
	}
	return receipts.SetOfRanges(rs...)
}

// BenchmarkSet shows that cost goes with the number of ranges and not of
// messages: compare lines of equal ranges and different messages.
func BenchmarkSet(b *testing.B) {
	for _, ranges := range []int{1, 10, 100, 10_000} {
		for _, length := range []receipts.MsgSeq{1, 1_000_000} {
			s := spread(ranges, length)
			one := receipts.SetOf(s.Max() + 2)
			raw, err := s.MarshalBinary()
			if err != nil {
				b.Fatal(err)
			}
			ops := []struct {
				name string
				run  func()
			}{
				{"Union", func() { s.Union(one) }},
				{"UnionNothingNew", func() { s.Union(s) }},
				{"Difference", func() { one.Difference(s) }},
				{"Contains", func() { s.Contains(s.Max() / 2) }},
				{"MarshalBinary", func() { _, _ = s.MarshalBinary() }},
				{"ParseSet", func() { _, _ = receipts.ParseSet(raw) }},
			}
			for _, op := range ops {
				b.Run(fmt.Sprintf("%s/ranges=%d/messages=%d", op.name, ranges, s.Len()), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						op.run()
					}
					b.ReportMetric(float64(len(raw)), "stored-bytes") // Loop would reset it
				})
			}
		}
	}
}
