package relay

import (
	"encoding/json"
	"errors"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/receipts"
)

// Limits of one Tencent message.
const (
	// MaxBody bounds a message, in bytes: its MsgBody as JSON, and its CloudCustomData as a JSON string.
	// Tencent takes 12 KB (80002) and does not document what exactly it counts; hence the margin. [LIMITS]
	MaxBody = 12*1024 - 512
	// MaxParts is how many messages one event may become. An event has at most 65,535 bytes [MX-SIZE],
	// which is less than that, whatever is in it.
	MaxParts = 16
	// MaxMentions is how many people one message may mention, everybody counting as one. [AT]
	MaxMentions = 30
)

var (
	// ErrNothing means that an event holds nothing that an app could show: it is encrypted, redacted,
	// empty, malformed, or of a type that is no message.
	ErrNothing = errors.New("nothing to show")
	// ErrTooLong means that a message does not fit into what Tencent takes and cannot be split.
	ErrTooLong = errors.New("too long for Tencent")
)

// Elem is one element of a Tencent message: MsgType, such as TIMTextElem, says what MsgContent holds.
// [R-FORMAT]
type Elem struct {
	MsgType    string
	MsgContent json.RawMessage
}

// TencentMessage is what is translated of a Tencent message.
type TencentMessage struct {
	Body []Elem
	// CloudCustomData is the app's own data; "" if there is none.
	CloudCustomData string
	// AtAll tells that everybody is mentioned, AtAccounts are the UserIDs of those who are.
	AtAll      bool
	AtAccounts []string
}

// TencentResolver looks up what a Tencent message names.
type TencentResolver interface {
	// MatrixUser returns who a UserID is in the room and the name to show for him ("" if unknown).
	MatrixUser(userID string) (mxid id.UserID, name string, ok bool)
	// MatrixEvent returns the event of a message in the same room, and who sent it.
	MatrixEvent(msgID string) (eventID id.EventID, sender id.UserID, ok bool)
}

// MatrixResolver looks up what a Matrix event names.
type MatrixResolver interface {
	// SenderName returns the name to show for the event's sender; "" if unknown.
	SenderName() string
	// MayMentionAll tells whether the sender has the power level to notify the whole room. Any event can
	// say that it does; Matrix clients check that themselves [MX-AT], Tencent's cannot.
	MayMentionAll() bool
	// TencentUser returns who a Matrix user is in the group.
	TencentUser(mxid id.UserID) (userID, name string, ok bool)
	// TencentMessage returns the message of an event in the same group.
	TencentMessage(eventID id.EventID) (original Original, ok bool)
	// Link returns a link under which an mxc URI can be opened without an account; "" if there is none.
	Link(uri id.ContentURIString) string
}

// Original is a message that is replied to.
type Original struct {
	// MsgID is "" as long as it is not known; the reply then quotes in its text.
	MsgID string
	// UserID is who sent it, Name what he is called ("" if unknown).
	UserID, Name string
	// Abstract says in some words what was in it; see [Abstract].
	Abstract string
	// Seq is its place, Time when it was sent, in seconds since 1970; 0 if unknown.
	Seq  receipts.MsgSeq
	Time int64
}
