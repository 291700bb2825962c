package chaos

import (
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

// inMatrix is what a Matrix user does. What may be refused, since others act too, is tried.
func (a *actor) inMatrix(p *person) {
	g := a.group()
	if a.hs.Membership(g.room, p.mxid) != "join" {
		if a.chance(0.15) {
			_ = p.user.TryJoin(g.room)
			a.stats.add(&a.stats.moves, 1)
		}
		return
	}
	switch n := a.rand.IntN(100); {
	case n < 30:
		a.writes(g, p)
	case n < 85:
		a.readsUp(g, p)
	case n < 90:
		a.takesBack(g, p)
	case n < 95:
		a.rewords(g, p)
	default:
		if p != a.mats[0] && !a.stays(p) && a.chance(0.4) {
			_ = p.user.TryLeave(g.room)
			a.stats.add(&a.stats.moves, 1)
		}
	}
}

// writes sends a message, now and then in a thread. One that was not answered may be there or not: see resolve.
func (a *actor) writes(g *group, p *person) {
	m := &message{group: g, by: p, text: a.text(p, g), wants: true, at: span{from: time.Now()}}
	content := map[string]any{"msgtype": "m.text", "body": m.text}
	if root := a.threadRoot(g); root != "" {
		m.thread = root
		content["m.relates_to"] = map[string]any{
			"rel_type": "m.thread", "event_id": root, "is_falling_back": true, "m.in_reply_to": map[string]any{"event_id": root},
		}
		a.stats.did("in a thread")
	}
	a.ledger.sent(m)
	event, err := p.user.trySend(g.room, content)
	if err == nil {
		a.ledger.change(func() { m.event, m.state, m.at.to = event, accepted, time.Now() })
	}
}

// threadRoot is under which message somebody writes: mostly none.
func (a *actor) threadRoot(g *group) id.EventID {
	if !a.chance(0.2) {
		return ""
	}
	timeline := a.hs.Timeline(g.room)
	for range min(3, len(timeline)) {
		ev := timeline[len(timeline)-1-min(a.rand.IntN(12), len(timeline)-1)]
		if body(ev) != "" && threadOf(ev) == "" {
			return ev.ID
		}
	}
	return ""
}

// rewords edits a message of one's own.
func (a *actor) rewords(g *group, p *person) {
	own := a.ledger.recent(g, p, 5)
	if len(own) == 0 {
		return
	}
	m, text := own[a.rand.IntN(len(own))], a.text(p, g)
	a.ledger.change(func() { m.edits = append(m.edits, text) })
	a.stats.did("edits")
	_, _ = p.user.trySend(g.room, map[string]any{
		"msgtype": "m.text", "body": "* " + text, "m.new_content": map[string]any{"msgtype": "m.text", "body": text},
		"m.relates_to": map[string]any{"rel_type": "m.replace", "event_id": m.event},
	})
}

// readsUp reads up to one of the newest events, not below where he was: clients do not go back.
func (a *actor) readsUp(g *group, p *person) {
	timeline := a.hs.Timeline(g.room)
	if len(timeline) == 0 {
		return
	}
	ev := timeline[len(timeline)-1-min(a.rand.IntN(6), len(timeline)-1)]
	if a.chance(0.1) { // is nobody's business
		_ = p.user.TrySendReceipt(g.room, ev.ID, matrixtest.ReceiptOptions{Private: true})
		return
	}
	up := &readUp{room: g.room, by: p.mxid, event: ev.ID}
	if a.chance(0.25) && body(ev) != "" {
		up.thread = scopeOf(ev)
	}
	for _, r := range a.hs.Receipts(g.room) {
		if r.User == p.mxid && r.Type == matrixtest.Read && (r.Thread == up.thread || a.kind.dendrite) && a.hs.place(r.Event) > a.hs.place(ev.ID) {
			return
		}
	}
	a.reads(p, up)
}

func (a *actor) reads(p *person, up *readUp) {
	said := *up
	if a.kind.dendrite {
		said.thread = "" // it drops what the receipt is about, so that it is about the whole room
	}
	if a.ledger.hasMarked(p.mxid, up.event) {
		return // of two receipts at one event, about a thread and about the room, /sync can show only one (MSC4102)
	}
	if up.thread != "" {
		a.stats.did("of a thread")
	}
	a.ledger.read(&said)
	_ = p.user.TrySendReceipt(up.room, up.event, matrixtest.ReceiptOptions{Thread: up.thread})
}

func (a *actor) takesBack(g *group, p *person) {
	own := a.ledger.recent(g, p, 5)
	if len(own) == 0 {
		return
	}
	m := own[a.rand.IntN(len(own))]
	a.ledger.change(func() { m.redacted = true })
	_ = p.user.TryRedact(g.room, m.event)
}
