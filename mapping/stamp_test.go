package mapping

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/timbridge/timbridge/receipts"
)

func TestParseStamp(t *testing.T) {
	full := Stamp{GroupID: "@TGS#1", MsgID: "1-2-3", Seq: 7, NeedReadReceipt: true}
	for content, want := range map[string]Stamp{
		`{"body":"x","com.tencent.im":{"group_id":"@TGS#1","msg_id":"1-2-3","seq":7,"need_read_receipt":true}}`:   full,
		`{"com.tencent.im":{"group_id":"@TGS#1","msg_id":"1-2-3","seq":"7","need_read_receipt":true,"extra":[]}}`: full,
		`{"com.tencent.im":{"group_id":"g","seq":9007199254740993}}`:                                              {GroupID: "g", Seq: 9007199254740993},
		`{"com.tencent.im":{"group_id":"g","seq":"9223372036854775807"}}`:                                         {GroupID: "g", Seq: 1<<63 - 1},
	} {
		stamp, ok, err := ParseStamp(json.RawMessage(content))
		require.NoError(t, err, content)
		require.True(t, ok, content)
		require.Equal(t, want, stamp, content)
	}
	for _, content := range []string{
		``, `{}`, `[]`, `null`, `{`, `"com.tencent.im"`, `{"body":"com.tencent.im"}`, `{"com.tencent.im":null}`, `["com.tencent.im"]`,
		`{"com.tencent.im":{"group_id":"g","seq":1},"x":"` + strings.Repeat("x", maxContent) + `"}`,
	} {
		_, ok, err := ParseStamp(json.RawMessage(content))
		require.NoError(t, err, content)
		require.False(t, ok, content)
	}
	for _, stamp := range []string{
		`[]`, `"x"`, `7`, `{}`, `{"seq":1}`, `{"group_id":"g"}`, `{"group_id":"","seq":1}`, `{"group_id":"g","seq":0}`, `{"group_id":"g","seq":-1}`,
		`{"group_id":"g","seq":1.5}`, `{"group_id":"g","seq":1e3}`, `{"group_id":"g","seq":"x"}`, `{"group_id":"g","seq":" 7"}`, `{"group_id":"g","seq":null}`,
		`{"group_id":"g","seq":9223372036854775808}`, `{"group_id":"g","seq":true}`, `{"group_id":7,"seq":1}`, `{"group_id":"ä","seq":1}`,
		`{"group_id":"g","seq":1,"msg_id":"a b"}`, `{"group_id":"g","seq":1,"msg_id":7}`, `{"group_id":"g","seq":1,"need_read_receipt":"yes"}`,
	} {
		_, ok, err := ParseStamp(json.RawMessage(`{"com.tencent.im":` + stamp + `}`))
		require.Error(t, err, stamp)
		require.False(t, ok, stamp)
	}
}

func TestStampRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Stamp{
			GroupID: rapid.StringMatching(`[ -~]{1,48}`).Draw(t, "group"), MsgID: rapid.StringMatching(`[!-~]{0,128}`).Draw(t, "msgID"),
			Seq: receipts.MsgSeq(rapid.Uint64Range(1, maxSeq).Draw(t, "seq")), NeedReadReceipt: rapid.Bool().Draw(t, "need"),
		}
		content, err := json.Marshal(map[string]any{StampKey: MarshalStamp(want), "body": "x"})
		require.NoError(t, err)
		got, ok, err := ParseStamp(content)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, want, got)
	})
}

func FuzzParseStamp(f *testing.F) {
	f.Add([]byte(`{"com.tencent.im":{"group_id":"g","msg_id":"1-2-3","seq":"7","need_read_receipt":true}}`))
	f.Add([]byte(`{"com.tencent.im":{"group_id":"g","seq":1e999}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		stamp, ok, err := ParseStamp(content)
		if !ok || err != nil {
			require.Zero(t, stamp)
			require.False(t, ok && err != nil)
			return
		}
		again, ok, err := ParseStamp(append(append([]byte(`{"com.tencent.im":`), MarshalStamp(stamp)...), '}'))
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, stamp, again)
	})
}
