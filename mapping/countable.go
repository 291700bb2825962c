package mapping

import "encoding/json"

// Countable reports whether an event is a message: something that a reader reads
// and that gets a number. These are m.room.message, m.sticker, m.room.encrypted
// (what is inside cannot be seen; it is nearly always a message) and poll starts
// (m.poll.start, before it was stable org.matrix.msc3381.poll.start). An edit is
// never one: it changes a message. Nor are reactions, redactions, poll answers and
// anything else.
//
// eventType is that of an event that is no state event; the caller knows.
func Countable(eventType string, content json.RawMessage) bool {
	switch eventType {
	case "m.room.message", "m.sticker", "m.room.encrypted", "m.poll.start", "org.matrix.msc3381.poll.start":
		// The relation of an encrypted event stands in the clear.
		relType, _ := RelatesTo(content)
		return relType != relReplace
	default:
		return false
	}
}
