package mappingdb_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/mapping/mappingdb"
	"github.com/timbridge/timbridge/receipts"
)

// TestPostgreSQLLookupsUseIndexes asks PostgreSQL how it finds messages, in tables that it knows nothing of yet and with the settings
// of our sessions: whatever it looks up in a table that grows, it must look up by a key of an index.
func TestPostgreSQLLookupsUseIndexes(t *testing.T) {
	ctx := t.Context()
	db := server.Open(t)
	db.RawDB.SetMaxOpenConns(1)
	for _, setting := range []string{"enable_seqscan = off", "jit = off"} {
		_, err := db.Exec(ctx, "SET "+setting)
		require.NoError(t, err)
	}
	log := &recorder{DatabaseLogger: dbutil.NoopLogger, queries: make(map[string][]any)}
	db.Log = log
	s := mappingdb.New(db)
	require.NoError(t, s.Upgrade(ctx))
	g, err := s.MapGroup(ctx, mapping.Group{GroupID: "g", RoomID: "!a:b", SeqSource: mapping.SeqSourceOwn})
	require.NoError(t, err)
	clear(log.queries)
	ok := func(errs ...any) {
		t.Helper()
		for _, v := range errs {
			if err, isErr := v.(error); isErr {
				require.NoError(t, err)
			}
		}
	}
	events := []id.EventID{"$1", "$2", "$3"}
	ok(s.Append(ctx, "!a:b", []mapping.NewEvent{{EventID: "$1"}, {EventID: "$2"}}))
	ok(s.PutMessages(ctx, []mapping.Message{{Group: g.Key, Message: receipts.Message{Seq: 1, EventID: "$1", MsgID: "1-2-3"}}}))
	ok(s.MessagesByEvent(ctx, events))
	ok(s.MessagesByMsgID(ctx, []string{"1-2-3", "x"}))
	ok(s.MessagesBySeq(ctx, g.Key, receipts.SetOfRanges(receipts.Range{First: 1, Last: 2}, receipts.Range{First: 10, Last: 1000}), 5))
	ok(s.MessagesBetween(ctx, g.Key, 0, 10, 5))
	ok(s.MessagesBelow(ctx, g.Key, 10, 5))
	ok(s.MessagesPage(ctx, g.Key, 0, 5))
	_, err = s.MessageByRandom(ctx, g.Key, 1, 0, time.Time{}.Add(time.Hour))
	require.ErrorIs(t, err, mapping.ErrNotFound)
	ok(s.Entries(ctx, g.Key, 0, 5))
	ok(s.SetWants(ctx, g.Key, receipts.SetOf(1), receipts.WantsYes))
	ok(s.Members(ctx, g.Key))
	ok(s.GroupsOf(ctx, 1))
	ok(s.UsersByMXID(ctx, []id.UserID{"@a:b"}))

	statement := regexp.MustCompile(`^(SELECT|UPDATE|DELETE) `)
	grows := regexp.MustCompile(`Scan.* on (tim_message|tim_anchor|tim_member|tim_user)\b`)
	queries := log.queries
	log.queries = make(map[string][]any)
	require.Greater(t, len(queries), 20)
	for query, args := range queries {
		if !statement.MatchString(query) || strings.Contains(query, "pg_") {
			continue
		}
		lines, err := dbutil.ConvertRowFn[string](dbutil.ScanSingleColumn[string]).NewRowIter(db.Query(ctx, "EXPLAIN "+query, args...)).AsList()
		require.NoError(t, err, query)
		for i, line := range lines {
			if grows.MatchString(line) {
				require.NotContains(t, line, "Seq Scan", "%s\n%s", query, strings.Join(lines, "\n"))
				require.Contains(t, fmt.Sprint(append(lines, "")[i+1]), "Cond:", "%s\n%s", query, strings.Join(lines, "\n"))
			}
		}
	}
}
