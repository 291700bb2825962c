package bridge

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/mapping"
)

// TestCloud goes once through everything that crosses, in every variant of what Tencent leaves open.
func TestCloud(t *testing.T) {
	for name, opts := range tencenttest.Variants(tencenttest.Options{}) {
		for _, server := range []struct {
			name string
			opts matrixtest.Options
		}{{"Synapse", matrixtest.Synapse()}, {"Dendrite", matrixtest.Dendrite()}} {
			t.Run(name+"/"+server.name, func(t *testing.T) {
				t.Parallel()
				h := newCloudHouse(t, server.opts, opts)
				ann := h.hs.User("ann")
				room := h.link("team", ann, "alice", "bob")

				// A message and a receipt from Tencent.
				m, event := h.send("team", "alice", "hello")
				require.Equal(t, "hello", body(h.timeline(room, event)))
				require.Equal(t, h.ghost("alice"), h.timeline(room, event).Sender)
				require.NoError(t, h.cloud.User("bob").Ack("team", m.Seq))
				ann.WaitReceipt(room, h.ghost("bob"), event)

				// A receipt from Matrix; by reading ann becomes a member.
				account := mapping.AccountID(ann.ID)
				ann.SendReceipt(room, event)
				if opts.NoAckCommand {
					h.wait("the group is paused", func() bool {
						_, paused, err := h.b.own.PauseOf(h.ctx, h.group("team").Key)
						return err == nil && paused
					})
				} else {
					h.cloud.WaitFor(t, "ann has read", func() bool { return h.cloud.HasRead("team", account, m.Seq) })
				}

				// A message from Matrix, and its receipt.
				written := ann.Send(room, "hi there")
				sent := h.arrived("team", written)
				require.Equal(t, "hi there", sent.Text)
				require.Equal(t, account, sent.From)
				require.True(t, sent.HasReceipt)
				require.NoError(t, h.cloud.User("alice").Ack("team", sent.Seq))
				ann.WaitReceipt(room, h.ghost("alice"), written)

				// Nothing came twice, and nothing is left to do.
				if !opts.NoAckCommand {
					h.settled()
				}
				require.Len(t, h.messages("team", 2), 2)
				texts := 0
				for _, msg := range h.cloud.Messages("team") {
					if msg.Text != "" {
						texts++
					}
				}
				require.Equal(t, 2, texts)
			})
		}
	}
}
