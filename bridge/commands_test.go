package bridge

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/mapping"
)

// answers are the bot's notices in a room, in order.
func (h *house) answers(room id.RoomID) (texts []string) {
	for _, ev := range h.hs.Timeline(room) {
		if ev.Sender == h.b.bot() && strings.Contains(string(ev.Content), "m.notice") {
			texts = append(texts, body(ev))
		}
	}
	return texts
}

// command has a user give a command and returns the bot's answer.
func (h *house) command(u *matrixtest.User, room id.RoomID, text string) string {
	h.t.Helper()
	before := len(h.answers(room))
	u.Send(room, text)
	h.wait("an answer to "+text, func() bool { return len(h.answers(room)) > before })
	answers := h.answers(room)
	require.Len(h.t, answers, before+1)
	return answers[before]
}

func (h *house) group(groupID string) mapping.Group {
	h.t.Helper()
	g, err := h.b.maps.GroupByID(h.ctx, groupID)
	require.NoError(h.t, err)
	return g
}

func TestCommands(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts)
		ann, ben := h.hs.User("ann"), h.hs.User("ben")
		room := ann.CreateRoom(matrixtest.RoomOptions{Public: true, Version: "12"})
		h.join(ben, room)
		h.hs.WaitFor("the bot known", func() bool { name, _ := h.hs.Profile(h.b.bot()); return name != "" })
		ann.Invite(room, h.b.bot())
		h.hs.WaitFor("the bot in the room", func() bool { return h.hs.Membership(room, h.b.bot()) == "join" })

		require.Contains(t, h.command(ben, room, "!tim"), "!tim link GROUPID")
		require.Contains(t, h.command(ben, room, "!tim dance"), "!tim help")
		require.Equal(t, "That is written: !tim link GROUPID", h.command(ben, room, "!tim link"))
		require.Equal(t, notLinked, h.command(ben, room, "!tim status"))
		require.Equal(t, notLinked, h.command(ann, room, "!tim unlink"))

		require.Contains(t, h.command(ben, room, "!tim link team one"), "You may not do that here")
		_, err := h.b.maps.GroupByID(h.ctx, "team one")
		require.ErrorIs(t, err, mapping.ErrNotFound)
		require.Equal(t, "This room is linked with group team one.", h.command(ann, room, "!tim link  team one "))
		require.Equal(t, room, h.group("team one").RoomID)
		require.Equal(t, "This room is linked with group team one.", h.command(ann, room, "!tim link team one"), "again")
		require.Contains(t, h.command(ann, room, "!tim link another"), "That cannot be done: ")

		require.Contains(t, h.command(ben, room, "!tim receipts off"), "You may not do that here")
		require.Equal(t, "Read receipts to Matrix: off, to Tencent: on", h.command(ann, room, "!tim receipts off to-matrix"))
		require.Equal(t, "Read receipts to Matrix: off, to Tencent: off", h.command(ann, room, "!tim receipts off"))
		require.Equal(t, "Read receipts to Matrix: off, to Tencent: on", h.command(ann, room, "!tim receipts on to-tencent"))
		status := h.command(ben, room, "!tim status")
		for _, line := range []string{"Group: team one", "Room: " + room.String(), "numbered: by timbridge", "Members: 2", "to Matrix: off, to Tencent: on", "Waiting"} {
			require.Contains(t, status, line)
		}
		require.False(t, h.group("team one").ToMatrix)
		require.True(t, h.group("team one").ToTencent)

		require.Equal(t, "Your read receipts do not cross any more, in any group.", h.command(ben, room, "!tim my-receipts off"))
		require.Equal(t, "Your read receipts cross, in all groups.", h.command(ben, room, "!tim my-receipts on"))

		require.Contains(t, h.command(ben, room, "!tim unlink"), "You may not do that here")
		require.Equal(t, "This room is no longer linked with group team one.", h.command(ann, room, "!tim unlink"))
		require.Empty(t, h.group("team one").RoomID)
		require.Equal(t, notLinked, h.command(ben, room, "!tim status"))
		require.Empty(t, h.messages("team one", 0), "no command was taken for a message")
	})
}

// TestCommandsAreNoMessages: a message beside a command is the only one that the group gets; what only looks like a command is one.
func TestCommandsAreNoMessages(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	h.command(ann, room, "!tim status")
	hello := ann.Send(room, "hello")
	require.EqualValues(t, 1, h.message("team", hello).MsgSeq)
	for _, text := range []string{"!timber", "I said !tim status", " !tim status"} {
		h.message("team", ann.Send(room, text))
	}
	sent, err := h.client("alice").SendText(h.ctx, "team", "!tim unlink")
	require.NoError(t, err)
	h.event("team", sent.MsgID)
	h.settled()
	require.Len(t, h.answers(room), 1, "nobody on the Tencent side commands the bot")
	require.Equal(t, room, h.group("team").RoomID)
}

func TestCommandAnswersOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	event := ann.Send(room, "!tim status")
	h.wait("an answer", func() bool { return len(h.answers(room)) == 1 })
	require.Equal(t, 200, h.hs.RepeatLast("again", h.hs.EventJSON(event)))
	again := matrix.Event{ID: event, RoomID: room, Sender: ann.ID, Type: "m.room.message", Content: []byte(`{"msgtype":"m.text","body":"!tim status"}`)}
	h.b.command(again)
	h.command(ann, room, "!tim help") // one after the other: what came before is done
	require.Len(t, h.answers(room), 2)

	// A process that does not remember asks the homeserver to send the same notice, which it has.
	h.restart(nil)
	h.b.command(again)
	h.hs.WaitFor("the notice once more", func() bool {
		return len(h.hs.Requests(matrixtest.Path("/send/m.room.message/notice_command_"+event.String()))) == 2
	})
	require.Len(t, h.answers(room), 2)
}

// TestCommandSwitches: what the commands say about receipts is what happens.
func TestCommandSwitches(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts)
		ann, ben := h.hs.User("ann"), h.hs.User("ben")
		room := h.room("team", ann, "alice")
		h.join(ben, room)
		alice := h.client("alice")
		send := func(text string) (string, id.EventID) {
			sent, err := alice.SendText(h.ctx, "team", text)
			require.NoError(t, err)
			return sent.MsgID, h.event("team", sent.MsgID)
		}
		h.command(ben, room, "!tim my-receipts off")
		one, oneEvent := send("one")
		ben.SendReceipt(room, oneEvent)
		ann.SendReceipt(room, oneEvent)
		h.waitCounts(alice, one, 1, 1)
		h.command(ann, room, "!tim receipts off to-tencent")
		two, twoEvent := send("two")
		ann.SendReceipt(room, twoEvent)
		h.settled()
		require.Equal(t, [2]uint64{0, 2}, h.counts(alice, two))
		h.command(ann, room, "!tim receipts on")
		h.command(ben, room, "!tim my-receipts on")
		three, threeEvent := send("three")
		ann.SendReceipt(room, threeEvent)
		ben.SendReceipt(room, threeEvent)
		h.waitCounts(alice, three, 2, 0)

		h.command(ann, room, "!tim receipts off to-matrix")
		mine := h.message("team", ann.Send(room, "mine"))
		require.NoError(t, alice.SendMessageReadReceipts(h.ctx, mine.MsgId))
		h.settled()
		require.NotEqual(t, id.EventID(mine.EventId), ann.ReceiptOf(room, h.ghost("alice")))
		h.command(ann, room, "!tim receipts on to-matrix")
		ann.WaitReceipt(room, h.ghost("alice"), id.EventID(mine.EventId))
	})
}

// TestCommandAnswerRetried: the homeserver fails for a moment.
func TestCommandAnswerRetried(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	h.hs.FailRequests(matrixtest.Path("/send/m.room.message/notice_"), 1, 502, "", 0)
	require.Contains(t, h.command(ann, room, "!tim status"), "Group: team")
	h.hs.FailRequests(matrixtest.Path("/state/m.room.member"), 1, 502, "", 0)
	require.Contains(t, h.command(ann, room, "!tim unlink"), "timbridge's log says why")
	require.Equal(t, room, h.group("team").RoomID)
	require.Contains(t, h.command(ann, room, "!tim unlink"), "no longer linked")
}

// TestCommandLinkRights: power in a room is nothing that a stranger could not have in a room of his own.
func TestCommandLinkRights(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse(), func(cfg *config.Config) { cfg.Bridge.CommandPrefix = "!bridge " })
	ann := h.hs.User("ann")
	room := ann.CreateRoom(matrixtest.RoomOptions{Public: true})
	require.NoError(t, h.b.hs.JoinBot(h.ctx, room))
	stranger := matrix.Event{ID: "$s", RoomID: room, Sender: "@ann:elsewhere", Type: "m.room.message", Content: []byte(`{"msgtype":"m.text","body":"!bridge link team"}`)}
	require.True(t, h.b.isCommand(&stranger))
	h.b.command(stranger)
	h.wait("a refusal", func() bool { return len(h.answers(room)) == 1 })
	require.Contains(t, h.answers(room)[0], "bridge.may_link")
	require.True(t, h.b.mayLink(ann.ID))
	named := newHouse(t, matrixtest.Synapse(), func(cfg *config.Config) { cfg.Bridge.MayLink = []string{"@ops*:elsewhere"} })
	require.True(t, named.b.mayLink("@ops1:elsewhere"))
	require.False(t, named.b.mayLink(ann.ID), "those who are named, and nobody else")

	require.Contains(t, h.command(ann, room, "!bridge link a\tb"), "That cannot be done")
	require.Contains(t, h.command(ann, room, "!bridge link team"), "is linked")
	ann.SendState(room, "m.room.power_levels", "", map[string]any{"users": map[id.UserID]int{ann.ID: 100}, "events": map[string]int{matrix.ConfigEventType: 101}})
	require.Contains(t, h.command(ann, room, "!bridge unlink"), "You may not do that here")
	_, err := h.root.GetGroupMemberInfo(h.ctx, v2tim.GetGroupMemberInfoRequest{GroupId: "team"})
	require.NoError(t, err)
}

func TestIsCommand(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse(), func(cfg *config.Config) { cfg.Mapping.StampSenders = []string{"@other_*:localhost"} })
	key := ""
	for name, tc := range map[string]struct {
		change func(*matrix.Event)
		want   bool
	}{
		"a command":     {func(*matrix.Event) {}, true},
		"prefix alone":  {func(ev *matrix.Event) { ev.Content = []byte(`{"msgtype":"m.text","body":"!tim"}`) }, true},
		"a line break":  {func(ev *matrix.Event) { ev.Content = []byte(`{"msgtype":"m.text","body":"!tim\nhello"}`) }, true},
		"escaped":       {func(ev *matrix.Event) { ev.Content = []byte(`{"msgtype":"m.text","body":"\u0021tim status"}`) }, true},
		"in a thread":   {func(ev *matrix.Event) { ev.RelType, ev.RelatesTo, ev.ThreadRoot = "m.thread", "$r", "$r" }, true},
		"an edit":       {func(ev *matrix.Event) { ev.RelType, ev.RelatesTo = "m.replace", "$e" }, false},
		"a longer word": {func(ev *matrix.Event) { ev.Content = []byte(`{"msgtype":"m.text","body":"!timber"}`) }, false},
		"a notice":      {func(ev *matrix.Event) { ev.Content = []byte(`{"msgtype":"m.notice","body":"!tim status"}`) }, false},
		"another case":  {func(ev *matrix.Event) { ev.Content = []byte(`{"msgtype":"m.text","BODY":"!tim status"}`) }, false},
		"a stamp": {func(ev *matrix.Event) {
			ev.Content = []byte(`{"msgtype":"m.text","body":"!tim status","com.tencent.im":{}}`)
		}, false},
		"no text":           {func(ev *matrix.Event) { ev.Content = []byte(`{"msgtype":"m.text","body":["!tim"]}`) }, false},
		"no object":         {func(ev *matrix.Event) { ev.Content = []byte(`"!tim"`) }, false},
		"another type":      {func(ev *matrix.Event) { ev.Type = "m.sticker" }, false},
		"a state event":     {func(ev *matrix.Event) { ev.StateKey = &key }, false},
		"redacted":          {func(ev *matrix.Event) { ev.Redacted = true }, false},
		"of a ghost":        {func(ev *matrix.Event) { ev.Sender = h.ghost("alice") }, false},
		"of the bot":        {func(ev *matrix.Event) { ev.Sender = h.b.bot() }, false},
		"of another bridge": {func(ev *matrix.Event) { ev.Sender = "@other_alice:localhost" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			ev := matrix.Event{ID: "$e", RoomID: "!r:localhost", Sender: "@ann:localhost", Type: "m.room.message", Content: []byte(`{"msgtype":"m.text","body":"!tim status"}`)}
			tc.change(&ev)
			require.Equal(t, tc.want, h.b.isCommand(&ev))
		})
	}
}

func TestCommandQueue(t *testing.T) {
	t.Parallel()
	var c commands
	put := func(room, event int) (start bool, err error) {
		return c.put(matrix.Event{ID: id.EventID(fmt.Sprintf("$%d-%d", room, event)), RoomID: id.RoomID(fmt.Sprintf("!%d", room))})
	}
	for i := range maxRoomCommands {
		start, err := put(1, i)
		require.NoError(t, err)
		require.Equal(t, i == 0, start, "one at a time")
	}
	_, err := put(1, maxRoomCommands)
	require.ErrorIs(t, err, errTooManyCommands, "in the room")
	_, err = put(1, 0)
	require.ErrorIs(t, err, errKnownCommand)
	for i := range maxCommands - maxRoomCommands {
		_, err = put(2+i, 0)
		require.NoError(t, err)
	}
	_, err = put(1000, 0)
	require.ErrorIs(t, err, errTooManyCommands, "in all")

	for i := range maxRoomCommands - 1 {
		ev, ok := c.next("!1")
		require.True(t, ok)
		require.Equal(t, id.EventID(fmt.Sprintf("$1-%d", i+1)), ev.ID, "in order")
	}
	_, ok := c.next("!1")
	require.False(t, ok)
	start, err := put(1, maxRoomCommands)
	require.NoError(t, err, "what was dropped may come again")
	require.True(t, start)
	for i := range maxCommands - maxRoomCommands {
		_, ok = c.next(id.RoomID(fmt.Sprintf("!%d", 2+i)))
		require.False(t, ok)
	}

	for i := range 2 * rememberedCommands {
		start, err = put(999, i)
		require.NoError(t, err)
		require.True(t, start)
		_, ok = c.next("!999")
		require.False(t, ok)
	}
	require.Len(t, c.seen, rememberedCommands)
	require.Len(t, c.ring, rememberedCommands)
	_, err = put(999, rememberedCommands)
	require.ErrorIs(t, err, errKnownCommand, "the last ones are known")
	_, err = put(999, rememberedCommands-1)
	require.NoError(t, err, "older ones are not")
	_, _ = c.next("!999")
	require.Len(t, c.waiting, 1, "that of room 1")
	require.Equal(t, 1, c.count)
}
