package bridge

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
)

// handed gives a request to a handler without a network.
func handed(h http.Handler, req *http.Request) *httptest.ResponseRecorder {
	nop, w := zerolog.Nop(), httptest.NewRecorder()
	h.ServeHTTP(w, req.WithContext(nop.WithContext(req.Context())))
	return w
}

// quietly starts the bridge anew without a log: a fuzz target's is not to be written to from elsewhere.
func (h *house) quietly() {
	h.logTo = io.Discard
	h.restart(nil)
}

// FuzzTransaction sends any event, of any type and any sender, in a group's room and in none: the transaction is taken. One that is not
// would be sent again for ever, and everything behind it would wait.
func FuzzTransaction(f *testing.F) {
	types := []string{
		"m.room.message", "m.room.member", "m.room.redaction", "m.room.encrypted", "m.sticker", "m.reaction", "m.room.tombstone", "m.room.name",
		"m.room.power_levels", "m.poll.start", "org.matrix.msc3381.poll.start", "m.room.create", "m.room.canonical_alias", "",
	}
	for i := range types {
		for _, content := range []string{
			`{}`, `{"msgtype":"m.text","body":"hello"}`, `{"membership":"join","displayname":"x"}`, `{"membership":"leave"}`, `{"replacement_room":"!x:y"}`, `{"redacts":"$x"}`,
			`{"m.relates_to":{"rel_type":"m.thread","event_id":"$root"}}`, `{"m.relates_to":{"rel_type":"m.replace","event_id":"$root"},"m.new_content":{"body":"x"}}`,
			`{"msgtype":"m.text","body":"!tim status"}`, `{"msgtype":"m.text","body":"x","com.tencent.im":{"group_id":"team","seq":7,"msg_id":"a","need_read_receipt":true}}`,
			`{"com.tencent.im":{"group_id":"team","seq":18446744073709551615}}`, `{"msgtype":"m.image","url":"mxc://a/b","info":{"w":1e999,"h":-1}}`, `{"body":null,"msgtype":7}`,
		} {
			f.Add(uint8(i), "@ann:localhost", content, `"$redacted"`, "$e")
			f.Add(uint8(i|0x80), "@tim_alice:localhost", content, `null`, "$f")
		}
	}
	h := newHouse(f, matrixtest.Synapse(), func(cfg *config.Config) { cfg.Mapping.StampSenders = []string{"@stamp*"} })
	room := h.room("team", h.hs.User("ann"), "alice", "bob")
	h.settled()
	h.quietly()
	// What is done about events is not what is tried here, only that they are taken.
	h.hs.FailRequests(matrixtest.Path(""), math.MaxInt, http.StatusForbidden, "M_FORBIDDEN", 0)
	n := 0
	f.Fuzz(func(t *testing.T, kind uint8, sender, content, redacts, event string) {
		if !json.Valid([]byte(content)) || !json.Valid([]byte(redacts)) || len(content) > 64<<10 {
			t.Skip()
		}
		n++
		ev := map[string]any{
			"event_id": fmt.Sprintf("$fuzz%d", n), "room_id": room, "sender": sender, "type": types[int(kind&0x7f)%len(types)],
			"origin_server_ts": 1727580296000, "content": json.RawMessage(content), "redacts": json.RawMessage(redacts),
		}
		if strings.HasPrefix(event, "$") {
			ev["event_id"] = event
		}
		if kind&0x80 != 0 {
			ev["state_key"] = sender
		}
		raw, err := json.Marshal(map[string]any{"events": []any{ev}, "ephemeral": []any{map[string]any{
			"type": "m.receipt", "room_id": room, "content": map[string]any{event: map[string]any{"m.read": map[string]any{sender: json.RawMessage(content)}}},
		}}})
		if err != nil {
			t.Skip()
		}
		req := httptest.NewRequest(http.MethodPut, "/_matrix/app/v1/transactions/1", strings.NewReader(string(raw)))
		req.Header.Set("Authorization", "Bearer "+testHSToken)
		w := handed(h.b.MatrixHandler(), req)
		require.Equal(t, http.StatusOK, w.Code, "%s: %s", raw, w.Body)
	})
}

// FuzzHook sends any webhook about a linked group: it is stored, or left alone as something that cannot be read; what Tencent says is
// never answered as failed.
func FuzzHook(f *testing.F) {
	commands := []string{
		tencent.CommandAfterReadReceipt, tencent.CommandAfterSendMsg, tencent.CommandAfterRecallMsg, tencent.CommandAfterNewMemberJoin,
		tencent.CommandAfterMemberExit, tencent.CommandAfterCreateGroup, tencent.CommandAfterGroupInfoChanged,
	}
	for i := range commands {
		for _, fields := range []string{
			`"GroupMsgReceiptList":[{"MsgSeq":1,"ReadNum":1,"UnreadNum":1,"ReadReceiptMembers":[{"Member_Account":"bob"}]}]`, `"MsgSeqList":[{"MsgSeq":1}],"Operator_Account":"alice"`,
			`"From_Account":"alice","Random":1,"MsgSeq":9,"MsgId":"1-2-3","MsgTime":1727580296,"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hi"}}]`,
			`"From_Account":"alice","Random":4294967295,"MsgSeq":9223372036854775807,"OnlineOnlyFlag":1,"MsgBody":[]`, `"From_Account":"stranger","MsgSeq":18446744073709551615,"Random":0`,
			`"NewMemberList":[{"Member_Account":"new"}],"JoinType":"Apply"`, `"ExitMemberList":[{"Member_Account":"bob"}]`, `"Name":"new name","FaceUrl":"x"`, `"TopicId":"t","From_Account":"a","MsgSeq":3`,
			`"From_Account":"mx_aaaaaaaaaaaaaaaaaaaaaaaaaa","MsgSeq":11,"Random":3,"MsgId":"x"`,
		} {
			f.Add(uint8(i), fields)
		}
	}
	h := newCloudHouse(f, matrixtest.Synapse(), tencenttest.Options{}, func(cfg *config.Config) { cfg.Tencent.Webhook.BearerToken = testBearerToken })
	h.link("team", h.hs.User("ann"), "alice", "bob")
	h.settled()
	h.quietly()
	h.hs.SetOutage(true)
	h.cloud.SetOutage(true)
	f.Fuzz(func(t *testing.T, kind uint8, fields string) {
		command := commands[int(kind)%len(commands)]
		req := httptest.NewRequest(http.MethodPost, "/?CallbackCommand="+command, strings.NewReader(`{"CallbackCommand":"`+command+`","GroupId":"team","Type":"Public",`+fields+`}`))
		req.Header.Set("Authorization", "Bearer "+testBearerToken)
		w := handed(h.b.WebhookHandler(), req)
		require.Equal(t, http.StatusOK, w.Code, "%s %s: %s", command, fields, w.Body)
		require.Contains(t, w.Body.String(), `"OK"`)
	})
}
