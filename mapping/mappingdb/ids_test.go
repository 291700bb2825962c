package mappingdb

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPackEvent(t *testing.T) {
	hash := strings.Repeat("A", 42)
	for event, size := range map[string]int{
		"$" + hash + "A":                 33,
		"$" + hash[:40] + "-_A":          33,
		"$" + hash[:40] + "+/A":          33,
		"$" + hash[:39] + "+_AA":         1 + 44, // of neither alphabet
		"$" + hash + "B":                 1 + 44, // spare bits set: does not come back
		"$" + hash:                       1 + 43,
		"$" + hash + "\n":                1 + 44,
		"$143273582443PhrSn:example.com": 1 + 30,
		"$":                              2,
	} {
		packed := packEvent(event)
		require.Len(t, packed, size, event)
		require.Equal(t, event, unpackEvent(packed))
	}
	require.Nil(t, packEvent(""))
	require.Empty(t, unpackEvent(nil))
}

func TestPackMsgID(t *testing.T) {
	for msgID, size := range map[string]int{
		"144115233406643804-1727580296-4026038328": 17,
		"0-0-0": 17,
		"18446744073709551615-4294967295-4294967295": 17,
		"18446744073709551616-1-1":                   1 + 24,
		"1-4294967296-1":                             1 + 14,
		"1-1-4294967296":                             1 + 14,
		"01-1-1":                                     1 + 6,
		"+1-1-1":                                     1 + 6,
		"1-1-1-1":                                    1 + 7,
		"1-1":                                        1 + 3,
		"--":                                         1 + 2,
		"x":                                          2,
	} {
		packed := packMsgID(msgID)
		require.Len(t, packed, size, msgID)
		require.Equal(t, msgID, unpackMsgID(packed))
	}
	require.Nil(t, packMsgID(""))
	require.Empty(t, unpackMsgID(nil))
}

// FuzzPack: each ID has one stored form and comes back as it was.
func FuzzPack(f *testing.F) {
	f.Add("$"+strings.Repeat("A", 43), "$"+strings.Repeat("+", 43))
	f.Add("1-2-3", "01-2-3")
	f.Fuzz(func(t *testing.T, a, b string) {
		require.Equal(t, a, unpackEvent(packEvent(a)))
		require.Equal(t, a, unpackMsgID(packMsgID(a)))
		require.Equal(t, a == b, string(packEvent(a)) == string(packEvent(b)))
		require.Equal(t, a == b, string(packMsgID(a)) == string(packMsgID(b)))
	})
}

// FuzzUnpack: what is damaged on the disk must not stop the bridge.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte{asThreeParts, 1, 2})
	f.Add([]byte{asURLHash})
	f.Fuzz(func(t *testing.T, b []byte) {
		event, msgID := unpackEvent(b), unpackMsgID(b)
		require.Equal(t, event, unpackEvent(packEvent(event)))
		require.Equal(t, msgID, unpackMsgID(packMsgID(msgID)))
	})
}
