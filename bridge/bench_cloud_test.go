package bridge

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// BenchmarkWebhooks is Tencent → bridge: durable Group.CallbackAfterReadReceipt webhooks, each with one new reader of one message, from
// many senders side by side; and webhooks of a group that is not linked.
func BenchmarkWebhooks(b *testing.B) {
	for _, group := range []string{"bench", "unlinked"} {
		for _, senders := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/senders=%d", group, senders), func(b *testing.B) {
				const users, messages = 100, 2000
				h := newCloudHouse(b, matrixtest.Dendrite(), tencenttest.Options{}, func(cfg *config.Config) { cfg.Tencent.CatchUpInterval = time.Hour })
				benchGroups(b, h, 4, users, messages)
				transport := &http.Transport{MaxIdleConnsPerHost: 64}
				defer transport.CloseIdleConnections()
				client := &http.Client{Transport: transport}
				url := func() string {
					at := strconv.FormatInt(time.Now().Unix(), 10)
					return fmt.Sprintf("%s/?SdkAppid=%d&CallbackCommand=%s&contenttype=json&Sign=%s&RequestTime=%s",
						h.hooks.URL, testAppID, tencent.CommandAfterReadReceipt, tencenttest.Sign(testHookToken, at), at)
				}
				var took latencies
				var next atomic.Int64
				var wg sync.WaitGroup
				started := time.Now()
				b.ResetTimer()
				for range senders {
					wg.Go(func() {
						for {
							n := int(next.Add(1)) - 1
							if n >= b.N {
								return
							}
							user, rest := n%users, n/users
							body := fmt.Sprintf(`{"CallbackCommand":"Group.CallbackAfterReadReceipt","GroupId":"%s%d","Type":"Public","GroupMsgReceiptList":[{"MsgSeq":%d,`+
								`"ReadNum":1,"UnreadNum":2,"ReadReceiptMembers":[{"Member_Account":"app%d"}]}],"EventTime":"1670574414123"}`, group, rest%4, rest/4%messages+1, user)
							start := time.Now()
							resp, err := client.Post(url(), "application/json", bytes.NewBufferString(body))
							if err != nil {
								b.Error(err)
								return
							}
							_ = resp.Body.Close()
							took.add(time.Since(start))
							if resp.StatusCode != http.StatusOK {
								b.Errorf("HTTP %d", resp.StatusCode)
								return
							}
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				b.ReportMetric(float64(b.N)/time.Since(started).Seconds(), "webhooks/s")
				took.report(b, "")
				if group == "bench" {
					reportDisk(b)
				}
			})
		}
	}
}

// benchGroups puts linked groups with members and messages into the database directly. Nothing of theirs goes to Matrix.
func benchGroups(b *testing.B, h *cloudHouse, groups, users, messages int) {
	require.NoError(b, h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error {
		for i := range groups {
			room := id.RoomID(fmt.Sprintf("!bench%d:%s", i, h.hs.Name()))
			g, err := h.b.maps.MapGroup(ctx, mapping.Group{GroupID: fmt.Sprintf("bench%d", i), RoomID: room, SeqSource: mapping.SeqSourceCloud, Type: "Public", LinkedPosKnown: true})
			require.NoError(b, err)
			require.NoError(b, h.b.maps.SetSwitches(ctx, g.Key, false, true))
			sender, err := s.tencentUser(ctx, "sender")
			require.NoError(b, err)
			for u := range users {
				app, err := s.tencentUser(ctx, fmt.Sprintf("app%d", u))
				require.NoError(b, err)
				_, err = h.b.maps.Join(ctx, g.Key, app.Key, 0, 0, true)
				require.NoError(b, err)
			}
			var events []mapping.NewEvent
			for m := range messages {
				events = append(events, mapping.NewEvent{EventID: id.EventID(fmt.Sprintf("$bench%02d_%06d_abcdefghijklmnopqrstuvwxyz012", i, m)), At: s.now})
			}
			places, err := h.b.maps.Append(ctx, room, events)
			require.NoError(b, err)
			var list []mapping.Message
			for m, place := range places {
				msg := mapping.Message{Group: g.Key, RoomID: room}
				msg.Seq, msg.Pos, msg.EventID, msg.Sender, msg.Wants, msg.At = receipts.MsgSeq(m+1), place.Pos, place.EventID.String(), sender.Key, receipts.WantsYes, s.now
				list = append(list, msg)
			}
			_, err = h.b.maps.PutMessages(ctx, list)
			require.NoError(b, err)
			s.forgetGroup(g.Key)
		}
		return nil
	}))
}

// BenchmarkBurst is 200 people who read 50 messages at the same moment. To Tencent, each of them is one call, and the calls come as
// fast as the configured rate allows; to Matrix, their 10,000 acknowledgements become few receipts.
func BenchmarkBurst(b *testing.B) {
	const readers, messages = 199, 50 // and the sender: receipts end at 200 members
	b.Run("to-tencent", func(b *testing.B) {
		for b.Loop() {
			h, room, joined, event := burstHouse(b, tencenttest.Points{}, 0, readers, messages)
			before := h.cloud.Calls("group_msg_receipt")
			rs := make([]matrix.Receipt, len(joined))
			for i, u := range joined {
				rs[i] = matrix.Receipt{RoomID: room, EventID: event, UserID: u.ID}
			}
			// They become members with the first thing they read, which is not measured.
			g := h.group("team")
			require.NoError(b, h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error {
				for _, u := range joined {
					user, err := h.b.maps.UserByMXID(ctx, u.ID)
					require.NoError(b, err)
					require.NoError(b, s.wantJoin(ctx, &g, user))
				}
				return nil
			}))
			h.settled()
			started := time.Now()
			require.NoError(b, h.b.HandleTransaction(h.ctx, nil, rs))
			h.settled()
			took := time.Since(started)
			calls := h.cloud.Calls("group_msg_receipt") - before
			require.Equal(b, len(joined), calls)
			b.ReportMetric(float64(calls), "calls")
			b.ReportMetric(float64(calls)/took.Seconds(), "calls/s")
			b.ReportMetric(100*float64(calls)/took.Seconds()/h.cfg.Tencent.CallsPerSecond, "%-of-rate")
		}
	})
	for name, points := range map[string]tencenttest.Points{"one-webhook-each": {}, "webhook-for-each-message": {OneSeqPerWebhook: true}} {
		b.Run("to-matrix/"+name, func(b *testing.B) {
			for b.Loop() {
				h, _, _, _ := burstHouse(b, points, readers, 0, messages)
				h.settled()
				last := h.cloud.LastSeq("team")
				var seqs []uint64
				for seq := last - messages + 1; seq <= last; seq++ {
					seqs = append(seqs, seq)
				}
				before := h.receiptRequests()
				started := time.Now()
				for i := range readers {
					u := h.cloud.User(fmt.Sprintf("app%d", i))
					require.NoError(b, u.Ack("team", seqs[:30]...)) // as many as the SDKs take in one call
					require.NoError(b, u.Ack("team", seqs[30:]...))
				}
				ctx, cancel := context.WithTimeout(h.ctx, time.Minute)
				require.NoError(b, h.cloud.WaitDelivered(ctx))
				cancel()
				h.settled()
				b.ReportMetric(float64(readers*messages), "acks")
				b.ReportMetric(float64(h.receiptRequests()-before), "requests")
				b.ReportMetric(time.Since(started).Seconds(), "s")
			}
		})
	}
}

// burstHouse links a group with members app0, app1, ..., has Matrix users join, and alice send messages, all of which are in the room.
func burstHouse(b *testing.B, points tencenttest.Points, apps, users, messages int) (*cloudHouse, id.RoomID, []*matrixtest.User, id.EventID) {
	opts := tencenttest.Options{Limits: tencenttest.Limits{Group: -1}, Points: points}
	h := newCloudHouse(b, matrixtest.Synapse(), opts, func(cfg *config.Config) { cfg.Tencent.CatchUpInterval = time.Hour })
	var members []string
	for i := range apps {
		members = append(members, fmt.Sprintf("app%d", i))
	}
	room := h.link("team", h.hs.User("ann"), append([]string{"alice"}, members...)...)
	var joined []*matrixtest.User
	for i := range users {
		u := h.hs.User(fmt.Sprintf("reader%d", i))
		u.Join(room)
		joined = append(joined, u)
	}
	h.hs.WaitPushed()
	var last tencenttest.Message
	for range messages {
		var err error
		last, err = h.cloud.User("alice").Send("team", "hello", tencenttest.SendOptions{NeedReadReceipt: true})
		require.NoError(b, err)
	}
	return h, room, joined, h.eventOf("team", last.Seq)
}
