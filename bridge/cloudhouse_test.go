package bridge

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/bridge/v2tim"
)

// cloudHouse is a house whose groups live in a fake Tencent Cloud.
type cloudHouse struct {
	*house
	cloud *tencenttest.Server
	hooks *httptest.Server
}

const testHookToken = "hook-token"

func newCloudHouse(t testing.TB, opts matrixtest.Options, points tencenttest.Options, change ...func(*config.Config)) *cloudHouse {
	points.SDKAppID, points.SecretKey, points.Admins = testAppID, testSecretKey, []string{"administrator"}
	cloud := tencenttest.Start(t, points)
	h := &cloudHouse{cloud: cloud}
	h.house = newHouse(t, opts, append([]func(*config.Config){func(cfg *config.Config) {
		cfg.Tencent.Mode, cfg.Tencent.BaseURL = config.ModeCloud, cloud.URL()
		cfg.Tencent.Webhook.Token = testHookToken
	}}, change...)...)
	h.hooks = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.now.Load().WebhookHandler().ServeHTTP(w, r) }))
	t.Cleanup(func() {
		h.cloud.Close()
		h.hooks.Close()
	})
	cloud.SetHook(tencenttest.Hook{URL: h.hooks.URL, Token: testHookToken})
	return h
}

// link makes a group of members in the cloud and a public room of owner's, and links them.
func (h *cloudHouse) link(group string, owner *matrixtest.User, members ...string) id.RoomID {
	h.t.Helper()
	h.cloud.Group(h.t, group, members...)
	room := owner.CreateRoom(matrixtest.RoomOptions{Public: true})
	_, err := h.root.MapGroup(h.ctx, v2tim.MapGroupRequest{GroupId: group, RoomId: room.String()})
	require.NoError(h.t, err)
	for _, m := range members {
		ghost := h.ghost(m)
		h.hs.WaitFor(m+" in "+group, func() bool { return h.hs.Membership(room, ghost) == "join" })
	}
	return room
}

// send sends a message that wants a receipt, as somebody with Tencent's SDK, and returns it with its event.
func (h *cloudHouse) send(group, from, text string) (tencenttest.Message, id.EventID) {
	h.t.Helper()
	m, err := h.cloud.User(from).Send(group, text, tencenttest.SendOptions{NeedReadReceipt: true})
	require.NoError(h.t, err)
	return m, h.eventOf(group, m.Seq)
}

// eventOf waits for the event of a message.
func (h *cloudHouse) eventOf(group string, seq uint64) (event id.EventID) {
	h.t.Helper()
	h.wait("event of a message", func() bool {
		for _, m := range h.messages(group, 0) {
			if m.MsgSeq == seq {
				event = id.EventID(m.EventId)
				return true
			}
		}
		return false
	})
	return event
}

// arrived waits until a Matrix user's message has got to the group.
func (h *cloudHouse) arrived(group string, event id.EventID) tencenttest.Message {
	h.t.Helper()
	m := h.message(group, event)
	sent, ok := h.cloud.Message(group, m.MsgSeq)
	require.True(h.t, ok)
	return sent
}
