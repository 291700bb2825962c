package receipts_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/timbridge/timbridge/receipts"
)

// The users of the tests of laws. Messages may also be of a stranger or of nobody known.
const (
	ghost    receipts.UserKey = 1
	account  receipts.UserKey = 2
	linked   receipts.UserKey = 3
	stranger receipts.UserKey = 4
)

func kindOf(u receipts.UserKey) receipts.Kind { return receipts.Kind(u - 1) }

// now is when everything in a test of laws is looked at.
func now() time.Time { return time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC) }

// world is what is true, whether a bridge knows it yet or not.
type world struct {
	messages []receipts.Message // index seq-1
	events   map[receipts.Pos]receipts.Entry
	last     receipts.Pos
	floor    receipts.Pos
	facts    []fact
	page     int
}

// fact is one input. It holds for good, so it may come at any time and again.
type fact struct {
	name string
	user receipts.UserKey

	ack      receipts.Set // what Tencent says that user has read
	claim    claim        // what user told Matrix
	isClaim  bool
	mapped   receipts.MsgSeq // the message has its place (all but its wish)
	wants    receipts.MsgSeq // the message's wish is known
	interval *receipts.Interval
}

func drawWorld(t *rapid.T) *world {
	w := &world{events: make(map[receipts.Pos]receipts.Entry), page: rapid.IntRange(1, 4).Draw(t, "page")}
	n := rapid.IntRange(1, 8).Draw(t, "messages")
	w.last = receipts.Pos(n + rapid.IntRange(0, 3).Draw(t, "other events"))
	w.floor = receipts.Pos(rapid.IntRange(0, 2).Draw(t, "floor"))
	var places []receipts.Pos
	for p := receipts.Pos(1); p <= w.last; p++ {
		places = append(places, p)
		age := rapid.SampledFrom([]time.Duration{time.Minute, time.Hour}).Draw(t, "gap age")
		w.events[p] = receipts.Entry{Gap: true, Message: receipts.Message{Pos: p, At: now().Add(-age)}}
	}
	places = rapid.Permutation(places).Draw(t, "places") // seq and pos are two orders
	for i := range n {
		m := receipts.Message{
			Seq: receipts.MsgSeq(i + 1), Pos: places[i], EventID: fmt.Sprintf("$%d", i),
			Thread:     rapid.SampledFrom([]string{"", "", "$0", "$1"}).Draw(t, "thread"),
			Sender:     receipts.UserKey(rapid.IntRange(0, 4).Draw(t, "sender")),
			Wants:      rapid.SampledFrom([]receipts.Wants{receipts.WantsYes, receipts.WantsYes, receipts.WantsNo, receipts.WantsUnknown}).Draw(t, "wants"),
			Recalled:   rapid.IntRange(0, 9).Draw(t, "recalled") == 0,
			OnlineOnly: rapid.IntRange(0, 9).Draw(t, "online only") == 0,
			At:         now().Add(-rapid.SampledFrom([]time.Duration{time.Minute, time.Minute, 8 * 24 * time.Hour}).Draw(t, "age")),
		}
		w.messages = append(w.messages, m)
		w.facts = append(w.facts, fact{name: fmt.Sprintf("map %d", m.Seq), mapped: m.Seq})
		if m.Wants != receipts.WantsUnknown {
			w.facts = append(w.facts, fact{name: fmt.Sprintf("wants %d", m.Seq), wants: m.Seq})
		}
	}
	w.drawReaders(t)
	return w
}

func (w *world) drawReaders(t *rapid.T) {
	for u := ghost; u <= linked; u++ {
		for range rapid.IntRange(0, 3).Draw(t, "acks") {
			if u == account {
				break // Tencent has of an account only what we told it
			}
			s := receipts.Set{}
			for range rapid.IntRange(1, 3).Draw(t, "ack of") {
				s = s.Union(receipts.SetOf(receipts.MsgSeq(rapid.IntRange(1, len(w.messages)).Draw(t, "acked"))))
			}
			w.facts = append(w.facts, fact{name: fmt.Sprintf("ack %d %v", u, s), user: u, ack: s})
		}
		for range rapid.IntRange(0, 3).Draw(t, "claims") {
			c := drawClaim(t, 2)
			c.pos = min(max(c.pos, 1), w.last)
			w.facts = append(w.facts, fact{name: fmt.Sprintf("claim %d %+v", u, c), user: u, claim: c, isClaim: true})
		}
		stays := rapid.IntRange(0, 2).Draw(t, "stays")
		for range stays {
			i := receipts.Interval{
				JoinedSeq:      receipts.MsgSeq(rapid.IntRange(0, 3).Draw(t, "joined seq")),
				JoinedPos:      receipts.Pos(rapid.IntRange(0, 3).Draw(t, "joined pos")),
				JoinedPosKnown: rapid.Bool().Draw(t, "joined pos known"),
				Left:           rapid.IntRange(0, 2).Draw(t, "left") == 0,
			}
			if i.Left {
				i.LeftSeq = receipts.MsgSeq(rapid.IntRange(0, 8).Draw(t, "left seq"))
				i.LeftPos = receipts.Pos(rapid.IntRange(0, 10).Draw(t, "left pos"))
			}
			w.facts = append(w.facts, fact{name: fmt.Sprintf("join %d %+v", u, i), user: u, interval: &i})
		}
	}
}

func (w *world) rules(m receipts.Membership) receipts.FrontierRules {
	if m == nil {
		m = receipts.Membership{}
	}
	return receipts.FrontierRules{Now: now(), GapAfter: 10 * time.Minute, HoleAfter: 7 * 24 * time.Hour, Floor: w.floor, Membership: m}
}

// bridge is the smallest bridge that has all the rules: it keeps what it was
// told, applies each fact as it comes, and never looks at all facts together.
type bridge struct {
	w       *world
	known   map[receipts.MsgSeq]receipts.Message
	stays   map[receipts.UserKey]receipts.Membership
	readers map[receipts.UserKey]*receipts.Reader
}

func newBridge(w *world) *bridge {
	b := &bridge{w: w, known: make(map[receipts.MsgSeq]receipts.Message), stays: make(map[receipts.UserKey]receipts.Membership),
		readers: make(map[receipts.UserKey]*receipts.Reader)}
	for u := ghost; u <= linked; u++ {
		b.readers[u] = &receipts.Reader{}
	}
	return b
}

func (b *bridge) all() []receipts.Message {
	var ms []receipts.Message
	for _, m := range b.known {
		ms = append(ms, m)
	}
	slices.SortFunc(ms, func(x, y receipts.Message) int { return int(x.Pos - y.Pos) })
	return ms
}

func (b *bridge) apply(f fact) {
	switch {
	case f.mapped != 0:
		m := b.w.messages[f.mapped-1]
		m.Wants = b.known[f.mapped].Wants
		b.learn(m)
	case f.wants != 0:
		m := b.known[f.wants]
		m.Seq, m.Wants = f.wants, b.w.messages[f.wants-1].Wants
		b.learn(m)
	case f.interval != nil:
		if !slices.Contains(b.stays[f.user], *f.interval) {
			b.stays[f.user] = append(b.stays[f.user], *f.interval)
		}
		b.expand(f.user, b.all()...)
		b.lower(f.user, 1)
	case f.isClaim:
		r := b.readers[f.user]
		if r.IsOwnEcho(kindOf(f.user), f.claim.pos) {
			break
		}
		r.Claims, _ = r.Claims.Raise(f.claim.scope, f.claim.pos)
		b.expand(f.user, b.all()...)
	default:
		r := b.readers[f.user]
		news := r.AddTencent(f.ack)
		for _, m := range b.all() {
			if news.Contains(m.Seq) {
				r.Note(m)
			}
		}
	}
	for u := range b.readers {
		b.advance(u)
	}
}

// learn is late knowledge of a message.
func (b *bridge) learn(m receipts.Message) {
	b.known[m.Seq] = m
	for u, r := range b.readers {
		b.expand(u, m)
		r.Note(m)
		if m.Pos > 0 {
			b.lower(u, m.Pos)
		}
	}
}

func (b *bridge) expand(u receipts.UserKey, ms ...receipts.Message) {
	b.readers[u].Expand(kindOf(u), b.stays[u], b.w.floor, ms)
}

func (b *bridge) lower(u receipts.UserKey, p receipts.Pos) {
	if b.readers[u].Lower(p) {
		ms := b.all()
		slices.Reverse(ms)
		b.readers[u].Settle(ms)
	}
}

// entries is what is in the room above a place, at most a page, as far as it is known.
func (b *bridge) entries(above receipts.Pos) (es []receipts.Entry) {
	for p := above + 1; p <= b.w.last && len(es) < b.w.page; p++ {
		e := b.w.events[p]
		for _, m := range b.known {
			if m.Pos == p {
				e = receipts.Entry{Message: m}
			}
		}
		es = append(es, e)
	}
	return es
}

func (b *bridge) advance(u receipts.UserKey) {
	for {
		es := b.entries(b.readers[u].Frontier)
		if blocked, _ := b.readers[u].Advance(u, es, b.w.rules(b.stays[u])); blocked || len(es) == 0 {
			return
		}
	}
}

// naive is the state of a reader worked out from all facts at once, in the plain
// words of the design and by other code than that of the package.
func naive(w *world, facts []fact, u receipts.UserKey) receipts.Reader {
	known := make(map[receipts.MsgSeq]receipts.Message)
	var stays receipts.Membership
	var claims []claim
	read, acked := model{}, model{}
	for _, f := range facts {
		switch {
		case f.mapped != 0:
			m := w.messages[f.mapped-1]
			m.Wants = known[f.mapped].Wants
			known[f.mapped] = m
		case f.wants != 0:
			m := known[f.wants]
			m.Seq, m.Wants = f.wants, w.messages[f.wants-1].Wants
			known[f.wants] = m
		case f.user != u:
		case f.interval != nil:
			stays = append(stays, *f.interval)
		case f.isClaim:
			claims = append(claims, f.claim)
		default:
			for seq := range f.ack.All() {
				read[seq], acked[seq] = true, true
			}
		}
	}
	member := func(seq receipts.MsgSeq, pos receipts.Pos) (atSeq, atPos bool) {
		for _, i := range stays {
			from := w.floor
			if i.JoinedPosKnown {
				from = i.JoinedPos
			}
			atSeq = atSeq || seq > i.JoinedSeq && !(i.Left && seq > i.LeftSeq)
			atPos = atPos || pos > from && !(i.Left && pos > i.LeftPos)
		}
		return atSeq, atPos
	}
	var r receipts.Reader
	if u != ghost {
		for _, c := range claims {
			r.Claims, _ = r.Claims.Raise(c.scope, c.pos)
			for _, m := range known {
				inScope := c.scope == receipts.ScopeRoom || m.Thread == "" && c.scope == receipts.ScopeMain || m.Thread != "" && string(c.scope) == m.Thread
				if _, atPos := member(m.Seq, m.Pos); m.Pos > 0 && m.Pos <= c.pos && inScope && atPos {
					read[m.Seq] = true
				}
			}
		}
	}
	r.Read, r.Tencent = setOf(read), setOf(acked)
	at := make(map[receipts.Pos]receipts.Message)
	for _, m := range known {
		at[m.Pos] = m
		if read[m.Seq] && !m.Recalled {
			r.Latest = max(r.Latest, m.Pos)
		}
	}
	for p := receipts.Pos(1); p <= w.last; p++ {
		m, mapped := at[p]
		old := now().Sub(w.events[p].At) >= 10*time.Minute || p <= w.floor
		if mapped {
			atSeq, _ := member(m.Seq, p)
			excused := p <= w.floor || m.Sender == u || m.Wants == receipts.WantsNo || m.Recalled || m.OnlineOnly || !atSeq
			old = read[m.Seq] || excused || now().Sub(m.At) >= 7*24*time.Hour
		}
		if !old {
			break
		}
		r.Frontier = p
		if mapped && read[m.Seq] && !m.Recalled {
			r.Solid = p
		}
	}
	return r
}

func setOf(m model) receipts.Set {
	var seqs []receipts.MsgSeq
	for seq := range m {
		seqs = append(seqs, seq)
	}
	return receipts.SetOf(seqs...)
}

func requireReader(t require.TestingT, want, got receipts.Reader, name string) {
	require.Equal(t, want.Read.String(), got.Read.String(), "%s: read", name)
	require.Equal(t, want.Tencent.String(), got.Tencent.String(), "%s: tencent", name)
	require.True(t, want.Claims.Equal(got.Claims), "%s: claims", name)
	require.Equal(t, want.Latest, got.Latest, "%s: latest", name)
	require.Equal(t, want.Frontier, got.Frontier, "%s: frontier", name)
	require.Equal(t, want.Solid, got.Solid, "%s: solid", name)
	require.Equal(t, want.Shown, got.Shown, "%s: shown", name)
	require.Equal(t, want.Sent, got.Sent, "%s: sent", name)
}
