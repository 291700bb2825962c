package receipts

import (
	"encoding"
	"encoding/binary"
	"fmt"
	"math"
)

// MaxRanges is the most ranges that the binary form of a set may have. A reader
// would have to skip every second message two million times to get there.
const MaxRanges = 1 << 20

var _ encoding.BinaryMarshaler = Set{}

// MarshalBinary returns the binary form of s: a version byte, for each range two
// varints (the count of missing numbers before it beyond the one that must be
// missing, and the length less one), and a CRC-32C. It is compact ("1 to 1000
// without gaps" is 8 bytes), stable (equal sets have equal bytes, over releases)
// and empty for the empty set. Its only error is [ErrTooLarge], beyond
// [MaxRanges] ranges.
func (s Set) MarshalBinary() ([]byte, error) {
	if len(s.r) == 0 {
		return nil, nil
	}
	if len(s.r) > MaxRanges {
		return nil, fmt.Errorf("failed to write set of %d ranges: %w", len(s.r), ErrTooLarge)
	}
	b := make([]byte, 1, 1+len(s.r)*3+sumSize+binary.MaxVarintLen64)
	b[0] = formVersion
	lowest := uint64(1) // the lowest number at which the next range may begin
	for _, r := range s.r {
		b = binary.AppendUvarint(b, uint64(r.First)-lowest)
		b = binary.AppendUvarint(b, uint64(r.Last-r.First))
		lowest = uint64(r.Last) + 2 // may wrap after the last range, then unused
	}
	return seal(b), nil
}

// ParseSet reads what [Set.MarshalBinary] wrote; no bytes are the empty set.
// Anything else is an error that wraps [ErrDamaged]: for every input without an
// error, MarshalBinary of the result gives the input back. It keeps no reference
// to b, and needs memory in proportion to len(b).
func ParseSet(b []byte) (Set, error) {
	if len(b) == 0 {
		return Set{}, nil
	}
	body, err := unseal(b)
	if err != nil {
		return Set{}, fmt.Errorf("failed to read set: %w", err)
	}
	if len(body) == 0 {
		return Set{}, fmt.Errorf("failed to read set: %w: the empty set has no bytes", ErrDamaged)
	}
	if len(body) > MaxRanges*2*binary.MaxVarintLen64 {
		return Set{}, fmt.Errorf("failed to read set: %w: %d bytes are too many", ErrDamaged, len(body))
	}
	rs := make([]Range, 0, len(body)/2)
	lowest, full := uint64(1), false
	for len(body) > 0 {
		var gap, length uint64
		if gap, body, err = takeUvarint(body); err == nil {
			length, body, err = takeUvarint(body)
		}
		if err != nil {
			return Set{}, fmt.Errorf("failed to read set: %w", err)
		}
		if full || gap > math.MaxUint64-lowest || length > math.MaxUint64-lowest-gap {
			return Set{}, fmt.Errorf("failed to read set: %w: number beyond the highest", ErrDamaged)
		}
		if len(rs) == MaxRanges {
			return Set{}, fmt.Errorf("failed to read set: %w: more than %d ranges", ErrDamaged, MaxRanges)
		}
		first := lowest + gap
		last := first + length
		rs = append(rs, Range{MsgSeq(first), MsgSeq(last)})
		if full = last >= math.MaxUint64-1; !full {
			lowest = last + 2
		}
	}
	return Set{r: rs}, nil
}
