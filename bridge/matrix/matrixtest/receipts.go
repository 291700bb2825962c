package matrixtest

import (
	"encoding/json"
	"time"

	"maunium.net/go/mautrix/id"
)

// The types of receipts.
const (
	Read        = "m.read"
	ReadPrivate = "m.read.private"
	fullyRead   = "m.fully_read"
)

type receiptKey struct {
	user   id.UserID
	typ    string
	thread string
}

type receipt struct {
	event     id.EventID
	ts        int64
	stream    int64
	hasThread bool
}

// Receipt is a receipt as a client sees it.
type Receipt struct {
	User   id.UserID
	Event  id.EventID
	Type   string
	Thread string
}

// setReceipt does what /receipt does.
func (s *Server) setReceipt(roomID id.RoomID, user id.UserID, typ string, eventID id.EventID, thread string, hasThread bool) error {
	r := s.rooms[roomID]
	if r == nil {
		return forbidden("You are not in the room")
	}
	if typ == fullyRead {
		r.fullyRead[user] = eventID
		s.notify()
		return nil
	}
	ev := s.events[eventID]
	known := ev != nil && ev.room == roomID
	if !known && !s.opts.UnknownStored {
		return nil
	}
	if known && s.opts.StrangersForbidden && !r.visible(ev, user) {
		return forbidden("You don't have permission to access that event.")
	}
	if !s.opts.KeepThreads {
		thread, hasThread = "", false
	}
	if hasThread && known && !s.inThread(ev, thread) {
		return badParam("event_id is not related to the given thread_id.")
	}
	key := receiptKey{user: user, typ: typ, thread: thread}
	if old := r.receipts[key]; old != nil && s.opts.OlderIgnored && known {
		if oldEvent := s.events[old.event]; oldEvent != nil && ev.stream <= oldEvent.stream {
			return nil
		}
	}
	set := &receipt{event: eventID, ts: time.Now().UnixMilli(), stream: s.next(), hasThread: hasThread}
	r.receipts[key] = set
	if typ == Read || s.opts.PushPrivate {
		s.queueReceipt(r, key, set)
	}
	s.notify()
	return nil
}

// visible tells whether a user may see an event: all while he is in the room (with visibility "joined"
// only what came since), and what he could see before he left.
func (r *room) visible(ev *event, user id.UserID) bool {
	m := r.members[user]
	switch {
	case m == nil || m.since == 0:
		return false
	case r.visibility == "joined" && ev.stream < m.since:
		return false
	case m.membership == "join":
		return true
	default:
		return ev.stream <= m.until
	}
}

// inThread tells whether a receipt in that thread may name the event.
func (s *Server) inThread(ev *event, thread string) bool {
	root := ev.thread()
	if thread == "main" {
		return root == ""
	}
	return root == thread || string(ev.id) == thread
}

// receiptContent encodes receipts as the content of m.receipt.
func receiptContent(receipts map[receiptKey]*receipt, withThread bool) json.RawMessage {
	content := make(map[id.EventID]map[string]map[id.UserID]map[string]any)
	for key, set := range receipts {
		if content[set.event] == nil {
			content[set.event] = make(map[string]map[id.UserID]map[string]any)
		}
		if content[set.event][key.typ] == nil {
			content[set.event][key.typ] = make(map[id.UserID]map[string]any)
		}
		value := map[string]any{"ts": set.ts}
		if set.hasThread && withThread {
			value["thread_id"] = key.thread
		}
		content[set.event][key.typ][key.user] = value
	}
	return mustJSON(content)
}
