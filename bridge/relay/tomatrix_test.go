package relay_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/relay"
)

// asJSON returns content as it would be sent.
func asJSON(t require.TestingT, content map[string]any) string {
	raw, err := json.Marshal(content)
	require.NoError(t, err)
	return string(raw)
}

func TestElements(t *testing.T) {
	tests := map[string]struct {
		body []relay.Elem
		want string
	}{
		"text":            {[]relay.Elem{elem("TIMTextElem", `{"Text":" a <b>\n c "}`)}, " a <b>\n c "},
		"numeric text":    {[]relay.Elem{elem("TIMTextElem", `{"Text":12345678901234567890}`)}, "12345678901234567890"},
		"text with zero":  {[]relay.Elem{elem("TIMTextElem", `{"Text":"a\u0000b"}`)}, "a\uFFFDb"},
		"half a rune":     {[]relay.Elem{elem("TIMTextElem", `{"Text":"a\ud83d"}`)}, "a\uFFFD"},
		"not UTF-8":       {[]relay.Elem{elem("TIMTextElem", "{\"Text\":\"a\xff\"}")}, "a\uFFFD"},
		"no element":      {nil, "[unsupported message]"},
		"empty text":      {[]relay.Elem{elem("TIMTextElem", `{"Text":""}`)}, "[unsupported message]"},
		"wrong text":      {[]relay.Elem{elem("TIMTextElem", `{"Text":{"Text":"x"}}`)}, "[unsupported message]"},
		"no content":      {[]relay.Elem{elem("TIMTextElem", ``)}, "[unsupported message TIMTextElem]"},
		"null content":    {[]relay.Elem{elem("TIMTextElem", `null`)}, "[unsupported message TIMTextElem]"},
		"content a list":  {[]relay.Elem{elem("TIMImageElem", `[]`)}, "[unsupported message TIMImageElem]"},
		"broken content":  {[]relay.Elem{elem("TIMFileElem", `{"Url":`)}, "[unsupported message TIMFileElem]"},
		"deep content":    {[]relay.Elem{elem("TIMFileElem", strings.Repeat(`{"a":`, 20000))}, "[unsupported message TIMFileElem]"},
		"unknown element": {[]relay.Elem{elem("TIM\nNewElem", `{}`)}, "[unsupported message TIM NewElem]"},
		"several": {[]relay.Elem{elem("TIMTextElem", `{"Text":"hello"}`), elem("TIMFaceElem", `{"Index":1,"Data":"[smile]"}`), elem("TIMTextElem", `{"Text":"world"}`)},
			"hello\n[face 1] [smile]\nworld"},
		"empty among others": {[]relay.Elem{elem("TIMTextElem", `{"Text":"a"}`), elem("TIMTextElem", `{}`), elem("TIMTextElem", `{"Text":"b"}`)}, "a\nb"},
		"face":               {[]relay.Elem{elem("TIMFaceElem", `{"Index":"12","Data":""}`)}, "[face 12]"},
		"bare face":          {[]relay.Elem{elem("TIMFaceElem", `{}`)}, "[face]"},
		"location and text":  {[]relay.Elem{elem("TIMLocationElem", `{"Desc":"Tower","Latitude":51.5,"Longitude":"-0.25"}`), elem("TIMTextElem", `{"Text":"here"}`)}, "[location] Tower (51.5, -0.25)\nhere"},
		"nowhere":            {[]relay.Elem{elem("TIMLocationElem", `{"Desc":"Tower","Latitude":91,"Longitude":0}`)}, "[location] Tower"},
		"location without":   {[]relay.Elem{elem("TIMLocationElem", `{"Desc":"Tower","Latitude":1}`)}, "[location] Tower"},
		"custom with desc":   {[]relay.Elem{elem("TIMCustomElem", `{"Data":"{\"a\":1}","Desc":"an order","Ext":"https://shop.example/1","Sound":"x.aiff"}`)}, "[custom message] an order https://shop.example/1"},
		"custom data only":   {[]relay.Elem{elem("TIMCustomElem", `{"Data":"{\"a\":\n 1}","Ext":"text_with_link"}`)}, `[custom message] {"a": 1}`},
		"bare custom":        {[]relay.Elem{elem("TIMCustomElem", `{}`)}, "[custom message]"},
		"sound": {[]relay.Elem{elem("TIMSoundElem", `{"Url":"https://cos.example/a?sign=1&x=2","UUID":"u","Size":62351,"Second":1,"Download_Flag":2}`)},
			"[sound 1 s, 62 kB] https://cos.example/a?sign=1&x=2"},
		"old sound": {[]relay.Elem{elem("TIMSoundElem", `{"UUID":"305c0201","Size":"999","Second":"61"}`)}, "[sound 61 s, 999 B]"},
		"image": {[]relay.Elem{elem("TIMImageElem", `{"UUID":"u","ImageFormat":1,"ImageInfoArray":[
			{"Type":3,"Size":12535,"Width":0,"Height":0,"URL":"http://i.example/198"},
			{"Type":1,"Size":1853095,"Width":2448,"Height":3264,"URL":"http://i.example/0"},
			{"Type":2,"Size":2565240,"Width":1,"Height":1,"URL":"http://i.example/720"}]}`)},
			"[image 2448×3264, 1.9 MB] http://i.example/0"},
		"image without an original": {[]relay.Elem{elem("TIMImageElem", `{"ImageInfoArray":[7,{"Type":1,"Width":9,"Height":9,"URL":"file:///a"},{"Type":"2","Width":800,"Height":"600","URL":"https://i.example/720"}]}`)},
			"[image 800×600] https://i.example/720"},
		"image without anything": {[]relay.Elem{elem("TIMImageElem", `{"ImageInfoArray":"none"}`)}, "[image]"},
		"file": {[]relay.Elem{elem("TIMFileElem", `{"Url":"https://cos.example/f","FileSize":1773552,"FileName":"file:///private/tmp/trim 1.MOV","Download_Flag":2}`)},
			"[file 1.8 MB] trim 1.MOV https://cos.example/f"},
		"file spelled otherwise": {[]relay.Elem{elem("TIMFileElem", `{"fileName":"C:\\Users\\me\\a\u202efdp.exe","FileSize":-5}`)}, "[file] a fdp.exe"},
		"video": {[]relay.Elem{elem("TIMVideoFileElem", `{"VideoUrl":"https://cos.example/v","VideoSize":25194603,"VideoSecond":5,"VideoFormat":"mp4","ThumbUrl":"https://cos.example/t"}`)},
			"[video 5 s, 25 MB] https://cos.example/v"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			content := relay.ToMatrix(relay.TencentMessage{Body: test.body}, tencentSide{})
			require.Equal(t, test.want, content["body"])
			require.Contains(t, asJSON(t, content), `"msgtype":"m.text"`)
		})
	}
}

func TestMergedMessages(t *testing.T) {
	inner := `{"Title":"Deeper","MsgNum":1,"MsgList":[{"From_Account":"alice","MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hidden"}}]}]}`
	tests := map[string]struct{ content, want string }{
		"messages": {`{"Title":"Group chat\nhistory","MsgNum":2,"CompatibleText":"upgrade","AbstractList":["A: shorter"],"MsgList":[
			{"From_Account":"alice","MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"What do you\nthink?"}}]},
			{"From_Account":"stranger","MsgBody":[{"MsgType":"TIMFaceElem","MsgContent":{"Index":3}},{"MsgType":"TIMTextElem","MsgContent":{"Text":"Great."}}]},
			{"From_Account":"nameless","MsgBody":[{"MsgType":"TIMRelayElem","MsgContent":` + inner + `}]},
			{"From_Account":"no\nID","MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hi"}}]},
			{"From_Account":"alice","MsgBody":[]}, 7]}`,
			"[merged messages 2] Group chat history\nAlice: What do you\nthink?\nstranger: [face 3]\nGreat.\nnameless: [merged messages 1] Deeper\nno ID: hi"},
		"abstract": {`{"Title":"T","AbstractList":["A: one","",7,"B:\ntwo"],"JsonMsgKey":"k","CompatibleText":"upgrade"}`, "[merged messages] T\nA: one\n7\nB: two"},
		"neither":  {`{"MsgNum":0,"CompatibleText":"please upgrade","AbstractList":[]}`, "[merged messages]\nplease upgrade"},
		"nothing":  {`{}`, "[merged messages]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			content := relay.ToMatrix(relay.TencentMessage{Body: []relay.Elem{elem("TIMRelayElem", test.content)}}, tencentSide{})
			require.Equal(t, test.want, content["body"])
		})
	}
}

func TestLinks(t *testing.T) {
	for link, ok := range map[string]bool{
		"https://a.example/b?c=d&e=f#g":                   true,
		"http://10.0.0.1:8080/x":                          true,
		"https://例子.example/":                             true,
		"ftp://a.example/":                                false,
		"javascript:alert(1)":                             false,
		"file:///etc/passwd":                              false,
		"//a.example/":                                    false,
		"https:///x":                                      false,
		"https://bank.example@evil.example/":              false,
		"https://a.example/ b":                            false,
		"https://a.example/\\n[image]":                    false,
		"https://a.example/\u2028x":                       false,
		"https://a.example/\u202ex":                       false,
		"https://[::1/":                                   false,
		"https://a.example/" + strings.Repeat("x", 4096):  false,
		"https://a.example/" + strings.Repeat("x", 4000):  true,
		"https://a.example/" + strings.Repeat("é", 2000):  true,
		"https://a.example/?t=%0a%0d":                     true,
		"data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwv":  false,
		"HTTPS://a.example/":                              true,
		"https://a.example:port/":                         false,
		"mxc://hs/media":                                  false,
		"https://a.example/\\u0000":                       false,
		"https://a.example/\\u007f":                       false,
		"https://a.example/\\t":                           false,
		"https://:80/":                                    false,
		"https://user:password@a.example/":                false,
		"https://a.example/user:password@a.example/there": true,
	} {
		content := relay.ToMatrix(relay.TencentMessage{Body: []relay.Elem{elem("TIMSoundElem", `{"Url":"`+link+`"}`)}}, tencentSide{})
		want := "[sound]"
		if ok {
			want += " " + link
		}
		require.Equal(t, want, content["body"], link)
	}
}

func TestOnlyLocation(t *testing.T) {
	m := relay.TencentMessage{Body: []relay.Elem{elem("TIMLocationElem", `{"Desc":"some\ninfo","Latitude":29.340656774469956,"Longitude":"116.77497920478824"}`)}}
	require.JSONEq(t, `{"msgtype":"m.location","body":"[location] some info (29.340656774469956, 116.77497920478824)",
		"geo_uri":"geo:29.340656774469956,116.77497920478824","m.mentions":{}}`, asJSON(t, relay.ToMatrix(m, tencentSide{})))
	m.CloudCustomData = `{"messageReply":{"messageAbstract":"where?","messageSender":"Zoe"}}`
	require.Equal(t, "> Zoe: where?\n[location] some info (29.340656774469956, 116.77497920478824)", relay.ToMatrix(m, tencentSide{})["body"])
}

func TestCustomData(t *testing.T) {
	data := `{"order": "é\n"}`
	raw, err := json.Marshal(map[string]string{"Data": data, "Desc": "an order"})
	require.NoError(t, err)
	m := relay.TencentMessage{Body: []relay.Elem{elem("TIMTextElem", `{"Text":"see"}`), elem("TIMCustomElem", string(raw))}}
	require.Equal(t, data, relay.ToMatrix(m, tencentSide{})[relay.CustomDataKey])

	require.NotContains(t, relay.ToMatrix(text(t, "see"), tencentSide{}), relay.CustomDataKey)
	m.Body = []relay.Elem{elem("TIMCustomElem", `{"Data":"`+strings.Repeat("x", 20000)+`"}`)}
	content := relay.ToMatrix(m, tencentSide{})
	require.NotContains(t, content, relay.CustomDataKey, "a part of it would be other data")
	require.Equal(t, "[custom message] "+strings.Repeat("x", 500)+"…", content["body"])
}

func TestReplyToMatrix(t *testing.T) {
	tests := map[string]struct{ cloud, body, relation string }{
		"known":           {`{"messageReply":{"messageID":"1-2-3","messageAbstract":"how?","messageSender":"Alice","messageType":1,"version":1}}`, "yes", `{"m.in_reply_to":{"event_id":"$first"}}`},
		"unknown":         {`{"messageReply":{"messageID":"9-9-9","messageAbstract":"how\nare you?","messageSender":"Alice"}}`, "> Alice: how are you?\nyes", ``},
		"malformed id":    {`{"messageReply":{"messageID":"1 2","messageAbstract":"how?","messageSender":""}}`, "> how?\nyes", ``},
		"a UserID's name": {`{"messageReply":{"messageID":"9","messageAbstract":"","messageSender":"alice"}}`, "> alice\nyes", ``},
		"like a fallback": {`{"messageReply":{"messageSender":"<@a:hs>","messageAbstract":7}}`, "> <@a:hs>: 7\nyes", ``},
		"long": {`{"messageReply":{"messageAbstract":"` + strings.Repeat("é", 200) + `","messageSender":"` + strings.Repeat(" ", 9000) + `"}}`,
			"> " + strings.Repeat("é", 100) + "…\nyes", ``},
		"nothing in it": {`{"messageReply":{}}`, "yes", ``},
		"wrong type":    {`{"messageReply":["1-2-3"]}`, "yes", ``},
		"another's":     {`{"messageReplies":{"replies":[]}}`, "yes", ``},
		"not JSON":      {`anything`, "yes", ``},
		"none":          {``, "yes", ``},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := text(t, "yes")
			m.CloudCustomData = test.cloud
			content := relay.ToMatrix(m, tencentSide{})
			require.Equal(t, test.body, content["body"])
			if test.relation == "" {
				require.NotContains(t, content, "m.relates_to")
				require.JSONEq(t, `{"msgtype":"m.text","body":`+sent(t, test.body)+`,"m.mentions":{}}`, asJSON(t, content))
				return
			}
			require.JSONEq(t, `{"msgtype":"m.text","body":"yes","m.mentions":{"user_ids":["@_tim_alice:hs"]},"m.relates_to":`+test.relation+`}`, asJSON(t, content))
		})
	}
}

func TestMentionsToMatrix(t *testing.T) {
	mentions := func(m relay.TencentMessage) string {
		content := relay.ToMatrix(m, tencentSide{})
		require.Equal(t, "@Alice hi", content["body"])
		raw, err := json.Marshal(content["m.mentions"])
		require.NoError(t, err)
		return string(raw)
	}
	m := text(t, "@Alice hi")
	require.JSONEq(t, `{}`, mentions(m))
	m.AtAccounts = []string{"stranger", "alice", "nameless", "alice", "", strings.Repeat("u", 99)}
	require.JSONEq(t, `{"user_ids":["@_tim_alice:hs","@_tim_nameless:hs"]}`, mentions(m))
	m.AtAll = true
	require.JSONEq(t, `{"room":true,"user_ids":["@_tim_alice:hs","@_tim_nameless:hs"]}`, mentions(m))
	for i := range 100 {
		m.AtAccounts = append(m.AtAccounts, fmt.Sprint("u", i))
	}
	require.Equal(t, relay.MaxMentions, strings.Count(mentions(m), "@"))
}

// TestHugeToMatrix: whatever comes, an event comes of it that a homeserver takes.
func TestHugeToMatrix(t *testing.T) {
	const event = 65535
	var many []relay.Elem
	for range 20000 {
		many = append(many, elem("TIMNewElem", `{}`))
	}
	list := `{"MsgList":[` + strings.Repeat(`{"From_Account":"alice","MsgBody":[{"MsgType":"X","MsgContent":{}}]},`, 1500) + `1]}`
	for name, m := range map[string]relay.TencentMessage{
		"long text":     text(t, strings.Repeat("word ", 20000)),
		"escapes":       text(t, strings.Repeat("\u0001", 20000)),
		"four bytes":    text(t, strings.Repeat("😀", 20000)),
		"many elements": {Body: many},
		"abstract":      {Body: []relay.Elem{elem("TIMRelayElem", `{"AbstractList":[`+strings.Repeat(`"AAAAAAAAAAAAAAAAAA",`, 5000)+`1]}`)}},
		"merged":        {Body: []relay.Elem{elem("TIMRelayElem", list)}},
	} {
		m.AtAll = true
		for i := range 100 {
			m.AtAccounts = append(m.AtAccounts, fmt.Sprintf("u%030d", i))
		}
		m.CloudCustomData = `{"messageReply":{"messageAbstract":"` + strings.Repeat(`\"`, 2000) + `"}}`
		m.Body = append(m.Body, elem("TIMCustomElem", `{"Data":"`+strings.Repeat(`\"`, 6000)+`"}`))
		content := relay.ToMatrix(m, tencentSide{})
		require.Contains(t, content, relay.CustomDataKey, name)
		require.True(t, strings.HasSuffix(content["body"].(string), "…"), name)
		require.True(t, utf8.ValidString(content["body"].(string)), name)
		n := len(sent(t, content))
		require.Less(t, n, event-8000, name)
		require.Greater(t, n, 40000, "%s: not cut off more than needed", name)
	}
	// More than could be a message is not even looked into.
	content := relay.ToMatrix(text(t, strings.Repeat("x", 400000)), tencentSide{})
	require.Equal(t, "[unsupported message TIMTextElem]", content["body"])
}
