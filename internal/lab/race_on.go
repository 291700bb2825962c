//go:build race

package lab

// raced tells that the race detector is on: then the program under test has it too, and a race in it is an exit code other
// than 0.
const raced = true
