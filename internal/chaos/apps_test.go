package chaos

import (
	"context"
	"time"

	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/bridge/v2tim"
)

// listed is a message as timbridge lists it.
type listed struct{ v2tim.GroupMessage }

// inApp is what a Tencent user does whose app talks to timbridge (standalone).
func (a *actor) inApp(p *person) {
	g := a.group()
	if !a.ledger.isMember(g, p) && !a.chance(0.1) {
		return
	}
	switch n := a.rand.IntN(10); {
	case n < 4:
		a.appSends(g, p)
	default:
		a.appAcks(g, p)
	}
}

func (a *actor) appSends(g *group, p *person) {
	m := &message{group: g, by: p, text: a.text(p, g), wants: !a.chance(0.15), at: span{from: time.Now()}}
	msg := v2tim.OutgoingMessage{GroupID: g.id, Text: m.text, NeedReadReceipt: m.wants, Random: a.rand.Uint32(), HasRandom: true}
	a.ledger.sent(m)
	var sent v2tim.SentMessage
	outcome := a.insist(func(ctx context.Context) state {
		var err error
		sent, err = p.app.SendMessage(ctx, msg)
		return answered(err)
	})
	a.ledger.change(func() { m.state, m.at.to, m.msgID, m.seq = outcome, time.Now(), sent.MsgID, sent.Seq })
}

func (a *actor) appAcks(g *group, p *person) {
	if a.chance(0.5) || len(g.recent(a.rand.IntN, 1)) == 0 {
		a.list(g)
	}
	ack := &ack{group: g, by: p, at: span{from: time.Now()}}
	for _, m := range g.recent(a.rand.IntN, 1+a.rand.IntN(8)) {
		ack.ids = append(ack.ids, m.MsgId)
	}
	if len(ack.ids) == 0 {
		return
	}
	if other := a.group(); a.chance(0.05) && other != g { // never crosses
		for _, m := range other.recent(a.rand.IntN, 1) {
			ack.ids = append(ack.ids, m.MsgId)
		}
	}
	a.ledger.acked(ack)
	outcome := a.insist(func(ctx context.Context) state { return answered(p.app.SendMessageReadReceipts(ctx, ack.ids...)) })
	a.ledger.change(func() { ack.state, ack.at.to = outcome, time.Now() })
}

// list asks timbridge for the newest messages of a group, as apps learn them.
func (a *actor) list(g *group) {
	ctx, cancel := context.WithTimeout(a.ctx, 3*time.Second)
	defer cancel()
	resp, err := a.root.GetGroupMessages(ctx, v2tim.GetGroupMessagesRequest{GroupId: g.id, ReqMsgNumber: 40})
	if err != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen = g.seen[:0]
	for _, m := range resp.RspMsgList {
		g.seen = append(g.seen, listed{m})
	}
}

// recent picks some of the newest messages, mostly the newest.
func (g *group) recent(pick func(int) int, n int) (list []listed) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range g.seen {
		if len(list) == n {
			break
		}
		if pick(4) > 0 {
			list = append(list, m)
		}
	}
	return list
}

// inCloud is what a Tencent user does with Tencent's own SDK.
func (a *actor) inCloud(p *person) {
	g := a.group()
	if !a.ledger.isMember(g, p) {
		return
	}
	switch n := a.rand.IntN(20); {
	case n < 6:
		a.cloudSends(g, p)
	case n < 7:
		a.cloudRecalls(g, p)
	case n < 8:
		a.cloudRewords(g, p)
	default:
		a.cloudAcks(g, p)
	}
}

func (a *actor) cloudSends(g *group, p *person) {
	m := &message{group: g, by: p, text: a.text(p, g), wants: !a.chance(0.15), at: span{from: time.Now()}, state: denied}
	if a.chance(0.1) {
		m.online = true
		a.stats.did("online only")
	}
	a.ledger.sent(m)
	sent, err := p.cloud.Send(g.id, m.text, tencenttest.SendOptions{NeedReadReceipt: m.wants, OnlineOnly: m.online})
	a.ledger.change(func() {
		m.at.to = time.Now()
		if err == nil {
			m.state = accepted
		}
		if err == nil && !m.online { // the number that one of those may have is none of the history's
			m.seq, m.msgID = sent.Seq, sent.MsgID
		}
	})
}

// cloudRewords edits a message of one's own. Tencent tells nobody.
func (a *actor) cloudRewords(g *group, p *person) {
	own := a.ledger.recent(g, p, 5)
	if len(own) == 0 {
		return
	}
	m, text := own[a.rand.IntN(len(own))], a.text(p, g)
	a.ledger.change(func() { m.edits = append(m.edits, text) })
	if p.cloud.Edit(g.id, m.seq, text) == nil {
		a.stats.did("edits at Tencent")
	}
}

func (a *actor) cloudRecalls(g *group, p *person) {
	own := a.ledger.recent(g, p, 5)
	if len(own) == 0 {
		return
	}
	m := own[a.rand.IntN(len(own))]
	a.ledger.change(func() { m.redacted = true })
	_ = p.cloud.Recall(g.id, m.seq)
}

func (a *actor) cloudAcks(g *group, p *person) {
	k := &ack{group: g, by: p, at: span{from: time.Now()}, state: denied}
	all := a.cloud.Messages(g.id)
	for i := len(all) - 1; i >= 0 && len(k.seqs) < 1+a.rand.IntN(8); i-- {
		if m := all[i]; a.chance(0.75) && m.HasReceipt && !m.Recalled && m.From != p.userID {
			k.seqs = append(k.seqs, m.Seq)
		}
	}
	if len(k.seqs) == 0 {
		return
	}
	if p.cloud.Ack(g.id, k.seqs...) == nil {
		k.state = accepted
	}
	k.at.to = time.Now()
	a.ledger.acked(k)
}
