package relay_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tencentSide is a group of which the room knows alice, and of her the message 1-2-3.
type tencentSide struct{}

func (tencentSide) MatrixUser(userID string) (id.UserID, string, bool) {
	switch {
	case userID == "alice":
		return "@_tim_alice:hs", "Alice", true
	case userID == "nameless":
		return "@_tim_nameless:hs", "", true
	case strings.HasPrefix(userID, "u"):
		return id.UserID("@_tim_" + userID + ":hs"), userID, true
	}
	return "", "", false
}

func (tencentSide) MatrixEvent(msgID string) (id.EventID, id.UserID, bool) {
	return "$first", "@_tim_alice:hs", msgID == "1-2-3"
}

// matrixSide is a room of which the group knows bob, and of him the events $first, $unnamed (which has
// no msgID yet) and $absurd.
type matrixSide struct{ powerless bool }

func (matrixSide) SenderName() string    { return "Carol" }
func (m matrixSide) MayMentionAll() bool { return !m.powerless }

func (matrixSide) TencentUser(mxid id.UserID) (string, string, bool) {
	name, _, _ := strings.Cut(strings.TrimPrefix(string(mxid), "@"), ":")
	return "mx_" + name, name, strings.HasSuffix(string(mxid), ":hs")
}

func (matrixSide) TencentMessage(eventID id.EventID) (relay.Original, bool) {
	original := relay.Original{MsgID: "1-2-3", UserID: "mx_bob", Name: "Bob", Abstract: "how\nare you?", Seq: 85, Time: 1664437702}
	switch eventID {
	case "$first":
		return original, true
	case "$unnamed":
		original.MsgID, original.Name = "", ""
		return original, true
	case "$absurd":
		original.MsgID = strings.Repeat(`"`, relay.MaxBody/4)
		return original, true
	}
	return relay.Original{}, false
}

func (matrixSide) Link(uri id.ContentURIString) string {
	switch uri {
	case "mxc://hs/evil":
		return "javascript:alert(1)"
	case "mxc://hs/closed":
		return ""
	}
	return "https://media.example/" + strings.TrimPrefix(string(uri), "mxc://")
}

func elem(msgType, content string) relay.Elem {
	return relay.Elem{MsgType: msgType, MsgContent: json.RawMessage(content)}
}

// text returns a message of one text.
func text(t require.TestingT, s string) relay.TencentMessage {
	return relay.TencentMessage{Body: []relay.Elem{elem("TIMTextElem", sent(t, map[string]string{"Text": s}))}}
}

// textOf returns the text of a message that is one text.
func textOf(t require.TestingT, m relay.TencentMessage) string {
	require.Len(t, m.Body, 1)
	require.Equal(t, "TIMTextElem", m.Body[0].MsgType)
	var content struct{ Text *string }
	strict(t, m.Body[0].MsgContent, &content)
	require.NotNil(t, content.Text)
	return *content.Text
}

// strict decodes without tolerance: no unknown fields.
func strict(t require.TestingT, raw []byte, into any) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(into), string(raw))
}

// sent returns the JSON of v as the Tencent client sends it.
func sent(t require.TestingT, v any) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	require.NoError(t, encoder.Encode(v))
	return strings.TrimSuffix(out.String(), "\n")
}

// size returns how much of MaxBody a message takes.
func size(t require.TestingT, m relay.TencentMessage) int {
	n := len(sent(t, m.Body))
	if m.CloudCustomData != "" {
		n += len(sent(t, m.CloudCustomData))
	}
	return n
}

// content returns the JSON of an event's content with the body.
func content(t require.TestingT, msgtype, body string, more ...string) json.RawMessage {
	fields := map[string]any{"msgtype": msgtype, "body": body}
	for i := 0; i < len(more); i += 2 {
		fields[more[i]] = json.RawMessage(more[i+1])
	}
	raw, err := json.Marshal(fields)
	require.NoError(t, err)
	return raw
}

const inReplyTo = `{"m.in_reply_to":{"event_id":"$first"}}`
