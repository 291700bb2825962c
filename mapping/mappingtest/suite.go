package mappingtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/mapping/mappingdb"
	"github.com/timbridge/timbridge/receipts"
)

// Run tests mappingdb on the databases that open returns. Each call of open must
// return an empty one; it closes it itself when the test ends.
func Run(t *testing.T, open func(t *testing.T) *dbutil.Database) {
	for _, topic := range []struct {
		name string
		run  func(t *testing.T, open func(t *testing.T) *bench)
	}{
		{"Upgrade", testUpgrade},
		{"Groups", testGroups},
		{"Places", testPlaces},
		{"Insert", testInsert},
		{"Anchors", testAnchors},
		{"Users", testUsers},
		{"Links", testLinks},
		{"Members", testMembers},
		{"Messages", testMessages},
		{"Conflicts", testConflicts},
		{"Lookups", testLookups},
		{"Entries", testEntries},
		{"Transactions", testTransactions},
		{"Concurrency", testConcurrency},
		{"AnyOrder", testAnyOrder},
		{"Import", testImport},
		{"ImportErrors", testImportErrors},
		{"RoundTrip", testRoundTrip},
	} {
		t.Run(topic.name, func(t *testing.T) {
			topic.run(t, func(t *testing.T) *bench {
				db := open(t)
				s := mappingdb.New(db)
				require.NoError(t, s.Upgrade(context.Background()))
				return &bench{Store: s, t: t, db: db, ctx: context.Background()}
			})
		})
	}
}

// bench is a store with what the tests keep asking of it.
type bench struct {
	*mappingdb.Store
	t   *testing.T
	db  *dbutil.Database
	ctx context.Context
}

const (
	roomA = id.RoomID("!a:example.com")
	roomB = id.RoomID("!b:example.com")
	roomC = id.RoomID("!c") // as rooms of version 12 are named
)

var clock = time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)

// event returns an event ID in the form of room version 4 and up.
func event(n int) id.EventID {
	return id.EventID(fmt.Sprintf("$%042dA", n))
}

func (b *bench) group(groupID string, room id.RoomID) mapping.Group {
	b.t.Helper()
	g, err := b.MapGroup(b.ctx, mapping.Group{GroupID: groupID, RoomID: room, SeqSource: mapping.SeqSourceOwn})
	require.NoError(b.t, err)
	return g
}

func (b *bench) ghost(userID string) mapping.User {
	b.t.Helper()
	u, err := b.EnsureUser(b.ctx, mapping.User{UserID: userID, MXID: mapping.GhostMXID("tim_", userID, "example.com"), Kind: receipts.KindGhost})
	require.NoError(b.t, err)
	return u
}

func (b *bench) account(mxid id.UserID) mapping.User {
	b.t.Helper()
	u, err := b.EnsureUser(b.ctx, mapping.User{UserID: mapping.AccountID(mxid), MXID: mxid, Kind: receipts.KindAccount})
	require.NoError(b.t, err)
	return u
}

// insert gives an event the place before another, and checks it.
func (b *bench) insert(room id.RoomID, n int, before receipts.Pos) {
	b.t.Helper()
	place, err := b.Insert(b.ctx, room, mapping.NewEvent{EventID: event(n), At: clock, Gap: true}, before)
	require.NoError(b.t, err)
	require.Equal(b.t, mapping.Place{RoomID: room, EventID: event(n), Pos: before}, place)
}

// append appends events without further properties.
func (b *bench) append(room id.RoomID, ns ...int) []mapping.Place {
	b.t.Helper()
	evs := make([]mapping.NewEvent, len(ns))
	for i, n := range ns {
		evs[i] = mapping.NewEvent{EventID: event(n), At: clock}
	}
	places, err := b.Append(b.ctx, room, evs)
	require.NoError(b.t, err)
	require.Len(b.t, places, len(ns))
	return places
}

// message returns message seq of a group, which is event(n) unless n is 0.
func message(g mapping.Group, seq receipts.MsgSeq, n int) mapping.Message {
	m := mapping.Message{Group: g.Key}
	m.Seq = seq
	if n != 0 {
		m.EventID = event(n).String()
	}
	return m
}

func (b *bench) put(ms ...mapping.Message) []bool {
	b.t.Helper()
	changed, err := b.PutMessages(b.ctx, ms)
	require.NoError(b.t, err)
	require.Len(b.t, changed, len(ms))
	return changed
}

// bySeq returns one message.
func (b *bench) bySeq(g mapping.Group, seq receipts.MsgSeq) mapping.Message {
	b.t.Helper()
	found, err := b.MessagesBySeq(b.ctx, g.Key, receipts.SetOf(seq), 0)
	require.NoError(b.t, err)
	require.Len(b.t, found, 1)
	return found[0]
}

// conflict requires err to be a conflict that says text.
func conflict(t *testing.T, err error, text string) {
	t.Helper()
	require.ErrorIs(t, err, mapping.ErrConflict)
	var c *mapping.ConflictError
	require.True(t, errors.As(err, &c))
	require.Equal(t, text, c.Error())
}

// positions returns what is tested most.
func positions(ms []mapping.Message) (out []receipts.Pos) {
	for _, m := range ms {
		out = append(out, m.Pos)
	}
	return out
}

func seqs(ms []mapping.Message) (out []receipts.MsgSeq) {
	for _, m := range ms {
		out = append(out, m.Seq)
	}
	return out
}

func testUpgrade(t *testing.T, open func(t *testing.T) *bench) {
	b := open(t)
	require.NoError(t, b.Upgrade(b.ctx), "a second time")
	exists, err := b.db.TableExists(b.ctx, "timbridge_mapping_version")
	require.NoError(t, err)
	require.True(t, exists)
	counts, err := b.Counts(b.ctx)
	require.NoError(t, err)
	require.Zero(t, counts)
}
