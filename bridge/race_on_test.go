//go:build race

package bridge

const (
	// raceDetector watches: tests take several times as long.
	raceDetector = true
	// simRuns is how many stories TestSimulation plays if nothing else is said.
	simRuns = 10
)
