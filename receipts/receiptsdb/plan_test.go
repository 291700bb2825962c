package receiptsdb_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// TestQueriesUseIndexes: what runs all the time must not look at rows that have
// no part in it, however many there are. The statements are those of the package.
func TestQueriesUseIndexes(t *testing.T) {
	db := openSQLite(t)
	require.NoError(t, receiptsdb.New(db).Upgrade(t.Context()))
	tests := map[string]string{
		"SELECT group_key, read_set FROM tim_reader WHERE due<=$1 ORDER BY due, group_key, user_key LIMIT $2":         "tim_reader_due_idx",
		"SELECT min(due) FROM tim_reader WHERE due IS NOT NULL":                                                       "tim_reader_due_idx",
		"SELECT count(*) FROM tim_reader WHERE due IS NOT NULL AND (due<=$1 OR attempts>0)":                           "tim_reader_due_idx",
		"SELECT group_key, read_set FROM tim_reader WHERE ack_due<=$1 ORDER BY ack_due, group_key, user_key LIMIT $2": "tim_reader_ack_idx",
		"SELECT min(ack_due) FROM tim_reader WHERE ack_due IS NOT NULL":                                               "tim_reader_ack_idx",
		"UPDATE tim_reader SET ack_due=$2 WHERE group_key=$1 AND tencent_set IS NOT NULL":                             "PRIMARY KEY (group_key=?)",
		"SELECT read_set FROM tim_reader WHERE group_key=$1 AND user_key IN ($2, $3)":                                 "PRIMARY KEY (group_key=? AND user_key=?)",
		"SELECT read_set FROM tim_reader WHERE group_key=$1 AND (claim_max>=$2 OR frontier>=$2)":                      "PRIMARY KEY (group_key=?)",
		"SELECT room_id FROM tim_parked WHERE event_id IN ($1, $2)":                                                   "tim_parked_event_idx",
		"DELETE FROM tim_parked WHERE since_ms<$1":                                                                    "tim_parked_since_idx",
		"SELECT seq FROM tim_callback WHERE user_key=$1 AND cursor>$2 ORDER BY cursor, group_key, seq LIMIT 3":        "tim_callback_cursor_idx",
		"SELECT seq FROM tim_callback WHERE cursor>$1 ORDER BY cursor LIMIT $2":                                       "tim_callback_all_idx",
		"DELETE FROM tim_callback WHERE at_ms<$1":                                                                     "tim_callback_at_idx",
	}
	for query, index := range tests {
		rows, err := db.Query(t.Context(), "EXPLAIN QUERY PLAN "+query, 1, 2, 3)
		require.NoError(t, err, query)
		var plan strings.Builder
		for rows.Next() {
			var id, parent, unused int
			var detail string
			require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
			plan.WriteString(detail + "\n")
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
		require.Contains(t, plan.String(), index, query)
		require.NotContains(t, plan.String(), "SCAN tim_reader\n", query)
	}
}

// BenchmarkDue looks for work among 50,000 readers, of whom 100 are due.
func BenchmarkDue(b *testing.B) {
	store := receiptsdb.New(openSQLite(b))
	require.NoError(b, store.Upgrade(b.Context()))
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	rows := make([]receiptsdb.Row, 50_000)
	for i := range rows {
		rows[i] = receiptsdb.Row{Group: receipts.GroupKey(i%500 + 1), User: receipts.UserKey(i + 1)}
		rows[i].Read = receipts.SetOfRanges(receipts.Range{First: 1, Last: 1000})
		if i%500 == 0 {
			rows[i].Due = now
		}
	}
	require.NoError(b, store.Save(b.Context(), rows))
	for b.Loop() {
		due, err := store.Due(b.Context(), now, 200)
		require.NoError(b, err)
		require.Len(b, due, 100)
	}
}
