package chaos

import (
	"errors"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/receipts"
)

// ledger is what people did and what they were answered. It knows nothing of timbridge's inside.
type ledger struct {
	mu       sync.Mutex
	messages []*message
	acks     []*ack
	reads    []*readUp
	pushes   []*readUp
	moves    map[membership][]move
	links    []link
}

// span is the time in which something that was asked for was done: somewhere between the question and the answer.
type span struct{ from, to time.Time }

// before tells that all of a came before all of b. Homeservers count in milliseconds. What has no end yet is before nothing.
func (a span) before(b span) bool {
	return !a.to.IsZero() && a.to.Add(2*time.Millisecond).Before(b.from)
}

// message is one that somebody sent.
type message struct {
	group *group
	by    *person
	text  string
	event id.EventID // of a Matrix user's
	msgID string     // of a Tencent user's that was answered
	seq   uint64     // likewise
	wants bool
	at    span
	state state
	// thread is the root of the thread that it was written in, "" if in none.
	thread id.EventID
	// edits are the texts that it was given since, or was tried to be given.
	edits []string
	// online: for those online only, at Tencent. It has no place in the group's history.
	online bool
	// redacted: taken back, or at least tried.
	redacted bool
}

// state is what became of something that was asked for.
type state int

const (
	unsure   state = iota // no answer: it may have been done or not
	accepted              // it was answered that it was done
	denied                // it was answered that it was not done
)

// ack is one acknowledgement on Tencent's side.
type ack struct {
	group *group
	by    *person
	ids   []string // in standalone
	seqs  []uint64 // in cloud
	at    span
	state state
}

// readUp is one receipt in Matrix: read up to here, in a thread, the main timeline ("main") or the whole room ("").
type readUp struct {
	room   id.RoomID
	by     id.UserID
	event  id.EventID
	thread string
}

type membership struct {
	group  string
	person *person
}

// move is that a Tencent user joined or left a group.
type move struct {
	joined bool
	at     span
}

func (l *ledger) sent(m *message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages = append(l.messages, m)
}

// change changes what is known of a message or an acknowledgement.
func (l *ledger) change(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do()
}

func (l *ledger) acked(a *ack) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acks = append(l.acks, a)
}

func (l *ledger) read(r *readUp) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads = append(l.reads, r)
}

// hasMarked tells whether somebody has sent a receipt for an event.
func (l *ledger) hasMarked(user id.UserID, event id.EventID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.reads, func(up *readUp) bool { return up.by == user && up.event == event })
}

// pushed notes receipts in a transaction that was answered 200.
func (l *ledger) pushed(rs pushedReceipts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for event, types := range rs.Content {
		for user := range types["m.read"] {
			l.pushes = append(l.pushes, &readUp{room: id.RoomID(rs.RoomID), by: id.UserID(user), event: id.EventID(event)})
		}
	}
}

func (l *ledger) moved(g *group, p *person, joined bool, at span) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.moves == nil {
		l.moves = make(map[membership][]move)
	}
	key := membership{g.id, p}
	l.moves[key] = append(l.moves[key], move{joined: joined, at: at})
}

// isMember is what the last move of a Tencent user made of him.
func (l *ledger) isMember(g *group, p *person) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	moves := l.moves[membership{g.id, p}]
	return len(moves) > 0 && moves[len(moves)-1].joined
}

// texts are the messages of a group by what they say, or said before they were edited.
func (l *ledger) texts(g *group) map[string]*message {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := make(map[string]*message)
	for _, m := range l.messages {
		if m.group == g {
			found[m.text] = m
			for _, text := range m.edits {
				found[text] = m
			}
		}
	}
	return found
}

func (l *ledger) count() (messages, receipts int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.acks {
		if a.state == accepted {
			receipts += len(a.ids) + len(a.seqs)
		}
	}
	return len(l.messages), receipts + len(l.reads)
}

// resolve finds out what became of messages that Matrix users got no answer for: those that the room has were sent.
func (l *ledger) resolve(v *view) {
	l.mu.Lock()
	defer l.mu.Unlock()
	there := make(map[string]id.EventID)
	for _, ev := range v.events {
		there[body(ev)] = ev.ID
	}
	for _, m := range l.messages {
		if event := there[m.text]; m.group == v.g && m.by.user != nil && m.state == unsure && event != "" {
			m.event, m.state = event, accepted
		}
	}
}

// recent returns the last messages that somebody sent to a group and that were not taken back.
func (l *ledger) recent(g *group, p *person, n int) (list []*message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range slices.Backward(l.messages) {
		if m.group == g && m.by == p && m.state == accepted && !m.redacted && !m.online {
			if list = append(list, m); len(list) == n {
				break
			}
		}
	}
	return list
}

// answered judges what an app was answered.
func answered(err error) state {
	if err == nil {
		return accepted
	}
	var refusal *receipts.Error
	if errors.As(err, &refusal) && refusal.Code != receipts.CodeGroupInternalError {
		return denied
	}
	return unsure // none, or "internal, try again"
}
