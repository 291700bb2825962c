// Package mappingdb keeps the mapping of groups, messages, events and users on a
// database (SQLite or PostgreSQL, through dbutil).
//
// The schema itself enforces that everything is one-to-one (upgrades/*.sql).
// Before it comes to that, calls look for what stands in the way and say it in a
// [mapping.ConflictError]; a call that returns an error has changed nothing.
// Saying again what is known changes nothing and is no error.
//
// Every call joins the transaction in its context, if there is one (see
// dbutil.Database.DoTxn), and is atomic by itself otherwise. A conflict leaves a
// surrounding transaction usable. Lookups take many keys at once and their cost
// does not depend on how much is stored.
//
// A room gives places (Pos) to its events in the order in which [Store.Append]
// hears of them. Messages keep theirs for ever; of the other events ("anchors")
// the last 2,000 of each room are kept. Only [Store.Insert] moves places.
package mappingdb
