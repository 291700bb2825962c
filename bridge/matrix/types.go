package matrix

import (
	"context"
	"encoding/json"
	"time"

	"maunium.net/go/mautrix/id"
)

// Event is one room event as the homeserver pushed it, reduced to what the bridge looks at.
//
// Every id in it has been checked: it begins with its sigil, is at most 255 bytes and holds no NUL
// byte (which a PostgreSQL text column refuses). Content is always a JSON object, but nothing inside
// it has been checked: it was written by whoever sent the event.
type Event struct {
	ID     id.EventID
	RoomID id.RoomID
	Sender id.UserID
	// Type is the event type as sent, at most 255 bytes.
	Type string
	// StateKey is nil for events that are no state.
	StateKey *string
	// Content is the raw content. It shares memory with nothing that is reused later.
	Content json.RawMessage
	// Redacts is the event that an m.room.redaction removes (top level, or in the content since room
	// version 11), empty otherwise.
	Redacts id.EventID
	// Redacted tells that the event came without its content because it was redacted before it was
	// handed over (unsigned.redacted_because).
	Redacted bool
	// OriginServerTS is what the sender's homeserver claims; the zero time if it is absent or absurd.
	OriginServerTS time.Time
	// PrevMembership is the membership that an m.room.member event replaces, where the homeserver
	// says so (unsigned.prev_content), empty otherwise.
	PrevMembership string
	// RelType and RelatesTo are rel_type and event_id of m.relates_to: "m.thread", "m.replace",
	// "m.annotation" and so on. Empty when there is no relation or a malformed one.
	RelType   string
	RelatesTo id.EventID
	// ThreadRoot is the root of the thread that the event itself names (RelType m.thread). An event
	// that relates to a message of a thread in another way, such as a reaction, belongs to that
	// message's thread too, but only the receiver can know it.
	ThreadRoot string
}

// IsState tells whether the event is a state event.
func (e *Event) IsState() bool {
	return e.StateKey != nil
}

// Receipt is one m.read receipt of one user. Private receipts never become a Receipt, and the time
// that the homeserver gives is not kept: the bridge keeps no reading times.
type Receipt struct {
	RoomID  id.RoomID
	EventID id.EventID
	UserID  id.UserID
	// ThreadID is "main", the root of a thread, or empty for an unthreaded receipt.
	ThreadID string
	// HasThread tells whether a thread_id was there. In a pushed receipt its absence says nothing:
	// Synapse strips it on that way (seen on 1.160.0), so the receiver takes the smaller meaning.
	HasThread bool
	// Pushed tells that it came in a transaction and not by /sync.
	Pushed bool
}

// Intake takes what comes from the homeserver. The bridge core implements it.
//
// Calls of HandleTransaction never overlap each other, nor do those of HandleSync, but a transaction
// and a sync response may be handled at the same time. Neither call may keep the slices.
// The context carries a logger and ends only with the process, not with the homeserver's request.
type Intake interface {
	// HandleTransaction merges room events, in order, and then receipts, and returns after the commit.
	// An error means that nothing is sure to be stored: the homeserver gets a 500 and tries again.
	// The same events may come any number of times, under the same transaction id or others.
	HandleTransaction(ctx context.Context, events []Event, receipts []Receipt) error
	// HandleSync merges redactions and receipts and stores nextBatch, in one commit. Redactions come in
	// transactions too, where the homeserver pushes them.
	HandleSync(ctx context.Context, nextBatch string, redactions []Event, receipts []Receipt) error
	// SyncToken returns what HandleSync stored last, "" if nothing yet.
	SyncToken(ctx context.Context) (string, error)
}

// PushState is what is known about whether the homeserver pushes receipts in transactions.
type PushState int32

const (
	// PushUnknown means that no receipt has been seen on either way yet. /sync is long-polled.
	PushUnknown PushState = iota
	// PushYes means that receipts come in transactions, as on Synapse. /sync runs every
	// Config.SyncInterval to find what was lost on that way.
	PushYes
	// PushNo means that a receipt came by /sync and not in a transaction, as on Dendrite (0.15.2 has
	// no code for it). /sync is long-polled.
	PushNo
)

// String returns "unknown", "yes" or "no".
func (s PushState) String() string {
	switch s {
	case PushYes:
		return "yes"
	case PushNo:
		return "no"
	default:
		return "unknown"
	}
}
