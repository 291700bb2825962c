package bridge

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing/synctest"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/v2tim"
)

// simStep is one thing that happens, and how long it is until the next. Its numbers choose among whatever there is to choose from at
// that moment, so that a story from which steps are taken out can still be played.
type simStep struct {
	act     string
	a, b, c int
	pause   time.Duration // 0: the next step comes before anything of this one has gone on; below: when everything has come to rest
}

// simAtRest is the pause that lets everything go on that can, and takes no time.
const simAtRest = time.Duration(-1)

// simAct is a kind of step, and how often it comes in comparison with others.
type simAct struct {
	name   string
	weight int
	cloud  bool // only there
	do     func(s *simulation, st simStep)
}

func simActs() []simAct {
	return []simAct{
		{"Matrix user writes", 12, false, (*simulation).matrixWrites},
		{"Tencent user writes", 12, false, (*simulation).tencentWrites},
		{"Matrix user reads", 22, false, (*simulation).matrixReads},
		{"Tencent user reads", 18, false, (*simulation).tencentReads},
		{"Matrix user comes or goes", 4, false, (*simulation).matrixMoves},
		{"Tencent user comes or goes", 3, false, (*simulation).tencentMoves},
		{"redaction", 3, false, (*simulation).redacts},
		{"recall", 3, true, (*simulation).recalls},
		{"reaction", 2, false, (*simulation).reacts},
		{"receipt names an event of another room", 3, false, (*simulation).foreignReceipt},
		{"acknowledgement over two groups", 2, false, (*simulation).mixedAck},
		{"old transactions once more", 5, false, (*simulation).oldTransactions},
		{"homeserver restarts", 1, false, func(s *simulation, _ simStep) { s.hs.Restart() }},
		{"homeserver forgets sync tokens", 1, false, func(s *simulation, _ simStep) { s.hs.ForgetSyncTokens() }},
		{"homeserver refuses", 2, false, (*simulation).homeserverRefuses},
		{"Tencent refuses", 3, true, (*simulation).tencentRefuses},
		{"webhooks", 4, true, (*simulation).webhooks},
		{"wires", 10, false, (*simulation).wiresFail},
		{"bridge stops", 2, false, func(s *simulation, _ simStep) { s.stop(false) }},
		{"bridge crashes", 1, false, func(s *simulation, _ simStep) { s.stop(true) }},
		{"bridge crashes soon", 4, false, func(s *simulation, st simStep) { s.power.cutAfter(1 + st.a%60) }},
		{"clock is set", 3, false, (*simulation).setClock},
		{"apps look", 4, false, (*simulation).look},
	}
}

// simSteps makes up the steps of a story.
func simSteps(r *rand.Rand, k simKind) []simStep {
	var acts []string
	for _, act := range simActs() {
		for range act.weight {
			if k.cloud || !act.cloud {
				acts = append(acts, act.name)
			}
		}
	}
	steps := make([]simStep, 40+r.IntN(41))
	for i := range steps {
		steps[i] = simStep{act: acts[r.IntN(len(acts))], a: r.IntN(1 << 16), b: r.IntN(1 << 16), c: r.IntN(1 << 16), pause: simPause(r)}
	}
	return steps
}

func simPause(r *rand.Rand) time.Duration {
	switch n := r.IntN(100); {
	case n < 25:
		return 0
	case n < 45:
		return simAtRest
	case n < 75:
		return time.Duration(1+r.IntN(300)) * time.Millisecond
	case n < 90:
		return time.Duration(300+r.IntN(5000)) * time.Millisecond
	case n < 99:
		return time.Duration(5+r.IntN(40)) * time.Second
	default:
		return time.Duration(1+r.IntN(90)) * time.Minute / 6
	}
}

// play does one step after the other.
func (s *simulation) play(steps []simStep) {
	acts := make(map[string]func(*simulation, simStep))
	for _, act := range simActs() {
		acts[act.name] = act.do
	}
	for _, st := range steps {
		if s.b != nil && s.power.isCut() {
			s.stop(true) // its remains are swept up
		}
		if s.b == nil && st.c%3 > 0 {
			s.start()
		}
		acts[st.act](s, st)
		s.steps++
		switch {
		case st.pause == simAtRest:
			synctest.Wait()
		case st.pause > 0:
			time.Sleep(st.pause)
		}
	}
}

// ask does what somebody waits for an answer to, beside everything else.
func (s *simulation) ask(do func(ctx context.Context)) {
	s.calls.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		do(ctx)
	})
}

func pick[T any](list []T, n int) T { return list[n%len(list)] }

// text makes what a message says, which no other says.
func (s *simulation) text(p *simPerson) string {
	return fmt.Sprintf("#%d of %s", len(s.messages)+1, p.name)
}

func (s *simulation) matrixWrites(st simStep) {
	g, p := pick(s.groups, st.a), pick(s.mats, st.b)
	m := &simMessage{group: g, by: p, text: s.text(p), wants: true, at: simSpan{from: time.Now()}, state: simDenied}
	if s.hs.Membership(g.room, p.mxid) == "join" {
		content := map[string]any{"msgtype": "m.text", "body": m.text}
		if older := s.ofGroup(g); st.c%5 == 0 && len(older) > 0 && older[0].event != "" {
			root := older[0].event
			if thread := s.threadOf(g, root); thread != "" {
				root = id.EventID(thread)
			}
			content["m.relates_to"] = map[string]any{"rel_type": "m.thread", "event_id": root}
		}
		m.event, m.state = p.user.SendEvent(g.room, "m.room.message", content), simAccepted
		s.note("%s writes %q in %s: %s (thread %v)", p.name, m.text, g.id, m.event, content["m.relates_to"])
	}
	m.at.to = time.Now()
	s.change(func() { s.messages = append(s.messages, m) })
}

// tencentWrites: an app sends once; whether it arrived is not always known.
func (s *simulation) tencentWrites(st simStep) {
	g, p := pick(s.groups, st.a), pick(s.tims, st.b)
	m := &simMessage{group: g, by: p, text: s.text(p), wants: st.c%5 > 0, at: simSpan{from: time.Now()}}
	s.change(func() { s.messages = append(s.messages, m) })
	if s.cloud != nil {
		sent, err := p.cloud.Send(g.id, m.text, simSendOptions(m.wants))
		s.change(func() { m.msgID, m.seq, m.state, m.at.to = sent.MsgID, sent.Seq, simAnswered(err), time.Now() })
		s.note("%s writes %q in %s: seq %d, wants a receipt: %t, error: %v", p.name, m.text, g.id, sent.Seq, m.wants, err)
		return
	}
	s.note("%s writes %q in %s, wants a receipt: %t", p.name, m.text, g.id, m.wants)
	random := uint32(len(s.messages)) //nolint:gosec // small
	s.sending.Add(1)
	s.ask(func(ctx context.Context) {
		defer s.sending.Add(-1)
		out := v2tim.OutgoingMessage{GroupID: g.id, Text: m.text, NeedReadReceipt: m.wants, HasRandom: true, Random: random}
		sent, err := p.app.SendMessage(ctx, out)
		if simAnswered(err) == simUnsure && st.c%2 == 0 { // the SDK sends once more, with the same Random
			time.Sleep(time.Second)
			s.note("%s gets no answer for %q: %v", p.name, m.text, err)
			if sent, err = p.app.SendMessage(ctx, out); err != nil {
				return
			}
		}
		s.note("%s is answered for %q: seq %d, error: %v", p.name, m.text, sent.Seq, err)
		s.change(func() {
			if m.state, m.at.to = simAnswered(err), time.Now(); err == nil {
				m.msgID, m.seq = sent.MsgID, sent.Seq
			}
		})
	})
}

// matrixReads: a receipt at one of the newest events, privately, in a thread or for the whole room. Clients do not go back.
func (s *simulation) matrixReads(st simStep) {
	g, p := pick(s.groups, st.a), pick(s.mats, st.b)
	timeline := s.hs.Timeline(g.room)
	if len(timeline) == 0 {
		return
	}
	ev := timeline[len(timeline)-1-min(st.c%7, len(timeline)-1)]
	if st.c%11 == 0 {
		err := p.user.TrySendReceipt(g.room, ev.ID, matrixtest.ReceiptOptions{Private: true})
		s.note("%s reads %s up to %s privately, error: %v", p.name, g.id, ev.ID, err)
		return
	}
	thread := ""
	if st.c%5 == 0 && !s.kind.dendrite && ev.Type == "m.room.message" { // to which thread others belong, servers see differently
		if thread = s.threadOf(g, ev.ID); thread == "" {
			thread = "main"
		}
	}
	for _, old := range s.mats[0].user.ReceiptsOf(g.room) {
		own := old.User == p.mxid && old.Type == "m.read"
		// A receipt event has room for one receipt of a user on an event: of two, in different threads, one would be told.
		if own && (old.Event == ev.ID || old.Thread == thread && s.hs.Before(ev.ID, old.Event)) {
			return
		}
	}
	s.change(func() { s.reads = append(s.reads, simRead{g.room, p.mxid, ev.ID, thread}) })
	err := p.user.TrySendReceipt(g.room, ev.ID, matrixtest.ReceiptOptions{Thread: thread})
	s.note("%s reads %s up to %s (thread %q), error: %v", p.name, g.id, ev.ID, thread, err)
}

// tencentReads: an app acknowledges some of the newest messages.
func (s *simulation) tencentReads(st simStep) {
	g, p := pick(s.groups, st.a), pick(s.tims, st.b)
	a := &simAck{group: g, by: p}
	if s.cloud != nil {
		for i, m := range slices.Backward(p.cloud.Messages(g.id)) {
			if (i+st.c)%3 > 0 && m.HasReceipt && !m.Recalled && m.From != p.userID && len(a.seqs) < 1+st.c%4 {
				a.seqs = append(a.seqs, m.Seq)
			}
		}
		if len(a.seqs) > 0 {
			s.note("%s acknowledges %d of %s, error: %v", p.name, a.seqs, g.id, p.cloud.Ack(g.id, a.seqs...))
		}
		return
	}
	for i, m := range s.ofGroup(g) {
		if id := s.msgID(m); (i+st.c)%3 > 0 && id != "" && len(a.ids) < 1+st.c%4 {
			a.ids = append(a.ids, id)
		}
	}
	if len(a.ids) == 0 {
		return
	}
	s.note("%s acknowledges %s of %s", p.name, a.ids, g.id)
	s.change(func() { s.acks = append(s.acks, a) })
	s.ask(func(ctx context.Context) {
		err := p.app.SendMessageReadReceipts(ctx, a.ids...)
		s.note("%s is answered for the acknowledgement of %s: %v", p.name, a.ids, err)
		s.change(func() { a.state = simAnswered(err) })
	})
}
