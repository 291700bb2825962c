package deepcheck

import (
	"fmt"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// walk goes once through a group's room, for all of its readers.
type walk struct {
	*check
	part     string
	group    mapping.Group
	imported bool
	rules    receipts.FrontierRules
	who      []*person
}

// person is one reader, with what has been found on the way so far.
type person struct {
	row        receiptsdb.Row
	user       mapping.User
	membership receipts.Membership

	scratch  receipts.Reader // his frontier, from the beginning
	blocked  bool
	latest   receipts.Pos // the highest place of a message that he has read and that stands
	atLatest bool         // he has read the message at the place where his marker may be
	missing  uint64       // messages that his claims cover and that he has not read
	first    receipts.MsgSeq
}

// name names a reader for people.
func (w *walk) name(who *person) string {
	user := who.user.UserID
	if user == "" {
		user = fmt.Sprint("number ", who.row.User)
	}
	return fmt.Sprintf("group %s, user %s", w.group.GroupID, user)
}

func (w *walk) wrong(who *person, kind, format string, args ...any) {
	w.problem(w.part, kind, "%s: %s", w.name(who), fmt.Sprintf(format, args...))
}

// alone checks what needs no messages.
func (who *person) alone(w *walk, claimMax receipts.Pos) {
	row := &who.row
	if more := row.Tencent.Difference(row.Read); !more.IsEmpty() {
		w.wrong(who, "tencent", "Tencent is said to have %v, which he has not read", more)
	}
	if highest := row.Claims.Highest(); highest != claimMax {
		w.wrong(who, "claim_max", "claim_max is %d, and his highest claim %d", claimMax, highest)
	}
	if row.Read.Max() > w.group.LastSeq {
		w.wrong(who, "last", "he has read message %d, and the group's last is %d", row.Read.Max(), w.group.LastSeq)
	}
	if min(row.Latest, row.Frontier, row.Solid, row.Shown, row.Sent) < 0 || min(row.Attempts, row.AckAttempts) < 0 {
		w.wrong(who, "negative", "a place or a number of attempts is negative")
	}
	if row.Solid > row.Frontier || row.Solid > row.Latest {
		w.wrong(who, "solid", "solid is %d, beyond his frontier %d or the latest that he has read, %d", row.Solid, row.Frontier, row.Latest)
	}
	if w.group.RoomID == "" && (!row.Claims.IsZero() || max(row.Latest, row.Frontier, row.Shown, row.Sent) > 0) {
		w.wrong(who, "roomless", "he has places in a room, and the group has none")
	}
}

// reads tells that a person says what he has read by his markers, and not we.
func (who *person) reads(w *walk) bool {
	return who.user.Kind != receipts.KindGhost && len(who.membership) > 0 && !who.row.Claims.IsZero() && (w.opts.Foreign == nil || !w.opts.Foreign(who.user.MXID))
}

// within checks that no place lies beyond the room's last.
func (who *person) within(w *walk, head receipts.Pos) {
	row := &who.row
	if highest := max(row.Latest, row.Frontier, row.Shown, row.Sent, row.Claims.Highest()); highest > head {
		w.wrong(who, "head", "one of his places is %d, and the room's last is %d", highest, head)
	}
	who.scratch = receipts.Reader{Read: row.Read}
}

// pass takes in the next entries of the room.
func (who *person) pass(w *walk, page []receipts.Entry) {
	row := &who.row
	claims := who.reads(w)
	for i := range page {
		m := &page[i]
		if m.Gap {
			continue
		}
		read := row.Read.Contains(m.Seq)
		if read && !m.Recalled {
			who.latest = max(who.latest, m.Pos)
		}
		who.atLatest = who.atLatest || read && m.Pos == row.Latest
		if claims && !read && row.Claims.Covers(m.Message) && who.membership.AtPos(m.Pos, w.rules.Floor) {
			if who.missing++; who.missing == 1 {
				who.first = m.Seq
			}
		}
	}
	if row.Frontier > 0 && !who.blocked {
		rules := w.rules
		rules.Membership = who.membership
		who.blocked, _ = who.scratch.Advance(row.User, page, rules)
	}
}

// end says what was found.
func (who *person) end(w *walk) {
	row := &who.row
	if row.Latest > 0 && !who.atLatest {
		w.wrong(who, "latest", "his marker may be at place %d, where is no message that he has read", row.Latest)
	}
	// What he read before the group came to this room is not shown there.
	if who.latest > row.Latest && who.latest > w.rules.Floor && !w.imported {
		w.wrong(who, "behind", "he has read the message at place %d, and his marker stops at %d", who.latest, row.Latest)
	}
	if row.Sent > max(row.Latest, w.rules.Floor) {
		w.wrong(who, "sent", "a marker was sent at place %d, and the latest that he has read is %d", row.Sent, row.Latest)
	}
	if who.user.Kind == receipts.KindGhost && row.Shown > max(row.Latest, w.rules.Floor) {
		w.wrong(who, "shown", "Matrix shows a marker at place %d, and the latest that he has read is %d", row.Shown, row.Latest)
	}
	if who.blocked && row.Frontier > who.scratch.Frontier {
		w.wrong(who, "frontier", "his frontier is %d, and above %d is a message that he has not read", row.Frontier, who.scratch.Frontier)
	}
	if who.missing > 0 && !w.imported {
		w.wrong(who, "claims", "his markers in Matrix cover %d messages that he is not said to have read, the first is %d", who.missing, who.first)
	}
}
