// Package receipts holds the one idea of timbridge: a receipt only ever adds.
//
// What a reader has read in a group is a set of messages that only grows. Two
// places that know such a set (Tencent and Matrix) are brought into step by
// taking the union, and a union does not care in which order things come or how
// often: duplicates, echoes and loops add nothing, and what adds nothing is done.
// So there is no queue here, no "sent already" flag and no list of echoes.
//
// # Two orders
//
// Tencent numbers the messages of a group ([MsgSeq]). A Matrix room has its
// events in the order in which they arrived ([Pos]). The two orders differ: a
// late message is appended late, and a Matrix message gets its number after its
// event exists. All Tencent rules speak of MsgSeq alone, all Matrix rules ("read
// up to here") of Pos alone. The types keep them apart.
//
// # From Matrix, to Matrix, to Tencent
//
// A [Reader] is one person in one group. [Reader.AddTencent] takes what Tencent
// says, [Claims.Raise] and [Reader.Expand] what the person told Matrix ("I have
// read up to this event"). Merging filters nothing. Output does: [Reader.Marker]
// is the event that Matrix should show for him, [Reader.PendingAcks] the messages
// that Tencent should be told about.
//
// A marker of Matrix says "everything up to here", which may be more than a set
// says. For a person whose own marker comes back to us as if he had set it we
// therefore only send what is true: the frontier ([Reader.Advance]) is the place
// up to which everything that wants a receipt has been read.
//
// # What is not here
//
// The package is pure: no I/O, no clock, no goroutine, no Matrix, no HTTP. Values
// are immutable or belong to their caller; functions are safe for concurrent use
// as long as no two goroutines change the same Reader. Package receiptsdb keeps
// readers on a database.
package receipts
