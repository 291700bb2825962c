package chaos

import (
	"context"
	"fmt"
	"time"

	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/bridge/v2tim"

	"maunium.net/go/mautrix/id"
)

// relink parts a group from its room, and joins them again. It does not give up: otherwise nobody would know whether they are one.
func (a *actor) relink(g *group) {
	insist := func(what string, try func(ctx context.Context) error) bool {
		for tries := 0; ; tries++ {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), 5*time.Second)
			err := try(ctx)
			cancel()
			if err == nil {
				return true
			}
			if !rest(a.t.Context(), 50*time.Millisecond) || tries > 600 {
				a.stats.violated(violation{"answers", g.id, what + " to be answered at last", err.Error()})
				return false
			}
		}
	}
	if !insist("unlinking", func(ctx context.Context) error { return a.root.UnmapGroup(ctx, g.id) }) {
		return
	}
	a.rest(time.Duration(a.rand.IntN(2000)) * time.Millisecond)
	if !insist("linking", func(ctx context.Context) error {
		_, err := a.root.MapGroup(ctx, v2tim.MapGroupRequest{GroupId: g.id, RoomId: g.room.String()})
		return err
	}) {
		return
	}
	g.mu.Lock()
	g.linkedAt = time.Now()
	g.mu.Unlock()
	a.stats.did("groups unlinked and linked")
}

// checkRelinked is what holds in a group that was parted from its room now and then. What people did meanwhile crosses or not, as it came
// before or after; nothing is there twice, or by somebody else, or read by who has not read it.
func (m *model) checkRelinked(all []*reading) {
	for _, c := range m.atTencent {
		if !c.HasReceipt {
			continue
		}
		e := m.bySeq[c.Seq]
		for _, r := range all {
			if r.p.user == nil && !m.ledger.isLinked(r.p) {
				continue // he has read it at Tencent, whether timbridge knows of it or not
			}
			has := m.cloud.HasRead(m.g.id, r.p.userID, c.Seq)
			m.expect(!has || e != nil && r.may[c.Seq] || m.ledger.other(r.p, false) != nil && e == nil, "no receipt of what was not read",
				fmt.Sprintf("%s and message %d (%s)", r.p.name, c.Seq, c.Text), false, has)
		}
	}
	for _, r := range all {
		if r.p.user != nil || m.ledger.isLinked(r.p) {
			continue
		}
		for _, s := range m.shown {
			if s.User == r.p.mxid {
				e := m.event[s.Event]
				m.expect(e == nil || r.may[e.row.MsgSeq], "marker on what he has read", r.p.name, fmt.Sprintf("one of %v", seqs(r.may)), s.Event)
			}
		}
		got, in := m.hs.Membership(m.g.room, r.p.mxid), isMember(r.changes)
		m.expect((got == "join") == in, "ghost in the room", r.p.name, in, got)
	}
}

// checkAtMostOnce is what holds of a message from before the group was joined with its room the last time.
func (m *model) checkAtMostOnce(sent *message, shown []id.EventID, there []tencenttest.Message) {
	m.expect(len(there) < 2, "at Tencent once", sent.text, "at most once", len(there))
	m.expect(len(shown) < 2 || sent.online && m.stats.restartsOfHomeserver() > 0, "in the room once", sent.text, "at most once", shown) // see checkOnline
}

// parted tells whether a message is from before its group was joined with its room the last time.
func (g *group) parted(m *message) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !m.at.from.After(g.linkedAt)
}
