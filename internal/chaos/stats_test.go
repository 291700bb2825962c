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
	pauses, takeovers         int // of replicas
	messages, receipts, moves int
	faults                    map[string]int
	deeds                     map[string]int           // what of the load is worth a count of its own
	gaps                      map[string]time.Duration // how long nobody answered at most, by what was done to the leader
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

// restartsOfHomeserver is how often the homeserver has lost what it had in memory.
func (s *stats) restartsOfHomeserver() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults["homeserver: restart"] + s.faults["homeserver: kill -9"] + s.faults["homeserver: gave up by itself"]
}

// did counts something of the load.
func (s *stats) did(deed string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deeds == nil {
		s.deeds = make(map[string]int)
	}
	s.deeds[deed]++
}

func (s *stats) add(counter *int, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*counter += n
}

// gap notes how long nobody answered after something was done to the leader.
func (s *stats) gap(how string, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gaps == nil {
		s.gaps = make(map[string]time.Duration)
	}
	s.gaps[how] = max(s.gaps[how], d)
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
	fmt.Fprintln(tab, "seed\tworld\tkill -9\tSIGTERM\trestarts\tSIGSTOP\ttakeovers\tfaults\tmessages\treceipts\tmoves\tchecked\tload\tsettled\tviolations")
	var sum stats
	faults, deeds, all := make(map[string]int), make(map[string]int), 0
	sum.gaps = make(map[string]time.Duration)
	for _, s := range runs {
		n := 0
		for deed, times := range s.deeds {
			deeds[deed] += times
		}
		for kind, times := range s.faults {
			faults[kind] += times
			n += times
		}
		for how, d := range s.gaps {
			sum.gaps[how] = max(sum.gaps[how], d)
		}
		all += n
		fmt.Fprintf(tab, "%d\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%d\n", s.seed, s.kind, s.kills, s.stops, s.restarts, s.pauses, s.takeovers, n,
			s.messages, s.receipts, s.moves, s.checked, s.load.Round(100*time.Millisecond), s.settled.Round(100*time.Millisecond), len(s.violations))
		sum.kills, sum.stops, sum.restarts = sum.kills+s.kills, sum.stops+s.stops, sum.restarts+s.restarts
		sum.pauses, sum.takeovers = sum.pauses+s.pauses, sum.takeovers+s.takeovers
		sum.messages, sum.receipts, sum.moves, sum.checked = sum.messages+s.messages, sum.receipts+s.receipts, sum.moves+s.moves, sum.checked+s.checked
		sum.violations = append(sum.violations, s.violations...)
		sum.load, sum.settled = sum.load+s.load, sum.settled+s.settled
	}
	fmt.Fprintf(tab, "%d seeds\t\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%d\n", len(runs), sum.kills, sum.stops, sum.restarts, sum.pauses, sum.takeovers, all,
		sum.messages, sum.receipts, sum.moves, sum.checked, sum.load.Round(time.Second), sum.settled.Round(time.Second), len(sum.violations))
	_ = tab.Flush()
	fmt.Fprintf(w, "faults by kind: %s\nof the load: %s\n", counted(faults), counted(deeds))
	for _, how := range slices.Sorted(maps.Keys(sum.gaps)) {
		fmt.Fprintf(w, "longest time until a request was answered again after %s of the leader: %s\n", how, sum.gaps[how].Round(10*time.Millisecond))
	}
}

func counted(counts map[string]int) string {
	var list []string
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, fmt.Sprintf("%s %d", what, counts[what]))
	}
	return strings.Join(list, ", ")
}
