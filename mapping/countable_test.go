package mapping

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"
)

func TestCountable(t *testing.T) {
	const edit = `{"m.relates_to":{"rel_type":"m.replace","event_id":"$e"}}`
	const thread = `{"m.relates_to":{"rel_type":"m.thread","event_id":"$e","m.in_reply_to":{"event_id":"$f"}}}`
	for _, c := range []struct {
		eventType, content string
		want               bool
	}{
		{"m.room.message", `{"body":"x"}`, true},
		{"m.room.message", edit, false},
		{"m.room.message", thread, true},
		{"m.room.message", `{"m.relates_to":{"m.in_reply_to":{"event_id":"$f"}}}`, true},
		{"m.room.message", `{"m.relates_to":{"rel_type":"m.replace"}}`, false},
		{"m.room.message", `{"m.relates_to":{"rel_type":"m.replace","event_id":7}}`, false},
		{"m.room.message", `{"m.relates_to":"m.replace"}`, true},
		{"m.room.message", ``, true},
		{"m.sticker", `{}`, true},
		{"m.room.encrypted", `{}`, true},
		{"m.room.encrypted", edit, false},
		{"m.poll.start", `{}`, true},
		{"org.matrix.msc3381.poll.start", `{}`, true},
		{"m.poll.start", edit, false},
		{"m.poll.response", `{}`, false},
		{"m.poll.end", `{}`, false},
		{"org.matrix.msc3381.poll.response", `{}`, false},
		{"org.matrix.msc3381.poll.end", `{}`, false},
		{"m.reaction", `{}`, false},
		{"m.room.redaction", `{}`, false},
		{"m.room.member", `{}`, false},
		{"", `{}`, false},
	} {
		require.Equal(t, c.want, Countable(c.eventType, json.RawMessage(c.content)), "%s %s", c.eventType, c.content)
	}
}

func TestRelatesTo(t *testing.T) {
	for content, want := range map[string][3]string{
		`{"m.relates_to":{"rel_type":"m.thread","event_id":"$root"}}`:  {"m.thread", "$root", "$root"},
		`{"m.relates_to":{"rel_type":"m.annotation","event_id":"$e"}}`: {"m.annotation", "$e", ""},
		`{"m.relates_to":{"rel_type":"m.thread","event_id":"root"}}`:   {"m.thread", "", ""},
		`{"m.relates_to":{"rel_type":"m.thread","event_id":{}}}`:       {"m.thread", "", ""},
		`{"m.relates_to":{"rel_type":1,"event_id":"$e"}}`:              {"", "$e", ""},
		`{"m.relates_to":{}}`:   {},
		`{"m.relates_to":null}`: {},
		`{"m.relates_to":[]}`:   {},
		`{}`:                    {},
		`[]`:                    {},
		`null`:                  {},
		`{`:                     {},
		``:                      {},
		`{"x":"` + strings.Repeat("x", maxContent) + `"}`:                     {},
		`{"m.relates_to":{"rel_type":"m.thread","event_id":"$` + long + `"}}`: {"m.thread", "", ""},
	} {
		relType, eventID := RelatesTo(json.RawMessage(content))
		require.Equal(t, want, [3]string{relType, eventID, ThreadRoot(json.RawMessage(content))}, content)
	}
}

var long = strings.Repeat("x", 255)

func FuzzRelatesTo(f *testing.F) {
	f.Add([]byte(`{"m.relates_to":{"rel_type":"m.thread","event_id":"$root"}}`))
	f.Add([]byte(`{"m.relates_to":{"rel_type":1,"event_id":["$"]}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		relType, eventID := RelatesTo(content)
		if eventID != "" {
			require.NoError(t, ValidateEventID(id.EventID(eventID)))
		}
		if root := ThreadRoot(content); root != "" {
			require.Equal(t, eventID, root)
			require.Equal(t, "m.thread", relType)
		}
		require.False(t, Countable("m.reaction", content))
		require.Equal(t, relType != "m.replace", Countable("m.room.message", content))
	})
}
