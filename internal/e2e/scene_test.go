package e2e

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/bridge/v2tim/v2timtest"
	"github.com/timbridge/timbridge/internal/lab"
	"github.com/timbridge/timbridge/mapping"
)

func itoa(n int) string { return strconv.Itoa(n) }

// scene is where one case plays: people and groups of its own on a timbridge.
type scene struct {
	t    *testing.T
	ctx  context.Context
	w    *world
	b    *timbridge
	root *v2timtest.Client // an administrator
}

func newScene(t *testing.T, w *world, bridge string) *scene {
	t.Helper()
	s := (&scene{w: w, b: w.bridges[bridge]}).on(t)
	s.root = s.client(admin)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("end of the log of timbridge %s:\n%s", s.b.name, s.b.logTail())
		}
	})
	return s
}

// on is the same scene for a test that may take its time.
func (s *scene) on(t *testing.T) *scene {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	other := *s
	other.t, other.ctx = t, ctx
	return &other
}

// own is a scene on a timbridge that no other case uses, started now.
func own(t *testing.T, w *world, bridge string) *scene {
	t.Helper()
	s := newScene(t, w, bridge)
	s.b.start(t)
	return s
}

// unique makes a name that no other case has.
func (s *scene) unique(name string) string { return fmt.Sprintf("%s-%d", name, s.w.names.Add(1)) }

// user registers an ordinary Matrix user.
func (s *scene) user(name string) *lab.User {
	s.t.Helper()
	return lab.NewUser(s.t, s.w.hs, s.unique(name))
}

// watch opens a client of a Matrix user, which is closed when all cases are over: Dendrite 0.15.2 on SQLite may keep a
// transaction open for ever, and fail at everything after, when a client drops a /sync that is being answered.
func (s *scene) watch(u *lab.User) *lab.Watcher {
	s.t.Helper()
	eyes, err := u.Watch(s.ctx)
	require.NoError(s.t, err)
	s.w.t.Cleanup(eyes.Close)
	return eyes
}

func (s *scene) client(userID string) *v2timtest.Client {
	s.t.Helper()
	c, err := v2timtest.New(s.b.v2tim, sdkAppID, secretKey, userID)
	require.NoError(s.t, err)
	c.HTTP = s.w.http
	return c
}

// app is a Tencent user with his app.
func (s *scene) app(name string) *v2timtest.Client {
	s.t.Helper()
	return s.client(s.unique(name))
}

// listen opens the WebSocket of an app.
func (s *scene) listen(c *v2timtest.Client) *v2timtest.Listener {
	s.t.Helper()
	l, err := c.Listen(s.ctx, "")
	require.NoError(s.t, err)
	s.t.Cleanup(l.Close)
	return l
}

// ghost is the Matrix user that stands for a Tencent user.
func (s *scene) ghost(c *v2timtest.Client) id.UserID {
	return mapping.GhostMXID(s.b.ghostPrefix(), c.UserID, lab.Domain)
}

// account is what a Matrix user is called on the Tencent side.
func account(u *lab.User) string { return mapping.AccountID(u.ID) }

// until waits until cond has no objection any more.
func (s *scene) until(what string, cond func() error) {
	s.t.Helper()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(patience)
	defer end.Stop()
	for {
		err := cond()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-end.C:
			require.NoError(s.t, err, "waited in vain for %s", what)
		case <-s.ctx.Done():
			require.NoError(s.t, err, "no time left to wait for %s", what)
		}
	}
}

// waitLog waits until a line of timbridge's log has all of these.
func (s *scene) waitLog(parts ...string) {
	s.t.Helper()
	s.until("the log", func() error {
		for line := range strings.Lines(s.b.LogText()) {
			if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
				return nil
			}
		}
		return fmt.Errorf("no line has %q", parts)
	})
}

// within is the context of one wait.
func (s *scene) within() context.Context {
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	s.t.Cleanup(cancel)
	return ctx
}

// room makes a private room of owner's with the bot invited and the others in it.
func (s *scene) room(owner *lab.User, others ...*lab.User) id.RoomID {
	s.t.Helper()
	room, err := owner.CreateRoom(s.ctx, id.NewUserID(s.b.bot(), lab.Domain))
	require.NoError(s.t, err)
	for _, u := range others {
		require.NoError(s.t, owner.Invite(s.ctx, room, u.ID))
		require.NoError(s.t, u.Join(s.ctx, room))
	}
	return room
}

// group is a group mapped to a room, and what its owner sees there.
type group struct {
	s     *scene
	id    string
	room  id.RoomID
	owner *lab.User
	eyes  *lab.Watcher
}

// group maps a new group with these Tencent members to a new room with these Matrix users, the first of them its owner.
func (s *scene) group(people []*lab.User, apps ...*v2timtest.Client) *group {
	s.t.Helper()
	g := &group{s: s, id: s.unique("team"), owner: people[0], eyes: s.watch(people[0])}
	g.mapTo(s.room(people[0], people[1:]...), "", apps...)
	return g
}

// mapTo maps the group to a room and waits until the ghosts are seen there.
func (g *group) mapTo(room id.RoomID, source string, apps ...*v2timtest.Client) {
	g.s.t.Helper()
	g.room = room
	var names []string
	for _, c := range apps {
		names = append(names, c.UserID)
	}
	_, err := g.s.root.MapGroup(g.s.ctx, v2tim.MapGroupRequest{
		GroupId: g.id, RoomId: room.String(), SeqSource: source, MemberList: v2timtest.Accounts(names...),
	})
	require.NoError(g.s.t, err)
	for _, c := range apps {
		require.NoError(g.s.t, g.eyes.WaitMember(g.s.within(), room, g.s.ghost(c), "join"))
	}
}

// join brings a Matrix user into the room and waits until the group counts him.
func (g *group) join(u *lab.User) {
	g.s.t.Helper()
	require.NoError(g.s.t, g.owner.Invite(g.s.ctx, g.room, u.ID))
	require.NoError(g.s.t, u.Join(g.s.ctx, g.room))
	g.waitMember(u, true)
}

func (g *group) waitMember(u *lab.User, want bool) {
	g.s.t.Helper()
	g.s.until(fmt.Sprintf("membership of %s to be %t", u.ID, want), func() error {
		info, err := g.s.root.GetGroupMemberInfo(g.s.ctx, v2tim.GetGroupMemberInfoRequest{GroupId: g.id})
		if err != nil {
			return err
		}
		is := slices.ContainsFunc(info.MemberList, func(m v2tim.MemberProfile) bool { return m.MXID == u.ID.String() })
		if is != want {
			return fmt.Errorf("it is %t", is)
		}
		return nil
	})
}

// message is one message, as both sides call it.
type message struct {
	msgID string
	seq   uint64
	event id.EventID
}

// send sends a text from an app and waits until the room's owner sees it.
func (g *group) send(from *v2timtest.Client, text string) message {
	g.s.t.Helper()
	sent, err := from.SendText(g.s.ctx, g.id, text)
	require.NoError(g.s.t, err)
	ev, err := g.eyes.WaitText(g.s.within(), g.room, text)
	require.NoError(g.s.t, err)
	require.Equal(g.s.t, g.s.ghost(from), ev.Sender)
	return message{sent.MsgID, sent.Seq, ev.ID}
}

// post sends a text from a Matrix client and waits until it is a message of the group.
func (g *group) post(from *lab.User, text string) message {
	g.s.t.Helper()
	event, err := from.SendText(g.s.ctx, g.room, text)
	require.NoError(g.s.t, err)
	return g.messageOf(event)
}

// messageOf waits until an event is a message of the group.
func (g *group) messageOf(event id.EventID) (m message) {
	g.s.t.Helper()
	g.s.until("message of event "+event.String(), func() error {
		for _, found := range g.messages() {
			if found.EventId == event.String() {
				m = message{found.MsgId, found.MsgSeq, event}
				return nil
			}
		}
		return fmt.Errorf("not among the group's messages")
	})
	return m
}

// messages lists the group's messages, newest first.
func (g *group) messages() []v2tim.GroupMessage {
	g.s.t.Helper()
	list, err := g.s.root.GetGroupMessages(g.s.ctx, v2tim.GetGroupMessagesRequest{GroupId: g.id, ReqMsgNumber: v2tim.MaxMessagesPage})
	require.NoError(g.s.t, err)
	return list.RspMsgList
}

// read makes a Matrix user read up to an event.
func (g *group) read(u *lab.User, event id.EventID) {
	g.s.t.Helper()
	require.NoError(g.s.t, u.Receipt(g.s.ctx, g.room, event))
}

// ack makes an app acknowledge messages.
func (g *group) ack(c *v2timtest.Client, list ...message) {
	g.s.t.Helper()
	require.NoError(g.s.t, c.SendMessageReadReceipts(g.s.ctx, msgIDs(list...)...))
}

func msgIDs(list ...message) []string {
	ids := make([]string, len(list))
	for i, m := range list {
		ids[i] = m.msgID
	}
	return ids
}

// sees waits until a Matrix client sees the receipt of somebody on a message.
func (g *group) sees(eyes *lab.Watcher, who id.UserID, m message) {
	g.s.t.Helper()
	_, err := eyes.WaitReceipt(g.s.within(), g.room, who, m.event)
	require.NoError(g.s.t, err)
}

// eventsOf lists the events that a Matrix client has seen somebody's public receipts on, in the order in which they came.
func eventsOf(eyes *lab.Watcher, room id.RoomID, who id.UserID) (events []id.EventID) {
	for _, r := range eyes.ReceiptLog(room) {
		if r.User == who && r.Type == "m.read" {
			events = append(events, r.Event)
		}
	}
	return slices.Compact(events)
}

// waitCounts waits until an app is told these counts of a message.
func (g *group) waitCounts(c *v2timtest.Client, m message, read, unread uint64) {
	g.s.t.Helper()
	g.s.until(fmt.Sprintf("counts %d/%d of message %d", read, unread, m.seq), func() error {
		if got := g.counts(c, m); got != [2]uint64{read, unread} {
			return fmt.Errorf("they are %v", got)
		}
		return nil
	})
}

// counts is what an app is told now: how many have read a message, how many have not.
func (g *group) counts(c *v2timtest.Client, m message) [2]uint64 {
	g.s.t.Helper()
	list, err := c.GetMessageReadReceipts(g.s.ctx, m.msgID)
	require.NoError(g.s.t, err)
	require.Len(g.s.t, list, 1)
	require.Equal(g.s.t, g.id, list[0].GroupID)
	return [2]uint64{list[0].ReadCount, list[0].UnreadCount}
}

// readers lists who has read a message, as an app is told.
func (g *group) readers(c *v2timtest.Client, m message) []string {
	g.s.t.Helper()
	list, err := c.ReadMembers(g.s.ctx, m.msgID, v2tim.FilterRead)
	require.NoError(g.s.t, err)
	return list
}

// nonReaders lists who has not.
func (g *group) nonReaders(c *v2timtest.Client, m message) []string {
	g.s.t.Helper()
	list, err := c.ReadMembers(g.s.ctx, m.msgID, v2tim.FilterUnread)
	require.NoError(g.s.t, err)
	return list
}
