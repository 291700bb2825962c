package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/internal/lab"
	"github.com/timbridge/timbridge/mapping"
)

func testCheck(t *testing.T, w *world) {
	s := own(t, w, "checked")
	ann := s.user("ann")
	alice := s.app("alice")
	g := s.group([]*lab.User{ann}, alice)

	says := func(found outcome, lines ...string) {
		t.Helper()
		for _, line := range lines {
			require.Contains(t, found.stdout, line)
		}
	}
	good := []string{
		"ok    config       " + s.b.Config() + "\n",
		"ok    homeserver   " + w.hs.URL() + " answers\n",
		"ok    registration the homeserver knows us, the bot is @" + s.b.bot() + ":localhost\n",
		"ok    delivery     an event of our own came back\n",
		"ok    room of " + g.id + " the bot is in " + g.room.String() + "\n",
	}
	if w.hs.Kind == lab.Synapse {
		good = append(good, "ok    ping         the homeserver reaches us\n", "ok    receipts     the homeserver pushes receipts\n")
	} else { // it has no ping, and pushes none
		good = append(good, "ok    receipts     the homeserver does not push receipts")
	}

	running := s.b.run(t, "check")
	require.Zero(t, running.code, running.stdout+running.stderr)
	says(running, good...)
	says(running, "ok    running      a timbridge is running on this database")
	require.NotContains(t, running.stdout, "FAIL")
	m := g.send(alice, "it is not disturbed")
	g.read(ann, m.event)
	g.waitCounts(alice, m, 1, 0)

	s.b.stop(t)
	event, err := ann.SendText(s.ctx, g.room, "while it was stopped")
	require.NoError(t, err)
	alone := s.b.run(t, "check")
	require.Zero(t, alone.code, alone.stdout+alone.stderr)
	says(alone, good...)
	says(alone, "ok    database     ", "ok    tables       1 groups, ", "ok    listen       ")
	require.NotContains(t, alone.stdout, "FAIL")
	// What the homeserver delivered to the check is not lost.
	s.b.start(t)
	g.ack(alice, g.messageOf(event))
	g.sees(g.eyes, s.ghost(alice), message{event: event})

	// Something is wrong: it says what to do.
	bot := id.NewUserID(s.b.bot(), lab.Domain)
	require.NoError(t, ann.Kick(s.ctx, g.room, bot))
	broken := s.b.run(t, "check")
	require.Equal(t, 41, broken.code, broken.stdout+broken.stderr)
	says(broken, "FAIL  room of "+g.id+" invite "+bot.String()+" into "+g.room.String())
	for _, found := range []outcome{running, alone, broken} {
		require.NotContains(t, found.stdout+found.stderr, secretKey)
		require.NotContains(t, found.stdout+found.stderr, puppetToken)
	}
}

// A group that another bridge has carried so far is imported with its past, and goes on.
func testImportAndExport(t *testing.T, w *world) {
	s := own(t, w, "imported")
	ann, ben := s.user("ann"), s.user("ben")
	alice, bob := s.app("alice"), s.app("bob")
	g := &group{s: s, id: s.unique("team"), owner: ann, eyes: s.watch(ann)}
	g.room = s.room(ann, ben)
	require.NoError(t, g.eyes.WaitMember(s.within(), g.room, id.NewUserID(s.b.bot(), lab.Domain), "join"))
	var past []message
	for _, name := range []string{"one", "two", "three"} {
		event, err := ann.SendText(s.ctx, g.room, name)
		require.NoError(t, err)
		past = append(past, message{g.id + "-" + name, uint64(10 + len(past)), event})
	}
	s.b.stop(t)

	records := []map[string]any{
		{"type": "group", "group_id": g.id, "room_id": g.room, "seq_source": "own", "group_type": "Public", "last_seq": 12},
		{"type": "user", "user_id": alice.UserID, "mxid": s.ghost(alice), "kind": "ghost"},
		{"type": "user", "user_id": bob.UserID, "mxid": s.ghost(bob), "kind": "ghost"},
		{"type": "user", "user_id": account(ann), "mxid": ann.ID, "kind": "account"},
		{"type": "user", "user_id": account(ben), "mxid": ben.ID, "kind": "account"},
	}
	for _, user := range []string{alice.UserID, bob.UserID, account(ann), account(ben)} {
		records = append(records, map[string]any{"type": "member", "group_id": g.id, "user_id": user, "joined_pos": 0})
	}
	for i, m := range past {
		sender := []string{account(ann), bob.UserID, alice.UserID}[i]
		records = append(records, map[string]any{
			"type": "message", "group_id": g.id, "seq": m.seq, "event_id": m.event, "msg_id": m.msgID, "sender": sender, "wants": "yes", "at": 1727580296000 + i,
		})
	}
	file := s.write("import.ndjson", records)
	imported := s.b.run(t, "import", file)
	require.Zero(t, imported.code, imported.stderr)
	require.Contains(t, imported.stdout, "Imported 12 lines, 12 of them new.")
	imported = s.b.run(t, "import", file)
	require.Zero(t, imported.code, imported.stderr)
	require.Contains(t, imported.stdout, "Imported 12 lines, 0 of them new.")
	exported := s.b.run(t, "export")
	require.Zero(t, exported.code, exported.stderr)
	sameRecords(t, records, exported.stdout)

	// It works on what it was given.
	s.b.start(t)
	require.NoError(t, g.eyes.WaitMember(s.within(), g.room, s.ghost(alice), "join"))
	g.ack(alice, past[1])
	g.sees(g.eyes, s.ghost(alice), past[1])
	g.read(ben, past[2].event)
	g.waitCounts(alice, past[2], 1, 2)
	g.waitCounts(bob, past[1], 2, 1)
	next := g.post(ann, "next")
	require.EqualValues(t, 13, next.seq)
	before := s.b.run(t, "export") // beside the running one, where more may come any time
	require.Zero(t, before.code, before.stderr)
	require.Contains(t, before.stdout, `"seq":13`)

	// All of it in another database is the same again.
	s.b.stop(t)
	twin := &timbridge{Program: lab.Program{Binary: binary, Dir: t.TempDir()}, name: "twin"}
	config, err := os.ReadFile(s.b.Config())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(twin.Config(), config, 0o600))
	path := filepath.Join(twin.Dir, "all.ndjson")
	moved := s.b.run(t, "export", path)
	require.Zero(t, moved.code, moved.stderr)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Zero(t, twin.run(t, "import", path).code)
	again := twin.run(t, "export")
	require.Zero(t, again.code, again.stderr)
	require.Equal(t, string(text), again.stdout)
}

// write writes records into a file of timbridge's folder.
func (s *scene) write(name string, records []map[string]any) string {
	s.t.Helper()
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	for _, rec := range records {
		require.NoError(s.t, encoder.Encode(rec))
	}
	path := filepath.Join(s.b.Dir, name)
	require.NoError(s.t, os.WriteFile(path, []byte(text.String()), 0o600))
	return path
}

// sameRecords tells that an export has exactly these records, each with at least these fields: places are added.
func sameRecords(t *testing.T, records []map[string]any, exported string) {
	t.Helper()
	var got []map[string]any
	for line := range strings.Lines(exported) {
		_, err := mapping.ParseRecord([]byte(line))
		require.NoError(t, err)
		var rec map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &rec))
		got = append(got, rec)
	}
	require.Len(t, got, len(records))
	for _, want := range records {
		text, err := json.Marshal(want)
		require.NoError(t, err)
		var plain map[string]any
		require.NoError(t, json.Unmarshal(text, &plain))
		found := false
		for _, rec := range got {
			has := true
			for key, value := range plain {
				has = has && rec[key] == value
			}
			found = found || has
		}
		require.True(t, found, "%s is not in the export:\n%s", text, exported)
	}
}
