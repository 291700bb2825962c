// Package receiptsdb keeps on a database what package receipts knows of readers:
// one row for each reader in each group, receipts whose event is not known yet
// (parked), and which senders have yet to be told of new counts (callbacks).
//
// It decides nothing. Rows are read, changed by the rules of package receipts and
// written back, all within one transaction: if the context carries a transaction
// of the same database (dbutil's DoTxn), every method joins it. Calls take batches,
// because this is the path that every receipt goes.
//
// A row that cannot be read (its sets carry checksums) stands in no other's way:
// it is among the results, with Row.Damage saying what is wrong, and is not written
// over. What to do about it is for the caller to say.
//
// The SQL is what SQLite and PostgreSQL have in common. Package receiptstest is
// the suite that a database must pass.
//
// A [Store] may be used by several goroutines. Two transactions that change the
// same rows must not overlap: on SQLite begin them as writers
// (_txlock=immediate), on PostgreSQL as serializable ones, and begin those anew
// that fail because they do.
package receiptsdb
