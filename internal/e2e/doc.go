// Package e2e holds the end-to-end tests: the timbridge that an operator runs, as a process, between real homeservers and
// V2TIM clients.
//
// The one idea: nothing is believed that only timbridge says. What goes to Matrix is looked for in another Matrix user's
// /sync, what goes to the app in a WebSocket or in the counts that any member can ask for. A "nothing happened" is asserted
// after something that came later has arrived.
//
// One Synapse and one Dendrite serve all cases ([lab.Run]); on each of them run a few timbridges, every one an application
// service of its own with its own folder and database, so that a case may stop or kill one without disturbing the others.
// Rooms, groups and users belong to one case alone, and the cases run in parallel.
//
// Groups in Tencent Cloud (tencent.mode cloud) have a homeserver of each kind for themselves. Tencent Cloud is played by
// tencenttest in this process; what goes there is looked for in what the app's users see.
package e2e
