package bridge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/mapping"
)

// pushed puts raw events and receipts into one transaction of the test's own making.
func (h *house) pushed(events []any, ephemeral ...any) (status int) {
	h.t.Helper()
	body, err := json.Marshal(map[string]any{"events": append([]any{}, events...), "ephemeral": append([]any{}, ephemeral...)})
	require.NoError(h.t, err)
	status, _ = h.hs.PutTransaction(fmt.Sprintf("attack%d", len(body)), body)
	return status
}

func rawEvent(room id.RoomID, event, sender, typ string, content any, more ...string) map[string]any {
	ev := map[string]any{"event_id": event, "room_id": room, "sender": sender, "type": typ, "content": content, "origin_server_ts": 1700000000000}
	for i := 0; i+1 < len(more); i += 2 {
		ev[more[i]] = more[i+1]
	}
	return ev
}

func rawReceipt(room id.RoomID, event string, users ...string) map[string]any {
	read := map[string]any{}
	for _, u := range users {
		read[u] = map[string]any{"ts": 1}
	}
	return map[string]any{"type": "m.receipt", "room_id": room, "content": map[string]any{event: map[string]any{"m.read": read}}}
}

// TestTakingBackAReactionDoesNotBlock: what is redacted need not be a message.
func TestTakingBackAReactionDoesNotBlock(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts)
		ann := h.hs.User("ann")
		room := h.room("team", ann, "alice")
		event := ann.Send(room, "hello")
		ann.Redact(room, ann.React(room, event, "👍"))
		h.message("team", ann.Send(room, "after"))
	})
}

// TestNoEventBlocksTheQueue: whatever members write, or remote servers send, the homeserver's transaction is taken, or it would be
// sent again for ever and everything behind it with it.
func TestNoEventBlocksTheQueue(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	text := map[string]any{"msgtype": "m.text", "body": "x"}
	relates := func(typ, event string) map[string]any {
		return map[string]any{"msgtype": "m.text", "body": "x", "m.relates_to": map[string]any{"rel_type": typ, "event_id": event}}
	}
	join := map[string]any{"membership": "join"}
	stranger := "@victim:" + h.hs.Name()
	squatter := h.ghost(mapping.AccountID(id.UserID(stranger))).String()
	for name, ev := range map[string]map[string]any{
		"event ID with a space":            rawEvent(room, "$a b", "@ann:localhost", "m.room.message", text),
		"event ID with a line break":       rawEvent(room, "$a\nb", "@ann:localhost", "m.room.message", text),
		"thread root with a space":         rawEvent(room, "$t1", "@ann:localhost", "m.room.message", relates("m.thread", "$a b")),
		"thread root with a control":       rawEvent(room, "$t2", "@ann:localhost", "m.room.message", relates("m.thread", "$a\x01")),
		"reaction to nonsense":             rawEvent(room, "$t3", "@ann:localhost", "m.reaction", relates("m.annotation", "$a b")),
		"sender without server":            rawEvent(room, "$s1", "@nobody", "m.room.message", text),
		"sender with a space":              rawEvent(room, "$s2", "@no body:localhost", "m.room.message", text),
		"sender with empty localpart":      rawEvent(room, "$s3", "@:localhost", "m.room.message", text),
		"member without MXID":              rawEvent(room, "$m1", "@ann:localhost", "m.room.member", join, "state_key", "nobody"),
		"member with empty MXID":           rawEvent(room, "$m2", "@ann:localhost", "m.room.member", join, "state_key", ""),
		"member with a space":              rawEvent(room, "$m3", "@ann:localhost", "m.room.member", join, "state_key", "@no body:localhost"),
		"upgrade to no room":               rawEvent(room, "$u1", "@ann:localhost", "m.room.tombstone", map[string]any{"replacement_room": "elsewhere"}, "state_key", ""),
		"upgrade to a room with a space":   rawEvent(room, "$u2", "@ann:localhost", "m.room.tombstone", map[string]any{"replacement_room": "!a b:localhost"}, "state_key", ""),
		"redaction of nonsense":            rawEvent(room, "$r1", "@ann:localhost", "m.room.redaction", map[string]any{}, "redacts", "$a b"),
		"redaction of itself":              rawEvent(room, "$r2", "@ann:localhost", "m.room.redaction", map[string]any{}, "redacts", "$r2"),
		"redaction of a member event":      rawEvent(room, "$r3", "@ann:localhost", "m.room.redaction", map[string]any{}, "redacts", "$t3"),
		"NUL in a body":                    rawEvent(room, "$n1", "@ann:localhost", "m.room.message", map[string]any{"msgtype": "m.text", "body": "a\x00b"}),
		"body that is no text":             rawEvent(room, "$n2", "@ann:localhost", "m.room.message", map[string]any{"body": map[string]any{"a": 1}}),
		"malformed stamp":                  rawEvent(room, "$n3", "@ann:localhost", "m.room.message", map[string]any{"body": "x", "com.tencent.im": "x"}),
		"stamp with a huge seq":            rawEvent(room, "$n4", "@ann:localhost", "m.room.message", map[string]any{"body": "x", "com.tencent.im": map[string]any{"group_id": "team", "seq": "9223372036854775807", "msg_id": "m"}}),
		"invitation of a squatting ghost":  rawEvent(room, "$q1", "@ann:localhost", "m.room.member", map[string]any{"membership": "invite"}, "state_key", squatter),
		"message of the one squatted upon": rawEvent(room, "$q2", stranger, "m.room.message", text),
	} {
		require.Equal(t, http.StatusOK, h.pushed([]any{ev}), name)
	}
	require.Equal(t, http.StatusOK, h.pushed([]any{
		rawEvent(room, "$q3", "@ann:localhost", "m.room.member", map[string]any{"membership": "invite"}, "state_key", squatter),
		rawEvent(room, "$q4", stranger, "m.room.member", join, "state_key", stranger),
		rawEvent(room, "$q5", stranger, "m.room.message", text),
	}), "squatted")
	require.Equal(t, mapping.AccountID(id.UserID(stranger)), h.message("team", "$q5").From_Account, "nobody takes a Matrix user's account away")
	good := h.message("team", ann.Send(room, "after"))
	for name, user := range map[string]string{
		"space": "@a b:evil.example", "empty localpart": "@:evil.example", "no server": "@nobody", "squatted": stranger,
	} {
		require.Equal(t, http.StatusOK, h.pushed(nil, rawReceipt(room, good.EventId, user, "@ann:localhost")), name)
	}
	require.Equal(t, http.StatusOK, h.pushed(nil, rawReceipt(room, "$a b", "@ann:localhost")), "event")
	require.Equal(t, http.StatusOK, h.pushed([]any{rawEvent(room, "$bad", "@no body:localhost", "m.room.message", text), rawEvent(room, "$good", "@ann:localhost", "m.room.message", text)}))
	require.Equal(t, "$good", h.message("team", "$good").EventId, "a bad event drops only itself")
}
