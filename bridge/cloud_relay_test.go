package bridge

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// TestCloudUnclearSend: a message whose sending had no clear outcome is looked for before it is sent again, and has its receipts.
func TestCloudUnclearSend(t *testing.T) {
	for name, fault := range map[string]tencenttest.Fault{
		"lost_before": {Drop: true}, "lost_after": {Drop: true, Acted: true}, "half": {Half: true, Acted: true}, "proxy_after": {Status: http.StatusBadGateway, Acted: true},
		"hangs_after": {Hang: true, Acted: true}, "busy": {Code: receipts.CodeOverload},
	} {
		for _, hooks := range []string{"with_webhooks", "without_webhooks"} {
			t.Run(name+"/"+hooks, func(t *testing.T) {
				t.Parallel()
				h := plainCloud(t, tencenttest.Points{}, func(cfg *config.Config) { cfg.Tencent.RequestTimeout = 500 * time.Millisecond })
				ann := h.hs.User("ann")
				room := h.link("team", ann, "alice")
				if hooks == "without_webhooks" {
					h.cloud.Deliver(tencenttest.Nothing)
				}
				h.cloud.FailNext("send_group_msg", 2, fault)
				written := ann.Send(room, "hello")
				next := ann.Send(room, "and more")
				m := h.arrived("team", written)
				h.arrived("team", next)
				require.True(t, m.HasReceipt)
				h.cloud.Deliver(nil)
				require.NoError(t, h.cloud.User("alice").Ack("team", m.Seq))
				ann.WaitReceipt(room, h.ghost("alice"), written)
				h.quiet()
				require.Equal(t, []string{"hello", "and more"}, h.texts("team"), "once, and in order")
				if hooks == "with_webhooks" {
					require.NotEmpty(t, h.message("team", written).MsgId, "the webhook tells the msgID")
				}
			})
		}
	}
}

// TestCloudWebhookAndAnswer: the answer to a send and the webhook of it come in either order, and say the same.
func TestCloudWebhookAndAnswer(t *testing.T) {
	for _, points := range []tencenttest.Points{{}, {NoMsgID: true}, {FlagInWebhook: true}} {
		for _, first := range []string{"webhook", "answer"} {
			t.Run(first, func(t *testing.T) {
				t.Parallel()
				h := plainCloud(t, points)
				ann := h.hs.User("ann")
				room := h.link("team", ann, "alice")
				var written id.EventID
				if first == "answer" {
					h.cloud.Hold()
					written = ann.Send(room, "hello")
					h.arrived("team", written)
					h.cloud.Release(nil)
				} else {
					h.cloud.SetLatency(time.Second)
					written = ann.Send(room, "hello")
					h.arrived("team", written)
					h.cloud.SetLatency(0)
				}
				h.quiet()
				m := h.message("team", written)
				require.Equal(t, points.NoMsgID, m.MsgId == "")
				require.Equal(t, receipts.WantsYes, h.wantsOf("team", m.MsgSeq))
				require.Equal(t, []string{"hello"}, h.texts("team"))
				require.Equal(t, []string{"hello"}, h.bodies(room))
				require.Equal(t, 1, h.cloud.Calls("send_group_msg"))
			})
		}
	}
}

// TestCloudLongMessage: what is too long for Tencent goes in parts; who has read the last has read it, and all are recalled.
func TestCloudLongMessage(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann := h.hs.User("ann")
	room := h.link("team", ann, "alice")
	text := strings.Repeat("0123456789 ", 2500)
	h.cloud.FailNext("send_group_msg", 1, tencenttest.Fault{Drop: true, Acted: true})
	long := ann.Send(room, text)
	last := h.arrived("team", long)
	h.quiet()
	parts := h.texts("team")
	require.Greater(t, len(parts), 2)
	require.Equal(t, text, strings.Join(parts, ""))
	require.EqualValues(t, len(parts), last.Seq)
	require.NoError(t, h.cloud.User("alice").Ack("team", last.Seq))
	ann.WaitReceipt(room, h.ghost("alice"), long)
	h.restart(nil)
	ann.Edit(room, long, "shorter")
	h.noticed(room, "too long for that")
	ann.Redact(room, long)
	h.cloud.WaitFor(t, "all parts are recalled", func() bool {
		for _, m := range h.cloud.Messages("team") {
			if !m.Recalled {
				return false
			}
		}
		return true
	})
}

// TestCloudNotCarried: what cannot get to Tencent is told in the room, and does not hold up what comes after it.
func TestCloudNotCarried(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann := h.hs.User("ann")
	room := h.link("team", ann, "alice")
	h.cloud.FailNext("send_group_msg", 1, tencenttest.Fault{Code: receipts.CodeTextRefused})
	ann.Send(room, "a bad word")
	h.noticed(room, receipts.CodeTextRefused.String())
	ann.SendEvent(room, "m.room.encrypted", map[string]any{"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "abc"})
	h.noticed(room, "encrypted")
	ann.Send(room, strings.Repeat("0123456789 ", 40_000)) // more parts than are sent
	h.noticed(room, "too long")
	good := ann.Send(room, "good")
	h.arrived("team", good)
	h.command(ann, room, "!tim status")
	h.quiet()
	require.Equal(t, []string{"good"}, h.texts("team"), "neither commands nor the bot's notices are carried")
}

// TestCloudNoReceiptsNoLoss: where Tencent takes no messages that want receipts, it takes them without.
func TestCloudNoReceiptsNoLoss(t *testing.T) {
	for name, opts := range map[string]tencenttest.Options{
		"package": {Edition: tencenttest.EditionPro}, "type": {ReceiptTypes: []string{"Work"}}, "dropped": {Edition: tencenttest.EditionPro, Points: tencenttest.Points{SendDropsReceipt: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newCloudHouse(t, matrixtest.Synapse(), opts)
			ann := h.hs.User("ann")
			room := h.link("team", ann, "alice")
			first := h.arrived("team", ann.Send(room, "hello"))
			h.arrived("team", ann.Send(room, "again"))
			require.False(t, first.HasReceipt)
			h.quietBut("team")
			require.Equal(t, []string{"hello", "again"}, h.texts("team"))
			require.Equal(t, []string{"hello", "again"}, h.bodies(room))
		})
	}
}

// TestCloudEditAndRecall: changes and recalls cross in both directions, also those that come early.
func TestCloudEditAndRecall(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.link("team", ann, "alice", "bob")
	h.join(ben, room)
	event := ben.Send(room, "helo")
	m := h.arrived("team", event)
	ben.Edit(room, event, "hello")
	h.cloud.WaitFor(t, "the change", func() bool { got, _ := h.cloud.Message("team", m.Seq); return got.Text == "hello" })
	ann.Redact(room, event) // a moderator
	h.cloud.WaitFor(t, "the recall", func() bool { got, _ := h.cloud.Message("team", m.Seq); return got.Recalled })

	fromApp, appEvent := h.send("team", "alice", "from the app")
	ann.Redact(room, appEvent)
	h.cloud.WaitFor(t, "the recall", func() bool { got, _ := h.cloud.Message("team", fromApp.Seq); return got.Recalled })
	again, againEvent := h.send("team", "bob", "recalled by its sender")
	require.NoError(t, h.cloud.User("bob").Recall("team", again.Seq))
	h.hs.WaitFor("it is redacted", func() bool { return body(h.timeline(room, againEvent)) == "" })

	// Redacted before it was sent, and changed before it was sent.
	h.cloud.SetOutage(true)
	secret := ben.Send(room, "secret")
	typo := ann.Send(room, "tpyo")
	ben.Redact(room, secret)
	ann.Edit(room, typo, "typo")
	h.hs.WaitPushed()
	h.cloud.SetOutage(false)
	sent := h.arrived("team", typo)
	h.cloud.WaitFor(t, "the change", func() bool { got, _ := h.cloud.Message("team", sent.Seq); return got.Text == "typo" })
	h.quiet()
	for _, m := range h.cloud.Messages("team") {
		require.True(t, m.Recalled || m.Text != "secret")
	}

	// A recall that comes before its message, and one whose message is under way to the room.
	h.cloud.Hold()
	early, err := h.cloud.User("alice").Send("team", "never seen", tencenttest.SendOptions{NeedReadReceipt: true})
	require.NoError(t, err)
	require.NoError(t, h.cloud.User("alice").Recall("team", early.Seq))
	held := h.cloud.Held()
	h.cloud.Release(func([]tencenttest.Webhook) []tencenttest.Webhook { return only(held, tencenttest.AfterRecallMsg) })
	h.delivered()
	h.cloud.Release(func([]tencenttest.Webhook) []tencenttest.Webhook { return only(held, tencenttest.AfterSendMsg) })
	h.quiet()
	require.NotContains(t, h.bodies(room), "never seen")
}

// slowHomeserver holds back the answers to requests that match until release is called.
func slowHomeserver(t testing.TB, held func(r *http.Request) bool) (change func(*config.Config), reached *atomic.Int32, release func()) {
	reached = new(atomic.Int32)
	gate := make(chan struct{})
	return func(cfg *config.Config) {
		target, err := url.Parse(cfg.Homeserver.Address)
		require.NoError(t, err)
		proxy := httputil.NewSingleHostReverseProxy(target)
		transport := &http.Transport{}
		proxy.Transport = transport
		proxy.ModifyResponse = func(resp *http.Response) error {
			if held(resp.Request) {
				reached.Add(1)
				<-gate
			}
			return nil
		}
		server := httptest.NewServer(proxy)
		t.Cleanup(func() { server.Close(); transport.CloseIdleConnections() })
		cfg.Homeserver.Address = server.URL
	}, reached, func() { close(gate) }
}

// TestCloudRecallUnderWay: a message that is recalled while the homeserver is taking it does not stay in the room.
func TestCloudRecallUnderWay(t *testing.T) {
	t.Parallel()
	change, reached, release := slowHomeserver(t, func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/send/m.room.message/tim_") })
	h := plainCloud(t, tencenttest.Points{}, change)
	ann := h.hs.User("ann")
	room := h.link("team", ann, "alice")
	h.hs.FailTransactions(1000) // nor has it come back
	m, err := h.cloud.User("alice").Send("team", "hello", tencenttest.SendOptions{NeedReadReceipt: true})
	require.NoError(t, err)
	h.wait("the homeserver has it", func() bool { return reached.Load() == 1 })
	require.Equal(t, []string{"hello"}, h.bodies(room))
	require.NoError(t, h.cloud.User("alice").Recall("team", m.Seq))
	h.delivered()
	require.Equal(t, []string{"hello"}, h.bodies(room), "nobody knows which event it is")
	release()
	h.hs.StopFailing()
	h.hs.WaitFor("it is redacted", func() bool { return len(h.bodies(room)) == 0 })
}

// TestCloudUnmapped: messages without a place in the history are shown as configured, and never mapped; what may be for some members
// only is taken for that.
func TestCloudUnmapped(t *testing.T) {
	kinds := []config.Unmapped{config.UnmappedOnlineOnly, config.UnmappedDirected}
	for _, shown := range append(kinds, "") {
		for _, points := range []tencenttest.Points{{}, {NumberTransient: true, DirectedInWebhook: true}, {DirectedInWebhook: true}} {
			t.Run(string(shown), func(t *testing.T) {
				t.Parallel()
				h := plainCloud(t, points, func(cfg *config.Config) {
					if cfg.Relay.Unmapped = nil; shown != "" {
						cfg.Relay.Unmapped = []config.Unmapped{shown}
					}
				})
				ann := h.hs.User("ann")
				room := h.link("team", ann, "alice", "bob")
				h.cloud.Deliver(tencenttest.Twice)
				_, err := h.cloud.User("alice").Send("team", "online", tencenttest.SendOptions{OnlineOnly: true})
				require.NoError(t, err)
				_, err = h.cloud.User("alice").Send("team", "directed", tencenttest.SendOptions{To: []string{"bob"}})
				require.NoError(t, err)
				h.delivered()
				h.send("team", "bob", "ordinary")
				h.quiet()
				want := map[config.Unmapped][]string{config.UnmappedOnlineOnly: {"online"}, config.UnmappedDirected: {"directed"}}[shown]
				require.ElementsMatch(t, append(want, "ordinary"), h.bodies(room))
				require.Len(t, h.messages("team", 1), 1)
			})
		}
	}
}

// TestCloudOtherBridge: where another bridge carries and stamps the messages, webhooks and events meet in either order, and the counts are
// right.
func TestCloudOtherBridge(t *testing.T) {
	for _, first := range []string{"webhook", "event"} {
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			h := plainCloud(t, tencenttest.Points{}, func(cfg *config.Config) {
				cfg.Relay.Messages = false
				cfg.Mapping.StampSenders = []string{"@other_*:localhost"}
			})
			ann, puppet := h.hs.User("ann"), h.hs.User("other_alice")
			room := h.link("team", ann, "alice", "bob")
			h.join(puppet, room)
			h.cloud.Hold()
			m, err := h.cloud.User("alice").Send("team", "hello", tencenttest.SendOptions{NeedReadReceipt: true})
			require.NoError(t, err)
			if first == "webhook" {
				h.cloud.Release(nil)
				h.delivered()
			}
			event := puppet.SendEvent(room, "m.room.message", map[string]any{"msgtype": "m.text", "body": "hello",
				mapping.StampKey: json.RawMessage(mustStamp(t, mapping.Stamp{GroupID: "team", Seq: receipts.MsgSeq(m.Seq), NeedReadReceipt: true}))})
			h.hs.WaitPushed()
			if first == "event" {
				h.cloud.Release(nil)
			}
			require.Equal(t, event, h.eventOf("team", m.Seq))
			ann.SendReceipt(room, event)
			h.acked("team", ann, m.Seq)
			require.NoError(t, h.cloud.User("bob").Ack("team", m.Seq))
			ann.WaitReceipt(room, h.ghost("bob"), event)
			ann.Send(room, "not for us to carry")
			h.quiet()
			require.Equal(t, []string{"hello"}, h.texts("team"))
			counts, err := h.root.GetGroupMsgReceipt(h.ctx, "team", m.Seq)
			require.NoError(t, err)
			require.EqualValues(t, 2, counts[0].ReadNum)
			require.EqualValues(t, 0, counts[0].UnreadNum)
		})
	}
}

func mustStamp(t *testing.T, stamp mapping.Stamp) []byte {
	raw, err := json.Marshal(mapping.MarshalStamp(stamp))
	require.NoError(t, err)
	return raw
}
