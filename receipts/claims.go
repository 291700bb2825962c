package receipts

import (
	"cmp"
	"slices"
)

// MaxThreads is how many threads the claims of one reader are kept for: those
// with the highest places. A claim that is dropped has had its effect already; it
// only no longer counts for messages that get their place later.
const MaxThreads = 500

// maxRoot is the longest event ID that Matrix allows, in bytes. Source:
// https://spec.matrix.org/v1.19/appendices/#common-identifier-format.
const maxRoot = 255

// Scope is the part of a room that a receipt speaks of, written as thread_id of a
// receipt is: "" for the whole room, "main" for the main timeline, else the event
// ID of the root of a thread. Source:
// https://spec.matrix.org/v1.19/client-server-api/#threaded-read-receipts.
type Scope string

const (
	// ScopeRoom is the whole room: a receipt without thread_id.
	ScopeRoom Scope = ""
	// ScopeMain is the main timeline: a receipt with thread_id "main".
	ScopeMain Scope = "main"
)

// ScopeThread is the thread under root; for an empty root the main timeline.
func ScopeThread(root string) Scope {
	if root == "" {
		return ScopeMain
	}
	return Scope(root)
}

// Claims is what a real user himself told Matrix: "read up to this place", once
// for the whole room, the main timeline and each thread. It only rises, and the
// order in which it is raised does not matter. It is an immutable value like
// [Set]; the zero value claims nothing.
type Claims struct {
	room, main Pos
	threads    []threadClaim // by root; above room; at most MaxThreads
}

type threadClaim struct {
	root string
	pos  Pos
}

// Raise returns c with the claim that everything of s up to p has been read, and
// whether that said anything that c did not say before. Places below 1 and roots
// that cannot be event IDs (above 255 bytes) say nothing. Claims that the one for
// the whole room covers are dropped, and threads beyond [MaxThreads].
func (c Claims) Raise(s Scope, p Pos) (Claims, bool) {
	if p <= c.room || p <= 0 {
		return c, false
	}
	switch s {
	case ScopeRoom:
		c.room = p
		if c.main <= p {
			c.main = 0
		}
		c.threads = slices.DeleteFunc(slices.Clone(c.threads), func(t threadClaim) bool { return t.pos <= p })
		if len(c.threads) == 0 {
			c.threads = nil
		}
		return c, true
	case ScopeMain:
		if p <= c.main {
			return c, false
		}
		c.main = p
		return c, true
	default:
		return c.raiseThread(string(s), p)
	}
}

func (c Claims) raiseThread(root string, p Pos) (Claims, bool) {
	if len(root) > maxRoot {
		return c, false
	}
	i, found := c.findThread(root)
	if found {
		if p <= c.threads[i].pos {
			return c, false
		}
		c.threads = slices.Clone(c.threads)
		c.threads[i].pos = p
		return c, true
	}
	grown := make([]threadClaim, 0, len(c.threads)+1)
	grown = append(grown, c.threads[:i]...)
	grown = append(grown, threadClaim{root, p})
	grown = append(grown, c.threads[i:]...)
	if len(grown) > MaxThreads {
		// The lowest goes; of equals the one whose root is highest, so that the
		// outcome does not depend on the order.
		lowest := 0
		for k, t := range grown {
			if t.pos <= grown[lowest].pos {
				lowest = k
			}
		}
		if lowest == i {
			return c, false
		}
		grown = slices.Delete(grown, lowest, lowest+1)
	}
	c.threads = grown
	return c, true
}

func (c Claims) findThread(root string) (int, bool) {
	return slices.BinarySearchFunc(c.threads, root, func(t threadClaim, r string) int { return cmp.Compare(t.root, r) })
}

// insert is c with all places from p on one higher.
func (c Claims) insert(p Pos) Claims {
	c.room, c.main = c.room.insert(p), c.main.insert(p)
	c.threads = slices.Clone(c.threads)
	for i := range c.threads {
		c.threads[i].pos = c.threads[i].pos.insert(p)
	}
	return c
}

// Union returns what c and o say together.
func (c Claims) Union(o Claims) Claims {
	c, _ = c.Raise(ScopeRoom, o.room)
	c, _ = c.Raise(ScopeMain, o.main)
	for _, t := range o.threads {
		c, _ = c.Raise(ScopeThread(t.root), t.pos)
	}
	return c
}

// Covers reports whether c says that m has been read. A message without a place
// is never covered.
func (c Claims) Covers(m Message) bool {
	return m.Pos > 0 && m.Pos <= c.At(ScopeThread(m.Thread))
}

// At is the place up to which c says that everything of s has been read, 0 for
// nothing.
func (c Claims) At(s Scope) Pos {
	switch s {
	case ScopeRoom:
		return c.room
	case ScopeMain:
		return max(c.room, c.main)
	default:
		if i, found := c.findThread(string(s)); found {
			return c.threads[i].pos
		}
		return c.room
	}
}

// Highest is the highest place of any claim, 0 if there is none: no message
// above it is covered.
func (c Claims) Highest() Pos {
	highest := max(c.room, c.main)
	for _, t := range c.threads {
		highest = max(highest, t.pos)
	}
	return highest
}

// IsZero reports whether c claims nothing.
func (c Claims) IsZero() bool { return c.room == 0 && c.main == 0 && len(c.threads) == 0 }

// Equal reports whether c and o say the same.
func (c Claims) Equal(o Claims) bool {
	return c.room == o.room && c.main == o.main && slices.Equal(c.threads, o.threads)
}
