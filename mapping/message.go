package mapping

import (
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/receipts"
)

// Message is a message and, where known, the event that it is.
type Message struct {
	receipts.Message
	// Group is the group that it belongs to, for ever.
	Group GroupKey
	// RoomID is the room of its event; "" while it has none. It may be a room that
	// the group was mapped to earlier; Pos is 0 then.
	RoomID id.RoomID
	// Random is Tencent's MsgRandom, the third part of a msgID. It means something
	// only with HasRandom.
	Random    uint32
	HasRandom bool
}

// NewEvent is an event of a room that has just become known.
type NewEvent struct {
	EventID id.EventID
	// Thread is the root of its thread, "" in the main timeline.
	Thread string
	// Gap: it may still become a message, because its mapping comes from elsewhere.
	Gap bool
	// At is when it arrived here; it is kept for gaps only.
	At time.Time
}

// Place is where an event stands.
type Place struct {
	EventID id.EventID
	RoomID  id.RoomID
	// Pos is its place in RoomID; 0 if the event is known (as a message) but was
	// never seen in the room.
	Pos receipts.Pos
	// Thread is the root of its thread, "" in the main timeline.
	Thread string
	// Known: it had its place before the call that returned this.
	Known bool
}
