package matrix

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"
)

// object is a JSON object with its keys matched exactly. encoding/json matches the fields of structs
// without regard to case, so that a "SENDER" sent by a remote server would win over the "sender" that
// the homeserver vouches for.
type object map[string]json.RawMessage

var errNoObject = errors.New("not a JSON object")

func parseObject(raw []byte) (object, error) {
	// Unmarshal makes "null" an empty map without an error.
	if trimmed := bytes.TrimLeft(raw, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, errNoObject
	}
	var obj object
	if err := json.Unmarshal(raw, &obj); err != nil {
		return nil, err
	}
	return obj, nil
}

// child returns the object under key, or an empty one if there is none.
func (o object) child(key string) object {
	obj, err := parseObject(o[key])
	if err != nil {
		return nil
	}
	return obj
}

// str returns the string under key; ok is false if there is none or something else is there.
func (o object) str(key string) (s string, ok bool) {
	raw, there := o[key]
	if !there || len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(raw, &s) == nil
}

// list returns the elements of the array under key. there tells whether the key exists with anything
// but null, ok whether it is an array.
func (o object) list(key string) (elements []json.RawMessage, there, ok bool) {
	raw := o[key]
	if len(raw) == 0 || string(raw) == "null" {
		return nil, false, true
	}
	err := json.Unmarshal(raw, &elements)
	if tooDeep(err) {
		elements, err = splitArray(raw)
	}
	return elements, true, err == nil
}

// maxID is the length limit of ids, event types and state keys in bytes, see
// https://spec.matrix.org/v1.19/appendices/#identifier-grammar
const maxID = 255

func validID(s string, sigil byte) bool {
	return len(s) > 1 && len(s) <= maxID && s[0] == sigil && !strings.ContainsRune(s, 0)
}

// What can be wrong with one pushed event or receipt.
var (
	errBadEventID  = errors.New("event_id is missing or malformed")
	errBadRoomID   = errors.New("room_id is missing or malformed")
	errBadSender   = errors.New("sender is missing or malformed")
	errBadType     = errors.New("type is missing or malformed")
	errBadStateKey = errors.New("state_key is malformed")
	errBadContent  = errors.New("content is no object")
	errBadUserID   = errors.New("user id is malformed")
	errBadThreadID = errors.New("thread_id is malformed")
	errBadReceipt  = errors.New("receipt is no object")
)

// parseEvent decodes one room event. On an error the event says as much as could be read, for the log.
func parseEvent(raw []byte) (ev Event, err error) {
	obj, err := parseObject(raw)
	if err != nil {
		return ev, err
	}
	return obj.event()
}

// event reads an object as a room event.
func (obj object) event() (ev Event, err error) {
	eventID, _ := obj.str("event_id")
	if !validID(eventID, '$') {
		return ev, errBadEventID
	}
	ev.ID = id.EventID(eventID)
	roomID, _ := obj.str("room_id")
	if !validID(roomID, '!') {
		return ev, errBadRoomID
	}
	ev.RoomID = id.RoomID(roomID)
	sender, _ := obj.str("sender")
	if !validID(sender, '@') {
		return ev, errBadSender
	}
	ev.Sender = id.UserID(sender)
	evType, _ := obj.str("type")
	if evType == "" || len(evType) > maxID || strings.ContainsRune(evType, 0) {
		return ev, errBadType
	}
	ev.Type = evType
	if raw, there := obj["state_key"]; there && string(raw) != "null" {
		key, ok := obj.str("state_key")
		if !ok || len(key) > maxID || strings.ContainsRune(key, 0) {
			return ev, errBadStateKey
		}
		ev.StateKey = &key
	}
	content, err := parseObject(obj["content"])
	if err != nil {
		return ev, errBadContent
	}
	ev.Content = obj["content"]
	ev.OriginServerTS = parseTime(obj["origin_server_ts"])
	if redacts, _ := obj.str("redacts"); validID(redacts, '$') {
		ev.Redacts = id.EventID(redacts)
	} else if redacts, _ = content.str("redacts"); evType == "m.room.redaction" && validID(redacts, '$') {
		ev.Redacts = id.EventID(redacts)
	}
	unsigned := obj.child("unsigned")
	_, redactedErr := parseObject(unsigned["redacted_because"])
	ev.Redacted = redactedErr == nil
	ev.PrevMembership = prevMembership(obj, unsigned)
	ev.RelType, ev.RelatesTo, ev.ThreadRoot = parseRelation(content)
	return ev, nil
}

func prevMembership(obj, unsigned object) string {
	membership, ok := unsigned.child("prev_content").str("membership")
	if !ok {
		membership, _ = obj.child("prev_content").str("membership")
	}
	if len(membership) > maxID || strings.ContainsRune(membership, 0) {
		return ""
	}
	return membership
}

// parseRelation reads m.relates_to of a content.
func parseRelation(content object) (relType string, relatesTo id.EventID, threadRoot string) {
	relation := content.child("m.relates_to")
	relType, _ = relation.str("rel_type")
	target, _ := relation.str("event_id")
	if relType == "" || len(relType) > maxID || strings.ContainsRune(relType, 0) || !validID(target, '$') {
		return "", "", ""
	}
	if relType == "m.thread" {
		threadRoot = target
	}
	return relType, id.EventID(target), threadRoot
}

// maxTime is the end of the year 9999, the last time that PostgreSQL and RFC 3339 can both write.
const maxTime = 253402300799999

// parseTime reads milliseconds since 1970; anything but a plausible whole number gives the zero time.
func parseTime(raw json.RawMessage) time.Time {
	var ms int64
	if len(raw) == 0 || json.Unmarshal(raw, &ms) != nil || ms <= 0 || ms > maxTime {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
