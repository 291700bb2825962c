//go:build race

package bridge

// simRuns is how many stories TestSimulation plays if nothing else is said. The race detector makes each take several times as long.
const simRuns = 10
