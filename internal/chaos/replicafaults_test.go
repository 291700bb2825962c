package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// breaker ends and pauses replicas. Several may be broken at the same time, never all of them.
type breaker struct {
	*actor
	leader *leaderWatch
	room   chan struct{} // as many may be broken
	tasks  sync.WaitGroup

	mu    sync.Mutex // of what follows and of the replicas' busy
	errs  []error
	begun int // how many incidents
}

// What may be done to a replica.
const (
	bySIGKILL = "SIGKILL"
	bySIGTERM = "SIGTERM"
	bySIGSTOP = "SIGSTOP"
)

// incident is what is done to a replica, chosen in advance.
type incident struct {
	how    string
	lasts  time.Duration
	again  bool // it is killed while it starts, after so long
	awake  time.Duration
	victim *replica
}

// noticedWithin is after what time a balancer finds out that a replica does not answer.
const noticedWithin = time.Second

// killReplicas breaks a replica now and then, as often as was asked for. Like killer it is the only one that touches the processes.
func (a *actor) killReplicas(kills int) error {
	b := &breaker{actor: a, leader: newLeaderWatch(a.world), room: make(chan struct{}, len(a.replicas)-1)}
	a.wg.Go(func() { b.leader.run(a.ctx) })
	for range kills {
		uptime := 300 + a.rand.IntN(3500)
		if a.chance(0.15) {
			uptime = a.rand.IntN(150) // in the middle of taking over
		}
		if !a.rest(time.Duration(uptime) * time.Millisecond) {
			break
		}
		b.room <- struct{}{}
		in := b.choose()
		b.tasks.Go(func() {
			err := b.happens(in)
			b.mu.Lock()
			b.errs = append(b.errs, err)
			in.victim.busy = false
			b.mu.Unlock()
			<-b.room
		})
		if b.failed() != nil {
			break
		}
	}
	b.tasks.Wait()
	return b.failed()
}

func (b *breaker) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return errors.Join(b.errs...)
}

// broken tells how many incidents there have been and whether there is only one at the moment.
func (b *breaker) broken() (incidents int, one bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	busy := 0
	for _, r := range b.replicas {
		if r.busy {
			busy++
		}
	}
	return b.begun, busy == 1
}

// choose picks what happens next, to the leader half of the time.
func (b *breaker) choose() incident {
	in := incident{how: bySIGKILL, lasts: time.Duration(b.rand.IntN(3000)) * time.Millisecond}
	in.again, in.awake = b.chance(0.15), time.Duration(b.rand.IntN(250))*time.Millisecond
	switch n := b.rand.IntN(10); {
	case n < 3:
		in.how = bySIGTERM
	case n < 6: // mostly longer than the others bear with it
		in.how, in.lasts = bySIGSTOP, time.Duration(2000+b.rand.IntN(5000))*time.Millisecond
	}
	preferred := b.chance(0.5)
	b.mu.Lock()
	defer b.mu.Unlock()
	var free []*replica
	for _, r := range b.replicas {
		if !r.busy {
			free = append(free, r)
		}
	}
	in.victim = free[b.rand.IntN(len(free))]
	if r := b.leader.now(); preferred && slices.Contains(free, r) {
		in.victim = r
	}
	in.victim.busy = true
	b.begun++
	return in
}

func (b *breaker) happens(in incident) error {
	r := in.victim
	if err := r.endedByItself(); err != nil {
		return err
	}
	led := b.leader.now() == r
	if led {
		b.stats.fault("leader: " + in.how)
	} else {
		b.stats.fault("standby: " + in.how)
	}
	switch in.how {
	case bySIGSTOP:
		return b.pause(in, led)
	case bySIGTERM:
		if err := b.stopInOrder(r.Program); err != nil {
			return err
		}
	case bySIGKILL:
		b.stats.add(&b.stats.kills, 1)
		r.Kill()
	}
	b.measure(in.how, led)
	b.rest(in.lasts)
	if in.again {
		if err := b.startInVain(r.Program, in.awake); err != nil {
			return err
		}
	}
	return b.startAtLast(context.WithoutCancel(b.ctx), r.Program)
}

// pause lets a replica hang. What it was asked for meanwhile it finds when it goes on.
func (b *breaker) pause(in incident, led bool) error {
	r := in.victim
	b.stats.add(&b.stats.pauses, 1)
	if err := r.Pause(); err != nil {
		return err
	}
	b.measure(in.how, led)
	noticed := min(in.lasts, noticedWithin)
	b.rest(noticed)
	r.away.Store(true)
	b.rest(in.lasts - noticed)
	r.away.Store(false)
	return r.Resume()
}

// measure finds out how long it takes from now on until timbridge answers again, if it was the leader that something was done to.
func (b *breaker) measure(how string, led bool) {
	if !led {
		return
	}
	began := time.Now()
	incidents, alone := b.broken()
	trouble := b.trouble.now()
	b.tasks.Go(func() {
		client := b.impatient()
		defer client.HTTP.CloseIdleConnections()
		for time.Since(began) < b.kind.patience(45*time.Second) {
			if b.answers(client) == nil {
				took := time.Since(began)
				if now, _ := b.broken(); !alone || now > incidents {
					how += ", with another one broken too,"
				}
				if b.trouble.since(trouble) {
					how += " with trouble with the database,"
				}
				b.t.Logf("answered again %s after %s of the leader", took.Round(time.Millisecond), how)
				b.stats.gap(how, took)
				return
			}
			if !b.rest(10 * time.Millisecond) {
				return
			}
		}
		b.stats.violated(violation{"takeover", "after " + how + " of the leader", "an answer within 45s", "none"})
	})
}

// endedByItself is an error if it has.
func (r *replica) endedByItself() error {
	if ended, how := r.Ended(); ended {
		return errors.Join(errors.New("timbridge has ended by itself"), how, errors.New(r.LogTail(20)))
	}
	return nil
}

// stepsDown is how long a leader that has been replaced may take until it stands by: requests under way get some time to end.
const stepsDown = 20 * time.Second

// checkReplicas: in the end all of them run, whoever is asked answers, and one of them leads.
func (w *world) checkReplicas() {
	if len(w.replicas) < 2 {
		return
	}
	for i, r := range w.replicas {
		what := fmt.Sprint("replica ", i)
		if err := r.endedByItself(); err != nil {
			w.stats.violated(violation{"process", what, "to run until it is ended", err.Error()})
		}
		client := *w.root
		client.BaseURL = local(r.v2tim)
		err := w.answers(&client)
		for until := time.Now().Add(w.kind.patience(stepsDown)); err != nil && time.Now().Before(until) && rest(w.t.Context(), 100*time.Millisecond); {
			err = w.answers(&client) // one that was replaced may still be about to stand by
		}
		if err != nil {
			w.stats.violated(violation{"replicas", what, "to answer whether it leads or not", err.Error()})
		}
	}
	leader := newLeaderWatch(w)
	if err := leader.look(w.t.Context()); err != nil || leader.now() == nil {
		w.stats.violated(violation{"replicas", "the leader", "one of them", fmt.Sprint("none: ", err)})
	}
}
