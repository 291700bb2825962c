// Package standby lets several timbridges stand behind one address.
//
// The idea: one of them works, the leader, and the others stand by. Whatever reaches one that stands by (a transaction of the homeserver,
// a call or WebSocket of an app, a webhook) it passes on to the leader, so that it makes no difference which one is asked. There is one
// leader because what timbridge does is one queue of commits; many writers would only wait for each other.
//
// Who leads is decided by the lock on the PostgreSQL database (package database). When it is free, the first to take it leads. When
// its holder has said nothing for a while, its session is ended, and the lock is free. A leader that was only asleep then finds that
// another has begun to write: its commits fail (the fence of package bridge), it stops, and stands by. So nothing is done twice,
// whoever is wrong about whom.
//
// [Run] is the life of such a process, [Receive] the leader's side of passing on.
package standby
