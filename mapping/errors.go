package mapping

import "errors"

// What callers branch on.
var (
	// ErrNotFound: there is no such group, user or message.
	ErrNotFound = errors.New("not found")
	// ErrConflict is what every [ConflictError] is.
	ErrConflict = errors.New("something else stands in the way")
	// ErrInvalid is what every complaint about the form of an id or record is.
	ErrInvalid = errors.New("invalid")
)

// ConflictError says that a mapping would break the one-to-one rule. Nothing has
// been changed.
type ConflictError struct {
	// What is the kind of thing that is taken: group, room, event, message, msgID,
	// user, MXID or place.
	What string
	// Key is the one that is taken, Holder what has it. They are words for people,
	// with quotes where an id could be misread.
	Key, Holder string
}

// Error returns for example: room !a:b is already mapped to group "g1".
func (e *ConflictError) Error() string { return e.What + " " + e.Key + " is already " + e.Holder }

// Is makes errors.Is(err, ErrConflict) true.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }
