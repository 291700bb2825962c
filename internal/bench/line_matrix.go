package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// intake is what taking receipts from Matrix has cost a bridge, once for each run.
type intake struct {
	answered []float64 // receipts a second until the 200
	written  []float64 // until they stand in the database; of timbridge the same
	cpu      []float64 // microseconds of CPU for each
	peak     []float64 // MB, of all runs together
}

// measureMatrix: receipts made durable through the transactions endpoint.
func measureMatrix(ctx context.Context, s *suite) error {
	return s.matrixLines(ctx, town{groups: 20, messages: 500, matrixUsers: 50}, 300, 20, func(rate float64, theirs map[string]float64) []Goal {
		return []Goal{
			atLeast("≥ 25 × bridgev2 as it ships", per(rate, theirs["as it ships"]), 25),
			atLeast("≥ 5 × bridgev2 with two indexes", per(rate, theirs["with two indexes"]), 5),
		}
	})
}

// measureMatrixLarge is the same where each group has a long history.
func measureMatrixLarge(ctx context.Context, s *suite) error {
	return s.matrixLines(ctx, town{groups: 20, messages: 50_000, matrixUsers: 50}, 300, 2, func(rate float64, theirs map[string]float64) []Goal {
		return []Goal{atLeast("≥ 200 × bridgev2 as it ships", per(rate, theirs["as it ships"]), 200)}
	})
}

func (s *suite) matrixLines(ctx context.Context, t town, ours, theirs int, goals func(float64, map[string]float64) []Goal) error {
	us, err := s.takeOurs(ctx, t, ours, "")
	if err != nil {
		return err
	}
	var onPostgres intake
	err = s.onPostgres(ctx, func(uri string) (err error) {
		onPostgres, err = s.takeOurs(ctx, t, ours/2, uri)
		return err
	})
	if err != nil {
		return err
	}
	var until200, untilWritten, cpu, peak []Value
	rates, cost, memory := make(map[string]float64), make(map[string]float64), make(map[string]float64)
	compared := variants()
	if t.messages > 10_000 {
		compared = compared[:2] // the rest says nothing new, and takes minutes
	}
	var seeded string
	if s.ours {
		compared = nil
	} else if seeded, err = s.seedOther(ctx, t); err != nil {
		return err
	}
	for _, v := range compared {
		txns := theirs
		if v.indexes {
			txns = 20 // however long the history is
		}
		them, err := s.takeTheirs(ctx, t, seeded, v, txns)
		if err != nil {
			return err
		}
		until200 = append(until200, value(v.name, them.answered...))
		untilWritten = append(untilWritten, value(v.name, them.written...))
		cpu, peak = append(cpu, value(v.name, them.cpu...)), append(peak, value(v.name, them.peak...))
		rates[v.name], cost[v.name], memory[v.name] = value("", them.written...).Median, value("", them.cpu...).Median, value("", them.peak...).Median
	}
	if seeded != "" {
		if err = os.Remove(seeded); err != nil {
			return fmt.Errorf("failed to remove database: %w", err)
		}
	}
	disk, err := s.diskCommits(ctx, diskCommitCount, "")
	if err != nil {
		return err
	}
	where := fmt.Sprintf(", %s messages per group", number(float64(t.messages)))
	rate, used, peakOurs := value("", us.answered...), value("", us.cpu...), value("", us.peak...)
	line := Line{
		Name: "Matrix → bridge: durable receipts" + where, Unit: "1/s", Ours: rate, Postgres: value("", onPostgres.answered...), BridgeV2: untilWritten,
		Ceiling: []Value{value("disk's commits × 100", disk.rate()*perTransaction)},
		Note:    "bridgev2: until its database write, which synchronous=NORMAL does not make durable",
	}
	costs := Line{Name: "Matrix → bridge: CPU per receipt" + where, Unit: "µs", Ours: used, Postgres: value("", onPostgres.cpu...), BridgeV2: cpu}
	peaks := Line{Name: "Matrix → bridge: peak memory" + where, Unit: "MB", Ours: peakOurs, Postgres: value("", onPostgres.peak...), BridgeV2: peak}
	if !s.ours {
		line.Targets = goals(rate.Median, rates)
		costs.Targets = []Goal{atMost("≤ 1/5 of bridgev2 as it ships", per(used.Median, cost["as it ships"]), 0.2)}
		peaks.Targets = []Goal{atMost("≤ 1/5 of bridgev2 as it ships", per(peakOurs.Median, memory["as it ships"]), 0.2)}
		s.add(Line{Name: "Matrix → bridge: until the 200" + where, Unit: "1/s", Ours: rate, BridgeV2: until200})
	}
	s.add(line)
	s.add(costs)
	s.add(peaks)
	return nil
}

// takeOurs has timbridge take n transactions in each run.
func (s *suite) takeOurs(ctx context.Context, t town, n int, uri string) (in intake, err error) {
	b, err := s.newBridge(fmt.Sprintf("matrix-%d", t.messages), setting{people: t.people(), postgres: uri})
	if err != nil {
		return in, err
	}
	if err = t.seed(ctx, b); err != nil {
		return in, err
	}
	if err = b.begin(ctx); err != nil {
		return in, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	w := &walk{town: t}
	for range s.runs {
		if err = in.run(ctx, &b.server, w, n, b.matrixPort, nil); err != nil {
			return in, err
		}
	}
	peak, err := b.memory("VmHWM")
	in.peak = append(in.peak, peak)
	return in, err
}

func (s *suite) takeTheirs(ctx context.Context, t town, from string, v variant, n int) (in intake, err error) {
	o, err := s.newOther(ctx, t, from, v)
	if err != nil {
		return in, err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	w := &walk{town: t}
	for range s.runs {
		if err = in.run(ctx, &o.server, w, n, o.port, func() error { return o.wait(ctx, w.next) }); err != nil {
			return in, err
		}
	}
	peak, err := o.memory("VmHWM")
	in.peak = append(in.peak, peak)
	return in, err
}

// run sends n transactions to whoever listens at port and, where a 200 comes before the write, waits for that.
func (in *intake) run(ctx context.Context, srv *server, w *walk, n, port int, written func() error) error {
	requests, err := w.transactions(n, hsToken)
	if err != nil {
		return err
	}
	before, err := srv.cpu()
	if err != nil {
		return err
	}
	began := time.Now()
	result, err := put(ctx, port, requests)
	if err != nil {
		return err
	}
	if written != nil {
		if err = written(); err != nil {
			return err
		}
	}
	took := time.Since(began)
	after, err := srv.cpu()
	if err != nil {
		return err
	}
	count := float64(n * perTransaction)
	in.answered = append(in.answered, count/result.took.Seconds())
	in.written = append(in.written, count/took.Seconds())
	in.cpu = append(in.cpu, float64((after-before).Microseconds())/count)
	return nil
}
