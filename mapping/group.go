package mapping

import (
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/receipts"
)

// GroupKey and UserKey are our own numbers of groups and users: small, given
// once, never reused.
type (
	GroupKey = receipts.GroupKey
	UserKey  = receipts.UserKey
)

// SeqSource says who numbers the messages of a group. It is fixed when the group
// is mapped; only cloud may become own, when an app leaves Tencent Cloud (the
// numbers then go on where Tencent stopped).
type SeqSource string

const (
	// SeqSourceOwn: we number, in the order in which events arrive.
	SeqSourceOwn SeqSource = "own"
	// SeqSourceStamped: another bridge writes the number into its events, see [ParseStamp].
	SeqSourceStamped SeqSource = "stamped"
	// SeqSourceCloud: Tencent Cloud numbers.
	SeqSourceCloud SeqSource = "cloud"
)

// Valid reports whether s is one of the three sources.
func (s SeqSource) Valid() bool {
	return s == SeqSourceOwn || s == SeqSourceStamped || s == SeqSourceCloud
}

// Becomes reports whether a group numbered by s may be numbered by next from now on.
func (s SeqSource) Becomes(next SeqSource) bool {
	return s == next || s == SeqSourceCloud && next == SeqSourceOwn
}

// Group is a Tencent group and the room that it is mapped to.
type Group struct {
	// Key is our own number of the group.
	Key GroupKey
	// GroupID is Tencent's name of it, see [ValidateGroupID].
	GroupID string
	// RoomID is the room that it is mapped to now; "" if it is mapped to none.
	RoomID id.RoomID
	// SeqSource says who numbers its messages.
	SeqSource SeqSource
	// Type is Tencent's group type: Public, Work, Meeting; "" if not known.
	Type string
	// Name is the group's name for people; may be empty.
	Name string
	// LastSeq is the highest number that any of its messages has, or was given by NextSeq.
	LastSeq receipts.MsgSeq
	// LinkedPos is the last place in the room before the group was linked with it.
	// Imported groups may not know theirs.
	LinkedPos      receipts.Pos
	LinkedPosKnown bool
	// ToMatrix and ToTencent say whether receipts flow in that direction.
	ToMatrix, ToTencent bool
}

// Counts is how much is mapped.
type Counts struct {
	// Groups is the number of groups known, Mapped that of groups with a room.
	Groups, Mapped int64
	// Messages is the number of messages known, with or without an event.
	Messages int64
	// Users is the number of users known: ghosts, accounts and linked ones.
	Users int64
}
