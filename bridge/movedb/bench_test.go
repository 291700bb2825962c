package movedb_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/movedb"
)

// BenchmarkMove moves a database with so many messages, in groups of 10,000 with 50 readers each. `go test -bench Move/1000000 -benchtime 1x`
// is a million of them.
func BenchmarkMove(b *testing.B) {
	for _, messages := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprint(messages), func(b *testing.B) {
			if messages > 100_000 && testing.Short() {
				b.Skip("this takes a minute")
			}
			from := stored(b)
			groups := messages / 10_000
			fill := fmt.Sprintf(`
				WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i+1 FROM n WHERE i < 99 + %[1]d)
					INSERT INTO tim_room (room_key, room_id, last_pos) SELECT i, '!room' || i || ':b.test', 10000 FROM n;
				INSERT INTO tim_group (group_key, group_id, room_key, seq_source, type, name, last_seq, linked_pos, to_matrix, to_tencent, messages)
					SELECT room_key, 'group' || room_key, room_key, 'own', 'Public', '', 10000, 0, 1, 1, 10000 FROM tim_room WHERE room_key >= 100;
				WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 10000)
					INSERT INTO tim_message (group_key, seq, room_key, pos, event_id, msg_id, sender, random, flags, at_ms)
					SELECT g.group_key, i, g.group_key, i, X'01' || randomblob(32), X'03' || randomblob(16), 1 + i %% 5, abs(random() %% 4294967296), 1, 1772366400000 + i
					FROM tim_group g, n WHERE g.group_key >= 100;
				WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i+1 FROM n WHERE i < 1049)
					INSERT INTO tim_user (user_key, user_id, mxid, kind) SELECT i, 'reader' || i, '@tim_reader' || i || ':a.test', 0 FROM n;
				INSERT INTO tim_reader (group_key, user_key, read_set, claim_max, latest, frontier, solid, shown, sent, attempts, ack_attempts)
					SELECT g.group_key, u.user_key, X'010002241E41F3', 0, 3, 0, 0, 3, 3, 0, 0 FROM tim_group g, tim_user u WHERE g.group_key >= 100 AND u.user_key >= 1000;`, groups)
			_, err := from.RawDB.ExecContext(b.Context(), "BEGIN;"+fill+"COMMIT")
			require.NoError(b, err)
			var rows int64
			for b.Loop() {
				b.StopTimer()
				to := newServer(b)
				b.StartTimer()
				moved, err := movedb.Run(b.Context(), from, to, nil)
				require.NoError(b, err)
				for _, table := range moved {
					rows += table.Rows
				}
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
