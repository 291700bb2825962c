package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/bridge/v2tim/v2timtest"
)

const (
	fanOutListeners = 1000
	fanOutReaders   = 200
	perUser         = 8   // listeners that a user may have, and the sender has
	coalesceMS      = 200 // v2tim.callback_coalesce
)

// sighting is one event of one listener: that so many had read the message.
type sighting struct {
	count uint64
	at    time.Time
}

// measureFanOut: one message is read by 200 people while 1,000 listeners are connected, 8 of them its sender's.
func measureFanOut(ctx context.Context, s *suite) (err error) {
	t := town{groups: 1, messages: s.runs, apps: fanOutReaders}
	b, err := s.newBridge("fan-out", setting{people: t.people(), maxMembers: -1})
	if err != nil {
		return err
	}
	if err = t.seed(ctx, b); err != nil {
		return err
	}
	if err = b.begin(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	ears, others, err := b.listeners(ctx, transport)
	defer func() {
		for _, l := range others {
			l.Close()
		}
	}()
	if err != nil {
		return err
	}
	heads, err := newCalls(t)
	if err != nil {
		return err
	}
	var late, frames []float64
	for m := range s.runs {
		worst, events, err := b.readByAll(ctx, heads, ears, m)
		if err != nil {
			return err
		}
		late, frames = append(late, worst), append(frames, events)
	}
	p99, each := value("", late...), value("", frames...)
	s.add(Line{
		Name: "fan-out, 1,000 listeners: from an ack's answer to the event, p99", Unit: "ms", Ours: p99, Ceiling: []Value{value("coalescing window", coalesceMS)},
		Targets: []Goal{atMost("≤ window + 50 ms", p99.Median, coalesceMS+50)},
	})
	s.add(Line{
		Name: "fan-out, 1,000 listeners: events for 200 acks", Unit: "", Ours: each,
		Targets: []Goal{atMost("coalesced: ≤ 1 in 10 acks", each.Median, fanOutReaders/10)},
	})
	return nil
}

// listeners connects 8 of the sender and the others of readers, who are told nothing.
func (b *bridge) listeners(ctx context.Context, transport *http.Transport) (ears, others []*v2timtest.Listener, err error) {
	base := "http://" + loopback(b.apiPort)
	for i := range fanOutListeners {
		user := "sender"
		if i >= perUser {
			user = appID((i - perUser) / perUser)
		}
		c, err := v2timtest.New(base, sdkAppID, secretKey, user)
		if err != nil {
			return ears, others, err
		}
		c.HTTP = &http.Client{Transport: transport}
		l, err := c.Listen(ctx, "")
		if err != nil {
			return ears, others, err
		}
		others = append(others, l)
		if i < perUser {
			ears = append(ears, l)
		}
	}
	return ears, others, nil
}

// readByAll has 200 readers acknowledge a message and tells how late their counts came, and in how many events at most.
func (b *bridge) readByAll(ctx context.Context, heads *calls, ears []*v2timtest.Listener, m int) (worst, events float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	seen := make([][]sighting, len(ears))
	failed := make(chan error, len(ears))
	var wg sync.WaitGroup
	for i, l := range ears {
		wg.Go(func() {
			var err error
			seen[i], err = sightings(ctx, l, msgID(0, m))
			failed <- err
		})
	}
	body := `{"messageIDList":["` + msgID(0, m) + `"]}`
	var mu sync.Mutex
	var answered []time.Time
	_, err = load(ctx, loopback(b.apiPort), 16, fanOutReaders, func(i int) []byte {
		return fmt.Appendf(nil, "%s%d\r\n\r\n%s", heads.heads[i], len(body), body)
	}, func(answer []byte) error {
		mu.Lock()
		answered = append(answered, time.Now())
		mu.Unlock()
		return acknowledged(answer)
	})
	wg.Wait()
	for range ears {
		err = errors.Join(err, <-failed)
	}
	if err != nil {
		return 0, 0, err
	}
	// The n-th answer says that n readers are in the database: from then on until an event has that count, the sender waits.
	slices.SortFunc(answered, time.Time.Compare)
	var waits []time.Duration
	for _, list := range seen {
		events = max(events, float64(len(list)))
		for n, at := range answered {
			i := slices.IndexFunc(list, func(s sighting) bool { return s.count >= uint64(n+1) })
			waits = append(waits, max(0, list[i].at.Sub(at)))
		}
	}
	slices.Sort(waits)
	return quantile(waits, 0.99), events, nil
}

// sightings gathers the events about a message until all have read it.
func sightings(ctx context.Context, l *v2timtest.Listener, msgID string) (list []sighting, err error) {
	for {
		e, err := l.Next(ctx)
		if err != nil {
			return nil, err
		}
		at := time.Now()
		i := slices.IndexFunc(e.ReceiptList, func(r v2tim.MessageReceipt) bool { return r.MsgID == msgID })
		if i < 0 {
			continue
		}
		list = append(list, sighting{e.ReceiptList[i].ReadCount, at})
		if e.ReceiptList[i].ReadCount == fanOutReaders {
			return list, nil
		}
	}
}
