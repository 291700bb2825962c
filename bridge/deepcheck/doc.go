// Package deepcheck looks through a whole database of timbridge and says what in it cannot be: references to nothing, counters
// that are off, markers ahead of what was read, sets that no longer match the places of their messages.
//
// It knows the tables of packages mappingdb, receiptsdb and bridgedb, because most of what must hold lies between them. A change of
// a schema, or of a rule in package receipts, may need one here; the tests of package bridge end with a check of their databases, so
// that it is noticed.
//
// A check only reads. What belongs together is read in one transaction, a group at a time, so it may run beside a working timbridge;
// and it reads in pages, so that memory depends on the number of readers of a group and not of messages. It takes all the time that
// reading everything takes: some ten seconds for a million messages.
package deepcheck
