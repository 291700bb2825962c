package relay

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
)

// relReplace is the relation of an edit to what it edits. [MX-EDIT]
const relReplace = "m.replace"

// ToTencent returns the messages for a Matrix event: one, or several if its text is too long for one.
// Their texts joined are the whole text; the first carries the reply and the mentions. Each message is
// a TIMTextElem, or a TIMLocationElem for a place.
//
// The error matches [ErrNothing] or [ErrTooLong], and neither changes by trying again. An edit is
// translated as if it were a message of its own; see [EditToTencent].
func ToTencent(content json.RawMessage, eventType string, r MatrixResolver) ([]TencentMessage, error) {
	o, err := parseContent(content)
	if err != nil {
		return nil, err
	}
	s, ok := read(o, eventType, r.SenderName(), r.Link)
	if !ok {
		return nil, fmt.Errorf("failed to translate %.100q event: %w", eventType, ErrNothing)
	}
	cloudCustomData, line := "", ""
	if eventID := repliesTo(o); eventID != "" {
		if original, ok := r.TencentMessage(eventID); ok {
			cloudCustomData, line = writeReply(original)
		}
	}
	parts, err := s.messages(line, cloudCustomData)
	if err != nil {
		return nil, fmt.Errorf("failed to split message: %w", err)
	}
	parts[0].AtAll, parts[0].AtAccounts = tencentMentions(o, r)
	return parts, nil
}

// EditToTencent returns what an event edits and the new message, whose Body is for modify_group_msg
// [R-MOD]. Its other fields are empty: what the original replies to stays, and nobody is mentioned
// anew. [MX-EDIT]
//
// The error matches [ErrNothing], also for an event that is no edit, or [ErrTooLong]: an edit cannot be
// split. target is set whenever the event can be read and is an edit, with an error too.
func EditToTencent(content json.RawMessage, r MatrixResolver) (target id.EventID, part TencentMessage, err error) {
	o, err := parseContent(content)
	if err != nil {
		return "", TencentMessage{}, err
	}
	relation := o.object("m.relates_to")
	target = id.EventID(relation.text("event_id"))
	if relation.text("rel_type") != relReplace || mapping.ValidateEventID(target) != nil {
		return "", TencentMessage{}, fmt.Errorf("failed to translate edit: %w: it edits nothing", ErrNothing)
	}
	edited := o.object("m.new_content")
	s, ok := read(edited, typeOf(edited), r.SenderName(), r.Link)
	if !ok {
		return target, TencentMessage{}, fmt.Errorf("failed to translate edit: %w", ErrNothing)
	}
	parts, err := s.messages("", "")
	if err == nil && len(parts) > 1 {
		err = ErrTooLong
	}
	if err != nil {
		return target, TencentMessage{}, fmt.Errorf("failed to translate edit: %w", err)
	}
	return target, parts[0], nil
}

// Abstract returns in a line of at most 100 characters what an event says, media without link; "" if
// nothing. It is for [Original].
func Abstract(content json.RawMessage, eventType string) string {
	s, _ := read(parseObject(content), eventType, "", func(id.ContentURIString) string { return "" })
	return oneLine(s.text, maxAbstract)
}

// typeOf returns the type of the event that has this new content, which is that of its original.
func typeOf(content object) string {
	switch {
	case content[pollUnstable] != nil:
		return pollUnstable
	case content["m.poll"] != nil:
		return pollStable
	}
	return event.EventMessage.Type
}

func parseContent(content json.RawMessage) (object, error) {
	if len(content) > maxContent {
		return nil, fmt.Errorf("failed to parse event content: %w: %d bytes", ErrTooLong, len(content))
	}
	o := parseObject(content)
	if o == nil {
		return nil, fmt.Errorf("failed to parse event content: %w: it is no JSON object", ErrNothing)
	}
	return o, nil
}

// messages returns the messages that say it, the first after line and with cloudCustomData. A place
// that cannot be an element of its own is text.
func (s said) messages(line, cloudCustomData string) ([]TencentMessage, error) {
	if s.where != nil && line == "" {
		body := []Elem{{MsgType: "TIMLocationElem", MsgContent: marshal(s.where)}}
		size := len(marshal(body))
		if cloudCustomData != "" {
			size += jsonSize(cloudCustomData)
		}
		if size <= MaxBody {
			return []TencentMessage{{Body: body, CloudCustomData: cloudCustomData}}, nil
		}
	}
	return splitText(strings.ToValidUTF8(line+s.text, "\uFFFD"), cloudCustomData)
}

// maxLookups is how many people are looked up for one event, some of whom may not be in the group.
const maxLookups = 200

// tencentMentions returns who is mentioned; people who are not in the group are left out. [MX-AT]
func tencentMentions(content object, r MatrixResolver) (all bool, accounts []string) {
	mentions := content.object("m.mentions")
	all = string(mentions["room"]) == "true" && r.MayMentionAll()
	most := MaxMentions
	if all {
		most--
	}
	for i, raw := range mentions.list("user_ids") {
		if len(accounts) == most || i == maxLookups {
			break
		}
		mxid := id.UserID(textOf(raw))
		if mapping.ValidateMXID(mxid) != nil {
			continue
		}
		userID, _, ok := r.TencentUser(mxid)
		if ok && mapping.ValidateUserID(userID) == nil && !slices.Contains(accounts, userID) {
			accounts = append(accounts, userID)
		}
	}
	return all, accounts
}
