// Package mapping knows what is the same thing on both sides: which Tencent group
// is which Matrix room, which message which event, which user which MXID.
//
// Everything is one-to-one, and that is what keeps receipts from crossing between
// groups: a message belongs to one group, an event to one room, a group to one
// room at a time. Whoever tries to break this gets a [ConflictError] that says
// what stands in the way; saying the same thing again changes nothing.
//
// This package holds the types and the pure rules:
//
//   - names.go: how users and groups may be called, what a ghost and an mx_
//     account are named;
//   - msgid.go: the message IDs that we give where Tencent gives none;
//   - countable.go, relation.go: which events are messages, and in which thread;
//   - stamp.go: what another bridge writes into its events so that we know them;
//   - ndjson.go, import.go, export.go: all of it as a text file and back.
//
// Package mappingdb keeps the mapping on a database.
package mapping
