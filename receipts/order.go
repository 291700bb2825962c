package receipts

// MsgSeq is Tencent's number of a message within a group. It rises by one with
// each ordinary message and is unique in its group; 0 means none. Source:
// https://trtc.io/document/33526.
type MsgSeq uint64

// Pos is the place of an event in a room: its number in the order in which the
// homeserver handed the room's events over. The first event has 1; 0 means none.
// It is our own number and has a meaning only within one room. It changes when an
// event that was never handed over gets its place (see [Reader.Insert]).
type Pos int64

// UserKey is our own number of a user; 0 means none or unknown.
type UserKey int64

// GroupKey is our own number of a group; 0 means none.
type GroupKey int64

// Kind says on which sides a user has an account of his own.
type Kind uint8

const (
	// KindGhost is a Tencent user. On Matrix he is a ghost that we move.
	KindGhost Kind = iota
	// KindAccount is a Matrix user. In Tencent he is an account that we made.
	KindAccount
	// KindLinked is one person with an account of his own on both sides.
	KindLinked
)

// String returns the name used in storage and logs: ghost, account or linked.
func (k Kind) String() string {
	switch k {
	case KindGhost:
		return "ghost"
	case KindAccount:
		return "account"
	case KindLinked:
		return "linked"
	default:
		return "unknown"
	}
}

// Policy is how the single marker of a ghost on Matrix is chosen from the set of
// messages that he has read.
type Policy uint8

const (
	// PolicyLatest shows the last message that he has read, whatever he skipped.
	PolicyLatest Policy = iota
	// PolicyContiguous shows the last message up to which he skipped nothing.
	PolicyContiguous
)

// String returns the name used in the config: latest or contiguous.
func (p Policy) String() string {
	switch p {
	case PolicyLatest:
		return "latest"
	case PolicyContiguous:
		return "contiguous"
	default:
		return "unknown"
	}
}
