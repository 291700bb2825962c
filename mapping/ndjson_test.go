package mapping

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestParseRecord(t *testing.T) {
	for name, line := range map[string]string{
		"least group":   `{"type":"group","group_id":"g","seq_source":"cloud"}`,
		"full group":    `{"type":"group","group_id":"g","room_id":"!a","seq_source":"own","group_type":"Work","name":"n","last_seq":9,"linked_pos":0,"head":7,"to_matrix":false,"to_tencent":true}`,
		"ghost":         `{"type":"user","user_id":"bob","mxid":"@b:c","kind":"ghost"}`,
		"alias":         `{"type":"user","user_id":"mx_1","kind":"account","alias_of":"bob"}`,
		"member":        `{"type":"member","group_id":"g","user_id":"bob"}`,
		"full member":   `{"type":"member","group_id":"g","user_id":"bob","joined_seq":1,"joined_pos":2,"left_seq":1,"left_pos":2}`,
		"least message": `{"type":"message","group_id":"g","seq":1}`,
		"full message":  `{"type":"message","group_id":"g","room_id":"!a","seq":1,"event_id":"$e","msg_id":"m","pos":0,"thread":"$t","sender":"bob","random":4294967295,"wants":"no","recalled":true,"online_only":true,"at":-1}`,
		"spaces":        ` { "type" : "message", "group_id":"g","seq":1 } `,
	} {
		rec, err := ParseRecord([]byte(line))
		require.NoError(t, err, name)
		require.NoError(t, rec.Validate(), name)
	}
	for name, line := range map[string]string{
		"nothing": ``, "no object": `7`, "null": `null`, "two": `{"type":"message","group_id":"g","seq":1}{}`, "no type": `{}`, "unknown type": `{"type":"x"}`,
		"unknown field":      `{"type":"message","group_id":"g","seq":1,"x":1}`,
		"wrong type":         `{"type":"message","group_id":"g","seq":"1"}`,
		"group: no id":       `{"type":"group","seq_source":"own"}`,
		"group: no source":   `{"type":"group","group_id":"g"}`,
		"group: bad room":    `{"type":"group","group_id":"g","seq_source":"own","room_id":"#a:b"}`,
		"group: has seq":     `{"type":"group","group_id":"g","seq_source":"own","seq":1}`,
		"group: head alone":  `{"type":"group","group_id":"g","seq_source":"own","head":1}`,
		"group: head < 0":    `{"type":"group","group_id":"g","seq_source":"own","room_id":"!a","head":-1}`,
		"group: linked < 0":  `{"type":"group","group_id":"g","seq_source":"own","room_id":"!a","linked_pos":-1}`,
		"group: last_seq":    `{"type":"group","group_id":"g","seq_source":"own","last_seq":9223372036854775808}`,
		"user: no kind":      `{"type":"user","user_id":"bob","mxid":"@b:c"}`,
		"user: no mxid":      `{"type":"user","user_id":"bob","kind":"ghost"}`,
		"user: bad id":       `{"type":"user","user_id":"b b","mxid":"@b:c","kind":"ghost"}`,
		"user: alias + mxid": `{"type":"user","user_id":"b","mxid":"@b:c","kind":"account","alias_of":"x"}`,
		"user: alias ghost":  `{"type":"user","user_id":"b","kind":"ghost","alias_of":"x"}`,
		"user: bad alias":    `{"type":"user","user_id":"b","kind":"account","alias_of":"x y"}`,
		"user: has group":    `{"type":"user","user_id":"b","mxid":"@b:c","kind":"ghost","group_id":"g"}`,
		"member: no user":    `{"type":"member","group_id":"g"}`,
		"member: no group":   `{"type":"member","user_id":"b"}`,
		"member: backwards":  `{"type":"member","group_id":"g","user_id":"b","joined_seq":2,"left_seq":1}`,
		"member: back place": `{"type":"member","group_id":"g","user_id":"b","joined_pos":2,"left_seq":1,"left_pos":1}`,
		"member: left_pos":   `{"type":"member","group_id":"g","user_id":"b","left_pos":1}`,
		"member: pos < 0":    `{"type":"member","group_id":"g","user_id":"b","joined_pos":-1}`,
		"member: huge":       `{"type":"member","group_id":"g","user_id":"b","joined_seq":9223372036854775808}`,
		"message: no seq":    `{"type":"message","group_id":"g"}`,
		"message: seq < 0":   `{"type":"message","group_id":"g","seq":-1}`,
		"message: huge seq":  `{"type":"message","group_id":"g","seq":9223372036854775808}`,
		"message: no group":  `{"type":"message","seq":1}`,
		"message: event":     `{"type":"message","group_id":"g","seq":1,"event_id":"e"}`,
		"message: pos alone": `{"type":"message","group_id":"g","seq":1,"pos":1}`,
		"message: pos < 0":   `{"type":"message","group_id":"g","seq":1,"event_id":"$e","pos":-1}`,
		"message: room":      `{"type":"message","group_id":"g","seq":1,"event_id":"$e","room_id":"x"}`,
		"message: thread":    `{"type":"message","group_id":"g","seq":1,"event_id":"$e","thread":"x"}`,
		"message: sender":    `{"type":"message","group_id":"g","seq":1,"sender":"a b"}`,
		"message: msg_id":    `{"type":"message","group_id":"g","seq":1,"msg_id":"a b"}`,
		"message: wants":     `{"type":"message","group_id":"g","seq":1,"wants":"unknown"}`,
		"message: random":    `{"type":"message","group_id":"g","seq":1,"random":4294967296}`,
		"message: has mxid":  `{"type":"message","group_id":"g","seq":1,"mxid":"@a:b"}`,
	} {
		_, err := ParseRecord([]byte(line))
		require.Error(t, err, name)
	}
}

// brokenStore fails whatever is asked of it.
type brokenStore struct{ err error }

func (s brokenStore) ImportRecords(context.Context, []Record) (int, map[int]error, error) {
	return 0, nil, s.err
}
func (s brokenStore) ExportRecords(context.Context, func(Record) error) error { return s.err }

func TestImportFailures(t *testing.T) {
	full := errors.New("disk full")
	line := `{"type":"message","group_id":"g","seq":1}` + "\n"
	result, err := Import(context.Background(), strings.NewReader("\n"+line), brokenStore{full}, ImportOptions{})
	require.ErrorIs(t, err, full)
	require.ErrorContains(t, err, "lines 2 to 2")
	require.Zero(t, result.Done)
	_, err = Import(context.Background(), io.MultiReader(strings.NewReader(line), iotest.ErrReader(full)), brokenStore{}, ImportOptions{})
	require.ErrorIs(t, err, full)
	require.ErrorContains(t, err, "line 2")
	_, err = Export(context.Background(), io.Discard, brokenStore{full})
	require.ErrorIs(t, err, full)
	result, err = Import(context.Background(), strings.NewReader(""), brokenStore{full}, ImportOptions{})
	require.NoError(t, err)
	require.Zero(t, result)
}

func TestLinesAreBounded(t *testing.T) {
	// A line of the largest size, then one a byte longer, then a last one without end.
	fits := `{"type":"message","group_id":"g","seq":1,"msg_id":"m"` + strings.Repeat(" ", MaxRecord-54) + `}`
	require.Len(t, fits, MaxRecord)
	for _, end := range []string{"\n", "\r\n"} {
		text := fits + end + " " + fits + end + strings.Repeat("x", 1<<20) + end + fits
		result, err := Import(context.Background(), iotest.OneByteReader(strings.NewReader(text)), brokenStore{}, ImportOptions{})
		var bad *ImportError
		require.True(t, errors.As(err, &bad))
		require.Len(t, bad.Lines, 2)
		require.EqualValues(t, 2, bad.Lines[0].Line)
		require.EqualValues(t, 3, bad.Lines[1].Line)
		require.EqualValues(t, 4, result.Lines)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"type":"group","group_id":"g","room_id":"!a","seq_source":"own","linked_pos":0,"to_matrix":false}`))
	f.Add([]byte(`{"type":"member","group_id":"g","user_id":"bob","joined_seq":1,"joined_pos":2,"left_seq":1,"left_pos":2}`))
	f.Add([]byte(`{"type":"message","group_id":"g","seq":1,"event_id":"$e","pos":0,"random":7,"wants":"no","at":-1}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		rec, err := ParseRecord(line)
		if err != nil {
			return
		}
		// What is good is written so that it reads the same, on one line.
		var out bytes.Buffer
		enc := json.NewEncoder(&out)
		enc.SetEscapeHTML(false)
		require.NoError(t, enc.Encode(rec))
		require.Equal(t, 1, bytes.Count(out.Bytes(), []byte("\n")))
		again, err := ParseRecord(out.Bytes())
		require.NoError(t, err)
		require.Equal(t, rec, again)
	})
}
