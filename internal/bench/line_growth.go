package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// growth is what a receipt costs in a town of some size.
type growth struct {
	what  string
	cpu   Value // microseconds of CPU for each
	rate  Value // a second
	idle  float64
	after float64 // MB, when all groups have been active
}

// flat is what "flat" allows the largest to cost, of the smallest.
const flat = 1.3

// measureGrowthMessages: what a receipt costs with ever more messages mapped.
func measureGrowthMessages(ctx context.Context, s *suite) error {
	counts := []int{1_000, 100_000}
	if s.large {
		counts = append(counts, 10_000_000)
	}
	var all, onPostgres []growth
	for _, count := range counts {
		what, t := number(float64(count))+" messages", town{groups: 20, messages: count / 20, matrixUsers: 50}
		// In the smallest town there are so many to send, the transactions that are not counted included.
		n := min(100, counts[0]*t.matrixUsers/perTransaction/(s.runs+1))
		g, err := s.grow(ctx, what, t, n, "")
		if err != nil {
			return err
		}
		all = append(all, g)
		err = s.onPostgres(ctx, func(uri string) (err error) {
			g, err = s.grow(ctx, what, t, n, uri)
			onPostgres = append(onPostgres, g)
			return err
		})
		if err != nil {
			return err
		}
	}
	s.growthLines(all, onPostgres)
	return nil
}

// measureGrowthGroups: what a receipt costs with ever more groups. Each transaction speaks of ten groups.
func measureGrowthGroups(ctx context.Context, s *suite) error {
	var all []growth
	for _, n := range []int{10, 1_000, 10_000} {
		messages := 20
		if n == 10 {
			messages = 200 * (s.runs + 1) // else there would be too few to read
		}
		g, err := s.grow(ctx, number(float64(n))+" groups", town{groups: n, messages: messages, matrixUsers: 10}, max(200, n/10/s.runs), "")
		if err != nil {
			return err
		}
		all = append(all, g)
	}
	s.growthLines(all, nil)
	last := all[len(all)-1]
	s.add(Line{
		Name: "memory with 10,000 active groups", Unit: "MB", Ours: value("", last.after), Targets: []Goal{atMost("≤ 300 MB", last.after, 300)},
		Note: fmt.Sprintf("before their first receipt %s MB", number(last.idle)),
	})
	return nil
}

func (s *suite) growthLines(all, onPostgres []growth) {
	first, last := all[0], all[len(all)-1]
	// on is what was measured of one of them on PostgreSQL.
	on := func(i int) (g growth) {
		if i < len(onPostgres) {
			g = onPostgres[i]
		}
		return g
	}
	for i, g := range all {
		l := Line{Name: "growth: CPU per receipt, " + g.what, Unit: "µs", Ours: g.cpu, Postgres: on(i).cpu}
		if g.what == last.what {
			l.Targets = []Goal{atMost("flat: ≤ 1.3 × with "+first.what, per(last.cpu.Median, first.cpu.Median), flat)}
		}
		s.add(l)
	}
	for i, g := range all {
		s.add(Line{Name: "growth: durable receipts, " + g.what, Unit: "1/s", Ours: g.rate, Postgres: on(i).rate})
	}
}

// grow has a town's people read, n transactions in each run after one that is not counted.
func (s *suite) grow(ctx context.Context, what string, t town, n int, uri string) (g growth, err error) {
	g.what = what
	b, err := s.newBridge(fmt.Sprintf("growth-%d-%d", t.groups, t.messages), setting{people: t.people(), postgres: uri})
	if err != nil {
		return g, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err = t.seed(ctx, b); err != nil {
		return g, err
	}
	if err = b.begin(ctx); err != nil {
		return g, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	if g.idle, err = b.memory("VmRSS"); err != nil {
		return g, err
	}
	w := &walk{town: t}
	var in intake
	for range s.runs + 1 {
		if err = in.run(ctx, &b.server, w, n, b.matrixPort, nil); err != nil {
			return g, err
		}
	}
	g.cpu, g.rate = value("", in.cpu[1:]...), value("", in.answered[1:]...)
	g.after, err = b.memory("VmRSS")
	return g, err
}
