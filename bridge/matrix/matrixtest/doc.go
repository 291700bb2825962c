// Package matrixtest is a homeserver in the test's own process, strict where a bridge could go wrong.
//
// It keeps rooms, members, events and receipts in memory, answers the part of the client-server API
// that a bridge uses, and pushes transactions to application services. What differs between
// homeservers is a field of Options; Synapse and Dendrite give the sets that were seen on Synapse
// 1.160.0 and Dendrite 0.15.2. Among what they get "wrong" on purpose: a 200 for receipts that are then
// ignored, transaction ids that start again, retries with more events under the same id, receipts
// that are lost when a transaction fails.
//
// Ordinary users are User values whose methods act at once, without HTTP; what they see is what /sync
// would tell them. Each also has a token by which any Matrix client can act over HTTP.
//
// Tests wait with Server.WaitFor and never sleep. New registers its own clean-up with the test.
package matrixtest
