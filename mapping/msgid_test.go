package mapping

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"
	"pgregory.net/rapid"
)

func TestMsgIDIsStable(t *testing.T) {
	at := time.Unix(1727580296, 999_999_999)
	// These are stored in databases and apps: they must never change.
	require.Equal(t, "191045759049139587-1727580296-3769799652", MsgID("bob", at, Random("$event")))
	require.Equal(t, MsgID("bob", at, Random("$event")), MsgID("bob", at.In(time.FixedZone("", 7200)), Random("$event")))
	require.Regexp(t, `-0-\d+$`, MsgID("bob", time.Time{}, Random("$event")))
}

func TestMsgIDForm(t *testing.T) {
	form := regexp.MustCompile(`^[12][0-9]{17}-[0-9]+-[0-9]{1,10}$`)
	seen := make(map[string][3]any)
	rapid.Check(t, func(t *rapid.T) {
		user := rapid.StringMatching(`[a-z]{1,3}`).Draw(t, "user")
		at := rapid.Int64Range(0, 1<<32).Draw(t, "at")
		event := id.EventID("$" + rapid.StringMatching(`[a-z]{1,3}`).Draw(t, "event"))
		msgID := MsgID(user, time.Unix(at, 0), Random(event))
		require.Regexp(t, form, msgID)
		require.NoError(t, ValidateMsgID(msgID))
		from := [3]any{user, at, event}
		if other, ok := seen[msgID]; ok {
			require.Equal(t, other, from)
		}
		seen[msgID] = from
	})
}
