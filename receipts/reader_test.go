package receipts_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/receipts"
)

// wanted is a message of a stranger that wants a receipt, young enough to be waited for.
func wanted(seq receipts.MsgSeq, pos receipts.Pos) receipts.Message {
	return receipts.Message{Seq: seq, Pos: pos, Sender: stranger, Wants: receipts.WantsYes, At: now()}
}

func always() receipts.Membership { return receipts.Membership{{JoinedPosKnown: true}} }

func TestMergingReportsNews(t *testing.T) {
	var r receipts.Reader
	require.Equal(t, "1-2", r.Add(receipts.SetOf(1, 2)).String())
	require.Equal(t, "3", r.AddTencent(receipts.SetOf(2, 3)).String())
	require.Equal(t, "", r.AddTencent(receipts.SetOf(2, 3)).String())
	require.Equal(t, "", r.Add(receipts.SetOf(3)).String())
	require.Equal(t, "1-3", r.Read.String())
	require.Equal(t, "2-3", r.Tencent.String())
}

func TestExpand(t *testing.T) {
	own, less := wanted(2, 2), wanted(3, 3)
	own.Sender, less.Wants = account, receipts.WantsNo
	threaded, unplaced := wanted(4, 4), wanted(5, 0)
	threaded.Thread = "$t"
	ms := []receipts.Message{wanted(6, 1), own, less, threaded, unplaced, wanted(7, 6)}
	tests := map[string]struct {
		kind  receipts.Kind
		m     receipts.Membership
		floor receipts.Pos
		scope receipts.Scope
		pos   receipts.Pos
		want  string
	}{
		"whole room: own and receipt-less too": {receipts.KindAccount, always(), 0, receipts.ScopeRoom, 5, "2-4,6"},
		"linked":                               {receipts.KindLinked, always(), 0, receipts.ScopeRoom, 5, "2-4,6"},
		"main timeline":                        {receipts.KindAccount, always(), 0, receipts.ScopeMain, 5, "2-3,6"},
		"thread":                               {receipts.KindAccount, always(), 0, receipts.ScopeThread("$t"), 5, "4"},
		"the event itself":                     {receipts.KindAccount, always(), 0, receipts.ScopeMain, 6, "2-3,6-7"},
		"ghosts never":                         {receipts.KindGhost, always(), 0, receipts.ScopeRoom, 9, ""},
		"strangers never":                      {receipts.KindAccount, nil, 0, receipts.ScopeRoom, 9, ""},
		"since he joined":                      {receipts.KindAccount, receipts.Membership{{JoinedPos: 2, JoinedPosKnown: true}}, 4, receipts.ScopeRoom, 9, "3-4,7"},
		"since the group was linked":           {receipts.KindAccount, receipts.Membership{{JoinedSeq: 9}}, 3, receipts.ScopeRoom, 9, "4,7"},
		"until he left":                        {receipts.KindAccount, receipts.Membership{{Left: true, LeftPos: 2}}, 0, receipts.ScopeRoom, 9, "2,6"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var r receipts.Reader
			r.Claims, _ = r.Claims.Raise(test.scope, test.pos)
			require.Equal(t, test.want, r.Expand(test.kind, test.m, test.floor, ms).String())
			require.Equal(t, test.want, r.Read.String())
			require.Empty(t, r.Tencent.Ranges(), "Tencent has not been told")
			require.True(t, r.Expand(test.kind, test.m, test.floor, ms).IsEmpty())
		})
	}
}

func TestNote(t *testing.T) {
	r := receipts.Reader{Read: receipts.SetOf(1, 2, 3, 4), Frontier: 5}
	recalled := wanted(2, 9)
	recalled.Recalled = true
	r.Note(wanted(1, 4), wanted(9, 20), recalled, wanted(3, 0))
	require.EqualValues(t, 4, r.Latest)
	require.EqualValues(t, 4, r.Solid, "below the frontier it is solid")
	r.Note(wanted(3, 7), wanted(4, 3))
	require.EqualValues(t, 7, r.Latest)
	require.EqualValues(t, 4, r.Solid)
}

func TestOwnEcho(t *testing.T) {
	r := receipts.Reader{Sent: 5}
	require.True(t, r.IsOwnEcho(receipts.KindGhost, 100))
	require.True(t, r.IsOwnEcho(receipts.KindLinked, 5))
	require.True(t, r.IsOwnEcho(receipts.KindLinked, 4))
	require.False(t, r.IsOwnEcho(receipts.KindLinked, 6))
	require.False(t, r.IsOwnEcho(receipts.KindAccount, 5))
}

func TestAdvance(t *testing.T) {
	gap := func(pos receipts.Pos, age time.Duration) receipts.Entry {
		return receipts.Entry{Gap: true, Message: receipts.Message{Pos: pos, At: now().Add(-age)}}
	}
	at := func(m receipts.Message, change func(*receipts.Message)) receipts.Entry {
		if change != nil {
			change(&m)
		}
		return receipts.Entry{Message: m}
	}
	old := func(m *receipts.Message) { m.At = now().Add(-8 * 24 * time.Hour) }
	const self = account
	tests := map[string]struct {
		read            receipts.Set
		es              []receipts.Entry
		rules           func(*receipts.FrontierRules)
		frontier, solid receipts.Pos
		blocked         bool
		holes           int
	}{
		"nothing there":        {frontier: 0},
		"read":                 {read: receipts.SetOf(5, 6), es: []receipts.Entry{at(wanted(5, 1), nil), at(wanted(6, 2), nil)}, frontier: 2, solid: 2},
		"unread":               {read: receipts.SetOf(6), es: []receipts.Entry{at(wanted(5, 1), nil), at(wanted(6, 2), nil)}, blocked: true},
		"wish not known":       {es: []receipts.Entry{at(wanted(5, 1), func(m *receipts.Message) { m.Wants = receipts.WantsUnknown })}, blocked: true},
		"sender not known":     {es: []receipts.Entry{at(wanted(5, 1), func(m *receipts.Message) { m.Sender = 0 })}, blocked: true},
		"time not known":       {es: []receipts.Entry{at(wanted(5, 1), func(m *receipts.Message) { m.At = time.Time{} })}, blocked: true},
		"own":                  {es: []receipts.Entry{at(wanted(5, 1), func(m *receipts.Message) { m.Sender = self })}, frontier: 1},
		"own and read":         {read: receipts.SetOf(5), es: []receipts.Entry{at(wanted(5, 1), func(m *receipts.Message) { m.Sender = self })}, frontier: 1, solid: 1},
		"without receipt":      {es: []receipts.Entry{at(wanted(5, 1), func(m *receipts.Message) { m.Wants = receipts.WantsNo })}, frontier: 1},
		"recalled":             {es: []receipts.Entry{at(wanted(5, 1), func(m *receipts.Message) { m.Recalled = true })}, frontier: 1},
		"recalled and read":    {read: receipts.SetOf(5), es: []receipts.Entry{at(wanted(5, 1), func(m *receipts.Message) { m.Recalled = true })}, frontier: 1},
		"online only":          {es: []receipts.Entry{at(wanted(5, 1), func(m *receipts.Message) { m.OnlineOnly = true })}, frontier: 1},
		"old hole":             {read: receipts.SetOf(6), es: []receipts.Entry{at(wanted(5, 1), old), at(wanted(6, 2), nil), at(wanted(7, 3), old)}, frontier: 3, solid: 2, holes: 2},
		"hole not passed":      {es: []receipts.Entry{at(wanted(5, 1), old)}, rules: func(r *receipts.FrontierRules) { r.HoleAfter = 0 }, blocked: true},
		"young gap":            {es: []receipts.Entry{gap(1, 9*time.Minute)}, blocked: true},
		"old gap":              {es: []receipts.Entry{gap(1, 10*time.Minute), gap(2, time.Minute)}, frontier: 1, blocked: true},
		"below the floor":      {es: []receipts.Entry{gap(1, 0), at(wanted(5, 2), nil), at(wanted(6, 3), nil)}, rules: func(r *receipts.FrontierRules) { r.Floor = 2 }, frontier: 2, blocked: true},
		"not a member then":    {es: []receipts.Entry{at(wanted(5, 1), nil), at(wanted(6, 2), nil)}, rules: func(r *receipts.FrontierRules) { r.Membership = receipts.Membership{{JoinedSeq: 5}} }, frontier: 1, blocked: true},
		"membership is no gap": {es: []receipts.Entry{gap(1, 0)}, rules: func(r *receipts.FrontierRules) { r.Membership = receipts.Membership{} }, blocked: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rules := receipts.FrontierRules{Now: now(), GapAfter: 10 * time.Minute, HoleAfter: 7 * 24 * time.Hour}
			if test.rules != nil {
				test.rules(&rules)
			}
			r := receipts.Reader{Read: test.read}
			blocked, holes := r.Advance(self, test.es, rules)
			require.Equal(t, test.blocked, blocked)
			require.Equal(t, test.holes, holes)
			require.Equal(t, test.frontier, r.Frontier)
			require.Equal(t, test.solid, r.Solid)
		})
	}
}

func TestAdvancePassesOverWhatIsBelow(t *testing.T) {
	r := receipts.Reader{Frontier: 5, Solid: 4}
	blocked, _ := r.Advance(account, []receipts.Entry{{Message: wanted(1, 3)}, {Message: wanted(2, 5)}}, receipts.FrontierRules{Now: now()})
	require.False(t, blocked)
	require.EqualValues(t, 5, r.Frontier)
}

func TestLowerAndSettle(t *testing.T) {
	r := receipts.Reader{Read: receipts.SetOf(3, 9), Frontier: 9, Solid: 9}
	require.False(t, r.Lower(10), "above the frontier nothing happens")
	require.EqualValues(t, 9, r.Frontier)
	require.True(t, r.Lower(6))
	require.EqualValues(t, 5, r.Frontier)
	require.EqualValues(t, 5, r.Solid, "an upper bound until it is settled")
	recalled := wanted(3, 4)
	recalled.Recalled = true
	require.True(t, r.Settle([]receipts.Message{wanted(9, 9), wanted(4, 5), recalled, wanted(3, 3), wanted(3, 2)}))
	require.EqualValues(t, 3, r.Solid)
	require.False(t, r.Lower(4), "solid is below already")
	require.EqualValues(t, 3, r.Frontier)
	require.False(t, r.Settle(nil))
	require.Zero(t, r.Solid)
	require.False(t, r.Lower(0))
	require.Zero(t, r.Frontier)
}

func TestMarker(t *testing.T) {
	r := receipts.Reader{Latest: 9, Solid: 5, Shown: 3}
	tests := []struct {
		kind   receipts.Kind
		policy receipts.Policy
		want   receipts.Pos
	}{
		{receipts.KindGhost, receipts.PolicyLatest, 9},
		{receipts.KindGhost, receipts.PolicyContiguous, 5},
		{receipts.KindLinked, receipts.PolicyLatest, 5},
		{receipts.KindLinked, receipts.PolicyContiguous, 5},
		{receipts.KindAccount, receipts.PolicyLatest, 3},
	}
	for _, test := range tests {
		p, pending := r.MarkerPending(test.kind, test.policy)
		require.Equal(t, test.want, p, "%v %v", test.kind, test.policy)
		require.Equal(t, test.want > 3, pending, "%v %v", test.kind, test.policy)
	}
	r.Shown = 9
	p, pending := r.MarkerPending(receipts.KindLinked, receipts.PolicyLatest)
	require.EqualValues(t, 9, p, "never below what is shown")
	require.False(t, pending)
	r.Shown, r.Sent = 3, 7
	_, pending = r.MarkerPending(receipts.KindLinked, receipts.PolicyLatest)
	require.False(t, pending, "what was sent may have arrived")
	_, pending = r.MarkerPending(receipts.KindGhost, receipts.PolicyLatest)
	require.True(t, pending)
	r.Sent = 9
	_, pending = r.MarkerPending(receipts.KindGhost, receipts.PolicyLatest)
	require.True(t, pending, "sent is not shown: send it again")
}

func TestPendingAcks(t *testing.T) {
	change := func(seq receipts.MsgSeq, change func(*receipts.Message)) receipts.Message {
		m := wanted(seq, receipts.Pos(seq))
		change(&m)
		return m
	}
	ms := []receipts.Message{
		wanted(20, 1), wanted(10, 2), wanted(10, 2), wanted(11, 3), wanted(12, 4),
		change(13, func(m *receipts.Message) { m.Wants = receipts.WantsNo }),
		change(14, func(m *receipts.Message) { m.Wants = receipts.WantsUnknown }),
		change(15, func(m *receipts.Message) { m.Sender = account }),
		change(16, func(m *receipts.Message) { m.Sender = 0 }),
		change(17, func(m *receipts.Message) { m.Recalled = true }),
		change(18, func(m *receipts.Message) { m.OnlineOnly = true }),
		wanted(5, 9),
	}
	r := receipts.Reader{
		Read:    receipts.SetOfRanges(rg(1, 11), rg(13, 20)), // not 12
		Tencent: receipts.SetOf(11),
	}
	member := receipts.Membership{{JoinedSeq: 5}}
	require.Equal(t, []receipts.MsgSeq{10, 20}, r.PendingAcks(account, member, ms))
	gone := receipts.Membership{{JoinedSeq: 5, Left: true, LeftSeq: 99}}
	require.Empty(t, r.PendingAcks(account, gone, ms), "not a member now")
	back := append(gone[:1:1], receipts.Interval{JoinedSeq: 99})
	require.Equal(t, []receipts.MsgSeq{10, 20}, r.PendingAcks(account, back, ms), "a member then and now")
	require.Empty(t, r.PendingAcks(account, nil, ms))
	late := receipts.Membership{{JoinedSeq: 10, JoinedPos: 1, JoinedPosKnown: true}}
	require.Equal(t, []receipts.MsgSeq{5, 10, 20}, r.PendingAcks(account, late, ms), "10 and 5 came to the room after him")
	late = receipts.Membership{{JoinedSeq: 10, JoinedPos: 1}}
	require.Equal(t, []receipts.MsgSeq{20}, r.PendingAcks(account, late, ms), "it is not known where he came")
	r.AddTencent(receipts.SetOf(10, 20))
	require.Empty(t, r.PendingAcks(account, member, ms))
}

func TestInsert(t *testing.T) {
	var c receipts.Claims
	c, _ = c.Raise(receipts.ScopeRoom, 4)
	c, _ = c.Raise(receipts.ScopeMain, 5)
	c, _ = c.Raise(receipts.ScopeThread("$a"), 6)
	before := receipts.Reader{Read: receipts.SetOf(1, 2), Claims: c, Latest: 6, Frontier: 5, Solid: 4, Shown: 4, Sent: 7}
	r := before
	r.Insert(5)
	require.Equal(t, []receipts.Pos{4, 6, 7}, []receipts.Pos{r.Claims.At(receipts.ScopeRoom), r.Claims.At(receipts.ScopeMain), r.Claims.At("$a")})
	require.Equal(t, []receipts.Pos{7, 6, 4, 4, 8}, []receipts.Pos{r.Latest, r.Frontier, r.Solid, r.Shown, r.Sent})
	require.True(t, r.Claims.Covers(receipts.Message{Pos: 5}), "who has read what follows it has read it")
	require.False(t, r.Claims.Covers(receipts.Message{Pos: 7}))
	require.Equal(t, receipts.Pos(6), before.Claims.At("$a"), "claims are values")
	same := before
	same.Insert(8)
	require.Equal(t, before, same, "behind all of it")
}

func TestUnite(t *testing.T) {
	var own, acc receipts.Reader
	own.AddTencent(receipts.SetOf(1, 2))
	own.Latest, own.Frontier, own.Solid, own.Shown, own.Sent = 9, 9, 9, 9, 9
	acc.Add(receipts.SetOf(2, 3))
	acc.Claims, _ = acc.Claims.Raise(receipts.ScopeMain, 7)
	acc.Latest, acc.Frontier, acc.Shown = 7, 7, 7
	own.Unite(acc)
	require.Equal(t, "1-3", own.Read.String())
	require.Equal(t, "1-2", own.Tencent.String(), "3 is still to be acked, by his own account")
	require.True(t, own.Claims.Equal(acc.Claims))
	require.EqualValues(t, []receipts.Pos{9, 0, 0, 7, 0}, []receipts.Pos{own.Latest, own.Frontier, own.Solid, own.Shown, own.Sent})
}
