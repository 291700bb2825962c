package bridge

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

// TestRelinkedSolid: how far somebody has read without a gap is looked up in the room, also below the place at which the group was linked.
// The highest that he has read is not below that, though nobody has noted what stood in the room before: `check --deep`, with which this
// ends, would name it. (Found by the fault harness, seed 26056.)
func TestRelinkedSolid(t *testing.T) {
	t.Parallel()
	for name, linked := range map[string]bool{"linked user": true, "ghost, contiguous": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, matrixtest.Synapse(), func(cfg *config.Config) {
				if !linked {
					cfg.Matrix.Policy = "contiguous"
				}
			})
			ann, ben := h.hs.User("ann"), h.hs.User("ben")
			room := h.room("team", ann, "alice", "bob")
			h.join(ben, room)
			if linked {
				require.NoError(t, h.root.LinkUser(h.ctx, "bob", ben.ID.String()))
			}
			first := h.message("team", ann.Send(room, "one"))
			require.NoError(t, h.client("bob").SendMessageReadReceipts(h.ctx, first.MsgId))
			h.settled()
			require.Positive(t, h.row("team", "bob").Solid)

			require.NoError(t, h.root.UnmapGroup(h.ctx, "team"))
			h.mapGroup("team", room, "")
			require.Zero(t, h.row("team", "bob").Latest, "not noted anew")
			// What he is sent now he does not read, and his marker is looked at all the same.
			ann.Send(room, "two")
			h.settled()
			require.NoError(t, h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error {
				row, _, err := s.reader(ctx, h.group("team").Key, h.key("bob"))
				s.due(row)
				return err
			}))
			h.wait("a look", func() bool { return h.row("team", "bob").Frontier > 0 })
			h.settled()
			row := h.row("team", "bob")
			require.Positive(t, row.Solid)
			require.GreaterOrEqual(t, row.Latest, row.Solid)
			require.Equal(t, id.EventID(first.EventId), ann.ReceiptOf(room, map[bool]id.UserID{true: ben.ID, false: h.ghost("bob")}[linked]))
		})
	}
}

// TestRelinkedReadOn: a linked user has read on in the room while it was no group's, and nobody told us. What he had read at Tencent before
// is below that: sent as his marker it would wait for ever to be seen, or move it back. (Found by the fault harness, seed 13008.)
func TestRelinkedReadOn(t *testing.T) {
	t.Parallel()
	for name, linkedBefore := range map[string]bool{"linked before": true, "linked after": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachServer(t, func(t *testing.T, opts matrixtest.Options) {
				h := newHouse(t, opts)
				ann, ben := h.hs.User("ann"), h.hs.User("ben")
				room := h.room("team", ann, "alice", "bob")
				h.join(ben, room)
				link := func() { require.NoError(t, h.root.LinkUser(h.ctx, "bob", ben.ID.String())) }
				first, second := h.message("team", ann.Send(room, "one")), h.message("team", ann.Send(room, "two"))
				ben.SendReceipt(room, id.EventID(first.EventId))
				h.waitCounts(h.client("alice"), first.MsgId, 1, 2)
				if linkedBefore {
					link()
				}
				h.settled()
				h.hs.FailRequests(matrixtest.Path("/receipt/m.read/"), 1_000, http.StatusBadGateway, "", 0)
				require.NoError(t, h.client("bob").SendMessageReadReceipts(h.ctx, first.MsgId, second.MsgId))
				require.NoError(t, h.root.UnmapGroup(h.ctx, "team"))
				own := ann.Send(room, "for Matrix only")
				ben.SendReceipt(room, own)
				h.hs.WaitPushed()
				h.hs.StopFailing()
				h.mapGroup("team", room, "")
				if !linkedBefore {
					link()
				}
				third := h.message("team", ann.Send(room, "three"))
				before := h.receiptRequestsOf(ben.ID)
				require.NoError(t, h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error {
					row, _, err := s.reader(ctx, h.group("team").Key, h.key("bob"))
					s.due(row)
					return err
				}))
				h.settled()
				require.Equal(t, before, h.receiptRequestsOf(ben.ID))
				require.Equal(t, own, ann.ReceiptOf(room, ben.ID))

				// What he reads now is shown as ever.
				require.NoError(t, h.client("bob").SendMessageReadReceipts(h.ctx, third.MsgId))
				ann.WaitReceipt(room, ben.ID, id.EventID(third.EventId))
			})
		})
	}
}

// receiptRequestsOf counts the receipts asked of the homeserver in somebody's name.
func (h *house) receiptRequestsOf(who id.UserID) int {
	return len(h.hs.Requests(func(_, path string, user id.UserID) bool {
		return user == who && strings.Contains(path, "/receipt/m.read/")
	}))
}
