// Command demo shows timbridge at work: `make demo`.
//
// The one idea: nothing is taken on trust. A real Dendrite and the real bin/timbridge run on loopback in a temporary folder;
// two Matrix users and two V2TIM users share a group. Everything that is done is printed as a call, and everything that the
// other side is then told is waited for where a person would see it: in another Matrix user's /sync, or on a V2TIM user's
// WebSocket. What does not arrive ends the demo with exit code 1. In the end nothing is left, neither a process nor the
// folder.
//
// With KEEP=1 it stays, prints how to go on by hand, and shows what arrives until Ctrl-C.
//
//	main.go      signals, environment, exit code
//	house.go     what runs: Dendrite, timbridge, their folder
//	process.go   a child process that is never left behind
//	people.go    the four users and what they have received
//	story.go     the demo from start to end, and what its steps share
//	steps.go     the steps
//	show.go      the output
//	keep.go      KEEP=1
package main
