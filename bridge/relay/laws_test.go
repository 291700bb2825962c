package relay_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/timbridge/timbridge/bridge/relay"
)

// plain draws what a person may write. A zero is the one character that no side can keep.
func plain(t *rapid.T) string {
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~\n]{0,200}`), rapid.StringMatching("(> |<@|a|é|😀|\u2028|\"|\\\\|\n){0,50}")).Draw(t, "text")
	return strings.ReplaceAll(text, "\x00", "")
}

// long draws a text with lines and words of one kind of length, of letters that take one kind of space.
func long(t *rapid.T, most int) string {
	letters := rapid.SampledFrom([]string{"x", "é", "字", "😀", "\"", "\\", "\u0001", "\u2028", "\t", " ", "a😀\u0002"}).Draw(t, "letters")
	word := rapid.IntRange(1, 20000).Draw(t, "word")
	line := rapid.IntRange(1, 30000).Draw(t, "line")
	var text strings.Builder
	for i := 0; text.Len() < most; i++ {
		switch {
		case i%line == line-1:
			text.WriteByte('\n')
		case i%word == word-1:
			text.WriteByte(' ')
		default:
			text.WriteString(letters)
		}
	}
	return text.String()
}

// TestTextRoundTrip: text arrives as it was sent, from either side.
func TestTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := plain(t)
		if want == "" {
			return
		}
		there := relay.ToMatrix(text(t, want), tencentSide{})
		require.Equal(t, want, there["body"])
		if strings.TrimSpace(want) == "" {
			return // an event that says nothing is not sent on
		}
		raw, err := json.Marshal(there)
		require.NoError(t, err)
		back, err := relay.ToTencent(raw, message, matrixSide{})
		require.NoError(t, err)
		require.Len(t, back, 1)
		require.Equal(t, want, textOf(t, back[0]))
		require.Equal(t, want, relay.ToMatrix(back[0], tencentSide{})["body"])
	})
}

// TestSplit: the parts of a text are the text, none is too large or needlessly small, and only the
// first has what can be there once.
func TestSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := long(t, rapid.IntRange(1, 60000).Draw(t, "length"))
		if strings.TrimSpace(want) == "" || len(strings.ReplaceAll(sent(t, want), `\u2028`, "\u2028")) > 65000 {
			want = "x" // no event is as long
		}
		reply := rapid.Bool().Draw(t, "reply")
		more := []string{"m.mentions", `{"room":true,"user_ids":["@bob:hs"]}`}
		if reply {
			more = append(more, "m.relates_to", inReplyTo)
		}
		parts, err := relay.ToTencent(content(t, "m.text", want, more...), message, matrixSide{})
		require.NoError(t, err)
		require.LessOrEqual(t, len(parts), relay.MaxParts)

		got := ""
		for i, part := range parts {
			piece := textOf(t, part)
			require.NotEmpty(t, piece)
			require.True(t, utf8.ValidString(piece))
			require.LessOrEqual(t, size(t, part), relay.MaxBody)
			got += piece
			if i > 0 {
				require.Equal(t, relay.TencentMessage{Body: part.Body}, part)
			}
			if i == len(parts)-1 {
				break
			}
			require.Greater(t, size(t, part), relay.MaxBody*3/4-100)
			last, _ := utf8.DecodeLastRuneInString(piece)
			if !unicode.IsSpace(last) { // then there was no space to cut at, and it is full
				require.Greater(t, size(t, part), relay.MaxBody-10)
			}
		}
		require.Equal(t, want, got)
		require.True(t, parts[0].AtAll)
		require.Equal(t, []string{"mx_bob"}, parts[0].AtAccounts)
		require.Equal(t, reply, parts[0].CloudCustomData != "")
	})
}

func TestSplitBoundaries(t *testing.T) {
	cut := func(text string) string {
		parts, err := relay.ToTencent(content(t, "m.text", text), message, matrixSide{})
		require.NoError(t, err)
		require.Len(t, parts, 2)
		return textOf(t, parts[0])
	}
	x := func(n int) string { return strings.Repeat("x", n) }
	room := relay.MaxBody - len(`[{"MsgType":"TIMTextElem","MsgContent":{"Text":""}}]`)
	require.Equal(t, x(room), cut(x(room+1)))
	require.Equal(t, x(10000)+"\n", cut(x(10000)+"\n"+x(1000)+" "+x(1000)), "a line before a word")
	require.Equal(t, x(10000)+" "+x(999)+" ", cut(x(10000)+" "+x(999)+" "+x(1000)), "the last word")
	quarter := room * 3 / 4
	require.Equal(t, x(quarter-1)+"\n", cut(x(quarter-1)+"\n"+x(room)), "a line that ends in the last quarter")
	require.Equal(t, x(quarter-2)+"\n"+x(room-quarter), cut(x(quarter-2)+"\n"+x(room/2)), "a line that ends before it")
	require.Equal(t, x(room-1), cut(x(room-1)+"😀"), "a whole rune")

	parts, err := relay.ToTencent(content(t, "m.text", x(room)), message, matrixSide{})
	require.NoError(t, err)
	require.Len(t, parts, 1)
	require.Equal(t, relay.MaxBody, size(t, parts[0]))
}

// TestLargestEvent: the text of any event fits into MaxParts, and no event is refused for its size. The
// text is the one that is worst: it takes twice the space, and each part has to end early.
func TestLargestEvent(t *testing.T) {
	room := relay.MaxBody - len(`[{"MsgType":"TIMTextElem","MsgContent":{"Text":""}}]`)
	part := strings.Repeat("\u2028", room*3/4/6) + "\n\n\n"
	worst := strings.ToValidUTF8("x"+strings.Repeat(part, 65535/len(part)+1)[:65534], "")
	raw := content(t, "m.text", worst, "m.relates_to", inReplyTo)
	parts, err := relay.ToTencent(raw, message, matrixSide{})
	require.NoError(t, err)
	require.Greater(t, len(parts), 12)
	require.LessOrEqual(t, len(parts), relay.MaxParts)
	got := ""
	for _, part := range parts {
		got += textOf(t, part)
	}
	require.Equal(t, worst, got)

	_, err = relay.ToTencent(content(t, "m.text", strings.Repeat("x ", 100000)), message, matrixSide{})
	require.ErrorIs(t, err, relay.ErrTooLong)
	_, err = relay.ToTencent(content(t, "m.text", strings.Repeat("x", 400000)), message, matrixSide{})
	require.ErrorIs(t, err, relay.ErrTooLong)
}
