package relay

import (
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
)

// CustomDataKey is the key in an event's content that holds the Data of a TIMCustomElem as it is.
const CustomDataKey = "com.tencent.im.custom_data"

// Limits of what goes into an event, in bytes of JSON. Together with the mentions they leave some
// 10 KB of the event's 65,535 bytes [MX-SIZE] to the stamp and to what the homeserver adds. Tencent's
// 12 KB fit; more is only met where a limit was raised.
const (
	maxMatrixBody = 32 * 1024
	maxCustomData = 12 * 1024
)

// ToMatrix returns the content of the m.room.message event for a Tencent message. It is m.text, or
// m.location for a message that is nothing but a place. Text is kept as it is, mentions are those of
// people the resolver knows; its body is never empty. What is beyond 32 KB is cut off. The caller adds
// the stamp.
func ToMatrix(m TencentMessage, r TencentResolver) map[string]any {
	content := map[string]any{}
	eventID, repliedTo, line := readReply(m.CloudCustomData, r)
	if eventID != "" {
		content["m.relates_to"] = map[string]any{"m.in_reply_to": map[string]any{"event_id": eventID}}
	}
	body := ""
	if desc, p, ok := onlyLocation(m.Body); ok {
		content["msgtype"], content["geo_uri"] = event.MsgLocation, p.uri()
		body = locationLine(oneLine(desc, maxLabel), p, ok)
	} else {
		content["msgtype"] = event.MsgText
		body = lines(m.Body, r, true)
	}
	if body == "" {
		body = label(unsupported)
	}
	content["body"] = cutBody(line + body)
	content["m.mentions"] = matrixMentions(m, repliedTo, r)
	if data := customData(m.Body); data != "" && jsonSize(data) <= maxCustomData {
		content[CustomDataKey] = data
	}
	return content
}

// cutBody is the only place where text is lost, see maxMatrixBody.
func cutBody(body string) string {
	const mark = "…"
	body = strings.ToValidUTF8(body, "\uFFFD")
	if jsonSize(body) <= maxMatrixBody {
		return body
	}
	return body[:prefix(body, maxMatrixBody-len(`""`)-len(mark))] + mark
}

// matrixMentions returns the m.mentions. It is there even without any, so that clients do not look for
// names in the text, and has the sender of what is replied to. [MX-AT]
func matrixMentions(m TencentMessage, repliedTo id.UserID, r TencentResolver) map[string]any {
	mentions := map[string]any{}
	if m.AtAll {
		mentions["room"] = true
	}
	var users []id.UserID
	seen := map[id.UserID]bool{}
	add := func(mxid id.UserID) {
		if !seen[mxid] && mapping.ValidateMXID(mxid) == nil {
			seen[mxid] = true
			users = append(users, mxid)
		}
	}
	add(repliedTo)
	for _, userID := range m.AtAccounts {
		if len(users) == MaxMentions {
			break
		}
		if mapping.ValidateUserID(userID) != nil {
			continue
		}
		if mxid, _, ok := r.MatrixUser(userID); ok {
			add(mxid)
		}
	}
	if len(users) > 0 {
		mentions["user_ids"] = users
	}
	return mentions
}
