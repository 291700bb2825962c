package receipts

import "time"

// Wants says whether a message was sent with needReadReceipt. Tencent keeps
// receipts only for messages sent with it (https://trtc.io/document/34348, 10062)
// and does not say in its webhooks which ones these are, hence the third value.
type Wants uint8

const (
	// WantsUnknown: not known yet.
	WantsUnknown Wants = iota
	// WantsYes: sent with needReadReceipt.
	WantsYes
	// WantsNo: sent without it; Tencent keeps no receipts for the message.
	WantsNo
)

// String returns unknown, yes or no.
func (w Wants) String() string {
	switch w {
	case WantsYes:
		return "yes"
	case WantsNo:
		return "no"
	default:
		return "unknown"
	}
}

// Message is what the rules know of a message. Any part but Seq may be missing:
// an acknowledgement may come before its message.
type Message struct {
	// Seq is the message's number in its group.
	Seq MsgSeq
	// Pos is its place in the group's current room; 0 while it has none.
	Pos Pos
	// EventID is its Matrix event, MsgID its Tencent SDK id; "" while unknown.
	EventID, MsgID string
	// Thread is the event ID of the root of its thread; "" in the main timeline.
	// The root of a thread is itself in the main timeline.
	Thread string
	// Sender is who sent it; 0 while unknown.
	Sender UserKey
	// Wants says whether it was sent with needReadReceipt.
	Wants Wants
	// Recalled: taken back by its sender. OnlineOnly: sent to those online alone,
	// never stored; Tencent keeps no receipts for such (code 10061).
	Recalled, OnlineOnly bool
	// At is when it was sent, or first seen by us if that is all we know.
	At time.Time
}

// mayNeed reports whether self could still be asked for a receipt of m: sent by
// somebody else, not taken back, not known to do without. An unknown sender counts
// as somebody else and an unknown wish as a wish: both may turn out so.
func (m Message) mayNeed(self UserKey) bool {
	return m.Wants != WantsNo && !m.Recalled && !m.OnlineOnly && (m.Sender == 0 || m.Sender != self)
}

// Entry is what stands at one place of a room: a message, or a Gap. A Gap is an
// event that may still become a message (its mapping has not come yet); of a Gap
// only Pos and At, its arrival, are set.
type Entry struct {
	Message
	Gap bool
}
