package bridge

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// This file is about the account of a Matrix user who has been linked since: it is out of the Tencent group and says nothing there.

// placeOf is an account's place in a group as it is stored, also of one who has been linked.
func (h *cloudHouse) placeOf(group string, u *matrixtest.User) bridgedb.Join {
	h.t.Helper()
	account, err := h.b.maps.UserByID(h.ctx, mapping.AccountID(u.ID))
	require.NoError(h.t, err)
	j, err := h.b.own.JoinOf(h.ctx, h.group(group).Key, account.Key)
	require.NoError(h.t, err)
	return j
}

// TestLinkedWhileHisReceiptWaits: what somebody read before he was linked is told under the name that he has now. Told under the old one it
// was refused, his account was brought in for it, put out again because he is linked, and so on. (Found by the fault harness, seed 26056.)
func TestLinkedWhileHisReceiptWaits(t *testing.T) {
	t.Parallel()
	for name, isMember := range map[string]bool{"in the group already": true, "not in it yet": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := plainCloud(t, tencenttest.Points{})
			ann, ben := h.hs.User("ann"), h.hs.User("ben")
			room := h.link("team", ben, "alice", "bob")
			h.join(ann, room)
			if isMember {
				first, event := h.send("team", "bob", "one")
				ann.SendReceipt(room, event)
				h.acked("team", ann, first.Seq)
			}
			h.idle()
			m, event := h.send("team", "bob", "two")
			h.cloud.FailNext("group_msg_receipt", 1_000, tencenttest.Fault{Status: http.StatusBadGateway})
			h.cloud.FailNext("add_group_member", 1_000, tencenttest.Fault{Status: http.StatusBadGateway})
			tried := map[bool]string{true: "group_msg_receipt", false: "add_group_member"}[isMember]
			before := h.cloud.Calls(tried)
			ann.SendReceipt(room, event)
			h.wait("a try", func() bool { return h.cloud.Calls(tried) > before })
			require.NoError(t, h.root.LinkUser(h.ctx, "alice", ann.ID.String()))
			h.waitMember("team", ann, false)
			h.cloud.StopFailing()
			added := h.cloud.Calls("add_group_member")
			h.cloud.WaitFor(t, "alice has read", func() bool { return h.cloud.HasRead("team", "alice", m.Seq) })
			h.idle()
			// As linking a group does, and what is heard of late.
			require.NoError(t, h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error { return s.releaseAcks(ctx, h.group("team").Key) }))
			h.idle()
			require.Equal(t, added, h.cloud.Calls("add_group_member"), "the account stays out")
			require.False(t, h.cloud.HasRead("team", mapping.AccountID(ann.ID), m.Seq))
			require.Zero(t, h.placeOf("team", ann).Due)
			require.False(t, h.isMember("team", ann))

			// Parted again, each has read it.
			require.NoError(t, h.root.UnlinkUser(h.ctx, "alice"))
			h.acked("team", ann, m.Seq)
			h.quiet()
		})
	}
}

// TestLinkedWhileHisReceiptIsRefused: the answer that he is not in the group comes when he has been linked.
func TestLinkedWhileHisReceiptIsRefused(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.link("team", ben, "alice", "bob")
	h.join(ann, room)
	first, event := h.send("team", "bob", "one")
	ann.SendReceipt(room, event)
	h.acked("team", ann, first.Seq)
	h.idle()
	require.NoError(t, h.root.LinkUser(h.ctx, "alice", ann.ID.String()))
	h.waitMember("team", ann, false)
	h.idle()
	g := h.group("team")
	account, err := h.b.maps.UserByID(h.ctx, mapping.AccountID(ann.ID))
	require.NoError(t, err)
	added := h.cloud.Calls("add_group_member")
	require.NoError(t, h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error {
		return s.notInTencentGroup(ctx, &g, account, 1)
	}))
	h.idle()
	require.Equal(t, added, h.cloud.Calls("add_group_member"))
	require.Equal(t, bridgedb.Join{Group: g.Key, User: account.Key}, h.placeOf("team", ann))
}

// TestPlaceOfWhoWasLinked: a database that still wants the account of a linked user in a group, as earlier versions left it, is put right.
func TestPlaceOfWhoWasLinked(t *testing.T) {
	t.Parallel()
	for name, joined := range map[string]bool{"in it": true, "to be brought in": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := plainCloud(t, tencenttest.Points{})
			ann, ben := h.hs.User("ann"), h.hs.User("ben")
			room := h.link("team", ben, "alice", "bob")
			h.join(ann, room)
			m, event := h.send("team", "bob", "one")
			ann.SendReceipt(room, event)
			h.acked("team", ann, m.Seq)
			h.idle()
			require.NoError(t, h.root.LinkUser(h.ctx, "alice", ann.ID.String()))
			h.waitMember("team", ann, false)
			h.idle()
			j := h.placeOf("team", ann)
			j.Wanted, j.Joined = true, joined
			if !joined {
				j.Due = time.Now()
			} else {
				h.cloud.Deliver(tencenttest.Nothing)
				_, err := h.b.cloud.client.AddGroupMember(h.ctx, "team", []string{mapping.AccountID(ann.ID)}, true)
				require.NoError(t, err)
			}
			added := h.cloud.Calls("add_group_member")
			require.NoError(t, h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error {
				s.work = true
				return s.b.own.PutJoin(ctx, j)
			}))
			if joined {
				require.NoError(t, h.b.cloud.catchUp(h.ctx, h.group("team").Key, false))
			}
			h.idle()
			require.Equal(t, bridgedb.Join{Group: j.Group, User: j.User}, h.placeOf("team", ann))
			require.False(t, h.isMember("team", ann))
			require.Equal(t, added, h.cloud.Calls("add_group_member"))
		})
	}
}

// TestCatchUpAfterLinking: what somebody's account wrote is his own, also in the row that the account keeps while he is linked. It must not
// be counted in the place of somebody whose webhook was lost. (Found by the fault harness, seed 26056.)
func TestCatchUpAfterLinking(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.link("team", ben, "alice", "bob", "carl")
	h.join(ann, room)
	h.idle()
	m := h.arrived("team", ann.Send(room, "by ann"))
	// She reads on, so that Tencent is told of it, and what is her own is sorted out on the way.
	other, event := h.send("team", "bob", "by bob")
	ann.SendReceipt(room, event)
	h.acked("team", ann, other.Seq)
	h.idle()
	require.True(t, h.row("team", mapping.AccountID(ann.ID)).Tencent.Contains(receipts.MsgSeq(m.Seq)))
	require.NoError(t, h.root.LinkUser(h.ctx, "alice", ann.ID.String()))
	h.idle()

	h.cloud.Deliver(tencenttest.Nothing)
	require.NoError(t, h.cloud.User("bob").Ack("team", m.Seq))
	require.NoError(t, h.b.cloud.catchUp(h.ctx, h.group("team").Key, false))
	require.True(t, h.row("team", "bob").Read.Contains(receipts.MsgSeq(m.Seq)), "found out without a webhook")
}
