package mapping

import (
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/receipts"
)

// User is a person on either side, or one person on both.
type User struct {
	// Key is our own number of the user.
	Key UserKey
	// UserID is the Tencent UserID; for KindAccount that of the account we made.
	UserID string
	// MXID is the Matrix user: the ghost, the Matrix user himself, or the person
	// linked. It is "" only for an account that became an alias.
	MXID id.UserID
	// Kind says on which sides the user has an account of his own.
	Kind receipts.Kind
	// AliasOf is the linked user that this mx_ account was united into; 0 if none.
	// The alias keeps its messages and stays; they count as those of the linked user.
	AliasOf UserKey
}

// Person is the key under which the user's receipts are kept: his own, or that of
// the linked user whose alias he is.
func (u User) Person() UserKey {
	if u.AliasOf != 0 {
		return u.AliasOf
	}
	return u.Key
}

// Member is a person who is or was in a group. The stays of his aliases are among his own.
type Member struct {
	User       User
	Membership receipts.Membership
}
