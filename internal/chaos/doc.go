// Package chaos breaks things on purpose: the timbridge that an operator runs, as a process, between a homeserver, apps and Tencent
// Cloud of which each fails in every way it can, while people on both sides write, read, come and go.
//
// One run has one seed, from which all choices come ([math/rand/v2.PCG]; what a choice meets depends on the moment, so the same seed
// gives the same load and the same faults, not the same instant of each). It has three parts:
//
//   - the load and the faults, until the process has been killed as often as was asked for;
//   - everything is let go: no faults any more, and a bounded wait until nothing is on its way;
//   - both sides are compared with a plain model, which knows only what people did and what they were answered. It must hold that
//     what one side was told "ok" for has reached the other side, once, and that nobody has read what he did not read.
//
// What a call did that was never answered nobody can know, so the model has two sets for each reader: what he must have read and what
// he may have read. Everything else in it is exact, or says why it is not.
//
// `make chaos` runs it with SEEDS and KILLS and prints a table; a short run is part of `make test`.
package chaos
