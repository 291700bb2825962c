package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
)

// calls counts calls of sendMessageReadReceipts, each of which acknowledges one message that its caller has not read yet: for each
// message, in each group, every app user.
type calls struct {
	town
	heads []string // the request line and headers of each user, up to the length of the body
	next  int
}

func newCalls(t town) (*calls, error) {
	c := &calls{town: t}
	for u := range t.apps {
		sig, err := usersig(appID(u))
		if err != nil {
			return nil, err
		}
		query := url.Values{
			"sdkappid": {strconv.Itoa(sdkAppID)}, "identifier": {appID(u)}, "usersig": {sig},
			"random": {strconv.FormatUint(uint64(rand.Uint32()), 10)}, "contenttype": {"json"},
		}
		c.heads = append(c.heads, "POST /v4/v2tim/sendMessageReadReceipts?"+query.Encode()+" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ")
	}
	return c, nil
}

// requests are the next n.
func (c *calls) requests(n int) (list [][]byte, err error) {
	for range n {
		u, rest := c.next%c.apps, c.next/c.apps
		g, m := rest%c.groups, rest/c.groups
		if m >= c.messages {
			return nil, errors.New("failed to make calls: everybody has read everything")
		}
		c.next++
		body := `{"messageIDList":["` + msgID(g, m) + `"]}`
		list = append(list, fmt.Appendf(nil, "%s%d\r\n\r\n%s", c.heads[u], len(body), body))
	}
	return list, nil
}

// acknowledged looks at an answer.
func acknowledged(body []byte) error {
	if bytes.HasPrefix(body, []byte(`{"code":0,`)) {
		return nil
	}
	var answer struct {
		Code int    `json:"code"`
		Desc string `json:"desc"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("failed to read answer: %w", err)
	}
	return fmt.Errorf("refused with %d: %s", answer.Code, answer.Desc)
}

// callers is how many call at the same time.
const callers = 64

// many has 64 callers make n calls, once for each run; warm calls come before.
func (s *suite) many(ctx context.Context, port, n int, requests func(n int) ([][]byte, error), check func([]byte) error) (rates, p99 []float64, err error) {
	for run := -1; run < s.runs; run++ {
		count := n
		if run < 0 {
			count = n / 4 // warm
		}
		list, err := requests(count)
		if err != nil {
			return nil, nil, err
		}
		result, err := load(ctx, loopback(port), callers, count, func(i int) []byte { return list[i] }, check)
		if err != nil {
			return nil, nil, err
		}
		if run >= 0 {
			rates, p99 = append(rates, result.rate()), append(p99, result.at(0.99))
		}
	}
	return rates, p99, nil
}

// acking is what calls of sendMessageReadReceipts have cost, once for each run.
type acking struct {
	rates, p99 []float64 // of 64 callers
	alone      []float64 // p99 of one caller
	disk       []float64 // commits a second
	diskP99    []float64
}

// measureV2TIM: calls of sendMessageReadReceipts that are durable when they are answered.
func measureV2TIM(ctx context.Context, s *suite) error {
	t := town{groups: 4, messages: 1000, apps: 100}
	bareRate, _, err := s.bareCalls(ctx, t, manyCalls)
	if err != nil {
		return err
	}
	ours, err := s.takeCalls(ctx, t, "")
	if err != nil {
		return err
	}
	var onPostgres acking
	err = s.onPostgres(ctx, func(uri string) (err error) {
		onPostgres, err = s.takeCalls(ctx, t, uri)
		return err
	})
	if err != nil {
		return err
	}
	rate, disk, bare := value("", ours.rates...), value("disk's commits", ours.disk...), value("same handler, no database", bareRate...)
	s.add(Line{
		Name: "sendMessageReadReceipts, 64 callers", Unit: "1/s", Ours: rate, Postgres: value("", onPostgres.rates...), Ceiling: []Value{disk, bare},
		Targets: []Goal{atLeast("≥ min(20 × disk, 60 % of no database)", per(rate.Median, min(20*disk.Median, 0.6*bare.Median)), 1)},
	})
	s.add(Line{Name: "sendMessageReadReceipts, 64 callers: p99", Unit: "ms", Ours: value("", ours.p99...), Postgres: value("", onPostgres.p99...)})
	one, worst := value("", ours.alone...), value("disk's own", ours.diskP99...)
	s.add(Line{
		Name: "sendMessageReadReceipts, 1 caller: p99", Unit: "ms", Ours: one, Postgres: value("", onPostgres.alone...), Ceiling: []Value{worst},
		Targets: []Goal{atMost("≤ 2 × the disk's p99 + 1 ms: "+number(2*worst.Median+1), one.Median, 2*worst.Median+1)},
	})
	return nil
}

// manyCalls are those of 64 callers in one run, fewCalls those of one.
const manyCalls, fewCalls = 8000, 500

// takeCalls has timbridge take calls of 64 callers, then of one.
func (s *suite) takeCalls(ctx context.Context, t town, uri string) (a acking, err error) {
	b, err := s.newBridge("v2tim", setting{people: t.people(), postgres: uri})
	if err != nil {
		return a, err
	}
	if err = t.seed(ctx, b); err != nil {
		return a, err
	}
	if err = b.begin(ctx); err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	c, err := newCalls(t)
	if err != nil {
		return a, err
	}
	if a.rates, a.p99, err = s.many(ctx, b.apiPort, manyCalls, c.requests, acknowledged); err != nil {
		return a, err
	}
	// Alone, a call is a commit of its own. The disk is asked in between, so that both have the same neighbours.
	for range s.runs {
		disk, err := s.diskCommits(ctx, diskCommitCount, "")
		if err != nil {
			return a, err
		}
		a.disk, a.diskP99 = append(a.disk, disk.rate()), append(a.diskP99, disk.at(0.99))
		list, err := c.requests(fewCalls)
		if err != nil {
			return a, err
		}
		result, err := load(ctx, loopback(b.apiPort), 1, fewCalls, func(i int) []byte { return list[i] }, acknowledged)
		if err != nil {
			return a, err
		}
		a.alone = append(a.alone, result.at(0.99))
	}
	return a, nil
}

// bareCalls is the same load on the same handler with no database.
func (s *suite) bareCalls(ctx context.Context, t town, n int) (rates, p99 []float64, err error) {
	srv, port, err := s.startBare(ctx, "v2tim")
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, srv.stop()) }()
	c, err := newCalls(t)
	if err != nil {
		return nil, nil, err
	}
	return s.many(ctx, port, n, c.requests, acknowledged)
}
