package e2e

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/internal/lab"
	"github.com/timbridge/timbridge/mapping"
)

// sharedCloud is the timbridge in cloud mode that is never stopped, for all cases that need none of their own.
const sharedCloud = "cloud"

// smallGroup is the largest group of sharedCloud. (Tencent's own limit, 200, would be 200 ghosts that join.)
const smallGroup = 6

// cloudScene is a scene whose groups live in Tencent Cloud.
type cloudScene struct {
	*scene
	app   *cloudApp
	cloud *tencenttest.Server // where new groups are made
}

func newCloudScene(t *testing.T, w *world, bridge string) *cloudScene {
	t.Helper()
	return inCloud(newScene(t, w, bridge))
}

// ownCloud is a scene on a timbridge that no other case uses, started now.
func ownCloud(t *testing.T, w *world, bridge string) *cloudScene {
	t.Helper()
	return inCloud(own(t, w, bridge))
}

func inCloud(s *scene) *cloudScene {
	app := s.w.apps[s.b.name]
	return &cloudScene{scene: s, app: app, cloud: app.main}
}

// ownFake gives the scene a Tencent Cloud that no other case disturbs.
func (s *cloudScene) ownFake(opts tencenttest.Options) {
	s.t.Helper()
	s.cloud = s.app.fake(s.t, opts)
}

// member makes somebody who uses the app with Tencent's SDK.
func (s *cloudScene) member(name string) string {
	userID := s.unique(name)
	s.app.know(userID)
	return userID
}

// ghostOf is the Matrix user that stands for a Tencent user.
func (s *scene) ghostOf(userID string) id.UserID {
	return mapping.GhostMXID(s.b.ghostPrefix(), userID, lab.Domain)
}

// cloudGroup is a group in Tencent Cloud that is linked with a room.
type cloudGroup struct {
	*group
	cloud *tencenttest.Server
	first string // a member, whose app is looked at
}

// linked makes a group of these members and links it with a new room of people, the first of whom watches.
func (s *cloudScene) linked(people []*lab.User, members ...string) *cloudGroup {
	s.t.Helper()
	return s.linkedSeenBy(s.watch(people[0]), people, members...)
}

func (s *cloudScene) linkedSeenBy(eyes *lab.Watcher, people []*lab.User, members ...string) *cloudGroup {
	s.t.Helper()
	g := s.unlinked(people[0], eyes, members...)
	g.room = s.openRoom(people...)
	_, err := s.root.MapGroup(s.ctx, v2tim.MapGroupRequest{GroupId: g.id, RoomId: g.room.String()})
	require.NoError(s.t, err)
	g.ghostsJoin(members...)
	return g
}

// openRoom makes a room that everybody may join, which takes the homeserver less than invitations. The first of people owns it.
func (s *scene) openRoom(people ...*lab.User) id.RoomID {
	s.t.Helper()
	room, err := people[0].CreateRoomWith(s.ctx, map[string]any{"preset": "public_chat"})
	require.NoError(s.t, err)
	for _, u := range people[1:] {
		require.NoError(s.t, u.Join(s.ctx, room))
	}
	return room
}

// unlinked makes a group that has no room yet.
func (s *cloudScene) unlinked(owner *lab.User, eyes *lab.Watcher, members ...string) *cloudGroup {
	s.t.Helper()
	g := &cloudGroup{group: &group{s: s.scene, id: s.unique("team"), owner: owner, eyes: eyes}, cloud: s.cloud, first: members[0]}
	s.cloud.Group(s.t, g.id, members...)
	return g
}

// on is the same group for a subtest.
func (g *cloudGroup) on(t *testing.T) *cloudGroup {
	plain := *g.group
	plain.s = g.s.on(t)
	return &cloudGroup{group: &plain, cloud: g.cloud, first: g.first}
}

func (g *cloudGroup) ghostsJoin(members ...string) {
	g.s.t.Helper()
	for _, m := range members {
		require.NoError(g.s.t, g.eyes.WaitMember(g.s.within(), g.room, g.s.ghostOf(m), "join"))
	}
}

// ghostsLeave waits until they are not in the room any more. (What /sync says may be older: Synapse tells of old states where events have
// come side by side.)
func (g *cloudGroup) ghostsLeave(members ...string) {
	g.s.t.Helper()
	g.s.until("ghosts to leave", func() error {
		there, err := g.owner.JoinedMembers(g.s.ctx, g.room)
		for _, m := range members {
			if err == nil && slices.Contains(there, g.s.ghostOf(m)) {
				return fmt.Errorf("%s is there", m)
			}
		}
		return err
	})
}

// sends sends a text that wants a receipt, as somebody with Tencent's SDK.
func (g *cloudGroup) sends(from, text string) tencenttest.Message {
	g.s.t.Helper()
	sent, err := g.cloud.User(from).Send(g.id, text, tencenttest.SendOptions{NeedReadReceipt: true})
	require.NoError(g.s.t, err)
	return sent
}

// says sends a text and waits until the room's owner sees it.
func (g *cloudGroup) says(from, text string) message {
	g.s.t.Helper()
	return g.shown(g.sends(from, text))
}

// shown waits until the room's owner sees a message of a Tencent user.
func (g *cloudGroup) shown(sent tencenttest.Message) message {
	g.s.t.Helper()
	ev, err := g.eyes.WaitText(g.s.within(), g.room, sent.Text)
	require.NoError(g.s.t, err)
	require.Equal(g.s.t, g.s.ghostOf(sent.From), ev.Sender)
	return message{sent.MsgID, sent.Seq, ev.ID}
}

// writes sends a text from a Matrix client and waits until a member of the group sees it in the app.
func (g *cloudGroup) writes(from *lab.User, text string) message {
	g.s.t.Helper()
	event, err := from.SendText(g.s.ctx, g.room, text)
	require.NoError(g.s.t, err)
	return g.reaches(from, event, text)
}

func (g *cloudGroup) reaches(from *lab.User, event id.EventID, text string) (m message) {
	g.s.t.Helper()
	g.s.until(fmt.Sprintf("%q in the app", text), func() error {
		for _, sent := range g.cloud.User(g.first).Messages(g.id) {
			if sent.Text == text && sent.From == account(from) && sent.HasReceipt {
				m = message{sent.MsgID, sent.Seq, event}
				return nil
			}
		}
		return fmt.Errorf("it is not there")
	})
	return m
}

// acks acknowledges messages as somebody with Tencent's SDK.
func (g *cloudGroup) acks(member string, list ...message) {
	g.s.t.Helper()
	seqs := make([]uint64, len(list))
	for i, m := range list {
		seqs[i] = m.seq
	}
	require.NoError(g.s.t, g.cloud.User(member).Ack(g.id, seqs...))
}

// ghostRead waits until the room's owner sees that a Tencent user has read a message.
func (g *cloudGroup) ghostRead(member string, m message) {
	g.s.t.Helper()
	g.sees(g.eyes, g.s.ghostOf(member), m)
}

// ghostReadAll waits until the room's owner sees that a Tencent user has read these messages: where the last of them in the room is.
func (g *cloudGroup) ghostReadAll(member string, list ...message) {
	g.s.t.Helper()
	g.s.until("receipt of "+member, func() error {
		var last id.EventID
		for _, ev := range g.eyes.Events(g.room) {
			if slices.ContainsFunc(list, func(m message) bool { return m.event == ev.ID }) {
				last = ev.ID
			}
		}
		if at := g.eyes.Receipts(g.room)[g.s.ghostOf(member)]; at != last {
			return fmt.Errorf("it is on %s, not on %s", at, last)
		}
		return nil
	})
}

// hasRead waits until Tencent has it that a Matrix user has read messages.
func (g *cloudGroup) hasRead(u *lab.User, list ...message) {
	g.s.t.Helper()
	for _, m := range list {
		g.s.until(fmt.Sprintf("receipt of %s on message %d", u.ID, m.seq), func() error {
			if !g.cloud.HasRead(g.id, account(u), m.seq) {
				return fmt.Errorf("it has been read by %v", g.cloud.ReadBy(g.id, m.seq))
			}
			return nil
		})
	}
}

// told waits until the sender's app has heard that so many have read a message.
func (g *cloudGroup) told(sender string, m message, read int) {
	g.s.t.Helper()
	g.s.until(fmt.Sprintf("onRecvMessageReadReceipts of message %d", m.seq), func() error {
		heard := g.cloud.User(sender).Receipts()
		if !slices.ContainsFunc(heard, func(r tencenttest.Receipt) bool { return r.GroupID == g.id && r.Seq == m.seq && r.ReadCount == read }) {
			return fmt.Errorf("%s has heard %v", sender, heard)
		}
		return nil
	})
}

// roomHas waits until the room shows these messages, each once, and no others but notices.
func (g *cloudGroup) roomHas(texts ...string) {
	g.s.t.Helper()
	g.s.until("the messages in the room", func() error { return same(texts, g.roomTexts()) })
}

// roomTexts lists what the room shows, in its order.
func (g *cloudGroup) roomTexts() (texts []string) {
	events := g.eyes.Events(g.room)
	redacted := map[id.EventID]bool{}
	for _, ev := range events {
		redacted[ev.Redacts] = true
	}
	for _, ev := range events {
		if ev.Type == "m.room.message" && !redacted[ev.ID] && ev.Body() != "" && ev.Sender != id.NewUserID(g.s.b.bot(), lab.Domain) {
			texts = append(texts, ev.Body())
		}
	}
	return texts
}

// appHas waits until the app shows these messages, each once, and no others.
func (g *cloudGroup) appHas(texts ...string) {
	g.s.t.Helper()
	g.s.until("the messages in the app", func() error {
		var shown []string
		for _, m := range g.cloud.User(g.first).Messages(g.id) {
			if !m.Recalled {
				shown = append(shown, m.Text)
			}
		}
		return same(texts, shown)
	})
}

func same(want, got []string) error {
	want, got = slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))
	if !slices.Equal(want, got) {
		return fmt.Errorf("they are %q, not %q", got, want)
	}
	return nil
}

// isMember waits until Tencent has, or has not, a Matrix user among the members.
func (g *cloudGroup) isMember(u *lab.User, want bool) {
	g.s.t.Helper()
	g.s.until(fmt.Sprintf("membership of %s in the app to be %t", u.ID, want), func() error {
		if members := g.cloud.Members(g.id); slices.Contains(members, account(u)) != want {
			return fmt.Errorf("the members are %v", members)
		}
		return nil
	})
}

// bothTalk shows that a group works: a message and a receipt, both ways.
func (g *cloudGroup) bothTalk(member string, u *lab.User, about string) {
	g.s.t.Helper()
	said := g.says(member, about+" from the app")
	g.read(u, said.event)
	g.hasRead(u, said)
	written := g.writes(u, about+" from Matrix")
	g.acks(member, written)
	g.ghostRead(member, written)
}
