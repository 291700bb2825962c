// Package database opens the database that timbridge keeps its state in.
//
// The idea: whatever the operator writes as database.uri, a committed
// transaction must be on the disk, one process at a time must own the database, and
// what goes wrong must be said in words that tell him what to do. So this
// package, and not the operator's URI, chooses the SQLite settings
// (write-ahead log, synchronous=FULL, foreign keys, immediate transactions) and
// those of a PostgreSQL session (synchronous_commit), and an advisory lock, on a
// file beside the database or in a session of its own, keeps a second timbridge
// out. The tables belong to others (receipts/receiptsdb, mapping/mappingdb and
// package bridge); each brings its own upgrades.
package database
