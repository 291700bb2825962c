package relay_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/relay"
)

const (
	message = "m.room.message"
	sticker = "m.sticker"
	poll    = "org.matrix.msc3381.poll.start"
)

func TestEvents(t *testing.T) {
	tests := map[string]struct{ eventType, content, want string }{
		"text":             {message, `{"msgtype":"m.text","body":" a <b> &\n c "}`, " a <b> &\n c "},
		"exact keys":       {message, `{"msgtype":"m.text","body":"shown","Body":"other","BODY":"other"}`, "shown"},
		"formatted":        {message, `{"msgtype":"m.text","body":"**a**","format":"org.matrix.custom.html","formatted_body":"<b>a</b>"}`, "**a**"},
		"notice":           {message, `{"msgtype":"m.notice","body":"a"}`, "a"},
		"emote":            {message, `{"msgtype":"m.emote","body":"dances"}`, "* Carol dances"},
		"unknown msgtype":  {message, `{"msgtype":"org.example.new","body":"a"}`, "a"},
		"no msgtype":       {message, `{"body":"a"}`, "a"},
		"wrong msgtype":    {message, `{"msgtype":{},"body":"a","m.mentions":7,"m.relates_to":[]}`, "a"},
		"zero":             {message, `{"msgtype":"m.text","body":"a\u0000b"}`, "a\uFFFDb"},
		"half a rune":      {message, `{"msgtype":"m.text","body":"\ude00a"}`, "\uFFFDa"},
		"image":            {message, `{"msgtype":"m.image","body":"cat.jpg","url":"mxc://hs/cat","info":{"w":1}}`, "[image] cat.jpg https://media.example/hs/cat"},
		"caption":          {message, `{"msgtype":"m.image","body":"my cat\nagain","filename":"cat.jpg","url":"mxc://hs/cat"}`, "[image] cat.jpg https://media.example/hs/cat\nmy cat\nagain"},
		"filename as body": {message, `{"msgtype":"m.video","body":"v.mp4","filename":"v.mp4","url":"mxc://hs/v"}`, "[video] v.mp4 https://media.example/hs/v"},
		"several lines":    {message, `{"msgtype":"m.file","body":"a\nb.txt","url":"mxc://hs/f"}`, "[file] https://media.example/hs/f\na\nb.txt"},
		"encrypted file":   {message, `{"msgtype":"m.file","body":"a.txt","file":{"url":"mxc://hs/f"}}`, "[file] a.txt"},
		"no link":          {message, `{"msgtype":"m.audio","body":"a.ogg","url":"mxc://hs/closed"}`, "[audio] a.ogg"},
		"evil link":        {message, `{"msgtype":"m.audio","body":"a.ogg","url":"mxc://hs/evil"}`, "[audio] a.ogg"},
		"bare image":       {message, `{"msgtype":"m.image"}`, "[image]"},
		"sticker":          {sticker, `{"body":"hello","url":"mxc://hs/s"}`, "[sticker] hello https://media.example/hs/s"},
		"nowhere":          {message, `{"msgtype":"m.location","body":"Tower","geo_uri":"geo:here"}`, "[location] Tower"},
		"poll": {poll, `{"org.matrix.msc3381.poll.start":{"question":{"org.matrix.msc1767.text":"Lunch?","body":"x"},"answers":[
			{"id":"1","org.matrix.msc1767.text":"Noodles"},{"id":"2"},7,{"id":"3","org.matrix.msc1767.message":[{"mimetype":"text/html","body":"<b>"},{"body":"Rice"}]}]}}`,
			"[poll] Lunch?\n1. Noodles\n2. Rice"},
		"stable poll": {"m.poll.start", `{"m.poll":{"question":{"m.text":[{"body":"Lunch?"}]},"answers":[{"m.id":"1","m.text":[{"mimetype":"text/plain","body":"Noodles"}]}]}}`,
			"[poll] Lunch?\n1. Noodles"},
		"bare poll": {poll, `{"org.matrix.msc3381.poll.start":{"question":{"body":"Lunch?"}}}`, "[poll] Lunch?"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			parts, err := relay.ToTencent(json.RawMessage(test.content), test.eventType, matrixSide{})
			require.NoError(t, err)
			require.Len(t, parts, 1)
			require.Equal(t, test.want, textOf(t, parts[0]))
			require.Equal(t, relay.TencentMessage{Body: parts[0].Body}, parts[0])
		})
	}
}

func TestNothing(t *testing.T) {
	for name, test := range map[string]struct{ eventType, content string }{
		"encrypted":      {"m.room.encrypted", `{"algorithm":"m.megolm.v1.aes-sha2","body":"x"}`},
		"reaction":       {"m.reaction", `{"body":"x","msgtype":"m.text"}`},
		"poll answer":    {"org.matrix.msc3381.poll.response", `{"body":"x"}`},
		"redacted":       {message, `{}`},
		"empty":          {message, `{"msgtype":"m.text","body":""}`},
		"blank":          {message, `{"msgtype":"m.text","body":" \n\t"}`},
		"empty emote":    {message, `{"msgtype":"m.emote","body":" "}`},
		"wrong body":     {message, `{"msgtype":"m.text","body":{"a":1}}`},
		"empty poll":     {poll, `{"org.matrix.msc3381.poll.start":{}}`},
		"wrong poll":     {poll, `{"msgtype":"m.text","body":"x"}`},
		"no JSON":        {message, `{"msgtype":`},
		"no content":     {message, ``},
		"null":           {message, `null`},
		"a list":         {message, `["body"]`},
		"deep":           {message, strings.Repeat(`{"body":`, 15000)},
		"type of a page": {strings.Repeat("x", 1<<20), `{"body":"x"}`},
	} {
		t.Run(name, func(t *testing.T) {
			parts, err := relay.ToTencent(json.RawMessage(test.content), test.eventType, matrixSide{})
			require.ErrorIs(t, err, relay.ErrNothing)
			require.NotErrorIs(t, err, relay.ErrTooLong)
			require.Less(t, len(err.Error()), 300)
			require.Nil(t, parts)
		})
	}
}

func TestLocationToTencent(t *testing.T) {
	location := func(uri, body string) []relay.TencentMessage {
		parts, err := relay.ToTencent(content(t, "m.location", body, "geo_uri", sent(t, uri)), message, matrixSide{})
		require.NoError(t, err)
		return parts
	}
	for uri, want := range map[string]string{
		"geo:51.5,-0.25":                  `{"Desc":"Tower & Co","Latitude":51.5,"Longitude":-0.25}`,
		"GEO:51.5,-0.25,100;u=35":         `{"Desc":"Tower & Co","Latitude":51.5,"Longitude":-0.25}`,
		"geo:-90,180;crs=WGS84;u=1":       `{"Desc":"Tower & Co","Latitude":-90,"Longitude":180}`,
		"geo:29.340656774469956,0.000001": `{"Desc":"Tower & Co","Latitude":29.340656774469956,"Longitude":0.000001}`,
	} {
		parts := location(uri, "Tower & Co")
		require.Len(t, parts, 1)
		require.Equal(t, []relay.Elem{elem("TIMLocationElem", string(parts[0].Body[0].MsgContent))}, parts[0].Body)
		require.JSONEq(t, want, string(parts[0].Body[0].MsgContent), uri)
		require.Contains(t, string(parts[0].Body[0].MsgContent), "&", "not escaped for HTML")
	}
	for _, uri := range []string{"", "geo:", "geo:1", "geo:1,2,3,4", "geo:91,0", "geo:0,-180.1", "geo:NaN,0", "geo:0,Inf", "geo:x,y", "geo:1,2;crs=moon-2011", "https://x/1,2", "geo:1," + strings.Repeat("0", 5000)} {
		parts := location(uri, "Tower")
		require.Equal(t, "[location] Tower", textOf(t, parts[0]), uri)
	}
	// A description that fits into no element is a text of its own.
	parts := location("geo:1,2", strings.Repeat("x", 20000))
	require.Len(t, parts, 2)
	require.Equal(t, "[location] "+strings.Repeat("x", 20000)+" (1, 2)", textOf(t, parts[0])+textOf(t, parts[1]))
}

func TestReplyToTencent(t *testing.T) {
	body := func(text, eventID string) relay.TencentMessage {
		raw := content(t, "m.text", text, "m.relates_to", `{"rel_type":"m.thread","event_id":"$root","is_falling_back":true,"m.in_reply_to":{"event_id":"`+eventID+`"}}`)
		parts, err := relay.ToTencent(raw, message, matrixSide{})
		require.NoError(t, err)
		require.Len(t, parts, 1)
		return parts[0]
	}
	known := body("fine", "$first")
	require.Equal(t, "fine", textOf(t, known))
	require.JSONEq(t, `{"messageReply":{"messageID":"1-2-3","messageAbstract":"how are you?","messageSender":"Bob","messageType":1,
		"messageTime":1664437702,"messageSequence":85,"version":1}}`, known.CloudCustomData)

	// What we write we read.
	back := relay.ToMatrix(known, tencentSide{})
	require.Equal(t, "fine", back["body"])
	require.Contains(t, asJSON(t, back), `"m.relates_to":`+inReplyTo)

	require.Equal(t, relay.TencentMessage{Body: text(t, "> mx_bob: how are you?\nfine").Body}, body("fine", "$unnamed"))
	require.Equal(t, relay.TencentMessage{Body: text(t, "fine").Body}, body("fine", "$unknown"))
	require.Equal(t, relay.TencentMessage{Body: text(t, "fine").Body}, body("fine", "not an event"))

	for raw, want := range map[string]string{
		"> <@bob:hs> how are\n> you?\n\nfine\n> indeed":      "fine\n> indeed",
		"> * <@bob:hs> waves\n\nfine":                        "fine",
		"> <@bob:hs> a\n>\n> b\nfine":                        "fine",
		"> <@bob:hs> a\n\n\n  fine ":                         "\n  fine ",
		"> somebody's own quotation\nfine":                   "> somebody's own quotation\nfine",
		"> <b> is bold\nfine":                                "> <b> is bold\nfine",
		"> <@bob:hs> nothing behind it":                      "> <@bob:hs> nothing behind it",
		"fine\n> <@bob:hs> not in front":                     "fine\n> <@bob:hs> not in front",
		strings.Repeat("> <@bob:hs> x\n", 3000) + "\n" + "y": "y",
	} {
		require.Equal(t, want, textOf(t, body(raw, "$first")), raw)
		parts, err := relay.ToTencent(content(t, "m.text", raw), message, matrixSide{})
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(raw, textOf(t, parts[0])), "only of replies anything is cut off")
	}
	_, err := relay.ToTencent(content(t, "m.text", "x", "m.relates_to", `{"m.in_reply_to":{"event_id":"$absurd"}}`), message, matrixSide{})
	require.ErrorIs(t, err, relay.ErrTooLong)
}

func TestReplyWithLocation(t *testing.T) {
	for eventID, want := range map[string]string{"$first": "TIMLocationElem", "$unnamed": "TIMTextElem"} {
		raw := content(t, "m.location", "Tower", "geo_uri", `"geo:1,2"`, "m.relates_to", `{"m.in_reply_to":{"event_id":"`+eventID+`"}}`)
		parts, err := relay.ToTencent(raw, message, matrixSide{})
		require.NoError(t, err)
		require.Equal(t, want, parts[0].Body[0].MsgType)
		require.Equal(t, eventID == "$first", parts[0].CloudCustomData != "")
		if eventID == "$unnamed" {
			require.Equal(t, "> mx_bob: how are you?\n[location] Tower (1, 2)", textOf(t, parts[0]))
		}
	}
}

func TestMentionsToTencent(t *testing.T) {
	mention := func(mentions string, r relay.MatrixResolver) (bool, []string) {
		parts, err := relay.ToTencent(content(t, "m.text", "hi", "m.mentions", mentions), message, r)
		require.NoError(t, err)
		return parts[0].AtAll, parts[0].AtAccounts
	}
	for mentions, want := range map[string][]string{
		`{"user_ids":["@bob:hs","@far:elsewhere","bob",7,null,"@bob:hs","@carol:hs"]}`: {"mx_bob", "mx_carol"},
		`{"user_ids":["@` + strings.Repeat("x", 40) + `:hs"]}`:                         nil, // no UserID is as long
		`{"user_ids":"@bob:hs"}`:  nil,
		`{"room":"true"}`:         nil,
		`{"room":1,"user_ids":0}`: nil,
		`[]`:                      nil,
	} {
		all, accounts := mention(mentions, matrixSide{})
		require.False(t, all, mentions)
		require.Equal(t, want, accounts, mentions)
	}
	all, _ := mention(`{"room":true}`, matrixSide{})
	require.True(t, all)
	all, _ = mention(`{"room":true}`, matrixSide{powerless: true})
	require.False(t, all)

	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf(`"@u%d:hs"`, i))
	}
	_, accounts := mention(`{"user_ids":[`+strings.Join(many, ",")+`]}`, matrixSide{})
	require.Len(t, accounts, relay.MaxMentions)
	_, accounts = mention(`{"user_ids":["@bob:hs"`+strings.Repeat(`,"@far:elsewhere"`, 1000)+`,"@carol:hs"]}`, matrixSide{})
	require.Equal(t, []string{"mx_bob"}, accounts, "there is an end to looking")
	all, accounts = mention(`{"room":true,"user_ids":[`+strings.Join(many, ",")+`]}`, matrixSide{})
	require.True(t, all)
	require.Len(t, accounts, relay.MaxMentions-1)
}

func TestEdit(t *testing.T) {
	edit := func(relation, fresh string) (id.EventID, relay.TencentMessage, error) {
		return relay.EditToTencent(content(t, "m.text", "* fallback", "m.relates_to", relation, "m.new_content", fresh), matrixSide{})
	}
	const replace = `{"rel_type":"m.replace","event_id":"$first"}`
	for fresh, want := range map[string]string{
		`{"msgtype":"m.text","body":"better","m.mentions":{"room":true,"user_ids":["@bob:hs"]}}`:             "better",
		`{"msgtype":"m.emote","body":"sings"}`:                                                               "* Carol sings",
		`{"msgtype":"m.image","body":"cat","filename":"c.jpg","url":"mxc://hs/c"}`:                           "[image] c.jpg https://media.example/hs/c\ncat",
		`{"org.matrix.msc3381.poll.start":{"question":{"org.matrix.msc1767.text":"Dinner?"},"answers":[]}}`:  "[poll] Dinner?",
		`{"m.poll":{"question":{"m.text":[{"body":"Dinner?"}]}}}`:                                            "[poll] Dinner?",
		`{"msgtype":"m.text","body":"better","m.relates_to":` + inReplyTo + `,"com.tencent.im":{"seq":"x"}}`: "better",
		`{"msgtype":"m.text","body":"` + strings.Repeat("x", relay.MaxBody-100) + `"}`:                       strings.Repeat("x", relay.MaxBody-100),
	} {
		target, part, err := edit(replace, fresh)
		require.NoError(t, err)
		require.Equal(t, id.EventID("$first"), target)
		require.Equal(t, want, textOf(t, part))
		require.Equal(t, relay.TencentMessage{Body: part.Body}, part)
	}
	_, part, err := edit(replace, `{"msgtype":"m.location","body":"Tower","geo_uri":"geo:1,2"}`)
	require.NoError(t, err)
	require.Equal(t, "TIMLocationElem", part.Body[0].MsgType)

	for name, test := range map[string]struct {
		relation, fresh string
		want            error
		target          id.EventID
	}{
		"no relation":    {`{}`, `{"msgtype":"m.text","body":"x"}`, relay.ErrNothing, ""},
		"a thread":       {`{"rel_type":"m.thread","event_id":"$first"}`, `{"msgtype":"m.text","body":"x"}`, relay.ErrNothing, ""},
		"of nothing":     {`{"rel_type":"m.replace"}`, `{"msgtype":"m.text","body":"x"}`, relay.ErrNothing, ""},
		"malformed":      {`{"rel_type":"m.replace","event_id":"first"}`, `{"msgtype":"m.text","body":"x"}`, relay.ErrNothing, ""},
		"huge":           {replace, `{"msgtype":"m.text","body":"` + strings.Repeat("x", 400000) + `"}`, relay.ErrTooLong, ""},
		"no new content": {replace, `null`, relay.ErrNothing, "$first"},
		"empty":          {replace, `{"msgtype":"m.text","body":""}`, relay.ErrNothing, "$first"},
		"too long":       {replace, `{"msgtype":"m.text","body":"` + strings.Repeat("x", relay.MaxBody) + `"}`, relay.ErrTooLong, "$first"},
	} {
		target, part, err := edit(test.relation, test.fresh)
		require.ErrorIs(t, err, test.want, name)
		require.Equal(t, test.target, target, name)
		require.Zero(t, part, name)
	}
	_, _, err = relay.EditToTencent(json.RawMessage(`{"m.relates_to":`), matrixSide{})
	require.ErrorIs(t, err, relay.ErrNothing)
}

func TestAbstract(t *testing.T) {
	for raw, want := range map[string]string{
		`{"msgtype":"m.text","body":"a\n b"}`:                                               "a b",
		`{"msgtype":"m.text","body":"` + strings.Repeat("é", 101) + `"}`:                    strings.Repeat("é", 100) + "…",
		`{"msgtype":"m.text","body":"> <@bob:hs> a\n\nb","m.relates_to":` + inReplyTo + `}`: "b",
		`{"msgtype":"m.image","body":"c.jpg","url":"mxc://hs/c"}`:                           "[image] c.jpg",
		`{"msgtype":"m.emote","body":"sings"}`:                                              "* sings",
		`{"msgtype":"m.location","body":"Tower","geo_uri":"geo:1,2"}`:                       "[location] Tower (1, 2)",
		`{}`:  "",
		`nil`: "",
	} {
		got := relay.Abstract(json.RawMessage(raw), message)
		require.Equal(t, want, got)
		require.LessOrEqual(t, utf8.RuneCountInString(got), 101)
	}
	require.Empty(t, relay.Abstract(json.RawMessage(`{"body":"x"}`), "m.room.encrypted"))
}
