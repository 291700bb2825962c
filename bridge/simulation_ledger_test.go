package bridge

import (
	"errors"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/receipts"
)

// simLedger is what people did and what they were answered. It knows nothing of the bridge's inside.
type simLedger struct {
	mu       sync.Mutex
	messages []*simMessage
	acks     []*simAck
	reads    []simRead
	moves    map[simMembership][]simMove
	taken    map[id.EventID]time.Time // when a transaction with the event was answered
	highest  map[simPlace]uint64      // readCount as the apps have seen it
}

// simSpan is the time in which something was done: somewhere between the question and the answer.
type simSpan struct{ from, to time.Time }

// before tells that all of a came before all of b. What has no end yet is before nothing. Homeservers count in milliseconds.
func (a simSpan) before(b simSpan) bool {
	return !a.to.IsZero() && a.to.Add(2*time.Millisecond).Before(b.from)
}

// simState is what became of something that was asked for.
type simState int

const (
	simUnsure   simState = iota // no answer: it may have been done or not
	simAccepted                 // it was answered that it was done
	simDenied                   // it was answered that it was not done
)

// simMessage is one that somebody sent.
type simMessage struct {
	group    *simGroup
	by       *simPerson
	text     string
	event    id.EventID // of a Matrix user's
	msgID    string     // of a Tencent user's that was answered
	seq      uint64     // likewise
	wants    bool
	at       simSpan
	state    simState
	redacted bool // taken back, or at least tried
}

// simAck is one acknowledgement on Tencent's side.
type simAck struct {
	group *simGroup
	by    *simPerson
	ids   []string // in standalone
	seqs  []uint64 // in cloud
	state simState
}

// simRead is one receipt in Matrix: read up to here, in all of the room, "main" or a thread.
type simRead struct {
	room   id.RoomID
	by     id.UserID
	event  id.EventID
	thread string
}

type simMembership struct {
	group  string
	person *simPerson
}

type simPlace struct {
	group string
	seq   uint64
}

// simMove is that a Tencent user joined or left a group.
type simMove struct {
	joined bool
	at     simSpan
}

// change changes what is known under the lock.
func (l *simLedger) change(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.taken == nil {
		l.taken, l.moves, l.highest = make(map[id.EventID]time.Time), make(map[simMembership][]simMove), make(map[simPlace]uint64)
	}
	do()
}

func (l *simLedger) moved(g *simGroup, p *simPerson, joined bool, at simSpan) {
	l.change(func() {
		key := simMembership{g.id, p}
		l.moves[key] = append(l.moves[key], simMove{joined: joined, at: at})
	})
}

// isMember is what the last move of a Tencent user made of him.
func (l *simLedger) isMember(g *simGroup, p *simPerson) (is bool) {
	l.change(func() {
		moves := l.moves[simMembership{g.id, p}]
		is = len(moves) > 0 && moves[len(moves)-1].joined
	})
	return is
}

// texts are the messages of a group by what they say.
func (l *simLedger) texts(g *simGroup) map[string]*simMessage {
	found := make(map[string]*simMessage)
	l.change(func() {
		for _, m := range l.messages {
			if m.group == g {
				found[m.text] = m
			}
		}
	})
	return found
}

// ofGroup are the messages of a group that were answered, newest first.
func (l *simLedger) ofGroup(g *simGroup) (list []*simMessage) {
	l.change(func() {
		for _, m := range slices.Backward(l.messages) {
			if m.group == g && m.state == simAccepted && !m.redacted {
				list = append(list, m)
			}
		}
	})
	return list
}

// simAnswered judges what an app was answered.
func simAnswered(err error) simState {
	var refusal *receipts.Error
	switch {
	case err == nil:
		return simAccepted
	case errors.As(err, &refusal) && refusal.Code != receipts.CodeGroupInternalError:
		return simDenied
	default:
		return simUnsure // none, or "internal, try again"
	}
}
