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
	case n < 90:
		a.readsUp(g, p)
	case n < 95:
		a.takesBack(g, p)
	default:
		if p != a.mats[0] && !a.stays(p) && a.chance(0.4) {
			_ = p.user.TryLeave(g.room)
			a.stats.add(&a.stats.moves, 1)
		}
	}
}

func (a *actor) writes(g *group, p *person) {
	m := &message{group: g, by: p, text: a.text(p, g), wants: true, at: span{from: time.Now()}, state: denied}
	event, err := p.user.TrySend(g.room, m.text)
	if err == nil {
		m.event, m.state = event, accepted
	}
	m.at.to = time.Now()
	a.ledger.sent(m)
}

// readsUp reads up to one of the newest events, not below where he was: clients do not go back.
func (a *actor) readsUp(g *group, p *person) {
	timeline := a.hs.Timeline(g.room)
	if len(timeline) == 0 {
		return
	}
	event := timeline[len(timeline)-1-min(a.rand.IntN(6), len(timeline)-1)].ID
	if own := p.user.ReceiptOf(g.room, p.mxid); own != "" && a.hs.Before(event, own) {
		return
	}
	if a.chance(0.1) { // is nobody's business
		_ = p.user.TrySendReceipt(g.room, event, matrixtest.ReceiptOptions{Private: true})
		return
	}
	a.reads(g.room, p, event)
}

func (a *actor) reads(room id.RoomID, p *person, event id.EventID) {
	a.ledger.read(&readUp{room: room, by: p.mxid, event: event})
	_ = p.user.TrySendReceipt(room, event)
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
