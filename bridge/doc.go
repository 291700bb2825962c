// Package bridge keeps the read receipts of Tencent Cloud Chat groups and of Matrix rooms in step.
//
// It is where the parts meet. The rules are in package receipts, what belongs to what is in package mapping, and the two sides
// are spoken to by the adapters bridge/matrix and bridge/v2tim, which know nothing of each other. What is left for this package
// is one way through the house, the same for every input:
//
//	source → decode and check (adapter) → merge into the database, one commit for many inputs → answer the source
//	                                           ↓ marks readers as due
//	                        reconcilers: → Matrix receipts, → Matrix messages, → room members, → onRecv callbacks
//
// Nothing is answered before it is durable, and nothing waits in memory: whatever still has to reach the other side is the
// difference between what is known and what the other side is known to have, and is computed anew after every restart.
//
// A program that wants to embed timbridge calls New with a configuration and a database of its own, mounts the two handlers or
// lets Run listen, and stops it by ending the context.
package bridge
