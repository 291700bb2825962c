package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/receipts"
)

func simSendOptions(wants bool) tencenttest.SendOptions {
	return tencenttest.SendOptions{NeedReadReceipt: wants}
}

// threadOf is the root that an event names.
func (s *simulation) threadOf(g *simGroup, event id.EventID) string {
	for _, ev := range s.hs.Timeline(g.room) {
		if ev.ID == event {
			return simThread(ev)
		}
	}
	return ""
}

func simThread(ev matrixtest.Event) string {
	var content struct {
		Relation struct {
			Type  string `json:"rel_type"`
			Event string `json:"event_id"`
		} `json:"m.relates_to"`
	}
	if json.Unmarshal(ev.Content, &content) != nil || content.Relation.Type != "m.thread" {
		return ""
	}
	return content.Relation.Event
}

func (s *simulation) matrixMoves(st simStep) {
	g, p := pick(s.groups, st.a), pick(s.mats[1:], st.b)
	switch {
	case s.hs.Membership(g.room, p.mxid) != "join":
		s.note("%s joins %s, error: %v", p.name, g.id, p.user.TryJoin(g.room))
	case st.c%2 == 0:
		s.note("%s leaves %s, error: %v", p.name, g.id, p.user.TryLeave(g.room))
	default:
		s.note("%s is kicked from %s, error: %v", p.name, g.id, s.mats[0].user.TryKick(g.room, p.mxid))
	}
}

// tencentMoves brings a Tencent user into a group or out of it. In standalone the app's backend asks for it until it is answered.
func (s *simulation) tencentMoves(st simStep) {
	g, p := pick(s.groups, st.a), pick(s.tims[1:], st.b)
	in := !s.isMember(g, p)
	at := simSpan{from: time.Now()}
	var err error
	switch {
	case s.cloud != nil && in:
		err = p.cloud.Join(g.id)
	case s.cloud != nil:
		err = p.cloud.Leave(g.id)
	default:
		s.moveUntilAnswered(g, p, in, at)
		return
	}
	if err == nil {
		at.to = time.Now()
		s.moved(g, p, in, at)
		s.note("%s moves in %s, in: %t", p.name, g.id, in)
	}
}

// moveUntilAnswered waits, so that the moves of one person come one after the other. Meanwhile a bridge that is down is started.
func (s *simulation) moveUntilAnswered(g *simGroup, p *simPerson, in bool, at simSpan) {
	for {
		if s.b != nil && s.power.isCut() {
			s.stop(true)
		}
		if s.b == nil {
			s.start()
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		var err error
		if in {
			_, err = s.root.AddGroupMember(ctx, g.id, p.userID)
		} else {
			err = s.root.DeleteGroupMember(ctx, g.id, p.userID)
		}
		cancel()
		if err == nil {
			at.to = time.Now()
			s.moved(g, p, in, at)
			s.note("%s was moved in %s, in: %t", p.name, g.id, in)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// redacts: a Matrix user takes back a message of his own.
func (s *simulation) redacts(st simStep) {
	g, p := pick(s.groups, st.a), pick(s.mats, st.b)
	var own []*simMessage
	for _, m := range s.ofGroup(g) {
		if m.by == p {
			own = append(own, m)
		}
	}
	if len(own) == 0 || s.hs.Membership(g.room, p.mxid) != "join" {
		return
	}
	m := own[st.c%min(len(own), 4)]
	s.change(func() { m.redacted = true })
	s.note("%s takes back %q in %s, error: %v", p.name, m.text, g.id, p.user.TryRedact(g.room, m.event))
}

// recalls: a Tencent user takes back a message of his own.
func (s *simulation) recalls(st simStep) {
	g, p := pick(s.groups, st.a), pick(s.tims, st.b)
	for _, m := range s.ofGroup(g) {
		if m.by == p && p.cloud.Recall(g.id, m.seq) == nil {
			s.change(func() { m.redacted = true })
			s.note("%s recalls %q in %s", p.name, m.text, g.id)
			return
		}
	}
}

func (s *simulation) reacts(st simStep) {
	g, p := pick(s.groups, st.a), pick(s.mats, st.b)
	timeline := s.hs.Timeline(g.room)
	if len(timeline) > 0 && s.hs.Membership(g.room, p.mxid) == "join" {
		to := timeline[len(timeline)-1-st.c%min(len(timeline), 4)].ID
		s.note("%s reacts to %s in %s: %s", p.name, to, g.id, p.user.React(g.room, to, "+1"))
	}
}

// foreignReceipt: a receipt in one room names an event of another. Some servers store it; what is pushed may say anything.
func (s *simulation) foreignReceipt(st simStep) {
	g, other, p := s.groups[st.a%2], s.groups[1-st.a%2], pick(s.mats, st.b)
	timeline := s.hs.Timeline(other.room)
	if len(timeline) == 0 {
		return
	}
	event := timeline[len(timeline)-1].ID
	s.note("%s reads %s up to %s, which is in %s", p.name, g.id, event, other.id)
	if st.c%2 == 0 {
		_ = p.user.TrySendReceipt(g.room, event)
		return
	}
	s.putTransaction(map[string]any{"events": []any{}, "ephemeral": []any{map[string]any{
		"type": "m.receipt", "room_id": g.room,
		"content": map[id.EventID]any{event: map[string]any{"m.read": map[id.UserID]any{p.mxid: map[string]any{"ts": time.Now().UnixMilli()}}}},
	}}})
}

// mixedAck: an app acknowledges messages of two groups in one call, which is refused as a whole.
func (s *simulation) mixedAck(st simStep) {
	p := pick(s.tims, st.a)
	var ids []string
	for _, g := range s.groups {
		if m := s.ofGroup(g); len(m) > 0 && s.msgID(m[0]) != "" {
			ids = append(ids, s.msgID(m[0]))
		}
	}
	if len(ids) < 2 {
		return
	}
	s.ask(func(ctx context.Context) {
		err := p.app.SendMessageReadReceipts(ctx, ids...)
		var refusal *receipts.Error
		if err == nil || errors.As(err, &refusal) && refusal.Code == receipts.CodeReceiptNotExist {
			s.t.Errorf("an acknowledgement of messages of two groups was answered %v", err)
		}
	})
}

// msgID finds out by which ID apps know a message; "" if they do not know it yet.
func (s *simulation) msgID(m *simMessage) string {
	if m.msgID != "" || s.b == nil || m.event == "" {
		return m.msgID
	}
	known, _ := s.b.maps.MessagesByEvent(context.Background(), []id.EventID{m.event})
	return known[m.event].MsgID
}

// oldTransactions: what was taken already is sent again, two of them in one, in either order, under any id.
func (s *simulation) oldTransactions(st simStep) {
	all := slices.DeleteFunc(s.hs.Transactions(), func(t matrixtest.Transaction) bool { return t.Status != http.StatusOK })
	if len(all) == 0 {
		return
	}
	var events, ephemeral []json.RawMessage
	for _, t := range []matrixtest.Transaction{pick(all, st.a), pick(all, st.b)} {
		var body struct {
			Events    []json.RawMessage `json:"events"`
			Ephemeral []json.RawMessage `json:"ephemeral"`
		}
		_ = json.Unmarshal(t.Body, &body)
		events, ephemeral = append(events, body.Events...), append(ephemeral, body.Ephemeral...)
	}
	s.note("old transactions come once more, with %d events and %d receipts", len(events), len(ephemeral))
	if events == nil {
		events = []json.RawMessage{}
	}
	s.putTransaction(map[string]any{"events": events, "ephemeral": ephemeral})
}

func (s *simulation) putTransaction(body map[string]any) {
	text, _ := json.Marshal(body)
	address := fmt.Sprint("http://"+simBridge+"/_matrix/app/v1/transactions/", s.rand.IntN(20))
	s.ask(func(ctx context.Context) {
		req, _ := http.NewRequestWithContext(ctx, http.MethodPut, address, bytes.NewReader(text))
		req.Header.Set("Authorization", "Bearer "+testHSToken)
		_, _ = simWire{simWires: s.wires}.RoundTrip(req)
	})
}

func (s *simulation) homeserverRefuses(st simStep) {
	parts := []string{"/receipt/", "/send/", "/join", "/sync", "/context/", "/joined_members", ""}
	refusals := []struct {
		status int
		code   string
	}{{500, "M_UNKNOWN"}, {429, "M_LIMIT_EXCEEDED"}, {502, ""}, {504, ""}}
	refusal := pick(refusals, st.b)
	s.note("the homeserver answers the next %d %q with %d", 1+st.c%4, pick(parts, st.a), refusal.status)
	s.hs.FailRequests(matrixtest.Path(pick(parts, st.a)), 1+st.c%4, refusal.status, refusal.code, 0)
}

func (s *simulation) tencentRefuses(st simStep) {
	commands := []string{"", "group_msg_receipt", "send_group_msg", "add_group_member", "get_group_msg_receipt", "group_msg_get_simple",
		"get_group_member_info", "group_msg_recall", "multiaccount_import", "get_group_msg_receipt_detail", "get_group_info"}
	faults := []tencenttest.Fault{
		{Status: http.StatusServiceUnavailable}, {Half: true, Acted: true}, {Status: http.StatusBadGateway, Acted: true},
		{Code: receipts.Code(60007)}, {Code: receipts.Code(10023)}, {Code: receipts.CodeGroupInternalError},
	}
	s.note("Tencent answers the next %d %q with %+v", 1+st.c%4, pick(commands, st.a), pick(faults, st.b))
	s.cloud.FailNext(pick(commands, st.a), 1+st.c%4, pick(faults, st.b))
}

// webhooks are lost, doubled, late and out of order, or all right again.
func (s *simulation) webhooks(st simStep) {
	s.note("webhooks go wrong in way %d", st.a%6)
	switch seed := uint64(st.b); st.a % 6 { //nolint:gosec // never negative
	case 0:
		s.cloud.Deliver(tencenttest.Lossy(seed, 0.5))
	case 1:
		s.cloud.Deliver(tencenttest.Twice)
	case 2:
		s.cloud.Deliver(tencenttest.Shuffled(seed, time.Duration(200+st.c%30000)*time.Millisecond))
	case 3:
		s.cloud.Deliver(tencenttest.Nothing)
	default:
		s.cloud.Deliver(nil)
	}
}

// wiresFail: the next requests to somebody never arrive, or their answers get lost, or they are late.
func (s *simulation) wiresFail(st simStep) {
	faults := []simFault{
		{lost: true}, {unsaid: true}, {status: http.StatusBadGateway}, {status: http.StatusGatewayTimeout, unsaid: true},
		{delay: time.Duration(1+st.c%2000) * time.Millisecond}, {delay: time.Duration(5+st.c%40) * time.Second}, {delay: time.Second, unsaid: true},
	}
	var list []simFault
	for i := range 1 + st.b%4 {
		list = append(list, pick(faults, st.b/4+i*st.c))
	}
	host := pick([]string{simHomeserver, simTencent, simBridge, simHooks, simAPI}, st.a)
	s.note("the next requests to %s go wrong: %+v", host, list)
	s.wires.fail(host, list...)
}

// setClock sets the machine's clock to a wrong time, or right again. Timers that run go on as if nothing had happened.
func (s *simulation) setClock(st simStep) {
	wrong := []time.Duration{
		0, time.Duration(st.b%7200) * time.Second, -time.Duration(st.b%7200) * time.Second,
		time.Duration(st.b%50) * time.Hour, -time.Duration(st.b%600) * time.Millisecond,
	}
	if s.sending.Load() > 0 {
		return
	}
	s.offset.Store(int64(pick(wrong, st.a)))
	s.note("the clock goes %s wrong", time.Duration(s.offset.Load()))
	s.jumps++
}

// look looks at the counts as apps do: they never fall.
func (s *simulation) look(simStep) {
	if s.b == nil || s.power.isCut() {
		return
	}
	for _, g := range s.groups {
		rows, err := s.rowsOf(g)
		if err != nil {
			continue
		}
		s.change(func() {
			for _, row := range rows {
				at := simPlace{g.id, row.MsgSeq}
				if row.ReadNum < s.highest[at] {
					s.t.Errorf("%s: readCount of message %d fell from %d to %d", g.id, row.MsgSeq, s.highest[at], row.ReadNum)
				}
				s.highest[at] = max(s.highest[at], row.ReadNum)
			}
		})
	}
}
