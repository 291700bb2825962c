package receipts_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/timbridge/timbridge/receipts"
)

// sealed puts version and checksum round a body, for input that is wrong inside.
func sealed(body ...byte) []byte {
	b := append([]byte{1}, body...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

func uvarint(v uint64) []byte { return binary.AppendUvarint(nil, v) }

func TestSetBinaryForm(t *testing.T) {
	// These bytes are in databases: they must not change.
	golden := map[string]receipts.Set{
		"":                       {},
		"010000c5253104":         receipts.SetOf(1),
		"0100e70740da932e":       receipts.SetOfRanges(rg(1, 1000)),
		"01000000000104070549cd": receipts.SetOf(1, 3, 6, 7, 8, 9, 10),
	}
	for want, s := range golden {
		raw, err := s.MarshalBinary()
		require.NoError(t, err)
		if got := hex.EncodeToString(raw); got != want {
			t.Errorf("%v: want %s, got %s", s, want, got)
		}
	}
}

func TestSetBinaryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, _ := drawSet(t, "s", drawBase(t))
		raw, err := s.MarshalBinary()
		require.NoError(t, err)
		back, err := receipts.ParseSet(raw)
		require.NoError(t, err)
		require.True(t, s.Equal(back))
		if len(raw) == 0 {
			return
		}
		// Any one byte changed, added or lost is seen.
		at := rapid.IntRange(0, len(raw)-1).Draw(t, "at")
		raw[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		_, err = receipts.ParseSet(raw)
		require.ErrorIs(t, err, receipts.ErrDamaged)
		_, err = receipts.ParseSet(raw[:at])
		if at > 0 {
			require.ErrorIs(t, err, receipts.ErrDamaged)
		}
	})
}

func TestParseSetRefuses(t *testing.T) {
	join := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	tests := map[string][]byte{
		"one byte":                 {1},
		"no checksum":              {1, 0, 0},
		"bad checksum":             {1, 0, 0, 1, 2, 3, 4},
		"other version":            func() []byte { b := sealed(0, 0); b[0] = 2; return resum(b) }(),
		"empty set with bytes":     sealed(),
		"half a range":             sealed(0),
		"a range and a half":       sealed(0, 0, 3),
		"number cut off":           sealed(0, 0x80),
		"number not shortest":      sealed(0x80, 0x00, 0),
		"length not shortest":      sealed(0, 0x85, 0x80, 0x00),
		"number of 11 bytes":       sealed(join([]byte(strings.Repeat("\xff", 10)), []byte{1, 0})...),
		"first beyond the highest": sealed(join(uvarint(math.MaxUint64), uvarint(0))...),
		"last beyond the highest":  sealed(join(uvarint(0), uvarint(math.MaxUint64))...),
		"more after the highest":   sealed(join(uvarint(0), uvarint(math.MaxUint64-1), uvarint(0), uvarint(0))...),
		"more after all but one":   sealed(join(uvarint(0), uvarint(math.MaxUint64-2), uvarint(0), uvarint(0))...),
	}
	for name, raw := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := receipts.ParseSet(raw)
			require.ErrorIs(t, err, receipts.ErrDamaged)
			require.True(t, s.IsEmpty())
		})
	}
}

func resum(b []byte) []byte {
	body := b[:len(b)-4]
	return binary.BigEndian.AppendUint32(body[:len(body):len(body)], crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

func TestSetBinaryLimit(t *testing.T) {
	rs := make([]receipts.Range, receipts.MaxRanges+1)
	for i := range rs {
		rs[i] = rg(receipts.MsgSeq(2*i+1), receipts.MsgSeq(2*i+1))
	}
	_, err := receipts.SetOfRanges(rs...).MarshalBinary()
	require.ErrorIs(t, err, receipts.ErrTooLarge)
	_, err = receipts.ParseSet(sealed(make([]byte, 2*len(rs))...)) // the same set, all gaps and lengths 0
	require.ErrorIs(t, err, receipts.ErrDamaged)

	s := receipts.SetOfRanges(rs[:receipts.MaxRanges]...)
	raw, err := s.MarshalBinary()
	require.NoError(t, err)
	back, err := receipts.ParseSet(raw)
	require.NoError(t, err)
	require.True(t, s.Equal(back))
}

func TestParseClaimsRefuses(t *testing.T) {
	thread := func(root string, pos uint64) []byte {
		return append(append(uvarint(uint64(len(root))), root...), uvarint(pos)...)
	}
	join := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	many := []byte{0, 0}
	for i := range receipts.MaxThreads + 1 {
		many = append(many, thread(fmt.Sprintf("$%04d", i), 1)...)
	}
	good := sealed(join([]byte{5, 6}, thread("$a", 7), thread("$b", 6))...)
	_, err := receipts.ParseClaims(good)
	require.NoError(t, err, "the tests below differ from this in one thing")
	tests := map[string][]byte{
		"bad checksum":            append(good[:len(good)-1:len(good)-1], good[len(good)-1]+1),
		"no claims with bytes":    sealed(0, 0),
		"nothing":                 sealed(),
		"main missing":            sealed(5),
		"main not above room":     sealed(5, 5),
		"thread not above room":   sealed(join([]byte{5, 6}, thread("$a", 5))...),
		"thread at 0":             sealed(join([]byte{0, 6}, thread("$a", 0))...),
		"threads not in order":    sealed(join([]byte{5, 6}, thread("$b", 7), thread("$a", 7))...),
		"thread twice":            sealed(join([]byte{5, 6}, thread("$a", 7), thread("$a", 8))...),
		"thread main":             sealed(join([]byte{5, 6}, thread("main", 7))...),
		"empty root":              sealed(join([]byte{5, 6}, thread("", 7))...),
		"root too long":           sealed(join([]byte{5, 6}, thread(strings.Repeat("x", 256), 7))...),
		"root cut off":            sealed(5, 6, 9, '$'),
		"place cut off":           sealed(5, 6, 1, '$'),
		"place beyond the limit":  sealed(join(uvarint(math.MaxInt64+1), []byte{0})...),
		"too many threads":        sealed(many...),
		"place not shortest":      sealed(0x85, 0x00, 6),
		"length of 10 bytes root": sealed(join([]byte{5, 6}, uvarint(math.MaxUint64), []byte("$a"))...),
	}
	for name, raw := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := receipts.ParseClaims(raw)
			require.ErrorIs(t, err, receipts.ErrDamaged)
			require.True(t, c.IsZero())
		})
	}
}

// FuzzParseSet: whatever is accepted is what MarshalBinary writes, to the byte.
func FuzzParseSet(f *testing.F) {
	for _, s := range []receipts.Set{{}, receipts.SetOf(1), receipts.SetOf(3, 7, 8, 1000), receipts.SetOfRanges(rg(1, top))} {
		raw, err := s.MarshalBinary()
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		// Few random inputs have a right checksum, so each is also tried with one.
		for _, raw := range [][]byte{raw, sealed(raw...)} {
			s, err := receipts.ParseSet(raw)
			if err != nil {
				require.ErrorIs(t, err, receipts.ErrDamaged)
				continue
			}
			again, err := s.MarshalBinary()
			require.NoError(t, err)
			require.Equal(t, string(raw), string(again))
			require.True(t, s.Equal(receipts.SetOfRanges(s.Ranges()...)), "ranges are in order and apart")
		}
	})
}

// FuzzParseClaims: as FuzzParseSet.
func FuzzParseClaims(f *testing.F) {
	c, _ := receipts.Claims{}.Raise(receipts.ScopeRoom, 9)
	c, _ = c.Raise(receipts.ScopeMain, 300)
	c, _ = c.Raise(receipts.ScopeThread("$root"), 12)
	for _, c := range []receipts.Claims{{}, c} {
		raw, err := c.MarshalBinary()
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, raw := range [][]byte{raw, sealed(raw...)} {
			c, err := receipts.ParseClaims(raw)
			if err != nil {
				require.ErrorIs(t, err, receipts.ErrDamaged)
				continue
			}
			again, err := c.MarshalBinary()
			require.NoError(t, err)
			require.Equal(t, string(raw), string(again))
			require.True(t, receipts.Claims{}.Union(c).Equal(c), "built from its parts it is the same")
		}
	})
}
