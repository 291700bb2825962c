package deepcheck_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"go.uber.org/goleak"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/database"
	"github.com/timbridge/timbridge/bridge/deepcheck"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/mapping/mappingdb"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stored is the newest of the databases that package bridge tests its upgrades with: it has rows in every table.
func stored(t testing.TB) *dbutil.Database {
	t.Helper()
	files, err := filepath.Glob("../testdata/schema/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	newest := slices.MaxFunc(files, func(a, b string) int { return strings.Compare(versions(a), versions(b)) })
	script, err := os.ReadFile(newest)
	require.NoError(t, err)
	db := open(t, filepath.Join(t.TempDir(), "check.db"))
	_, err = db.RawDB.ExecContext(t.Context(), "PRAGMA foreign_keys=0; BEGIN;\n"+string(script)+"\nCOMMIT")
	require.NoError(t, err)
	return db
}

// versions makes names comparable by the numbers in them.
func versions(name string) string {
	var out strings.Builder
	for _, part := range strings.FieldsFunc(filepath.Base(name), func(r rune) bool { return r < '0' || r > '9' }) {
		fmt.Fprintf(&out, "%6s", part)
	}
	return out.String()
}

func open(t testing.TB, path string) *dbutil.Database {
	t.Helper()
	db, err := database.Open(t.Context(), config.Database{Type: config.DatabaseSQLite, URI: config.Secret(path), MaxOpenConns: 4, MaxIdleConns: 4})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func options() deepcheck.Options {
	return deepcheck.Options{Now: time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC), GapAfter: 10 * time.Minute, HoleAfter: 7 * 24 * time.Hour, Window: 100}
}

func run(t testing.TB, db *dbutil.Database, opts deepcheck.Options) (problems []string, total int) {
	t.Helper()
	total, err := deepcheck.Run(t.Context(), db, opts, func(f deepcheck.Finding) {
		if f.Problem != "" {
			problems = append(problems, f.Part+": "+f.Problem)
		}
	})
	require.NoError(t, err)
	return problems, total
}

// hexSet is a set as it is stored, in SQL.
func hexSet(t testing.TB, seqs ...receipts.MsgSeq) string {
	t.Helper()
	b, err := receipts.SetOf(seqs...).MarshalBinary()
	require.NoError(t, err)
	return fmt.Sprintf("x'%x'", b)
}

func TestEveryBrokenInvariantIsFound(t *testing.T) {
	// The keys of the stored database: group 1 is team, 2 @TGS#cloud; user 1 alice, 2 bob, 3 ann, 5 ben.
	const alice, ann, ben = " WHERE group_key=1 AND user_key=1", " WHERE group_key=1 AND user_key=3", " WHERE group_key=1 AND user_key=5"
	read123 := hexSet(t, 1, 2, 3)
	cases := map[string]struct{ sql, says string }{
		"index":                      {`PRAGMA writable_schema=1; UPDATE sqlite_schema SET sql=replace(sql, 'WHERE due IS NOT NULL', 'WHERE due IS NULL') WHERE name='tim_reader_due_idx'; PRAGMA writable_schema=RESET`, "missing from index tim_reader_due_idx"},
		"reference":                  {`UPDATE tim_message SET sender=99 WHERE seq=1`, "sqlite: a row of tim_message refers to a row of tim_user that is not there"},
		"last seq":                   {`UPDATE tim_group SET last_seq=4 WHERE group_key=1`, "groups: group team: its last number is 4, but there is message 5"},
		"count of messages":          {`UPDATE tim_group SET messages=9 WHERE group_key=1`, "groups: group team: it counts 9 messages and has 5"},
		"seq source":                 {`UPDATE tim_group SET seq_source='x' WHERE group_key=1`, "groups: group team: its numbers come from x, which is no source"},
		"one group per room":         {`DROP TABLE tim_pause; CREATE TABLE tim_pause (group_key, code, since, until); ALTER TABLE tim_group RENAME TO g; CREATE TABLE tim_group AS SELECT * FROM g; UPDATE tim_group SET room_key=1 WHERE group_key=2`, "groups: room 1 is that of 2 groups, the first is @TGS#cloud"},
		"linked without a room":      {`UPDATE tim_group SET linked_pos=4 WHERE group_id='roomless'`, "groups: group roomless: it has no room, but a place 4 at which it was linked"},
		"room of a group":            {`UPDATE tim_group SET room_key=77 WHERE group_key=1`, "groups: group team: its room 77 is none that is known"},
		"last place, message":        {`UPDATE tim_room SET last_pos=2 WHERE room_key=1`, "rooms: room !team:a.test: its last place is 2, but there is a message at 3"},
		"last place, event":          {`UPDATE tim_room SET last_pos=4 WHERE room_key=1`, "rooms: room !team:a.test: its last place is 4, but there is an event at 5"},
		"count of events":            {`UPDATE tim_room SET anchors=1 WHERE room_key=1`, "rooms: room !team:a.test: it counts 1 further events and has 2"},
		"two at a place":             {`UPDATE tim_anchor SET pos=3 WHERE pos=4`, "rooms: room !team:a.test: an event and a message are both at place 3"},
		"kind of user":               {`UPDATE tim_user SET kind=7 WHERE user_key=1`, "users: user alice: 7 is no kind of user"},
		"user without MXID":          {`UPDATE tim_user SET mxid=NULL WHERE user_key=1`, "users: user alice: he is nobody in Matrix"},
		"alias with MXID":            {`UPDATE tim_user SET mxid='@x:a.test' WHERE alias_of IS NOT NULL`, "he has become part of ben and still is @x:a.test in Matrix"},
		"alias of nobody linked":     {`UPDATE tim_user SET alias_of=1 WHERE alias_of IS NOT NULL`, "he has become part of alice, who is not linked"},
		"member of nothing":          {`INSERT INTO tim_member VALUES (55, 1, 1, 0, NULL, NULL, NULL)`, "members: group 55, user alice: he is a member, and one or the other is not known"},
		"left half":                  {`UPDATE tim_member SET left_pos=NULL WHERE left_seq=5`, "members: group team, user bob: he left at message 5 and at place nothing, of which one is missing"},
		"left before joining":        {`UPDATE tim_member SET joined_seq=9 WHERE left_seq=5`, "members: group team, user bob: he joined after message 9 and left after 5"},
		"left before joining, place": {`UPDATE tim_member SET joined_pos=9 WHERE left_seq=5`, "members: group team, user bob: he joined after place 9 and left after 5"},
		"message of no group":        {`INSERT INTO tim_message (group_key, seq, flags) VALUES (44, 1, 0)`, "messages: group 44, message 1: there is no such group"},
		"place without event":        {`UPDATE tim_message SET event_id=NULL WHERE seq=2`, "messages: group team, message 2: it has a place without an event"},
		"no place":                   {`UPDATE tim_message SET pos=-4 WHERE seq=2`, "messages: group team, message 2: its number or place -4 is none"},
		"flags":                      {`UPDATE tim_message SET flags=3 WHERE seq=2`, "messages: group team, message 2: 3 is nothing that can be said of a message"},
		"sender":                     {`UPDATE tim_message SET sender=99 WHERE seq=2`, "messages: group team, message 2: its sender is unknown"},
		"reader of no group":         {`UPDATE tim_reader SET group_key=66` + ann, "readers: reader of group 66, user 3: there is no such group"},
		"reader who is nobody":       {`UPDATE tim_reader SET user_key=66` + ann, "readers: reader of group 1, user 66: there is no such user"},
		"damaged set":                {`UPDATE tim_reader SET read_set=x'0102'` + ann, "readers: group team, user mx_"},
		"damaged claims":             {`UPDATE tim_reader SET claims=x'0102'` + ben, "user ben: the row is damaged and left alone (failed to read claims: damaged binary form: 2 bytes are too few); to give it up: DELETE FROM tim_reader WHERE group_key=1 AND user_key=5"},
		"Tencent beyond read":        {`UPDATE tim_reader SET tencent_set=` + hexSet(t, 1, 2, 4) + ben, "readers: group team, user ben: Tencent is said to have 4, which he has not read"},
		"claim_max":                  {`UPDATE tim_reader SET claim_max=1` + ben, "readers: group team, user ben: claim_max is 1, and his highest claim 2"},
		"read beyond the last":       {`UPDATE tim_reader SET read_set=` + hexSet(t, 1, 2, 8) + ben, "user ben: he has read message 8, and the group's last is 5"},
		"negative":                   {`UPDATE tim_reader SET shown=-1` + ben, "user ben: a place or a number of attempts is negative"},
		"solid above frontier":       {`UPDATE tim_reader SET frontier=1` + ben, "user ben: solid is 2, beyond his frontier 1"},
		"places without a room":      {`UPDATE tim_reader SET group_key=3` + ben, "readers: group roomless, user ben: he has places in a room, and the group has none"},
		"beyond the room":            {`UPDATE tim_reader SET shown=17` + ann, "one of his places is 17, and the room's last is 5"},
		"marker not on a message":    {`UPDATE tim_reader SET latest=4` + alice, "user alice: his marker may be at place 4, where is no message that he has read"},
		"marker behind":              {`UPDATE tim_reader SET latest=2, sent=2` + alice, "user alice: he has read the message at place 3, and his marker stops at 2"},
		"sent ahead":                 {`UPDATE tim_reader SET sent=5` + alice, "user alice: a marker was sent at place 5, and the latest that he has read is 3"},
		"shown ahead":                {`UPDATE tim_reader SET shown=5` + alice, "user alice: Matrix shows a marker at place 5, and the latest that he has read is 3"},
		"frontier over the unread":   {`UPDATE tim_reader SET frontier=4, solid=2` + ben, "user ben: his frontier is 4, and above 2 is a message that he has not read"},
		"claimed and not read":       {`UPDATE tim_reader SET read_set=` + hexSet(t, 2) + `, tencent_set=x'00', frontier=0, solid=0` + ben, "user ben: his markers in Matrix cover 1 messages that he is not said to have read, the first is 1"},
		"too many parked":            {`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<70) INSERT INTO tim_parked SELECT '!team:a.test', '@ann:a.test', '$'||i, '', false, 1700000000000 FROM n`, "parked: room !team:a.test, user @ann:a.test: 71 receipts are parked"},
		"parked in the future":       {`UPDATE tim_parked SET since_ms=99999999999999`, "a receipt is parked since 99999999999999 (ms), which is yet to come"},
		"parked for nothing":         {`UPDATE tim_parked SET event_id=''`, "parked: room !team:a.test, user @ann:a.test: a parked receipt names no event"},
		"callback of no message":     {`UPDATE tim_callback SET seq=44 WHERE user_key=1`, "callbacks: group team, user alice: he is to be told of message 44"},
		"callback beyond":            {`UPDATE tim_callback SET cursor=77 WHERE user_key=1`, "callbacks: group team, user alice: the cursor of message 1, 77, is beyond the last"},
		"callback in the future":     {`UPDATE tim_callback SET at_ms=99999999999999 WHERE user_key=1`, "message 1 changed at 99999999999999 (ms), which is yet to come"},
		"outgoing of no group":       {`UPDATE tim_outbox SET group_key=9 WHERE seq=7`, "work: outgoing message tim_2_7_2: group 9 is not known"},
		"outgoing of nobody":         {`UPDATE tim_outbox SET user_key=9 WHERE seq=7`, "work: outgoing message tim_2_7_2: user 9 is not known"},
		"outgoing of no message":     {`UPDATE tim_outbox SET seq=8 WHERE seq=7`, "work: outgoing message tim_2_7_2: message 8 of group 2 is not known"},
		"outgoing that is there":     {`UPDATE tim_outbox SET seq=1, group_key=1 WHERE seq=7`, "work: outgoing message tim_2_7_2: its event is in the room already, at place 1"},
		"outgoing, damaged":          {`UPDATE tim_outbox SET content='{' WHERE seq=7`, "work: outgoing message tim_2_7_2: its content is damaged"},
		"relay of no group":          {`UPDATE tim_relay SET group_key=9`, "work: message for Tencent $gap: group 9 is not known"},
		"relay of nobody":            {`UPDATE tim_relay SET user_key=9`, "work: message for Tencent $gap: user 9 is not known"},
		"relay of no kind":           {`UPDATE tim_relay SET kind='x'`, "work: message for Tencent $gap: its kind x, part 0 or random 99 is none"},
		"relay, damaged":             {`UPDATE tim_relay SET parts='['`, "work: message for Tencent $gap: its content is damaged"},
		"join of no group":           {`UPDATE tim_join SET group_key=9 WHERE user_key=3`, "work: place in group of user 3: group 9 is not known"},
		"join of nobody":             {`UPDATE tim_join SET user_key=9 WHERE user_key=3`, "work: place in group 2: user 9 is not known"},
		"pause of no group":          {`UPDATE tim_pause SET group_key=9`, "work: pause with code 10059: group 9 is not known"},
		"pause backwards":            {`UPDATE tim_pause SET until=1`, "work: pause of group 2: it ends (1) before it began"},
		"wish of nobody":             {`UPDATE tim_private SET user_key=9`, "work: wish about receipts of 9: user 9 is not known"},
		"ghost nobody":               {`UPDATE tim_room_task SET user_key=9`, "work: ghost in room !team:a.test: user 9 is not known"},
		"ghost nowhere":              {`UPDATE tim_room_task SET room_id='!x:y'`, "work: ghost in room !x:y: the room is not known"},
		"feed of no group":           {`UPDATE tim_feed SET group_key=9`, "work: new message with cursor 40: group 9 is not known"},
		"feed of no message":         {`UPDATE tim_feed SET seq=9`, "work: new message with cursor 40: message 9 of group 1 is not known"},
		"feed, damaged":              {`UPDATE tim_feed SET body=''`, "work: new message with cursor 40: its content is damaged"},
		"feed beyond":                {`UPDATE tim_feed SET cursor=77`, "work: new message with cursor 77: that is beyond the last cursor"},
		"cursor":                     {`UPDATE tim_state SET value='4x' WHERE key='cursor'`, "state: cursor is 4x, which is no number"},
		"cursor floor":               {`UPDATE tim_state SET value='43' WHERE key='cursor_floor'`, "state: cursor_floor is 43, beyond the last cursor 42"},
		"caught up nowhere":          {`UPDATE tim_state SET key='caught_up_9' WHERE key='caught_up_2'`, "state: caught_up_9: there is no such group"},
		"caught up too far":          {`UPDATE tim_state SET value='8' WHERE key='caught_up_2'`, "state: caught_up_2 is 8, beyond the group's last number 7"},
		"sound":                      {`UPDATE tim_reader SET read_set=` + read123 + `, latest=3` + ben, ""},
	}
	problems, total := run(t, stored(t), options())
	require.Empty(t, problems, "before anything is broken")
	require.Zero(t, total)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := stored(t)
			conn, err := db.RawDB.Conn(t.Context())
			require.NoError(t, err)
			defer conn.Close()
			_, err = conn.ExecContext(t.Context(), "PRAGMA foreign_keys=0; "+tc.sql)
			require.NoError(t, err)
			problems, total := run(t, db, options())
			if tc.says == "" {
				require.Empty(t, problems)
				return
			}
			require.NotZero(t, total)
			require.Contains(t, strings.Join(problems, "\n"), tc.says)
		})
	}
}

func TestOutputIsBounded(t *testing.T) {
	db := stored(t)
	_, err := db.Exec(t.Context(), "PRAGMA foreign_keys=0")
	require.NoError(t, err)
	_, err = db.Exec(t.Context(), `WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i+1 FROM n WHERE i<59)
		INSERT INTO tim_message (group_key, seq, flags, room_key, event_id, pos) SELECT 1, i, 3, 1, 'e'||i, NULL FROM n`)
	require.NoError(t, err)
	opts := options()
	opts.Most = 7
	problems, total := run(t, db, opts)
	require.Equal(t, 52, total, "50 messages, and the group's last number and count")
	require.Len(t, problems, 2+7+1)
	require.Equal(t, "messages: and 43 more of these", problems[len(problems)-1])
}

// TestReadsOnly: a check beside a running bridge sees one state for each group, and changes nothing, nor could it.
func TestReadsOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "busy.db")
	db := open(t, path)
	maps, reads, own := mappingdb.New(db), receiptsdb.New(db), bridgedb.New(db)
	for _, store := range []interface{ Upgrade(context.Context) error }{maps, reads, own} {
		require.NoError(t, store.Upgrade(t.Context()))
	}
	g, err := maps.MapGroup(t.Context(), mapping.Group{GroupID: "busy", RoomID: "!busy:a.test", SeqSource: mapping.SeqSourceOwn, LinkedPosKnown: true})
	require.NoError(t, err)
	u, err := maps.EnsureUser(t.Context(), mapping.User{UserID: "alice", MXID: "@tim_alice:a.test"})
	require.NoError(t, err)
	// write adds a message that she reads, in one commit.
	write := func(n int) error {
		return db.DoTxn(t.Context(), nil, func(ctx context.Context) error {
			event := id.EventID(fmt.Sprint("$", n))
			places, err := maps.Append(ctx, g.RoomID, []mapping.NewEvent{{EventID: event}})
			if err != nil {
				return err
			}
			m := mapping.Message{Group: g.Key, RoomID: g.RoomID}
			m.Seq, m.EventID, m.Pos = receipts.MsgSeq(n), event.String(), places[0].Pos
			if _, err = maps.PutMessages(ctx, []mapping.Message{m}); err != nil {
				return err
			}
			all := receipts.SetOfRanges(receipts.Range{First: 1, Last: m.Seq})
			return reads.Save(ctx, []receiptsdb.Row{{Group: g.Key, User: u.Key, Reader: receipts.Reader{Read: all, Tencent: all, Latest: m.Pos}}})
		})
	}
	require.NoError(t, write(1))
	readOnly, err := database.OpenReadOnly(t.Context(), config.Database{Type: config.DatabaseSQLite, URI: config.Secret(path), MaxOpenConns: 2})
	require.NoError(t, err)
	defer readOnly.Close()
	stop, written := make(chan struct{}), make(chan error, 1)
	go func() {
		for n := 2; ; n++ {
			select {
			case <-stop:
				written <- nil
				return
			default:
			}
			if err := write(n); err != nil {
				written <- err
				return
			}
		}
	}()
	for range 5 {
		problems, _ := run(t, readOnly, options())
		require.Empty(t, problems)
	}
	close(stop)
	require.NoError(t, <-written)
	_, err = readOnly.Exec(t.Context(), "DELETE FROM tim_reader")
	require.ErrorContains(t, err, "readonly")
}

func TestEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := deepcheck.Run(ctx, stored(t), options(), func(deepcheck.Finding) {})
	require.ErrorIs(t, err, context.Canceled)
}

// TestReportsTablesThatAreNotThere: an error, and no finding that all is well.
func TestReportsTablesThatAreNotThere(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "empty.db"))
	_, err := deepcheck.Run(t.Context(), db, options(), func(deepcheck.Finding) {})
	require.ErrorContains(t, err, "failed to check groups")
	require.NotErrorIs(t, err, sql.ErrNoRows)
}
