package relay

import (
	"cmp"
	"encoding/json"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
)

// What the UI kits write into a messageReply. [UIKIT]
const (
	// replyVersion is the newest that they read.
	replyVersion = 1
	// elemText is their number (V2TIMElemType) for text. An original that they have they show as what it
	// is; the type only says how to show the abstract.
	elemText = 1
)

// messageReply is the UI kits' reply; messageTime and messageSequence are for their web version. [UIKIT]
type messageReply struct {
	MessageID       string `json:"messageID"`
	MessageAbstract string `json:"messageAbstract"`
	MessageSender   string `json:"messageSender"`
	MessageType     int    `json:"messageType"`
	MessageTime     int64  `json:"messageTime"`
	MessageSequence uint64 `json:"messageSequence"`
	Version         int    `json:"version"`
}

// writeReply returns the CloudCustomData of a reply to original, or, where that is not possible, the
// line to quote it with.
func writeReply(original Original) (cloudCustomData, line string) {
	name := cmp.Or(original.Name, original.UserID)
	if original.MsgID == "" {
		return "", quote(name, original.Abstract)
	}
	return string(marshal(struct {
		MessageReply messageReply `json:"messageReply"`
	}{messageReply{
		MessageID: original.MsgID, MessageAbstract: oneLine(original.Abstract, maxAbstract), MessageSender: oneLine(name, maxName),
		MessageType: elemText, MessageTime: original.Time, MessageSequence: uint64(original.Seq), Version: replyVersion,
	}})), ""
}

// readReply returns what a Tencent message replies to: the event and its sender if the room has it,
// otherwise the line to quote it with; all empty for what is no reply.
func readReply(cloudCustomData string, r TencentResolver) (eventID id.EventID, sender id.UserID, line string) {
	reply := parseObject(json.RawMessage(cloudCustomData)).object("messageReply")
	if msgID := reply.text("messageID"); mapping.ValidateMsgID(msgID) == nil {
		if eventID, sender, ok := r.MatrixEvent(msgID); ok && eventID != "" {
			return eventID, sender, ""
		}
	}
	// The sender is a name already: looking it up as a UserID could find somebody else.
	return "", "", quote(reply.text("messageSender"), reply.text("messageAbstract"))
}

// repliesTo returns the event that an event replies to, "" if none. [MX-MSG]
func repliesTo(content object) id.EventID {
	eventID := content.object("m.relates_to").object("m.in_reply_to").text("event_id")
	if mapping.ValidateEventID(id.EventID(eventID)) != nil {
		return ""
	}
	return id.EventID(eventID)
}
