package mappingtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

const sample = `{"type":"group","group_id":"g","room_id":"!a:example.com","seq_source":"stamped","group_type":"Public","name":"<G>"}
{"type":"user","user_id":"bob","mxid":"@tim_bob:example.com","kind":"ghost"}

{"type":"member","group_id":"g","user_id":"bob","joined_seq":1,"left_seq":2}
{"type":"member","group_id":"g","user_id":"bob","joined_seq":2}
{"type":"message","group_id":"g","seq":9,"event_id":"$late","sender":"bob","wants":"yes","at":1727580296000}
{"type":"message","group_id":"g","seq":4,"event_id":"$early","msg_id":"1-2-3","random":0,"wants":"no","recalled":true,"thread":"$late"}
{"type":"message","group_id":"g","seq":5,"online_only":true}
{"type":"message","group_id":"g","seq":6,"event_id":"$elsewhere","room_id":"!b:example.com"}
{"type":"message","group_id":"g","seq":7,"event_id":"$notyet","pos":0}
`

func (b *bench) importText(text string) (mapping.ImportResult, error) {
	return mapping.Import(b.ctx, strings.NewReader(text), b.Store, mapping.ImportOptions{})
}

func (b *bench) export() string {
	b.t.Helper()
	var out bytes.Buffer
	_, err := mapping.Export(b.ctx, &out, b.Store)
	require.NoError(b.t, err)
	return out.String()
}

func testImport(t *testing.T, open func(t *testing.T) *bench) {
	t.Run("Sample", func(t *testing.T) {
		b := open(t)
		b.append(roomA, 1, 2)
		result, err := b.importText(sample)
		require.NoError(t, err)
		require.Equal(t, mapping.ImportResult{Lines: 10, Done: 10, News: 9}, result)
		g, err := b.GroupByID(b.ctx, "g")
		require.NoError(t, err)
		require.Equal(t, mapping.Group{
			Key: g.Key, GroupID: "g", RoomID: roomA, SeqSource: mapping.SeqSourceStamped, Type: "Public", Name: "<G>", LastSeq: 9, ToMatrix: true, ToTencent: true,
		}, g, "where it was linked is not known")
		found, err := b.MessagesPage(b.ctx, g.Key, 0, 0)
		require.NoError(t, err)
		require.Equal(t, []receipts.MsgSeq{9, 7, 6, 5, 4}, seqs(found))
		require.Equal(t, []receipts.Pos{3, 0, 0, 0, 4}, positions(found), "places in the order of the file, above the head")
		require.Equal(t, id.RoomID("!b:example.com"), found[2].RoomID)
		require.Equal(t, receipts.Pos(5), b.append(roomA, 9)[0].Pos)
		require.False(t, b.members(g)[0].Membership[0].JoinedPosKnown)

		again, err := b.importText(sample)
		require.NoError(t, err)
		require.Equal(t, mapping.ImportResult{Lines: 10, Done: 10}, again)
	})
	t.Run("BesideARunningBridge", func(t *testing.T) {
		b := open(t)
		g := b.group("g", roomA)
		b.append(roomA, 5, 6)
		b.put(message(g, 1, 6))
		line := `{"type":"message","group_id":"g","seq":%d,"event_id":"%s"}` + "\n"
		_, err := b.importText(fmt.Sprintf(line, 1, event(6)) + fmt.Sprintf(line, 2, event(5)) + fmt.Sprintf(line, 3, event(4)))
		require.NoError(t, err)
		found, err := b.MessagesPage(b.ctx, g.Key, 0, 0)
		require.NoError(t, err)
		require.Equal(t, []receipts.Pos{3, 1, 2}, positions(found), "known places stay")
	})
	t.Run("Resume", func(t *testing.T) {
		b := open(t)
		text := manyLines(2500)
		ctx, cancel := context.WithCancel(b.ctx)
		stopped, err := mapping.Import(ctx, strings.NewReader(text), b.Store, mapping.ImportOptions{Total: int64(len(text)), Progress: func(done, total int64) {
			require.EqualValues(t, len(text), total)
			require.LessOrEqual(t, done, total)
			cancel()
		}})
		require.ErrorIs(t, err, context.Canceled)
		require.LessOrEqual(t, stopped.Done, int64(1000))
		calls, last := 0, int64(0)
		rest, err := mapping.Import(b.ctx, strings.NewReader(text), b.Store, mapping.ImportOptions{Progress: func(done, _ int64) {
			require.Greater(t, done, last)
			calls, last = calls+1, done
		}})
		require.NoError(t, err)
		require.EqualValues(t, len(text), last)
		require.Equal(t, 3, calls)
		require.EqualValues(t, 2502, rest.Done)
		require.EqualValues(t, 2502, stopped.News+rest.News)
		skipped, err := mapping.Import(b.ctx, strings.NewReader(text), b.Store, mapping.ImportOptions{Resume: rest.Done})
		require.NoError(t, err)
		require.Equal(t, mapping.ImportResult{Lines: 2502, Done: 2502}, skipped)
	})
}

func manyLines(n int) string {
	var b strings.Builder
	b.WriteString(`{"type":"group","group_id":"g","room_id":"!a:example.com","seq_source":"own"}` + "\n")
	b.WriteString(`{"type":"user","user_id":"bob","mxid":"@tim_bob:example.com","kind":"ghost"}` + "\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, `{"type":"message","group_id":"g","seq":%d,"event_id":%q,"msg_id":"7-8-%d","sender":"bob","wants":"yes"}`+"\n", i, event(i), i)
	}
	return b.String()
}

func testImportErrors(t *testing.T, open func(t *testing.T) *bench) {
	head := `{"type":"group","group_id":"g","room_id":"!a:example.com","seq_source":"own"}
{"type":"user","user_id":"bob","mxid":"@tim_bob:example.com","kind":"ghost"}
{"type":"user","user_id":"carol","mxid":"@carol:example.com","kind":"linked"}
{"type":"user","user_id":"mx_1","kind":"account","alias_of":"carol"}
{"type":"member","group_id":"g","user_id":"bob","joined_seq":5}
{"type":"message","group_id":"g","seq":1,"event_id":"$1","msg_id":"m1","sender":"bob","thread":"$r","random":1,"at":1}
`
	for name, c := range map[string]struct{ line, text string }{
		"room taken":         {`{"type":"group","group_id":"h","room_id":"!a:example.com","seq_source":"own"}`, `room !a:example.com is already mapped to group "g"`},
		"group elsewhere":    {`{"type":"group","group_id":"g","room_id":"!b:example.com","seq_source":"own"}`, `group "g" is already mapped to room !a:example.com`},
		"other source":       {`{"type":"group","group_id":"g","room_id":"!a:example.com","seq_source":"cloud"}`, `group "g" is already known with seq source own`},
		"other MXID":         {`{"type":"user","user_id":"bob","mxid":"@x:example.com","kind":"ghost"}`, `user "bob" is already known as @tim_bob:example.com`},
		"other kind":         {`{"type":"user","user_id":"bob","mxid":"@tim_bob:example.com","kind":"linked"}`, `user "bob" is already known as ghost, not linked`},
		"MXID taken":         {`{"type":"user","user_id":"dave","mxid":"@tim_bob:example.com","kind":"ghost"}`, `MXID @tim_bob:example.com is already that of user "bob"`},
		"alias of nobody":    {`{"type":"user","user_id":"mx_2","kind":"account","alias_of":"nobody"}`, `invalid user "mx_2": user "nobody", whose alias it is, is not known`},
		"alias of ghost":     {`{"type":"user","user_id":"mx_2","kind":"account","alias_of":"bob"}`, `invalid user "mx_2": user "bob", whose alias it is, is not linked`},
		"member of nothing":  {`{"type":"member","group_id":"x","user_id":"bob"}`, `group "x" not found; its record must come before`},
		"unknown member":     {`{"type":"member","group_id":"g","user_id":"x"}`, `user "x" not found; his record must come before`},
		"overlapping stay":   {`{"type":"member","group_id":"g","user_id":"bob","joined_seq":1,"left_seq":6}`, `user "bob" is already in group "g" from after message 5 on`},
		"second open stay":   {`{"type":"member","group_id":"g","user_id":"bob","joined_seq":9}`, `user "bob" is already in group "g" from after message 5 on`},
		"message of nothing": {`{"type":"message","group_id":"x","seq":1}`, `group "x" not found; its record must come before`},
		"unknown sender":     {`{"type":"message","group_id":"g","seq":2,"sender":"x"}`, `user "x" not found; his record must come before`},
		"event taken":        {`{"type":"message","group_id":"g","seq":2,"event_id":"$1"}`, `event $1 is already message 1 of group "g"`},
		"msgID taken":        {`{"type":"message","group_id":"g","seq":2,"msg_id":"m1"}`, `msgID "m1" is already message 1 of group "g"`},
		"second event":       {`{"type":"message","group_id":"g","seq":1,"event_id":"$2"}`, `message 1 of group "g" is already event $1`},
		"place taken":        {`{"type":"message","group_id":"g","seq":2,"event_id":"$2","pos":1}`, `place 1 of room !a:example.com is already that of event $1`},
		"other sender":       {`{"type":"message","group_id":"g","seq":1,"sender":"carol"}`, `message 1 of group "g" is already known with another sender`},
		"other random":       {`{"type":"message","group_id":"g","seq":1,"random":2}`, `message 1 of group "g" is already known with another random`},
		"other time":         {`{"type":"message","group_id":"g","seq":1,"at":2}`, `message 1 of group "g" is already known with another time`},
		"other thread":       {`{"type":"message","group_id":"g","seq":1,"event_id":"$1","thread":"$s"}`, `message 1 of group "g" is already known with another thread`},
		"no JSON":            {`{"type":`, `failed to parse record: unexpected EOF`},
		"unknown field":      {`{"type":"message","group_id":"g","seq":2,"sendr":"bob"}`, `failed to parse record: json: unknown field "sendr"`},
		"too long":           {`{"type":"` + strings.Repeat("x", mapping.MaxRecord) + `"}`, `invalid record: the line is longer than 65536 bytes`},
	} {
		t.Run(name, func(t *testing.T) {
			// Stored already, or in the same batch: it is refused both times, with its line.
			b := open(t)
			_, err := b.importText(head)
			require.NoError(t, err)
			before := b.export()
			for i, text := range []string{head + c.line + "\n", c.line} {
				_, err = b.importText(text)
				var bad *mapping.ImportError
				require.True(t, errors.As(err, &bad), "%v", err)
				require.Len(t, bad.Lines, 1)
				require.EqualValues(t, []int64{7, 1}[i], bad.Lines[0].Line)
				require.EqualError(t, bad.Lines[0].Err, c.text)
				require.Contains(t, err.Error(), fmt.Sprintf("line %d: %s", bad.Lines[0].Line, c.text))
			}
			require.Equal(t, before, b.export())
			fresh := open(t)
			_, err = fresh.importText(head + c.line + "\n")
			require.Error(t, err)
			require.Empty(t, fresh.export(), "nothing of the batch is stored")
		})
	}
	t.Run("NothingAfterABadBatch", func(t *testing.T) {
		b := open(t)
		lines := strings.SplitAfter(manyLines(4000), "\n")
		lines[1500] = "nonsense\n"
		lines[3500] = strings.Repeat("x", 200_000) + "\n"
		result, err := b.importText(strings.Join(lines, ""))
		var bad *mapping.ImportError
		require.True(t, errors.As(err, &bad))
		require.Len(t, bad.Lines, 2, "the rest is checked all the same")
		require.EqualValues(t, 1501, bad.Lines[0].Line)
		require.EqualValues(t, 3501, bad.Lines[1].Line)
		require.EqualValues(t, 1000, result.Done)
		require.EqualValues(t, 4002, result.Lines)
		counts, err := b.Counts(b.ctx)
		require.NoError(t, err)
		require.EqualValues(t, 998, counts.Messages)
	})
	t.Run("ManyErrors", func(t *testing.T) {
		b := open(t)
		_, err := b.importText(strings.Repeat("{}\n", 500))
		var bad *mapping.ImportError
		require.True(t, errors.As(err, &bad))
		require.Len(t, bad.Lines, 100)
		require.True(t, bad.More)
		require.Contains(t, err.Error(), "perhaps more")
	})
}

func testRoundTrip(t *testing.T, open func(t *testing.T) *bench) {
	b := open(t)
	g, old := b.group("g", roomA), b.group("old & cold", roomB)
	bob, account := b.ghost("bob"), b.account(alice)
	b.many(g)
	b.append(roomB, 20_001, 20_002, 20_003)
	b.put(message(old, 1, 20_001), message(old, 2, 0), message(old, 3, 29_999))
	require.NoError(t, b.MoveGroup(b.ctx, old.Key, roomC, 0))
	b.append(roomC, 30_001, 30_002)
	full := message(old, 4, 30_001)
	full.Sender, full.Wants, full.Recalled, full.OnlineOnly, full.At, full.HasRandom = account.Key, receipts.WantsNo, true, true, clock, true
	b.put(full)
	require.NoError(t, b.SetSwitches(b.ctx, old.Key, false, true))
	_, err := b.NextSeqs(b.ctx, g.Key, 100)
	require.NoError(t, err)
	b.group("unmapped", "")
	b.join(g, bob, 0, 3, true)
	b.leave(g, bob, 10, 12)
	b.join(g, bob, 12, 0, false)
	b.join(old, account, 1, 1, true)
	_, _, err = b.LinkUser(b.ctx, "bob", alice)
	require.NoError(t, err)

	text := b.export()
	other := open(t)
	result, err := other.importText(text)
	require.NoError(t, err)
	require.Equal(t, result.Lines, result.News)
	require.Equal(t, text, other.export())
	again, err := other.importText(text)
	require.NoError(t, err)
	require.Zero(t, again.News)
	require.Equal(t, text, other.export())
	// Into where it came from as well.
	again, err = b.importText(text)
	require.NoError(t, err)
	require.Zero(t, again.News)

	for _, groupID := range []string{"g", "old & cold", "unmapped"} {
		want, err := b.GroupByID(b.ctx, groupID)
		require.NoError(t, err)
		got, err := other.GroupByID(other.ctx, groupID)
		require.NoError(t, err)
		want.Key, got.Key = 0, 0
		require.Equal(t, want, got)
		if want.RoomID != "" {
			a, err := b.Head(b.ctx, want.RoomID)
			require.NoError(t, err)
			z, err := other.Head(other.ctx, want.RoomID)
			require.NoError(t, err)
			require.Equal(t, a, z)
		}
	}
}
