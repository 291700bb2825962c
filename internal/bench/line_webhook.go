package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
)

// hooks counts webhooks of new readers: for each message, in each group, every app user.
type hooks struct {
	town
	group string // what the groups' names begin with
	first int    // the seq of the first message
	next  int
}

// requests are the next n, signed now: Tencent's signature is good for a minute.
func (h *hooks) requests(n int) (list [][]byte, err error) {
	at := strconv.FormatInt(time.Now().Unix(), 10)
	target := fmt.Sprintf("/?SdkAppid=%d&CallbackCommand=%s&contenttype=json&Sign=%s&RequestTime=%s", sdkAppID, tencent.CommandAfterReadReceipt, tencenttest.Sign(hookToken, at), at)
	for range n {
		u, rest := h.next%h.apps, h.next/h.apps
		g, m := rest%h.groups, rest/h.groups
		if m >= h.messages {
			return nil, errors.New("failed to make webhooks: everybody has read everything")
		}
		h.next++
		list = append(list, request("POST", target, "", fmt.Appendf(nil, `{"CallbackCommand":"Group.CallbackAfterReadReceipt","GroupId":"%s%d","Type":"Public","GroupMsgReceiptList":[{"MsgSeq":%d,`+
			`"ReadNum":1,"UnreadNum":2,"ReadReceiptMembers":[{"Member_Account":"%s"}]}],"EventTime":"1670574414123"}`, h.group, g, m+h.first, appID(u))))
	}
	return list, nil
}

func accepted(body []byte) error {
	if bytes.Contains(body, []byte(`"ActionStatus":"OK"`)) {
		return nil
	}
	return fmt.Errorf("refused: %.200s", body)
}

// hooking is what webhooks have cost, once for each run.
type hooking struct {
	rates, p99              []float64
	strangers, strangersP99 []float64 // of groups that are not linked
}

// measureWebhooks: webhooks that are durable when they are answered, and such of groups that are not linked.
func measureWebhooks(ctx context.Context, s *suite) error {
	t := town{groups: 4, messages: 1500, apps: 100, cloud: true}
	bare, port, err := s.startBare(ctx, "webhook")
	if err != nil {
		return err
	}
	bareRates, _, err := s.many(ctx, port, manyHooks, (&hooks{town: t, group: "bench", first: 1}).requests, accepted)
	if err = errors.Join(err, bare.stop()); err != nil {
		return err
	}
	ours, err := s.takeHooks(ctx, t, "")
	if err != nil {
		return err
	}
	var onPostgres hooking
	err = s.onPostgres(ctx, func(uri string) (err error) {
		onPostgres, err = s.takeHooks(ctx, t, uri)
		return err
	})
	if err != nil {
		return err
	}
	rate, worst, ceiling := value("", ours.rates...), value("", ours.p99...), value("same handler, no database", bareRates...)
	unlinked := value("", ours.strangers...)
	s.add(Line{
		Name: "webhooks, 64 at once", Unit: "1/s", Ours: rate, Postgres: value("", onPostgres.rates...), Ceiling: []Value{ceiling},
		Targets: []Goal{atLeast("≥ min(10,000/s, 60 % of no database)", per(rate.Median, min(10_000, 0.6*ceiling.Median)), 1)},
	})
	s.add(Line{
		Name: "webhooks, 64 at once: p99", Unit: "ms", Ours: worst, Postgres: value("", onPostgres.p99...),
		Targets: []Goal{atMost("≤ 50 ms", worst.Median, 50)},
	})
	s.add(Line{
		Name: "webhooks of groups that are not linked", Unit: "1/s", Ours: unlinked, Postgres: value("", onPostgres.strangers...), Ceiling: []Value{ceiling},
		Targets: []Goal{atLeast("≥ 90 % of no database", per(unlinked.Median, ceiling.Median), 0.9)},
	})
	s.add(Line{
		Name: "webhooks of groups that are not linked: p99", Unit: "ms", Ours: value("", ours.strangersP99...), Postgres: value("", onPostgres.strangersP99...),
	})
	return nil
}

// manyHooks are those of one run.
const manyHooks = 8000

// takeHooks has timbridge take webhooks, 64 at once.
func (s *suite) takeHooks(ctx context.Context, t town, uri string) (h hooking, err error) {
	cloud, err := newCloud(t)
	if err != nil {
		return h, err
	}
	defer cloud.Close()
	b, err := s.newBridge("webhook", setting{people: t.people(), tencent: cloud.URL(), postgres: uri})
	if err != nil {
		return h, err
	}
	if err = t.seed(ctx, b); err != nil {
		return h, err
	}
	if err = b.begin(ctx); err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	// Those that the start compares with Tencent's own record are not used: reading them would not be news.
	h.rates, h.p99, err = s.many(ctx, b.hookPort, manyHooks, (&hooks{town: t, group: "bench", first: 1}).requests, accepted)
	if err != nil {
		return h, err
	}
	h.strangers, h.strangersP99, err = s.many(ctx, b.hookPort, manyHooks, (&hooks{town: t, group: "unlinked", first: 1}).requests, accepted)
	return h, err
}

// newCloud is a Tencent Cloud in which the town's groups live, so that timbridge finds them there. It sends no webhooks.
func newCloud(t town) (*tencenttest.Server, error) {
	cloud, err := tencenttest.New(tencenttest.Options{SDKAppID: sdkAppID, SecretKey: secretKey, Admins: []string{adminID}, Limits: tencenttest.Limits{Group: -1}})
	if err != nil {
		return nil, err
	}
	for g := range t.groups {
		spec := tencenttest.GroupSpec{ID: groupID(g), Owner: "sender"}
		for u := range t.apps {
			spec.Members = append(spec.Members, appID(u))
		}
		for u := range t.matrixUsers {
			spec.Members = append(spec.Members, accountID(u))
		}
		if _, err = cloud.CreateGroup(spec); err != nil {
			return nil, errors.Join(fmt.Errorf("failed to make group: %w", err), closing(cloud))
		}
		for range t.messages {
			if _, err = cloud.User("sender").Send(groupID(g), "hello", tencenttest.SendOptions{NeedReadReceipt: true}); err != nil {
				return nil, errors.Join(fmt.Errorf("failed to send message: %w", err), closing(cloud))
			}
		}
	}
	return cloud, nil
}

func closing(cloud *tencenttest.Server) error { cloud.Close(); return nil }
