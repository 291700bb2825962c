// Package chaos breaks things on purpose: the timbridge that an operator runs, as a process, between a homeserver, apps and Tencent
// Cloud of which each fails in every way it can, while people on both sides write, edit, read, come and go.
//
// One run has one seed, from which all choices come ([math/rand/v2.PCG]; what a choice meets depends on the moment, so the same seed
// gives the same load and the same faults, not the same instant of each). It has three parts:
//
//   - the load and the faults, until the process has been killed as often as was asked for;
//   - everything is let go: no faults any more, and a bounded wait until nothing is on its way;
//   - both sides are compared with a plain model, which knows only what people did and what they were answered. It must hold that
//     what one side was told "ok" for has reached the other side, once, and that nobody has read what he did not read. In the end the
//     database must pass `timbridge check --deep`, and the log must have no panic in it.
//
// What a call did that was never answered nobody can know, so the model has two sets for each reader: what he must have read and what
// he may have read. Everything else in it is exact, or says why it is not.
//
// # What breaks
//
// The process: SIGKILL and SIGTERM at any time, also while it starts. Its files: a disk that is full, or almost (the size of its files
// is limited from outside, while it runs and before it starts), and a database that somebody else holds locked, for less and for more
// than timbridge waits. What is refused then may come again; what is answered "ok" is there; and it goes on by itself. The ways to it
// and from it: 502, 429, lost requests, lost or halved answers, time-outs, outages, transactions that come again under the same ID,
// under another, with more in them. Tencent Cloud: everything of that in each command, done or not; webhooks that are lost, doubled,
// late, out of order. The homeserver: restarts, and where it is a real one kill -9.
//
// Where the database is a PostgreSQL server, that breaks in place of the files: it is restarted, crashes, and parts from one timbridge, in
// the middle of a commit too. Where several replicas are on it, behind balancers that choose one for each connection, one or two of three
// at a time are ended by SIGKILL or SIGTERM, or hang (SIGSTOP) for longer than the others bear with, the leader half of the time. They must
// not end by themselves, and in the end each of them must answer. How long nobody answered after something was done to the leader is
// measured.
//
// # Kinds of world
//
// Each seed has one of the [kinds], in turn: standalone and cloud, both policies of markers, people who are linked and unlinked, a
// group that is unlinked and linked, PostgreSQL with one timbridge and with replicas, on the fake homeserver (as Synapse and as
// Dendrite) and on a real Synapse and a real Dendrite (internal/lab; skipped where they have not been fetched). On a real one people
// act slower, what an action without an answer has done is looked up in the room, and an event's place is that in which timbridge was
// told of it: Dendrite, stopped in the middle of telling, goes on with what came later. Whom that concerns is judged less strictly,
// and the code says where.
//
// `make chaos` runs it with SEEDS and KILLS and prints a table; KIND=synapse and KIND=dendrite choose the real homeservers. A short run on
// the fake ones, one of them with replicas, is part of `make test`.
package chaos
