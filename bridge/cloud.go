package bridge

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/timbridge/timbridge/bridge/avatars"
	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// cloud is what tencent.mode cloud adds to a bridge: groups that live in Tencent Cloud, whose webhooks come in and whose server API
// is called. Its methods are safe for concurrent use.
type cloud struct {
	b       *Bridge
	client  *tencent.Client
	hooks   *tencent.Webhooks
	linked  linkedGroups
	people  *people
	avatars *avatars.Fetcher // nil: ghosts get none

	acks   *reconciler[ack]
	relays *reconciler[bridgedb.Relay]
	joins  *reconciler[joinBatch]

	noted time.Time // that a webhook has come; the committer's goroutine owns it

	mu       sync.Mutex
	unknown  map[mapping.GroupKey]receipts.Set      // messages of which somebody has to know whether they want a receipt
	moved    map[mapping.GroupKey]int64             // counts news about a group's members
	compared map[mapping.GroupKey]map[uint64]counts // what the last catch-up saw and could not bring together
}

func newCloud(b *Bridge) (*cloud, error) {
	t := b.cfg.Tencent
	c := &cloud{
		b: b, linked: linkedGroups{ids: make(map[string]struct{})}, people: newPeople(), unknown: make(map[mapping.GroupKey]receipts.Set),
		moved: make(map[mapping.GroupKey]int64), compared: make(map[mapping.GroupKey]map[uint64]counts),
	}
	var err error
	c.client, err = tencent.New(tencent.Config{
		SDKAppID: t.SDKAppID, SecretKey: string(t.SecretKey), Identifier: t.Admin(), Region: t.Region, BaseURL: t.BaseURL,
		Timeout: t.RequestTimeout, CallsPerSecond: t.CallsPerSecond, AccountCallsPerSecond: t.AccountCallsPerSecond, Concurrency: t.Concurrency,
		Transport: b.transport, Outcome: b.tencent.outcome,
	})
	if err != nil {
		return nil, fmt.Errorf("failed to set up Tencent side: %w", err)
	}
	cfg := tencent.WebhooksConfig{
		SDKAppID: t.SDKAppID, Token: string(t.Webhook.Token), BearerToken: string(t.Webhook.BearerToken), NewGroups: b.cfg.Bridge.AutoCreate,
		Forward: t.Webhook.Forward, ForwardStrict: t.Webhook.ForwardStrict,
	}
	if cfg.Sources, err = prefixes(t.Webhook.Sources); err == nil {
		cfg.TrustedProxies, err = prefixes(t.Webhook.TrustedProxies)
	}
	if err != nil {
		return nil, fmt.Errorf("failed to read tencent.webhook: %w", err)
	}
	if c.hooks, err = tencent.NewWebhooks(cfg, c); err != nil {
		return nil, fmt.Errorf("failed to set up webhooks: %w", err)
	}
	if b.cfg.Relay.Avatars != config.AvatarsOff {
		c.avatars = avatars.New(b.cfg.Relay.Avatars == config.AvatarsAny)
	}
	c.acks, c.relays, c.joins = c.ackReconciler(), c.relayReconciler(), c.joinReconciler()
	c.acks.side, c.relays.side, c.joins.side = b.tencent, b.tencent, b.tencent
	return c, nil
}

func prefixes(texts []string) ([]netip.Prefix, error) {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		var err error
		if list[i], err = netip.ParsePrefix(text); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// prepare reads what is kept in memory. It is called once, at start.
func (c *cloud) prepare(ctx context.Context) error {
	return c.b.eachMapped(ctx, func(g mapping.Group) error {
		c.linked.note(g)
		return nil
	})
}

func (c *cloud) start(ctx context.Context, tasks *sync.WaitGroup) {
	tasks.Go(func() { c.acks.run(ctx) })
	tasks.Go(func() { c.relays.run(ctx) })
	tasks.Go(func() { c.joins.run(ctx) })
	tasks.Go(func() { c.catchUpLoop(ctx) })
}

func (c *cloud) wakeUp() {
	c.acks.wakeUp()
	c.relays.wakeUp()
	c.joins.wakeUp()
}

// Linked implements tencent.Intake.
func (c *cloud) Linked(groupID string) bool { return c.linked.has(groupID) }

// relink looks whether a group is linked now. It is called by the committer's goroutine, after each commit that has changed that.
func (c *cloud) relink(key mapping.GroupKey) {
	g, err := c.b.maps.GroupByKey(c.b.ctx, key)
	if err != nil {
		if c.b.ctx.Err() == nil {
			c.b.log.Error().Err(err).Int64("group_key", int64(key)).Msg("Failed to see whether a group is linked")
		}
		return
	}
	c.linked.note(g)
	if !inCloud(&g) {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.compared, key)
	}
}

// linkedGroups are the groups of Tencent Cloud that have a room: webhooks of all others are nothing to us.
type linkedGroups struct {
	mu  sync.RWMutex
	ids map[string]struct{}
}

func (l *linkedGroups) has(groupID string) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	_, ok := l.ids[groupID]
	return ok
}

// note takes a group as it is now.
func (l *linkedGroups) note(g mapping.Group) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if inCloud(&g) {
		l.ids[g.GroupID] = struct{}{}
	} else {
		delete(l.ids, g.GroupID)
	}
}

// inCloud tells whether a group lives in Tencent Cloud and has a room here.
func inCloud(g *mapping.Group) bool {
	return g != nil && g.SeqSource == mapping.SeqSourceCloud && g.RoomID != ""
}
