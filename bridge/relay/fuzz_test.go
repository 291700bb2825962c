package relay_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/relay"
)

func FuzzToMatrix(f *testing.F) {
	for _, seed := range [][3]string{
		{"TIMTextElem", `{"Text":"hello"}`, `{"messageReply":{"messageID":"1-2-3","messageAbstract":"a","messageSender":"b"}}`},
		{"TIMLocationElem", `{"Desc":"x","Latitude":1.5,"Longitude":"2"}`, `{"messageReply":{"messageID":7,"messageAbstract":"a"}}`},
		{"TIMImageElem", `{"ImageInfoArray":[{"Type":1,"Size":1,"Width":2,"Height":3,"URL":"https://a.example/"}]}`, ``},
		{"TIMRelayElem", `{"Title":"t","MsgList":[{"From_Account":"alice","MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"x"}}]}]}`, `[]`},
		{"TIMCustomElem", `{"Data":"d","Desc":"","Ext":"https://a.example/"}`, `x`},
		{"TIMFileElem", `{"Url":"https://a.example/","FileSize":1e300,"FileName":"a/b"}`, ``},
		{"TIMSoundElem", `{"Url":"https://a.example/","Size":62351,"Second":1}`, ``},
		{"TIMVideoFileElem", `{"VideoUrl":"https://a.example/","VideoSize":1,"VideoSecond":-1}`, ``},
		{"TIMFaceElem", `{"Index":1,"Data":"x"}`, ``},
	} {
		f.Add(seed[0], []byte(seed[1]), seed[2], "alice")
	}
	f.Fuzz(func(t *testing.T, msgType string, raw []byte, cloud, account string) {
		for _, body := range [][]relay.Elem{{elem(msgType, string(raw))}, {elem(msgType, string(raw)), elem("TIMTextElem", `{"Text":"x"}`)}} {
			content := relay.ToMatrix(relay.TencentMessage{Body: body, CloudCustomData: cloud, AtAccounts: []string{account}}, tencentSide{})
			text := content["body"].(string)
			require.NotEmpty(t, text)
			require.True(t, utf8.ValidString(text))
			require.NotContains(t, text, "\x00")
			require.Less(t, len(sent(t, content)), 60000)

			// A homeserver takes it, and it can be relayed on.
			parts, err := relay.ToTencent(json.RawMessage(asJSON(t, content)), message, matrixSide{})
			if strings.TrimSpace(text) == "" {
				require.ErrorIs(t, err, relay.ErrNothing)
				continue
			}
			require.NoError(t, err)
			require.NotEmpty(t, parts)
		}
	})
}

// checkPart checks what is sent to Tencent.
func checkPart(t *testing.T, part relay.TencentMessage) {
	require.LessOrEqual(t, size(t, part), relay.MaxBody)
	require.Len(t, part.Body, 1)
	if part.Body[0].MsgType == "TIMTextElem" {
		text := textOf(t, part)
		require.NotEmpty(t, text)
		require.NotContains(t, text, "\x00")
	} else {
		require.Equal(t, "TIMLocationElem", part.Body[0].MsgType)
		var place struct {
			Desc                string
			Latitude, Longitude float64
		}
		strict(t, part.Body[0].MsgContent, &place)
		require.LessOrEqual(t, place.Latitude, 90.0)
		require.GreaterOrEqual(t, place.Longitude, -180.0)
	}
	if part.CloudCustomData != "" {
		require.True(t, json.Valid([]byte(part.CloudCustomData)))
	}
	require.LessOrEqual(t, len(part.AtAccounts), relay.MaxMentions)
}

var errOther = errors.New("an error that is neither")

// class returns which of the two errors err is.
func class(err error) error {
	for _, sentinel := range []error{relay.ErrNothing, relay.ErrTooLong} {
		if errors.Is(err, sentinel) {
			return sentinel
		}
	}
	return errOther
}

func FuzzToTencent(f *testing.F) {
	for _, seed := range []string{
		`{"msgtype":"m.text","body":"> <@a:hs> x\n\ny","m.relates_to":{"m.in_reply_to":{"event_id":"$first"}},"m.mentions":{"room":true,"user_ids":["@bob:hs"]}}`,
		`{"msgtype":"m.image","body":"caption","filename":"a.jpg","url":"mxc://hs/a"}`,
		`{"msgtype":"m.location","body":"x","geo_uri":"geo:1.5,-2;u=3"}`,
		`{"msgtype":"m.emote","body":"x"}`,
	} {
		f.Add([]byte(seed), message)
	}
	f.Add([]byte(`{"body":"x","url":"mxc://hs/a"}`), sticker)
	f.Add([]byte(`{"org.matrix.msc3381.poll.start":{"question":{"org.matrix.msc1767.text":"q"},"answers":[{"org.matrix.msc1767.text":"a"}]}}`), poll)
	f.Add([]byte(`{"m.poll":{"question":{"m.text":[{"body":"q"}]}}}`), "m.poll.start")
	f.Fuzz(func(t *testing.T, raw []byte, eventType string) {
		_ = relay.Abstract(raw, eventType)
		parts, err := relay.ToTencent(raw, eventType, matrixSide{})
		if err != nil {
			require.NotErrorIs(t, class(err), errOther)
			require.Nil(t, parts)
			return
		}
		require.NotEmpty(t, parts)
		require.LessOrEqual(t, len(parts), relay.MaxParts)
		for _, part := range parts {
			checkPart(t, part)
			require.NotEmpty(t, relay.ToMatrix(part, tencentSide{})["body"])
		}
	})
}

func FuzzEditToTencent(f *testing.F) {
	f.Add([]byte(`{"body":"* x","m.relates_to":{"rel_type":"m.replace","event_id":"$first"},"m.new_content":{"msgtype":"m.text","body":"x"}}`))
	f.Add([]byte(`{"m.relates_to":{"rel_type":"m.replace","event_id":"$first"},"m.new_content":{"m.poll":{"question":{"body":"q"}}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		target, part, err := relay.EditToTencent(raw, matrixSide{})
		if err != nil {
			require.NotErrorIs(t, class(err), errOther)
			require.Zero(t, part)
			return
		}
		require.NotEmpty(t, target)
		checkPart(t, part)
		require.Equal(t, relay.TencentMessage{Body: part.Body}, part)
	})
}
