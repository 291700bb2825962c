package tencenttest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestElements takes one of each kind, as on Tencent's page of message formats, and refuses it with a
// field too many.
func TestElements(t *testing.T) {
	for kind, content := range map[string]string{
		"TIMTextElem":      `{"Text":"hi"}`,
		"TIMLocationElem":  `{"Desc":"home","Latitude":29.3,"Longitude":106.5}`,
		"TIMFaceElem":      `{"Index":1,"Data":"smile"}`,
		"TIMCustomElem":    `{"Data":"{}","Desc":"d","Ext":"e","Sound":"s.wav"}`,
		"TIMSoundElem":     `{"Url":"https://x/s","UUID":"u","Size":1,"Second":2,"Download_Flag":2}`,
		"TIMImageElem":     `{"UUID":"u","ImageFormat":1,"ImageInfoArray":[{"Type":1,"Size":1,"Width":2,"Height":3,"URL":"https://x/i"}]}`,
		"TIMFileElem":      `{"Url":"https://x/f","UUID":"u","FileSize":1,"FileName":"f.txt","Download_Flag":2}`,
		"TIMVideoFileElem": `{"VideoUrl":"https://x/v","VideoUUID":"u","VideoSize":1,"VideoSecond":2,"VideoFormat":"mp4","VideoDownloadFlag":2,"ThumbUrl":"https://x/t","ThumbUUID":"u","ThumbSize":1,"ThumbWidth":2,"ThumbHeight":3,"ThumbFormat":"JPG","ThumbDownloadFlag":2}`,
		"TIMRelayElem":     `{"Title":"t","MsgNum":1,"CompatibleText":"c","AbstractList":["a"],"MsgList":[]}`,
	} {
		require.NoError(t, checkBody([]element{{MsgType: kind, MsgContent: json.RawMessage(content)}}), kind)
		more := strings.TrimSuffix(content, "}") + `,"Other":1}`
		require.Error(t, checkBody([]element{{MsgType: kind, MsgContent: json.RawMessage(more)}}), kind)
	}
}

// FuzzDecode: whatever is taken has only fields that Tencent knows, in Tencent's case.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"GroupId":"g","Random":1,"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hi"}}],"GroupAtInfo":[{"GroupAtAllFlag":0}]}`))
	f.Add([]byte(`{"groupid":"g"}`))
	f.Add([]byte(`{"MsgBody":[{"MsgContent":null}]}`))
	f.Add([]byte(`{"OfflinePushInfo":{"PushFlag":0}} {}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var req sendGroupMsgRequest
		if decode(raw, &req) != nil {
			return
		}
		var fields map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(raw, &fields))
		known := string(mustJSON(req))
		for name, value := range fields {
			require.Contains(t, known, string(mustJSON(name))+":")
			require.NotEqual(t, "null", string(value))
		}
	})
}

func TestCloseWithWebhooksToCome(t *testing.T) {
	b := newBackend(t)
	s := Start(t, Options{Hook: Hook{URL: b.url}})
	s.Deliver(func(Webhook) []time.Duration { return []time.Duration{time.Hour} })
	s.Group(t, "g", "alice")
	s.Close()
	require.Zero(t, b.count())
	require.Len(t, s.Webhooks(AfterCreateGroup), 1)
	require.Empty(t, s.Deliveries(""))
}

func TestLogsDoNotGrowForEver(t *testing.T) {
	var log []int
	for i := range logKept + 10 {
		log = appendLog(log, i)
	}
	require.Len(t, log, logKept/2+10)
	require.Equal(t, logKept+9, log[len(log)-1])
	require.Equal(t, logKept/2, log[0])
}
