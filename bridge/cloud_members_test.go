package bridge

import (
	"fmt"
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

// TestCloudMatrixMembers: who of the room becomes a member of the group, and that nobody in the group is told of it.
func TestCloudMatrixMembers(t *testing.T) {
	for _, who := range []config.MatrixMembers{config.MatrixMembersActive, config.MatrixMembersAll, config.MatrixMembersNone} {
		t.Run(string(who), func(t *testing.T) {
			t.Parallel()
			h := plainCloud(t, tencenttest.Points{TipSeqs: true}, func(cfg *config.Config) { cfg.Bridge.MatrixMembers = who })
			ann, ben, eve := h.hs.User("ann"), h.hs.User("ben"), h.hs.User("eve")
			room := h.link("team", ann, "alice")
			h.join(ben, room)
			h.join(eve, room)
			m, event := h.send("team", "alice", "one")
			ann.SendReceipt(room, event)
			written := h.arrived("team", ben.Send(room, "from ben"))
			require.Equal(t, mapping.AccountID(ben.ID), written.From, "he need not be a member to write")
			switch who {
			case config.MatrixMembersNone:
				h.quiet()
				require.Len(t, h.cloud.Members("team"), 1)
				require.False(t, h.cloud.HasRead("team", mapping.AccountID(ann.ID), m.Seq))
			case config.MatrixMembersActive:
				h.acked("team", ann, m.Seq)
				h.waitMember("team", ben, true)
				h.quiet()
				require.False(t, h.isMember("team", eve))
			default:
				h.acked("team", ann, m.Seq)
				h.waitMember("team", ben, true)
				h.waitMember("team", eve, true)
			}
			h.quiet()
			require.EqualValues(t, written.Seq, h.cloud.LastSeq("team"), "no notice in the group")
		})
	}
}

// TestCloudMembersSwitchedOn: bridge.matrix_members: all is also for those who were in the room before.
func TestCloudMembersSwitchedOn(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.link("team", ann, "alice")
	h.join(ben, room)
	h.quiet()
	require.Len(t, h.cloud.Members("team"), 1)
	h.restart(func() { h.cfg.Bridge.MatrixMembers = config.MatrixMembersAll })
	h.waitMember("team", ann, true)
	h.waitMember("team", ben, true)
}

// TestCloudGroupFull: nobody is brought in who would end receipts for all; who waits gets in when somebody leaves.
func TestCloudGroupFull(t *testing.T) {
	for _, leaver := range []string{"ben", "bob"} {
		t.Run(leaver, func(t *testing.T) {
			t.Parallel()
			h := plainCloud(t, tencenttest.Points{}, func(cfg *config.Config) { cfg.Tencent.MaxMembers = 4 })
			ann, ben, eve := h.hs.User("ann"), h.hs.User("ben"), h.hs.User("eve")
			room := h.link("team", ann, "alice", "bob")
			h.join(ben, room)
			h.join(eve, room)
			m, event := h.send("team", "alice", "one")
			ann.SendReceipt(room, event)
			ben.SendReceipt(room, event)
			h.acked("team", ann, m.Seq)
			h.acked("team", ben, m.Seq)
			eve.SendReceipt(room, event)
			h.noticed(room, "4 members at most")
			require.Len(t, h.cloud.Members("team"), 4)
			written := h.arrived("team", eve.Send(room, "I can still write"))
			require.True(t, written.HasReceipt)
			second, secondEvent := h.send("team", "alice", "two")
			ann.SendReceipt(room, secondEvent)
			h.acked("team", ann, second.Seq)
			if leaver == "ben" {
				h.cloud.Deliver(tencenttest.Nothing) // we need not be told what we did ourselves
				ben.Leave(room)
			} else {
				require.NoError(t, h.cloud.User("bob").Leave("team"))
			}
			h.acked("team", eve, m.Seq)
			require.Len(t, h.cloud.Members("team"), 4)
			require.Equal(t, 1, h.noticedTimes(room, "4 members at most"))
		})
	}
}

// TestCloudOneBadAccount: one who cannot be added, or removed, keeps nobody else waiting.
func TestCloudOneBadAccount(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{}, func(cfg *config.Config) { cfg.Bridge.MatrixMembers = config.MatrixMembersAll })
	ann := h.hs.User("ann")
	room := ann.CreateRoom(matrixtest.RoomOptions{Public: true})
	for i := range 5 {
		h.hs.User(fmt.Sprint("user", i)).Join(room)
	}
	h.cloud.FailNext("add_group_member", 2, tencenttest.Fault{Code: 10037}) // in too many groups: the first two calls
	h.cloud.Group(t, "team", "alice", "bob")
	_, err := h.root.MapGroup(h.ctx, mapRequest("team", room))
	require.NoError(t, err)
	h.cloud.WaitFor(t, "all are in", func() bool { return len(h.cloud.Members("team")) == 8 })
	h.quiet()
	// The owner of the group cannot be removed; others put out of the room with him can.
	for _, user := range []string{"alice", "bob"} {
		h.hs.WaitFor(user+" is in the room", func() bool { return h.hs.Membership(room, h.ghost(user)) == "join" })
	}
	ann.Kick(room, h.ghost("alice"))
	ann.Kick(room, h.ghost("bob"))
	h.cloud.WaitFor(t, "bob is out", func() bool { return len(h.cloud.Members("team")) == 7 })
	h.quiet()
	require.Contains(t, h.cloud.Members("team"), "alice")
	h.restart(nil)
	h.hs.WaitFor("alice is back", func() bool { return h.hs.Membership(room, h.ghost("alice")) == "join" })
	require.Equal(t, "leave", h.hs.Membership(room, h.ghost("bob")))
}

// TestCloudLeaving: leaving on either side is leaving on both.
func TestCloudLeaving(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann := h.hs.User("ann")
	users := map[string]*matrixtest.User{}
	room := h.link("team", ann, "alice", "bob", "carl")
	_, event := h.send("team", "alice", "one")
	for _, name := range []string{"leaves", "kicked", "banned", "thrown_out", "quits"} {
		users[name] = h.hs.User(name)
		h.join(users[name], room)
		users[name].Send(room, "hello")
		h.waitMember("team", users[name], true)
	}
	users["leaves"].Leave(room)
	ann.Kick(room, users["kicked"].ID)
	ann.Ban(room, users["banned"].ID)
	for _, name := range []string{"leaves", "kicked", "banned"} {
		h.waitMember("team", users[name], false)
	}
	require.NoError(t, h.cloud.User("alice").Kick("team", mapping.AccountID(users["thrown_out"].ID)))
	require.NoError(t, h.cloud.User(mapping.AccountID(users["quits"].ID)).Leave("team"))
	for _, name := range []string{"thrown_out", "quits"} {
		h.hs.WaitFor(name+" is out of the room", func() bool { return h.hs.Membership(room, users[name].ID) == "leave" })
	}
	ann.Kick(room, h.ghost("bob"))
	h.cloud.WaitFor(t, "bob is out", func() bool { return len(h.cloud.Members("team")) == 2 })
	require.NoError(t, h.cloud.User("carl").Leave("team"))
	h.hs.WaitFor("carl is out", func() bool { return h.hs.Membership(room, h.ghost("carl")) == "leave" })
	h.quiet()
	require.Equal(t, []string{"alice"}, h.cloud.Members("team"))
	var rows int
	require.NoError(t, h.db.QueryRow(h.ctx, "SELECT COUNT(*) FROM tim_join").Scan(&rows))
	require.Zero(t, rows, "nothing is kept of who is gone")

	// And back again.
	require.NoError(t, h.cloud.User("bob").Join("team"))
	h.hs.WaitFor("bob is back", func() bool { return h.hs.Membership(room, h.ghost("bob")) == "join" })
	h.join(users["leaves"], room)
	users["leaves"].SendReceipt(room, event)
	h.waitMember("team", users["leaves"], false) // nothing that he may acknowledge: he was away
	again, againEvent := h.send("team", "alice", "two")
	users["leaves"].SendReceipt(room, againEvent)
	h.acked("team", users["leaves"], again.Seq)
}

// TestCloudOldMemberWebhooks: webhooks of what we did ourselves, which come when it has been undone, change nothing.
func TestCloudOldMemberWebhooks(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.link("team", ann, "alice")
	h.join(ben, room)
	m, event := h.send("team", "alice", "one")
	h.cloud.Hold()
	ben.SendReceipt(room, event)
	h.acked("team", ben, m.Seq)
	ben.Leave(room)
	h.waitMember("team", ben, false)
	h.settled()
	joined := h.cloud.Held()
	// His joining is told when he has left: he stays out.
	h.cloud.Release(func([]tencenttest.Webhook) []tencenttest.Webhook { return only(joined, tencenttest.AfterNewMemberJoin) })
	h.quiet()
	require.False(t, h.isMember("team", ben))
	require.Equal(t, "leave", h.hs.Membership(room, ben.ID))
	// His leaving is told when he is back: he stays in.
	h.join(ben, room)
	second, secondEvent := h.send("team", "alice", "two")
	ben.SendReceipt(room, secondEvent)
	h.acked("team", ben, second.Seq)
	h.cloud.Hold()
	h.cloud.Release(func([]tencenttest.Webhook) []tencenttest.Webhook { return only(joined, tencenttest.AfterMemberExit) })
	h.quiet()
	require.True(t, h.isMember("team", ben))
	require.Equal(t, "join", h.hs.Membership(room, ben.ID))
	wanted, is := h.joinOf("team", ben)
	require.True(t, wanted && is)
}

// TestCloudMissingAccount: an account that Tencent does not have (any more) is made anew.
func TestCloudMissingAccount(t *testing.T) {
	for _, code := range []receipts.Code{receipts.CodeGroupAccountNotFound, receipts.CodeAccountNotImported} {
		for _, command := range []string{"send_group_msg", "add_group_member", "group_msg_receipt"} {
			t.Run(command, func(t *testing.T) {
				t.Parallel()
				h := plainCloud(t, tencenttest.Points{})
				ann := h.hs.User("ann")
				room := h.link("team", ann, "alice")
				m, event := h.send("team", "alice", "one")
				h.cloud.FailNext(command, 1, tencenttest.Fault{Code: code})
				written := ann.Send(room, "hello")
				ann.SendReceipt(room, event)
				h.arrived("team", written)
				h.acked("team", ann, m.Seq)
				h.quiet()
				require.GreaterOrEqual(t, h.cloud.Calls("multiaccount_import"), 2)
				require.Equal(t, []string{"one", "hello"}, h.texts("team"))
			})
		}
	}
}

// TestCloudProfiles: people look the same on both sides, also after they have changed.
func TestCloudProfiles(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{}, func(cfg *config.Config) {
		cfg.Relay.MediaURL, cfg.Relay.Avatars = "https://media.example/{server}/{media}", config.AvatarsAny
	})
	ann := h.hs.User("ann")
	h.cloud.User("alice").SetProfile("Alice in the app", "")
	ann.SetProfile("Ann", "mxc://localhost/one")
	room := h.link("team", ann, "alice")
	h.hs.WaitFor("alice's name", func() bool { name, _ := h.hs.Profile(h.ghost("alice")); return name == "Alice in the app" })
	h.arrived("team", ann.Send(room, "hello"))
	account := mapping.AccountID(ann.ID)
	nick, face, _ := h.cloud.Profile(account)
	require.Equal(t, []string{"Ann", "https://media.example/localhost/one"}, []string{nick, face})

	ann.SetProfile("Anna", "mxc://localhost/two")
	h.hs.WaitPushed()
	h.cloud.WaitFor(t, "her new name", func() bool {
		nick, face, _ := h.cloud.Profile(account)
		return nick == "Anna" && face == "https://media.example/localhost/two"
	})
	h.restart(func() { h.cloud.User("alice").SetProfile("Alice", "") })
	h.hs.WaitFor("alice's new name", func() bool { name, _ := h.hs.Profile(h.ghost("alice")); return name == "Alice" })
	h.idle()
	h.hs.ClearLog()
	h.restart(nil)
	asked := h.cloud.Calls("portrait_get")
	h.cloud.WaitFor(t, "a look", func() bool { return h.cloud.Calls("portrait_get") > asked })
	h.idle()
	require.Empty(t, h.hs.Requests(matrixtest.Path("/profile/", id.UserID(h.ghost("alice")).Localpart())), "what has not changed is not set again")
}

// TestCloudGhostAfterTrouble: a ghost that could not be brought in because our own database was busy does not stay out for long.
func TestCloudGhostAfterTrouble(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	room := h.link("team", h.hs.User("ann"), "alice")
	h.idle()
	h.sqliteOnly()
	_, err := h.db.Exec(h.ctx, "CREATE TRIGGER busy BEFORE INSERT ON mx_user_profile BEGIN SELECT RAISE(ABORT, 'database is locked'); END")
	require.NoError(t, err)
	require.NoError(t, h.cloud.User("bob").Join("team"))
	h.wait("a try", func() bool {
		var attempts int
		_ = h.db.QueryRow(h.ctx, "SELECT MAX(attempts) FROM tim_room_task").Scan(&attempts)
		return attempts > 0
	})
	_, err = h.db.Exec(h.ctx, "DROP TRIGGER busy")
	require.NoError(t, err)
	h.settled()
	require.Equal(t, "join", h.hs.Membership(room, h.ghost("bob")))
}

// TestCloudMessageBeforeTheJoinIsKnown: what was written to somebody who had just joined is his to read, also where the webhook of the
// message overtakes the homeserver's word of his joining. His own receipt may overtake it too.
func TestCloudMessageBeforeTheJoinIsKnown(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newCloudHouse(t, opts, tencenttest.Options{}, func(cfg *config.Config) { cfg.Tencent.CatchUpInterval = time.Hour })
		ann, late := h.hs.User("ann"), h.hs.User("late")
		room := h.link("team", ann, "alice")
		before, _ := h.send("team", "alice", "before he came")
		h.idle()
		h.hs.WaitPushed()
		h.hs.SetASURL(h.cfg.AppService.ID, "")
		late.Join(room)
		m, event := h.send("team", "alice", "to him too")
		late.SendReceipt(room, event)
		h.restart(nil) // and /sync is read
		h.wait("the receipt", func() bool {
			parked, err := h.b.reads.ParkedOlder(h.ctx, time.Now().Add(time.Minute), 10)
			return err == nil && len(parked) > 0
		})
		h.hs.SetASURL(h.cfg.AppService.ID, h.mx.URL)
		h.acked("team", late, m.Seq)
		h.idle()
		require.False(t, h.cloud.HasRead("team", mapping.AccountID(late.ID), before.Seq), "that was not said to him")
	})
}
