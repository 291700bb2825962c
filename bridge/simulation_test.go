package bridge

import (
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/config"
)

// simResult is what came of a run.
type simResult struct {
	simStats
	wrong   []string
	told    []string
	virtual time.Duration
}

// maxViolations is how many stories that go wrong are looked into: one cause has many.
const maxViolations = 3

// TestSimulation plays made-up stories on the real bridge with the real stores, between two faked sides, in virtual time, and compares
// what has come of them with a plain model. A seed has one story; what happens at the same instant may still happen in another order.
//
// TIMBRIDGE_SIMULATION=10000 plays that many, TIMBRIDGE_SIMULATION_SEED=n begins with story n.
func TestSimulation(t *testing.T) {
	runs, first := simNumber(t, "TIMBRIDGE_SIMULATION", simRuns), simNumber(t, "TIMBRIDGE_SIMULATION_SEED", 1)
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a run leaves much behind
	sims := simulations{first: first, runs: runs, templates: make(map[simKind]simTemplate)}
	t.Run("stories", func(t *testing.T) {
		for range runtime.GOMAXPROCS(0) {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for sims.next(t) {
				}
			})
		}
	})
	total := sims.total
	t.Logf("%d runs from seed %d on: %d steps in %s of virtual time, %d restarts, %d times the clock was set",
		sims.begun, first, total.steps, total.virtual.Round(time.Minute), total.restarts, total.jumps)
}

// simulations are the stories of a run, which several play at once.
type simulations struct {
	first, runs int

	mu                sync.Mutex
	begun, violations int
	templates         map[simKind]simTemplate
	total             simResult
}

// next plays the next story; it returns false when there is none.
func (sims *simulations) next(t *testing.T) bool {
	story, template, ok := sims.begin(t)
	if !ok {
		return false
	}
	r := template.play(t, story)
	if sims.end(r) {
		template.report(t, story, r)
	}
	return true
}

func (sims *simulations) begin(t *testing.T) (story simStory, template simTemplate, ok bool) {
	sims.mu.Lock()
	defer sims.mu.Unlock()
	if sims.begun == sims.runs {
		return story, template, false
	} else if sims.violations == maxViolations {
		t.Errorf("the last %d runs are left out", sims.runs-sims.begun)
		return story, template, false
	}
	story = newSimStory(uint64(sims.first + sims.begun)) //nolint:gosec // never negative
	sims.begun++
	template, ok = sims.templates[story.kind]
	if !ok {
		template = newSimTemplate(t, story.kind)
		sims.templates[story.kind] = template
	}
	return story, template, true
}

func (sims *simulations) end(r simResult) (wrong bool) {
	sims.mu.Lock()
	defer sims.mu.Unlock()
	total := &sims.total
	total.steps, total.restarts, total.jumps, total.virtual = total.steps+r.steps, total.restarts+r.restarts, total.jumps+r.jumps, total.virtual+r.virtual
	if wrong = len(r.wrong) > 0; wrong {
		sims.violations++
	}
	return wrong
}

func simNumber(t *testing.T, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, name)
	return n
}

// simStory is what a seed stands for.
type simStory struct {
	seed  uint64
	kind  simKind
	steps []simStep
}

func newSimStory(seed uint64) simStory {
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // repeatable, no secret
	k := simKind{cloud: r.IntN(2) == 0, dendrite: r.IntN(3) == 0, contiguous: r.IntN(4) == 0}
	return simStory{seed, k, simSteps(r, k)}
}

// simTemplate is what all simulations of a kind begin with: a configuration, and a disk on which a bridge has made its tables.
type simTemplate struct {
	cfg     *config.Config
	content []byte
}

func newSimTemplate(t *testing.T, k simKind) simTemplate {
	cfg, err := simConfig(k)
	require.NoError(t, err)
	disk := newSimDisk(t, nil)
	defer disk.close()
	db := disk.open(t, newSimPower())
	defer db.Close()
	b, err := New(cfg, db, zerolog.Nop())
	require.NoError(t, err)
	require.NoError(t, b.prepare(t.Context()))
	return simTemplate{cfg, disk.content(t)}
}

// play plays one story, from nothing to the comparison.
func (template simTemplate) play(t *testing.T, story simStory) (r simResult) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(t, story.kind, story.seed, template)
		defer func() {
			if failed := recover(); failed != nil && failed != any(simFailed{}) {
				panic(failed)
			} else if failed != nil {
				r.wrong = s.t.problems
			}
			r.told, r.simStats, r.virtual = s.told, s.simStats, time.Since(s.began)
			s.close()
		}()
		s.populate(2, 3, 3)
		s.play(story.steps)
		r.wrong = s.settle()
	})
	return r
}

// report looks for the shortest story that still goes wrong, and fails the test with it.
func (template simTemplate) report(t *testing.T, story simStory, r simResult) {
	t.Helper()
	for size := len(story.steps) / 2; size > 0; size /= 2 {
		for from := 0; from < len(story.steps); {
			shorter := story
			shorter.steps = slices.Delete(slices.Clone(story.steps), from, min(from+size, len(story.steps)))
			if now := template.play(t, shorter); len(now.wrong) > 0 {
				story, r = shorter, now
			} else {
				from += size
			}
		}
	}
	t.Errorf("seed %d (%s), TIMBRIDGE_SIMULATION=1 TIMBRIDGE_SIMULATION_SEED=%d:\n%s\nThe shortest story:\n\t%s",
		story.seed, story.kind, story.seed, strings.Join(r.wrong[:min(len(r.wrong), 10)], "\n"), strings.Join(r.told, "\n\t"))
}
