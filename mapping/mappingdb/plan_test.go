package mappingdb_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/mapping/mappingdb"
	"github.com/timbridge/timbridge/receipts"
)

// recorder keeps the statements that are run.
type recorder struct {
	dbutil.DatabaseLogger
	mu      sync.Mutex
	queries map[string][]any
}

func (r *recorder) QueryTiming(_ context.Context, _, query string, args []any, _ int, _ time.Duration, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queries[query] = args
}

// TestEveryLookupUsesAnIndex asks SQLite how it finds the rows of every statement
// that the store runs: none may walk through a table, or sort, whose size grows
// with the number of messages.
func TestEveryLookupUsesAnIndex(t *testing.T) {
	ctx := context.Background()
	db := openSQLite(t)
	log := &recorder{DatabaseLogger: dbutil.NoopLogger, queries: make(map[string][]any)}
	db.Log = log
	s := mappingdb.New(db)
	require.NoError(t, s.Upgrade(ctx))
	clear(log.queries)

	ok := func(errs ...any) {
		t.Helper()
		for _, v := range errs {
			if err, isErr := v.(error); isErr {
				require.NoError(t, err)
			}
		}
	}
	g, err := s.MapGroup(ctx, mapping.Group{GroupID: "g", RoomID: "!a:b", SeqSource: mapping.SeqSourceOwn})
	ok(err)
	bob, err := s.EnsureUser(ctx, mapping.User{UserID: "bob", MXID: "@t_bob:b"})
	ok(err)
	alice, err := s.EnsureUser(ctx, mapping.User{UserID: "mx_1", MXID: "@alice:b", Kind: receipts.KindAccount})
	ok(err)
	_, _, err = s.LinkUser(ctx, "bob", "@alice:b")
	ok(err)
	var ids []id.EventID
	for n := range 3000 {
		ids = append(ids, id.EventID(fmt.Sprintf("$%d", n)))
	}
	for chunk := range slices.Chunk(ids, 100) {
		evs := make([]mapping.NewEvent, len(chunk))
		for i, ev := range chunk {
			evs[i] = mapping.NewEvent{EventID: ev, Gap: true}
		}
		ok(s.Append(ctx, "!a:b", evs))
	}
	m := mapping.Message{Group: g.Key, HasRandom: true}
	m.Seq, m.EventID, m.MsgID, m.Sender, m.At = 1, "$2999", "1-2-3", bob.Key, time.Now()
	ok(s.PutMessages(ctx, []mapping.Message{m}))
	m.Wants = receipts.WantsYes
	ok(s.PutMessages(ctx, []mapping.Message{m}))
	ok(s.AnchorAt(ctx, "!a:b", mapping.NewEvent{EventID: "$x"}, 3000))
	ok(s.PutMessages(ctx, []mapping.Message{{Group: g.Key, Message: receipts.Message{Seq: 2, EventID: "$x"}}, {Group: g.Key, Message: receipts.Message{Seq: 3}}}))
	ok(s.PlaceMessage(ctx, g.Key, 3, "!a:b", "$y", 0))
	ok(s.Unplaced(ctx, "!a:b", time.Time{}.Add(time.Hour), 5))
	ok(s.PutMessages(ctx, []mapping.Message{{Group: g.Key, Message: receipts.Message{Seq: 4, EventID: "$z"}}}))
	ok(s.Insert(ctx, "!a:b", mapping.NewEvent{EventID: "$z"}, 2500))
	ok(s.Append(ctx, "!a:b", []mapping.NewEvent{{EventID: "$y"}}))
	ok(s.Head(ctx, "!a:b"))
	ok(s.Join(ctx, g.Key, bob.Key, 0, 0, false))
	ok(s.Leave(ctx, g.Key, bob.Key, 0, 0))
	ok(s.Members(ctx, g.Key))
	ok(s.MembershipOf(ctx, g.Key, []mapping.UserKey{bob.Key, alice.Key}))
	ok(s.GroupsOf(ctx, bob.Key))
	ok(s.MessagesByEvent(ctx, ids[:3]))
	ok(s.MessagesByMsgID(ctx, []string{"1-2-3", "x"}))
	ok(s.MessagesBySeq(ctx, g.Key, receipts.SetOfRanges(receipts.Range{First: 1, Last: 2}, receipts.Range{First: 10, Last: 1000}), 5))
	ok(s.MessagesBetween(ctx, g.Key, 0, 10, 5))
	ok(s.MessagesBelow(ctx, g.Key, 10, 5))
	ok(s.MessagesPage(ctx, g.Key, 0, 5))
	ok(s.MessageAt(ctx, g.Key, 3001))
	ok(s.MessageByRandom(ctx, g.Key, bob.Key, 0, time.Time{}.Add(time.Hour)))
	ok(s.Entries(ctx, g.Key, 0, 5))
	ok(s.SetWants(ctx, g.Key, receipts.SetOfRanges(receipts.Range{First: 1, Last: 2}, receipts.Range{First: 10, Last: 1000}), receipts.WantsNo))
	ok(s.SetWants(ctx, g.Key, receipts.SetOf(1), receipts.WantsYes))
	_, _, err = s.SetRecalled(ctx, "$2999")
	ok(err)
	_, _, err = s.UnlinkUser(ctx, "bob", "@t_bob:b")
	ok(err)
	ok(s.GroupByRoom(ctx, "!a:b"))
	ok(s.NextSeq(ctx, g.Key))
	ok(s.MoveGroup(ctx, g.Key, "!c:b", 0), s.SetSwitches(ctx, g.Key, true, true), s.UnmapGroup(ctx, g.Key))
	_, err = mapping.Import(ctx, strings.NewReader(`{"type":"member","group_id":"g","user_id":"bob","joined_seq":7}`), s, mapping.ImportOptions{})
	ok(err)

	// g is the one group or few groups of the outer loop; (SELECT without FROM is a scan of a constant row.)
	bad := regexp.MustCompile(`^SCAN (tim_|t$|m$|u$|r$|g$|a$)|TEMP B-TREE`)
	statement := regexp.MustCompile(`^(SELECT|UPDATE|DELETE) `)
	queries := log.queries
	log.queries = make(map[string][]any)
	require.Greater(t, len(queries), 60)
	for query, args := range queries {
		if !statement.MatchString(query) {
			continue // BEGIN and the like; an INSERT looks nothing up
		}
		var plan []string
		rows, err := db.Query(ctx, "EXPLAIN QUERY PLAN "+query, args...)
		require.NoError(t, err, query)
		for rows.Next() {
			var id, parent, unused int
			var detail string
			require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
			plan = append(plan, detail)
		}
		require.NoError(t, rows.Close())
		for _, detail := range plan {
			require.NotRegexp(t, bad, detail, "%s\n%s", query, strings.Join(plan, "\n"))
		}
	}
}
