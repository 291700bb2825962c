package matrix

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"
	"pgregory.net/rapid"
)

// drops collects what a decoder dropped.
type drops []string

func (d *drops) add(what string, err error) { *d = append(*d, what+": "+err.Error()) }

func TestParseEvent(t *testing.T) {
	long := "$" + strings.Repeat("x", 300)
	for name, tc := range map[string]struct {
		raw  string
		want Event
		err  error
	}{
		"message": {
			raw: `{"event_id":"$e","room_id":"!r:x","sender":"@a:x","type":"m.room.message","content":{"body":"hi"},"origin_server_ts":1700000000000}`,
			want: Event{ID: "$e", RoomID: "!r:x", Sender: "@a:x", Type: "m.room.message", Content: json.RawMessage(`{"body":"hi"}`),
				OriginServerTS: time.UnixMilli(1700000000000)},
		},
		"keys in other case mean nothing": {
			raw:  `{"event_id":"$e","room_id":"!r:x","sender":"@a:x","SENDER":"@victim:x","Event_id":"$other","type":"t","content":{"m.relates_to":{"rel_type":"m.thread","event_id":"$root","EVENT_ID":"$x"}},"Content":{"a":1}}`,
			want: Event{ID: "$e", RoomID: "!r:x", Sender: "@a:x", Type: "t", Content: json.RawMessage(`{"m.relates_to":{"rel_type":"m.thread","event_id":"$root","EVENT_ID":"$x"}}`), RelType: "m.thread", RelatesTo: "$root", ThreadRoot: "$root"},
		},
		"member with its old membership": {
			raw:  `{"event_id":"$e","room_id":"!r:x","sender":"@a:x","type":"m.room.member","state_key":"@a:x","content":{"membership":"leave"},"unsigned":{"prev_content":{"membership":"join"}}}`,
			want: Event{ID: "$e", RoomID: "!r:x", Sender: "@a:x", Type: "m.room.member", StateKey: ptr("@a:x"), Content: json.RawMessage(`{"membership":"leave"}`), PrevMembership: "join"},
		},
		"redaction at the top": {
			raw:  `{"event_id":"$e","room_id":"!r:x","sender":"@a:x","type":"m.room.redaction","content":{},"redacts":"$old"}`,
			want: Event{ID: "$e", RoomID: "!r:x", Sender: "@a:x", Type: "m.room.redaction", Content: json.RawMessage(`{}`), Redacts: "$old"},
		},
		"redaction in the content": {
			raw:  `{"event_id":"$e","room_id":"!r:x","sender":"@a:x","type":"m.room.redaction","content":{"redacts":"$old"}}`,
			want: Event{ID: "$e", RoomID: "!r:x", Sender: "@a:x", Type: "m.room.redaction", Content: json.RawMessage(`{"redacts":"$old"}`), Redacts: "$old"},
		},
		"redacted before it came": {
			raw:  `{"event_id":"$e","room_id":"!r:x","sender":"@a:x","type":"t","content":{},"unsigned":{"redacted_because":{"event_id":"$r"}}}`,
			want: Event{ID: "$e", RoomID: "!r:x", Sender: "@a:x", Type: "t", Content: json.RawMessage(`{}`), Redacted: true},
		},
		"absurd parts are passed over": {
			raw:  `{"event_id":"$e","room_id":"!r:x","sender":"@a:x","type":"t","state_key":null,"content":{"m.relates_to":{"rel_type":7,"event_id":"$root"}},"origin_server_ts":1e300,"unsigned":[1],"redacts":{}}`,
			want: Event{ID: "$e", RoomID: "!r:x", Sender: "@a:x", Type: "t", Content: json.RawMessage(`{"m.relates_to":{"rel_type":7,"event_id":"$root"}}`)},
		},
		"thread root that is no id": {
			raw:  `{"event_id":"$e","room_id":"!r:x","sender":"@a:x","type":"t","content":{"m.relates_to":{"rel_type":"m.thread","event_id":"` + long + `"}}}`,
			want: Event{ID: "$e", RoomID: "!r:x", Sender: "@a:x", Type: "t", Content: json.RawMessage(`{"m.relates_to":{"rel_type":"m.thread","event_id":"` + long + `"}}`)},
		},
		"no object":            {raw: `[]`, err: errNoObject},
		"null":                 {raw: `null`, err: errNoObject},
		"no id":                {raw: `{"room_id":"!r:x","sender":"@a:x","type":"t","content":{}}`, err: errBadEventID},
		"id too long":          {raw: `{"event_id":"` + long + `"}`, err: errBadEventID},
		"id with NUL":          {raw: `{"event_id":"$a\u0000b"}`, err: errBadEventID},
		"id is a number":       {raw: `{"event_id":7}`, err: errBadEventID},
		"room is a user":       {raw: `{"event_id":"$e","room_id":"@r:x"}`, err: errBadRoomID},
		"sender missing":       {raw: `{"event_id":"$e","room_id":"!r:x"}`, err: errBadSender},
		"type empty":           {raw: `{"event_id":"$e","room_id":"!r:x","sender":"@a:x","type":""}`, err: errBadType},
		"state key a list":     {raw: `{"event_id":"$e","room_id":"!r:x","sender":"@a:x","type":"t","state_key":[]}`, err: errBadStateKey},
		"content a string":     {raw: `{"event_id":"$e","room_id":"!r:x","sender":"@a:x","type":"t","content":"x"}`, err: errBadContent},
		"content not there":    {raw: `{"event_id":"$e","room_id":"!r:x","sender":"@a:x","type":"t"}`, err: errBadContent},
		"SENDER alone is none": {raw: `{"event_id":"$e","room_id":"!r:x","SENDER":"@a:x","type":"t","content":{}}`, err: errBadSender},
	} {
		t.Run(name, func(t *testing.T) {
			ev, err := parseEvent([]byte(tc.raw))
			if tc.err != nil {
				require.ErrorIs(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, ev)
		})
	}
}

func ptr[T any](v T) *T { return &v }

func TestParseReceipts(t *testing.T) {
	for name, tc := range map[string]struct {
		raw   string
		want  []Receipt
		drops int
	}{
		"plain": {
			raw:  `{"$e":{"m.read":{"@a:x":{"ts":1}}}}`,
			want: []Receipt{{RoomID: "!r:x", EventID: "$e", UserID: "@a:x"}},
		},
		"threads": {
			raw: `{"$e":{"m.read":{"@a:x":{"ts":1,"thread_id":"main"},"@b:x":{"thread_id":"$root"}}}}`,
			want: []Receipt{
				{RoomID: "!r:x", EventID: "$e", UserID: "@a:x", ThreadID: "main", HasThread: true},
				{RoomID: "!r:x", EventID: "$e", UserID: "@b:x", ThreadID: "$root", HasThread: true},
			},
		},
		"private never comes in": {raw: `{"$e":{"m.read.private":{"@a:x":{"ts":1}},"m.fully_read":{"@a:x":{}}}}`},
		"absurd times do not matter": {
			raw: `{"$e":{"m.read":{"@a:x":{"ts":1e300},"@b:x":{"ts":"soon"},"@c:x":{"ts":-5},"@d:x":{}}}}`,
			want: []Receipt{
				{RoomID: "!r:x", EventID: "$e", UserID: "@a:x"}, {RoomID: "!r:x", EventID: "$e", UserID: "@b:x"},
				{RoomID: "!r:x", EventID: "$e", UserID: "@c:x"}, {RoomID: "!r:x", EventID: "$e", UserID: "@d:x"},
			},
		},
		"bad users drop only themselves": {
			raw:   `{"$e":{"m.read":{"@a:x":"","@b:x":[1],"@c:x":null,"nobody":{},"@d:x":{"thread_id":7},"@e:x":{"thread_id":""},"@f:x":{"thread_id":"side"},"@g:x":{"thread_id":null},"@z:x":{"ts":1}}}}`,
			want:  []Receipt{{RoomID: "!r:x", EventID: "$e", UserID: "@z:x"}},
			drops: 8,
		},
		"bad events drop only themselves": {
			raw:   `{"$a":7,"$b":{"m.read":[]},"plain":{"m.read":{"@a:x":{}}},"$e":{"m.read":{"@a:x":{}}}}`,
			want:  []Receipt{{RoomID: "!r:x", EventID: "$e", UserID: "@a:x"}},
			drops: 3,
		},
		"no object": {raw: `[]`, drops: 1},
	} {
		t.Run(name, func(t *testing.T) {
			var dropped drops
			got := parseReceipts(nil, "!r:x", json.RawMessage(tc.raw), false, dropped.add)
			require.Equal(t, tc.want, got)
			require.Len(t, dropped, tc.drops)
		})
	}
}

const goodEvent = `{"event_id":"$e","room_id":"!r:x","sender":"@a:x","type":"t","content":{}}`

func pushedReceipt(user string) string {
	return `{"type":"m.receipt","room_id":"!r:x","content":{"$e":{"m.read":{"` + user + `":{"ts":1}}}}}`
}

func TestParseTransaction(t *testing.T) {
	for name, tc := range map[string]struct {
		raw              string
		events, receipts int
		drops            int
		err              bool
	}{
		"both names are read once": {raw: `{"events":[],"ephemeral":[` + pushedReceipt("@a:x") + `],"de.sorunome.msc2409.ephemeral":[` + pushedReceipt("@a:x") + `]}`, receipts: 1},
		"the older name alone":     {raw: `{"events":[],"de.sorunome.msc2409.ephemeral":[` + pushedReceipt("@a:x") + `]}`, receipts: 1},
		"an empty new name wins":   {raw: `{"ephemeral":[],"de.sorunome.msc2409.ephemeral":[` + pushedReceipt("@a:x") + `]}`},
		"null is as not there":     {raw: `{"events":null,"ephemeral":null,"de.sorunome.msc2409.ephemeral":[` + pushedReceipt("@a:x") + `]}`, receipts: 1},
		"typing and presence":      {raw: `{"ephemeral":[{"type":"m.typing","room_id":"!r:x","content":{"user_ids":[]}},{"type":"m.presence","content":{}}]}`},
		"bad pieces":               {raw: `{"events":[7,` + goodEvent + `,{}],"ephemeral":[null,` + pushedReceipt("@a:x") + `,{"type":"m.receipt","content":{}}]}`, events: 1, receipts: 1, drops: 4},
		"events of a wrong type":   {raw: `{"events":{},"ephemeral":[` + pushedReceipt("@a:x") + `]}`, receipts: 1, drops: 1},
		"receipts of a wrong type": {raw: `{"events":[` + goodEvent + `],"ephemeral":"no"}`, events: 1, drops: 1},
		"unknown keys":             {raw: `{"EVENTS":[` + goodEvent + `],"to_device":[1]}`},
		"nothing at all":           {raw: `{}`},
		"not JSON":                 {raw: `{"events":[`, err: true},
		"a list":                   {raw: `[]`, err: true},
		"empty":                    {raw: ``, err: true},
	} {
		t.Run(name, func(t *testing.T) {
			var dropped drops
			txn, err := parseTransaction([]byte(tc.raw), dropped.add)
			if tc.err {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Len(t, txn.events, tc.events)
			require.Len(t, txn.receipts, tc.receipts)
			for _, r := range txn.receipts {
				require.True(t, r.Pushed)
			}
			require.Len(t, dropped, tc.drops)
		})
	}
}

func TestParseSync(t *testing.T) {
	var dropped drops
	resp, err := parseSync([]byte(`{"next_batch":"s2","rooms":{"join":{
		"!r:x":{"ephemeral":{"events":[{"type":"m.typing","content":{}},{"type":"m.receipt","content":{"$e":{"m.read":{"@a:x":{"thread_id":"main"}}}}}]}},
		"!bad:x":7, "!worse:x":{"ephemeral":{"events":{}}}, "nonsense":{"ephemeral":{"events":[{"type":"m.receipt","content":{}}]}},
		"!z:x":{"ephemeral":{"events":["x",{"type":"m.receipt","content":{"$f":{"m.read":{"@b:x":{}}}}}]}}
	},"leave":{"!l:x":{"ephemeral":{"events":[{"type":"m.receipt","content":{"$e":{"m.read":{"@a:x":{}}}}}]}}}}}`), dropped.add)
	require.NoError(t, err)
	require.Equal(t, "s2", resp.nextBatch)
	require.Equal(t, []Receipt{
		{RoomID: "!r:x", EventID: "$e", UserID: "@a:x", ThreadID: "main", HasThread: true},
		{RoomID: "!z:x", EventID: "$f", UserID: "@b:x"},
	}, resp.receipts)
	require.Len(t, dropped, 3)

	for _, bad := range []string{``, `[]`, `{}`, `{"next_batch":7}`, `{"next_batch":""}`, `{"next_batch":"s1"`} {
		_, err = parseSync([]byte(bad), dropped.add)
		require.Error(t, err, bad)
	}
	resp, err = parseSync([]byte(`{"next_batch":"s1","rooms":[]}`), dropped.add)
	require.NoError(t, err)
	require.Empty(t, resp.receipts)
}

// TestOnlyBadEntriesDrop: of any mixture of good and bad entries exactly the good ones come through.
func TestOnlyBadEntriesDrop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		good := make(map[string]bool)
		users := make(map[string]json.RawMessage)
		for i := range rapid.IntRange(0, 20).Draw(t, "users") {
			user := fmt.Sprintf("@u%02d:x", i)
			if rapid.Bool().Draw(t, "good") {
				users[user] = json.RawMessage(rapid.SampledFrom([]string{`{}`, `{"ts":1}`, `{"ts":null,"thread_id":"main"}`, `{"x":[{}]}`}).Draw(t, "value"))
				good[user] = true
			} else {
				users[user] = json.RawMessage(rapid.SampledFrom([]string{`""`, `[1]`, `null`, `0`, `{"thread_id":[]}`, `{"thread_id":"x"}`}).Draw(t, "value"))
			}
		}
		content, err := json.Marshal(map[string]any{"$e": map[string]any{"m.read": users, "m.read.private": users}})
		require.NoError(t, err)
		var dropped drops
		got := parseReceipts(nil, "!r:x", content, true, dropped.add)
		var names []string
		for _, r := range got {
			names = append(names, string(r.UserID))
		}
		require.Equal(t, slices.Sorted(maps.Keys(good)), names)
		require.Len(t, dropped, len(users)-len(good))
	})
}

// checkEvent states what is promised about every Event that comes out of a decoder.
func checkEvent(t *testing.T, ev Event) {
	require.True(t, validID(string(ev.ID), '$'))
	require.True(t, validID(string(ev.RoomID), '!'))
	require.True(t, validID(string(ev.Sender), '@'))
	require.NotEmpty(t, ev.Type)
	require.NotContains(t, ev.Type, "\x00")
	require.True(t, json.Valid(ev.Content))
	if ev.StateKey != nil {
		require.NotContains(t, *ev.StateKey, "\x00")
	}
	require.True(t, ev.ThreadRoot == "" || (validID(ev.ThreadRoot, '$') && ev.ThreadRoot == string(ev.RelatesTo)))
	require.True(t, ev.Redacts == "" || validID(string(ev.Redacts), '$'))
	require.True(t, ev.OriginServerTS.IsZero() || ev.OriginServerTS.Year() <= 9999+1)
}

func checkReceipt(t *testing.T, r Receipt) {
	require.True(t, validID(string(r.EventID), '$'))
	require.True(t, validID(string(r.RoomID), '!'))
	require.True(t, validID(string(r.UserID), '@'))
	require.Equal(t, r.HasThread, r.ThreadID != "")
	require.True(t, !r.HasThread || r.ThreadID == "main" || validID(r.ThreadID, '$'))
}

func FuzzParseTransaction(f *testing.F) {
	f.Add([]byte(`{"events":[` + goodEvent + `],"ephemeral":[` + pushedReceipt("@a:x") + `]}`))
	f.Add([]byte(`{"events":[{"event_id":"$e","room_id":"!r:x","sender":"@a:x","type":"m.room.member","state_key":"@a:x","content":{"m.relates_to":{"rel_type":"m.thread","event_id":"$r"}},"unsigned":{"prev_content":{"membership":"join"}}}]}`))
	f.Add([]byte(`{"de.sorunome.msc2409.ephemeral":[{"type":"m.receipt","room_id":"!r:x","content":{"$e":{"m.read":{"@a:x":{"thread_id":"$r"},"@b:x":[1]}}}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		txn, err := parseTransaction(body, func(string, error) {})
		if err != nil {
			require.Empty(t, txn.events)
			return
		}
		for _, ev := range txn.events {
			checkEvent(t, ev)
		}
		for _, r := range txn.receipts {
			checkReceipt(t, r)
			require.True(t, r.Pushed)
		}
	})
}

func FuzzParseSync(f *testing.F) {
	f.Add([]byte(`{"next_batch":"s","rooms":{"join":{"!r:x":{"ephemeral":{"events":[{"type":"m.receipt","content":{"$e":{"m.read":{"@a:x":{}}}}}]}}}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		resp, err := parseSync(body, func(string, error) {})
		if err != nil {
			return
		}
		require.NotEmpty(t, resp.nextBatch)
		for _, r := range resp.receipts {
			checkReceipt(t, r)
			require.False(t, r.Pushed)
		}
	})
}

func FuzzParseSurroundings(f *testing.F) {
	f.Add([]byte(`{"event":`+goodEvent+`,"events_before":[`+goodEvent+`],"events_after":[]}`), "!r:x", "$e")
	f.Fuzz(func(t *testing.T, body []byte, room, event string) {
		around, err := parseSurroundings(body, id.RoomID(room), id.EventID(event), func(string, error) {})
		if err != nil {
			return
		}
		require.Equal(t, event, string(around.Event.ID))
		for _, ev := range append(append(around.Before, around.After...), around.Event) {
			checkEvent(t, ev)
			require.Equal(t, room, string(ev.RoomID))
		}
	})
}
