package chaos

import (
	"context"
	"time"
)

// move has people come and go, as administrators have it: one at a time, so that it is known who is in.
func (a *actor) move() {
	g := a.group()
	switch n := a.rand.IntN(10); {
	case n < 3 && g.relinked:
		a.relink(g)
	case n < 4 && a.kind.linking:
		a.linkSomebody()
	case n < 6:
		if p := a.tims[1+a.rand.IntN(len(a.tims)-1)]; !a.stays(p) {
			a.moveTencent(g, p, !a.ledger.isMember(g, p))
		}
	case n < 8:
		if p := a.mats[1+a.rand.IntN(len(a.mats)-1)]; !a.stays(p) {
			_ = a.mats[0].user.TryKick(g.room, p.mxid)
			a.stats.add(&a.stats.moves, 1)
		}
	}
}

// moveTencent brings a Tencent user into a group or out of it, and does not give up.
func (a *actor) moveTencent(g *group, p *person, in bool) {
	at := span{from: time.Now()}
	for tries := 0; ; tries++ {
		if a.tryMove(g, p, in) == nil {
			break
		}
		// Also after the end of the load: otherwise nobody would know whether he is in.
		if !rest(a.t.Context(), 50*time.Millisecond) || tries > 600 {
			a.stats.violated(violation{"answers", p.name + " in " + g.id, "his moving to be answered at last", "no answer"})
			return
		}
	}
	at.to = time.Now()
	a.ledger.moved(g, p, in, at)
	a.stats.add(&a.stats.moves, 1)
}

func (a *actor) tryMove(g *group, p *person, in bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), 5*time.Second)
	defer cancel()
	switch {
	case a.cloud != nil && in:
		return p.cloud.Join(g.id)
	case a.cloud != nil:
		return p.cloud.Leave(g.id)
	case in:
		_, err := a.root.AddGroupMember(ctx, g.id, p.userID)
		return err
	default:
		return a.root.DeleteGroupMember(ctx, g.id, p.userID)
	}
}

// link is that a Tencent user and a Matrix user became one person, or two again.
type link struct {
	tim, mat *person
	linked   bool
}

// linkable are the pairs who are linked and unlinked in a world where that is done. They are in all groups from the beginning and stay
// there, since a linked user's coming and going is that of both, and which of the two came first nobody but timbridge can know.
func (w *world) linkable() (pairs [][2]*person) {
	if !w.kind.linking {
		return nil
	}
	for i := 1; i < min(len(w.tims), len(w.mats)); i += 2 {
		pairs = append(pairs, [2]*person{w.tims[i], w.mats[i]})
	}
	return pairs
}

// stays tells that somebody does not come and go.
func (w *world) stays(p *person) bool {
	for _, pair := range w.linkable() {
		if pair[0] == p || pair[1] == p {
			return true
		}
	}
	return false
}

// linkSomebody links a pair, or unlinks it, and does not give up.
func (a *actor) linkSomebody() {
	pairs := a.linkable()
	pair := pairs[a.rand.IntN(len(pairs))]
	on := !a.ledger.isLinked(pair[0])
	for tries := 0; ; tries++ {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), 5*time.Second)
		var err error
		if on {
			err = a.root.LinkUser(ctx, pair[0].userID, pair[1].mxid.String())
		} else {
			err = a.root.UnlinkUser(ctx, pair[0].userID)
		}
		cancel()
		if err == nil {
			break
		}
		if !rest(a.t.Context(), 50*time.Millisecond) || tries > 600 {
			a.stats.violated(violation{"answers", pair[0].name, "his linking to be answered at last", err.Error()})
			return
		}
	}
	a.ledger.link(link{pair[0], pair[1], on})
	a.stats.did("people linked or unlinked")
	a.stats.add(&a.stats.moves, 1)
}

func (l *ledger) link(change link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.links = append(l.links, change)
}

// isLinked tells whether a Tencent user or a Matrix user is linked with somebody now.
func (l *ledger) isLinked(p *person) bool { return l.other(p, true) != nil }

// other is with whom somebody is linked now, or (now false) has ever been.
func (l *ledger) other(p *person, now bool) (other *person) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, change := range l.links {
		switch {
		case change.tim == p && (change.linked || !now):
			other = change.mat
		case change.mat == p && (change.linked || !now):
			other = change.tim
		case change.tim == p || change.mat == p:
			other = nil
		}
	}
	return other
}

// unite makes of what the two of each pair have read by themselves what they have read as one. While they are linked both are one
// reader. Unlinked they are two again, each of whom keeps what the one had read: what was taken before that happened, which is not known
// of what they did at about the same time. Their messages to each other are their own while they are linked, so what they have read of
// those is left open.
func (m *model) unite(all []*reading) {
	of := make(map[*person]*reading, len(all))
	for _, r := range all {
		of[r.p] = r
	}
	for _, r := range all {
		other := m.ledger.other(r.p, false)
		if other == nil || r.p.user != nil {
			continue
		}
		mat := of[other]
		may := make(map[uint64]bool)
		for seq, e := range m.bySeq {
			if r.may[seq] || mat.may[seq] || e.by == r.p || e.by == other {
				may[seq] = true
			}
			if e.by == r.p || e.by == other {
				delete(r.must, seq)
				delete(mat.must, seq)
			}
			// Where his marker stood already his own receipt says nothing new: what it covers is then what had to be read before it
			// could stand there, and that is nothing that was sent while he was no member.
			if mat.must[seq] && memberAt(mat.changes, seq) != yes {
				delete(mat.must, seq)
			}
		}
		r.may, mat.may = may, may
		if m.ledger.isLinked(r.p) {
			for seq := range mat.must {
				r.must[seq] = true
			}
			mat.must = r.must
		}
	}
}

// checkLinkedMarker compares the receipt that the room shows of a linked user, which is his own client's or the one that timbridge has
// set for him, with what he has read.
func (m *model) checkLinkedMarker(r *reading, mat *person) {
	var at, own int64
	for _, s := range m.shown {
		if s.User == mat.mxid && s.Type == "m.read" {
			at = max(at, m.hs.place(s.Event))
		}
	}
	m.ledger.mu.Lock()
	for _, up := range m.ledger.reads {
		if up.by == mat.mxid && up.room == m.g.room {
			own = max(own, m.hs.place(up.event))
		}
	}
	m.ledger.mu.Unlock()
	least, most := m.frontier(r)
	m.expect(at <= max(most, own), "marker not beyond the frontier", mat.name, max(most, own), at)
	m.expect(at >= least, "marker at the frontier", mat.name, least, at)
}
