package e2e

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/internal/lab"
	"github.com/timbridge/timbridge/receipts"
)

// Every group of the app gets a room, and the app's own backend has its say as if timbridge were not there.
func testCloudForward(t *testing.T, w *world) {
	s := ownCloud(t, w, "cloudforward")
	host := lab.NewUser(t, w.hs, autoInvited.Localpart())
	eyes := s.watch(host)
	alice, bob := s.member("alice"), s.member("bob")
	g := s.created("The plaza", host, eyes, alice, bob)
	g.bothTalk(alice, host, "hello")

	// One whose making nobody told of.
	s.cloud.Deliver(tencenttest.Nothing)
	missed := s.created("The alley", host, eyes, alice, bob)
	s.cloud.Deliver(nil)
	missed.bothTalk(bob, host, "found")
	require.NoError(t, s.cloud.SetGroupName(missed.id, "The avenue"))
	missed.named("The avenue")
	require.NoError(t, s.cloud.DestroyGroup(missed.id))
	missed.ghostsLeave(alice, bob)

	// The backend decides what may be said, and changes it.
	s.app.backend.answers(func(command string, body []byte) string {
		switch {
		case command == tencenttest.AfterSendMsg:
			return `{"ActionStatus":"FAIL","ErrorCode":77,"ErrorInfo":"of no consequence"}`
		case command == tencenttest.BeforeSendMsg && bytes.Contains(body, []byte("forbidden")):
			return `{"ActionStatus":"OK","ErrorCode":1,"ErrorInfo":"no"}`
		case command == tencenttest.BeforeSendMsg && bytes.Contains(body, []byte("rude")):
			return `{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"polite"}}]}`
		}
		return ""
	})
	_, err := s.cloud.User(alice).Send(g.id, "forbidden in the app", tencenttest.SendOptions{NeedReadReceipt: true})
	var refused *receipts.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, receipts.CodeGroupRejected, refused.Code)
	_, err = host.SendText(s.ctx, g.room, "forbidden in the room")
	require.NoError(t, err)
	g.botSays("A message was not delivered to the Tencent group")
	polite, err := s.cloud.User(alice).Send(g.id, "rude", tencenttest.SendOptions{NeedReadReceipt: true})
	require.NoError(t, err)
	g.acks(bob, message{seq: polite.Seq})
	g.ghostRead(bob, g.shown(polite))
	g.roomHas("hello from the app", "hello from Matrix", "forbidden in the room", "polite")
	g.appHas("hello from the app", "hello from Matrix", "polite")

	// It has got all of it as Tencent sent it, and its answers went back.
	require.NoError(t, s.cloud.WaitDelivered(s.within()))
	came := s.app.backend.got()
	failed := 0
	for _, d := range s.cloud.Deliveries("") {
		require.NoError(t, d.Err, d.Command)
		require.True(t, slices.ContainsFunc(came, func(p passedOn) bool {
			return p.command == d.Command && bytes.Equal(p.body, d.Body) && len(p.sign) == 64
		}), "the backend has not got %s %s", d.Command, d.Body)
		if d.ActionStatus == "FAIL" {
			require.Equal(t, tencenttest.AfterSendMsg, d.Command)
			failed++
		}
	}
	require.Len(t, came, len(s.cloud.Deliveries("")))
	require.Equal(t, 1, failed)

	// Without it the bridge goes on.
	s.app.backend.server.Close()
	g.bothTalk(alice, host, "alone")
}

// created makes a group in the app and waits until it has a room, to which host is invited and which he enters.
func (s *cloudScene) created(name string, host *lab.User, eyes *lab.Watcher, members ...string) *cloudGroup {
	s.t.Helper()
	groupID, err := s.cloud.CreateGroup(tencenttest.GroupSpec{Name: name, Owner: members[0], Members: members[1:]})
	require.NoError(s.t, err)
	g := &cloudGroup{group: &group{s: s.scene, id: groupID, owner: host, eyes: eyes}, cloud: s.cloud, first: members[0]}
	alias := id.NewRoomAlias(s.b.ghostPrefix()+id.EncodeUserLocalpart(groupID), lab.Domain)
	s.until("room of "+name, func() error {
		var found struct {
			RoomID id.RoomID `json:"room_id"`
		}
		err := host.Do(s.ctx, http.MethodGet, "/_matrix/client/v3/directory/room/"+url.PathEscape(alias.String()), nil, nil, &found)
		g.room = found.RoomID
		return err
	})
	require.NoError(s.t, eyes.WaitMember(s.within(), g.room, host.ID, "invite"))
	require.NoError(s.t, host.Join(s.ctx, g.room))
	g.named(name)
	g.ghostsJoin(members...)
	return g
}

// named waits until the room has a name.
func (g *cloudGroup) named(name string) {
	g.s.t.Helper()
	g.s.until("name "+name, func() error {
		var content struct {
			Name string `json:"name"`
		}
		err := g.owner.State(g.s.ctx, g.room, "m.room.name", "", &content)
		if err == nil && content.Name != name {
			err = same([]string{name}, []string{content.Name})
		}
		return err
	})
}

// botSays waits until the bot has said something with these words in the room.
func (g *cloudGroup) botSays(words string) string {
	g.s.t.Helper()
	bot := id.NewUserID(g.s.b.bot(), lab.Domain)
	ev, err := g.eyes.WaitEventFunc(g.s.within(), g.room, "notice with "+words, func(ev lab.Event) bool {
		return ev.Type == "m.room.message" && ev.Sender == bot && strings.Contains(ev.Body(), words)
	})
	require.NoError(g.s.t, err)
	return ev.Body()
}
