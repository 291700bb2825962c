//go:build !race

package bridge

// simRuns is how many stories TestSimulation plays if nothing else is said.
const simRuns = 1000
