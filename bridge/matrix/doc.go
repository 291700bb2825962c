// Package matrix is timbridge's Matrix side: an application service that hears what a homeserver has
// to say and speaks to it as the bot, as ghosts and as linked users.
//
// The one idea: nothing is answered before it is stored, and nothing is believed because of a 200.
//
// What comes in arrives on two ways. The homeserver pushes transactions (room events and, on Synapse,
// receipts); Handler takes them and answers 200 only after Intake has committed. And the bot reads its
// own /sync, which is the truth about receipts on every homeserver: pushed receipts get lost while we
// are away, after one failed transaction and in bursts, and some homeservers never push them. The
// token of /sync is committed together with the receipts it came with, so no restart skips any.
// All input may be repeated; the receiver merges sets, to which a repetition adds nothing.
//
// What goes out are single requests (SendReceipt, SendMessage, EnsureJoined, ...) without any retry of
// their own: the bridge core compares what it has with what Matrix shows and asks again. Errors tell
// what to do: errors.Is with ErrForbidden and its siblings is final, a *TemporaryError is not.
//
// Whatever the homeserver or a user sent is decoded piece by piece; a malformed piece drops only
// itself. JSON keys are matched exactly, never case-insensitively as encoding/json does for structs:
// a remote server may put a "SENDER" beside the "sender" of its event.
package matrix
