package chaos

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// stats counts what a run consisted of.
type stats struct {
	mu                        sync.Mutex
	kills, stops, restarts    int
	messages, receipts, moves int
	faults                    map[string]int
	kind                      string
	seed                      uint64
	load, settled             time.Duration
	violations                []violation
	checked                   int // comparisons that were made
}

// violation is something that does not hold.
type violation struct {
	rule, about     string
	expected, found string
}

func (v violation) String() string {
	return fmt.Sprintf("%s: %s: expected %s, found %s", v.rule, v.about, v.expected, v.found)
}

func (s *stats) fault(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults == nil {
		s.faults = make(map[string]int)
	}
	s.faults[kind]++
}

func (s *stats) add(counter *int, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*counter += n
}

// violated notes what was found during the run; what is compared at the end is added then.
func (s *stats) violated(v violation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.violations = append(s.violations, v)
}

// printTable writes what all runs came to.
func printTable(w io.Writer, runs []*stats) {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "seed\tworld\tkill -9\tSIGTERM\trestarts\tfaults\tmessages\treceipts\tmoves\tchecked\tload\tsettled\tviolations")
	var sum stats
	faults, all := make(map[string]int), 0
	for _, s := range runs {
		n := 0
		for kind, times := range s.faults {
			faults[kind] += times
			n += times
		}
		all += n
		fmt.Fprintf(tab, "%d\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%d\n", s.seed, s.kind, s.kills, s.stops, s.restarts, n,
			s.messages, s.receipts, s.moves, s.checked, s.load.Round(100*time.Millisecond), s.settled.Round(100*time.Millisecond), len(s.violations))
		sum.kills, sum.stops, sum.restarts = sum.kills+s.kills, sum.stops+s.stops, sum.restarts+s.restarts
		sum.messages, sum.receipts, sum.moves, sum.checked = sum.messages+s.messages, sum.receipts+s.receipts, sum.moves+s.moves, sum.checked+s.checked
		sum.violations = append(sum.violations, s.violations...)
		sum.load, sum.settled = sum.load+s.load, sum.settled+s.settled
	}
	fmt.Fprintf(tab, "%d seeds\t\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%d\n", len(runs), sum.kills, sum.stops, sum.restarts, all,
		sum.messages, sum.receipts, sum.moves, sum.checked, sum.load.Round(time.Second), sum.settled.Round(time.Second), len(sum.violations))
	_ = tab.Flush()
	var lines []string
	for _, kind := range slices.Sorted(maps.Keys(faults)) {
		lines = append(lines, fmt.Sprintf("%s %d", kind, faults[kind]))
	}
	fmt.Fprintf(w, "faults by kind: %s\n", strings.Join(lines, ", "))
}
