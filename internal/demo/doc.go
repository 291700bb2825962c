// Command demo shows timbridge at work: `make demo`.
//
// The one idea: nothing is taken on trust. A real Dendrite and the real bin/timbridge run on loopback in a temporary folder;
// two Matrix users and two V2TIM users share a group. Everything that is done is printed as a call, and everything that the
// other side is then told is waited for where a person would see it: in another Matrix user's /sync, or on a V2TIM user's
// WebSocket. What does not arrive ends the demo with exit code 1. In the end nothing is left, neither a process nor the
// folder.
//
// The second part shows tencent.mode cloud with a second timbridge beside the first and with the same Matrix users. Tencent
// Cloud is the one thing that cannot be here: `timbridge sim`, a third process, plays it and its users, told what they do by
// POST /sim, as a newcomer would. What it prints of calls and webhooks is checked as well.
//
// With KEEP=1 it stays, prints how to go on by hand, and shows what arrives until Ctrl-C.
//
//	main.go        signals, environment, exit code
//	house.go       what runs: Dendrite, both timbridges, sim, their folder
//	instance.go    one timbridge and its config
//	sim.go         timbridge sim: what people do there, and what passes through it
//	process.go     a child process that is never left behind
//	people.go      the users of Matrix and of the V2TIM API, and what they have received
//	story.go       the demo from start to end, and what its steps share
//	steps.go       the steps of part 1
//	cloudstory.go  part 2, and what its steps share
//	cloudsteps.go  the steps of part 2
//	show.go        the output
//	keep.go        KEEP=1: how to go on by hand
//	watch.go       KEEP=1: what arrives meanwhile
package main
