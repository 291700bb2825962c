package mapping

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"
	"pgregory.net/rapid"
)

func TestGhostMXID(t *testing.T) {
	for userID, want := range map[string]id.UserID{
		"bob":     "@tim_bob:example.com",
		"Bob-1":   "@tim__bob-1:example.com",
		"a_b":     "@tim_a__b:example.com",
		"MX_AbC9": "@tim__m_x___ab_c9:example.com",
	} {
		mxid := GhostMXID("tim_", userID, "example.com")
		require.Equal(t, want, mxid)
		back, ok := ParseGhost("tim_", "example.com", mxid)
		require.True(t, ok)
		require.Equal(t, userID, back)
	}
	for _, mxid := range []id.UserID{
		"", "@", "@tim_:example.com", "@tim_bob:example.org", "@tim_bob:example.com:1", "@bob:example.com", "tim_bob:example.com", "@tim_bob",
		"@tim_Bob:example.com", "@tim_b=6fb:example.com", "@tim_b=:example.com", "@tim_b_:example.com", "@tim_=20:example.com", "@tim_ä:example.com",
	} {
		_, ok := ParseGhost("tim_", "example.com", mxid)
		require.False(t, ok, mxid)
	}
}

func TestGhostMXIDIsOneToOne(t *testing.T) {
	userIDs := rapid.StringMatching(`[a-zA-Z0-9_-]{1,32}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := userIDs.Draw(t, "a"), userIDs.Draw(t, "b")
		mxidA, mxidB := GhostMXID("t.", a, "x.y"), GhostMXID("t.", b, "x.y")
		require.Equal(t, a == b, mxidA == mxidB)
		require.NoError(t, ValidateMXID(mxidA))
		back, ok := ParseGhost("t.", "x.y", mxidA)
		require.True(t, ok)
		require.Equal(t, a, back)
	})
}

func TestAccountID(t *testing.T) {
	// base32 of SHA-256, computed apart: printf %s @alice:example.com | sha256sum | xxd -r -p | base32
	require.Equal(t, "mx_zygtjlrafiu3bzutt4sbdjrayt", AccountID("@alice:example.com")[:29])
	require.Len(t, AccountID("@alice:example.com"), 29)
	require.NotEqual(t, AccountID("@alice:example.com"), AccountID("@Alice:example.com"))
	rapid.Check(t, func(t *rapid.T) {
		require.NoError(t, ValidateUserID(AccountID(id.UserID(rapid.String().Draw(t, "mxid")))))
	})
}

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		check     func(s string) error
		good, bad []string
	}{
		"group ID": {ValidateGroupID,
			[]string{"g", "@TGS#1ABC", "with space / ? %", strings.Repeat("x", 48)},
			[]string{"", strings.Repeat("x", 49), "ä", "a\nb", "a\x7f"}},
		"user ID": {ValidateUserID,
			[]string{"a", "A-Z_09", strings.Repeat("x", 32)},
			[]string{"", strings.Repeat("x", 33), "a b", "a@b", "ä", "a.b"}},
		"MXID": {func(s string) error { return ValidateMXID(id.UserID(s)) },
			[]string{"@a:b", "@A/B:example.com:8448", "@" + strings.Repeat("x", 252) + ":b"},
			[]string{"", "@", "@a", "@:b", "@a:", "a:b", "@a b:c", "@" + strings.Repeat("x", 253) + ":b", "@a:b\n"}},
		"room ID": {func(s string) error { return ValidateRoomID(id.RoomID(s)) },
			[]string{"!a:b", "!LoPZ7j8yuM1sQ3Cv7JJ5RIkpUdtU0Tw9XqTbBjpBaCk"},
			[]string{"", "!", "#a:b", "a", "!a b:c", "!" + strings.Repeat("x", 255)}},
		"event ID": {func(s string) error { return ValidateEventID(id.EventID(s)) },
			[]string{"$a", "$a:b", "$" + strings.Repeat("x", 254)},
			[]string{"", "$", "a", "$a b", "$\x00", "$" + strings.Repeat("x", 255)}},
		"message ID": {ValidateMsgID,
			[]string{"144115233406643804-1727580296-4026038328", "x", strings.Repeat("x", 128)},
			[]string{"", "a b", "ä", strings.Repeat("x", 129)}},
	} {
		for _, s := range c.good {
			require.NoError(t, c.check(s), "%s %q", name, s)
		}
		for _, s := range c.bad {
			require.ErrorIs(t, c.check(s), ErrInvalid, "%s %q", name, s)
		}
	}
}

func TestConflictError(t *testing.T) {
	var err error = &ConflictError{What: "room", Key: "!a:b", Holder: `mapped to group "g1"`}
	require.ErrorIs(t, err, ErrConflict)
	require.NotErrorIs(t, err, ErrNotFound)
	require.EqualError(t, err, `room !a:b is already mapped to group "g1"`)
}

func FuzzParseGhost(f *testing.F) {
	f.Add("@tim_bob:x")
	f.Add("@tim__b=20_o:x")
	f.Fuzz(func(t *testing.T, mxid string) {
		if userID, ok := ParseGhost("tim_", "x", id.UserID(mxid)); ok {
			require.Equal(t, mxid, GhostMXID("tim_", userID, "x").String())
			require.NoError(t, ValidateUserID(userID))
		}
	})
}
