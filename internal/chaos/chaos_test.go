package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestChaos runs as many seeds as was asked for, each in a world of its own.
func TestChaos(t *testing.T) {
	first := *firstFlag
	for first == 0 {
		first = rand.Uint64N(1_000_000)
	}
	var runs []*stats
	for i := range *seedsFlag {
		seed := first + uint64(i)
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			runs = append(runs, runSeed(t, seed, kindOf(t, seed)))
		})
	}
	var table strings.Builder
	printTable(&table, runs)
	fmt.Print(table.String())
}

// kindOf is the kind of world of a seed.
func kindOf(t *testing.T, seed uint64) kind {
	var chosen []kind
	for _, k := range kinds() {
		if k.is(*kindFlag) {
			chosen = append(chosen, k)
		}
	}
	if len(chosen) == 0 {
		t.Fatalf("there is no kind %q", *kindFlag)
	}
	return chosen[seed%uint64(len(chosen))]
}

// maxPrinted is how many violations of a seed are printed: one cause has many.
const maxPrinted = 40

func runSeed(t *testing.T, seed uint64, k kind) *stats {
	repeat := fmt.Sprintf("make chaos SEED=%d SEEDS=1 KILLS=%d", seed, *killsFlag)
	if *kindFlag != "" {
		repeat += " KIND=" + *kindFlag
	}
	fmt.Printf("chaos: seed %d, %s; to repeat: %s\n", seed, k.name, repeat)
	w := newWorld(t, seed, k)
	w.populate(2, 4, 4)
	began := time.Now()
	if err := w.shake(); err != nil {
		w.stats.violated(violation{"process", "timbridge", "to run until it is ended", err.Error()})
	}
	w.stats.load = time.Since(began)
	w.settle()
	w.checkReplicas()
	w.deepCheck()
	for _, r := range w.replicas {
		if line := r.Crash(); line != "" {
			w.stats.violated(violation{"process", "timbridge", "no crash", line})
		}
	}
	w.stats.settled = time.Since(began) - w.stats.load
	w.stats.messages, w.stats.receipts = w.ledger.count()
	for i, v := range w.stats.violations {
		if i == maxPrinted {
			t.Errorf("... and %d more", len(w.stats.violations)-i)
			break
		}
		t.Errorf("VIOLATION seed %d (%s): %s", seed, k.name, v)
	}
	if len(w.stats.violations) > 0 {
		t.Logf("to repeat: %s", repeat)
		w.keep()
	}
	return w.stats
}

// shake is the load, with everything that breaks meanwhile. It ends when the process has been ended often enough.
func (w *world) shake() error {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	l := w.begin(ctx)
	for i, act := range w.faults() {
		a := actor{load: l, rand: w.rand(faultActors + 1 + uint64(i)), pace: act.pace}
		l.wg.Go(func() { a.loop(func() { act.do(&a) }) })
	}
	killer := actor{load: l, rand: w.rand(faultActors)}
	var err error
	if len(w.replicas) > 1 {
		err = killer.killReplicas(*killsFlag)
	} else {
		err = killer.killer(*killsFlag)
	}
	cancel()
	l.end()
	return err
}

type faultKind struct {
	pace time.Duration
	do   func(*actor)
}

func (w *world) faults() []faultKind {
	list := append(w.hs.faults(), faultKind{500 * time.Millisecond, func(a *actor) { a.repeat(a.rand) }})
	if w.kind.postgres {
		list = append(list, faultKind{4 * time.Second, (*actor).breakServer})
	} else { // these are about SQLite's files
		list = append(list, faultKind{4 * time.Second, (*actor).lockDatabase}, faultKind{3 * time.Second, (*actor).fillDisk})
	}
	if w.cloud != nil {
		list = append(list, faultKind{700 * time.Millisecond, (*actor).breakTencent}, faultKind{1500 * time.Millisecond, (*actor).breakWebhooks})
	}
	return list
}
