package bridge

import (
	"context"
	"fmt"
	"testing/synctest"
	"time"
)

const (
	// simSettle is how long everything may take to come right once nothing breaks any more. The bridge's own pauses are the longest.
	simSettle = 30 * time.Minute
	// simAfter is how long it must stay so: longer than from one catch-up to the next.
	simAfter = 5 * time.Minute
)

// settle lets everything go, waits until nothing is on its way and both sides are as they must be, and says what is not.
func (s *simulation) settle() []string {
	s.wires.stopFailing()
	s.hs.StopFailing()
	if s.cloud != nil {
		s.cloud.StopFailing()
		s.cloud.Deliver(nil)
	}
	if s.b != nil && s.power.isCut() {
		s.stop(true)
	}
	if s.b == nil {
		s.start()
	}
	s.power.cutAfter(0)
	s.calls.Wait()
	if s.power.isCut() {
		s.stop(true)
		s.start()
	}
	s.offset.Store(0) // what was planned by a clock that was ahead must not wait until that time has come
	began, quiet := time.Now(), time.Time{}
	for pause := time.Second; ; pause = min(pause*3/2, time.Minute) {
		synctest.Wait()
		wrong := s.underWay()
		if len(wrong) == 0 {
			wrong = s.compare()
		}
		switch {
		case len(wrong) == 0 && !quiet.IsZero() && time.Since(quiet) >= simAfter:
			return s.t.problems
		case len(wrong) == 0 && quiet.IsZero():
			quiet, pause = time.Now(), simAfter
		case len(wrong) > 0:
			quiet = time.Time{}
			if time.Since(began) > simSettle {
				return append(wrong, s.t.problems...)
			}
		}
		time.Sleep(pause)
	}
}

// underWay says what is not done yet.
func (s *simulation) underWay() []string {
	if !s.hs.AllPushed() {
		return []string{"transactions are still on their way"}
	}
	ctx := context.Background()
	markers, err := s.b.reads.Pending(ctx, s.b.clock().Add(3*time.Second))
	if err != nil {
		return []string{err.Error()}
	}
	messages, members, err := s.b.own.Pending(ctx)
	if err != nil {
		return []string{err.Error()}
	}
	parked, err := s.parked(ctx)
	if err != nil {
		return []string{err.Error()}
	}
	if markers+messages+members+parked > 0 {
		return []string{fmt.Sprintf("%d receipts, %d messages, %d members and %d parked receipts are still on their way", markers, messages, members, parked)}
	}
	return nil
}

// parked counts the receipts that wait for their event. Dendrite never pushes redactions (0.15.2), so a receipt on one is kept for good;
// it has been taken as one on the event before it.
func (s *simulation) parked(ctx context.Context) (n int, err error) {
	redactions := make(map[string]bool)
	for _, g := range s.groups {
		for _, ev := range s.hs.Timeline(g.room) {
			redactions[string(ev.ID)] = ev.Type == "m.room.redaction"
		}
	}
	list, err := s.b.reads.ParkedOlder(ctx, s.b.clock().Add(time.Hour), 100)
	for _, p := range list {
		if !s.kind.dendrite || !redactions[p.EventID] {
			n++
		}
	}
	return n, err
}
