package tencent

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestUint(t *testing.T) {
	for text, want := range map[string]Uint{
		`7`: 7, `"7"`: 7, `0`: 0, `null`: 0, `""`: 0, `18446744073709551615`: 1<<64 - 1, `"4026038328"`: 4026038328,
	} {
		var u Uint
		require.NoError(t, json.Unmarshal([]byte(text), &u), text)
		require.Equal(t, want, u, text)
	}
	for _, text := range []string{`-1`, `1.5`, `"x"`, `true`, `{}`, `[]`, `18446744073709551616`, `"secret words"`} {
		var u Uint
		err := json.Unmarshal([]byte(text), &u)
		require.ErrorIs(t, err, errNoNumber, text)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestFlag(t *testing.T) {
	for text, want := range map[string]Flag{
		`1`: true, `0`: false, `"1"`: true, `"0"`: false, `2`: true, `true`: true, `false`: false, `"true"`: true, `null`: false, `""`: false,
	} {
		f := !want
		if text == `null` || text == `""` {
			f = want // they change nothing
		}
		require.NoError(t, json.Unmarshal([]byte(text), &f), text)
		require.Equal(t, want, f, text)
	}
	var f Flag
	require.ErrorIs(t, json.Unmarshal([]byte(`"yes"`), &f), errNoFlag)
	b, err := json.Marshal([]Flag{true, false})
	require.NoError(t, err)
	require.JSONEq(t, `[1,0]`, string(b))
}

func TestMillis(t *testing.T) {
	for text, want := range map[string]Millis{
		`1670574414123`: 1670574414123, `"1670574414123"`: 1670574414123, `null`: 0, `"soon"`: 0, `-5`: 0, `{}`: 0,
		`99999999999999999`: 0, `1.5`: 0,
	} {
		m := Millis(3)
		require.NoError(t, json.Unmarshal([]byte(text), &m), text)
		if text != `null` {
			require.Equal(t, want, m, text)
		}
	}
	require.True(t, Millis(0).Time().IsZero())
	require.Equal(t, time.UnixMilli(1670574414123), Millis(1670574414123).Time())
}

func TestAccounts(t *testing.T) {
	for text, want := range map[string]Accounts{
		`[{"Member_Account":"jared"},{"Member_Account":"tommy"}]`: {"jared", "tommy"},
		`[{"Read_Account":"jared"},{"Unread_Account":"tommy"}]`:   {"jared", "tommy"},
		`["jared"]`: {"jared"},
		`null`:      nil,
		`[]`:        nil,
		`[null,7,{},{"Member_Account":7},{"Member_Account":""},"",{"Member_Account":"a\u0000b"},{"Member_Account":"ok"}]`: {"ok"},
	} {
		var a Accounts
		require.NoError(t, json.Unmarshal([]byte(text), &a), text)
		require.Equal(t, want, a, text)
	}
	var a Accounts
	require.ErrorIs(t, json.Unmarshal([]byte(`{"Member_Account":"jared"}`), &a), errNoList)
	b, err := json.Marshal(Accounts{"jared"})
	require.NoError(t, err)
	require.JSONEq(t, `[{"Member_Account":"jared"}]`, string(b))
	b, err = json.Marshal(Accounts(nil))
	require.NoError(t, err)
	require.JSONEq(t, `[]`, string(b))
}

func TestValidID(t *testing.T) {
	for _, good := range []string{"a", "@TGS#2J4SZEAEL", "my group/1?%", "群", strings.Repeat("x", 255)} {
		require.True(t, validID(good), good)
	}
	for _, bad := range []string{"", "a\x00", "a\nb", "\x7f", strings.Repeat("x", 256)} {
		require.False(t, validID(bad), bad)
	}
}

// FuzzValues checks that no value makes a decoder panic, and that what was read is written the same.
func FuzzValues(f *testing.F) {
	for _, s := range []string{`7`, `"7"`, `""`, `null`, `"`, `[{"Member_Account":"a"}]`, `[`, `-1`, `1e9`, `true`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var u Uint
		if json.Unmarshal(b, &u) == nil {
			again(t, u)
		}
		var flag Flag
		if json.Unmarshal(b, &flag) == nil {
			again(t, flag)
		}
		var m Millis
		if json.Unmarshal(b, &m) == nil {
			again(t, m)
			require.Less(t, m.Time().Year(), 10000)
		}
		var a Accounts
		if json.Unmarshal(b, &a) == nil && a != nil {
			for _, account := range a {
				require.True(t, validID(account))
			}
			again(t, a)
		}
	})
}

func again[T any](t *testing.T, v T) {
	b, err := json.Marshal(v)
	require.NoError(t, err)
	var back T
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, v, back)
}
