// Package bridgedb keeps what the bridge itself must remember across a restart and that is neither a receipt (package
// receiptsdb) nor a mapping (package mappingdb): small named values, messages on their way to Matrix, ghosts on their way
// into or out of a room, and the last days of new messages for apps that were away.
//
// Every table here is a list of work or a log with an end. Nothing in it is needed to know who has read what.
package bridgedb
