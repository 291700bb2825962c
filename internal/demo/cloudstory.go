package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/bridge/v2tim/v2timtest"
	"github.com/timbridge/timbridge/mapping"
)

// project is the group of the second part.
const project = "project"

// cloudStory is the second part: the group lives in Tencent Cloud, which timbridge sim plays, and a second timbridge joins it with
// a room of the same Matrix users.
type cloudStory struct {
	*story
	sim           *sim
	bridge        *instance
	erin, finn    tencentUser
	room          id.RoomID
	annaID, benID string     // their accounts in the app
	lines         []*message // all messages, in order
	mark          int        // how much sim had printed when the step's last action began
}

// tencentUser is somebody with Tencent's own SDK.
type tencentUser struct {
	userID string
	mxid   id.UserID // his ghost
}

func (st *story) cloudSteps() []func(context.Context) error {
	c := &cloudStory{story: st}
	return []func(context.Context) error{
		c.start, c.link, c.tencentSends, c.tencentReads, c.matrixReads, c.matrixSends, c.changes, c.losses, c.summary,
	}
}

func (c *cloudStory) start(ctx context.Context) error {
	c.plain("", "Part 2: with Tencent Cloud (tencent.mode cloud)", "",
		"The group lives in Tencent Cloud and its users keep Tencent's own SDKs: timbridge takes webhooks",
		"and calls Tencent's server API. Here `timbridge sim` plays Tencent Cloud, and erin and finn, who use",
		"such an app: what they do is posted to its /sim. Dendrite and timbridge are as real as before.", "")
	c.story.cloud, c.sim, c.bridge = c, c.house.sim, c.house.cloud
	if err := c.house.openCloud(ctx, c.show); err != nil {
		return err
	}
	c.erin = tencentUser{"erin", c.bridge.ghost("erin")}
	c.finn = tencentUser{"finn", c.bridge.ghost("finn")}
	c.annaID, c.benID = mapping.AccountID(c.anna.ID), mapping.AccountID(c.ben.ID)
	return nil
}

// act lets somebody do something with Tencent's SDK, by a line for sim.
func (c *cloudStory) act(ctx context.Context, who tencentUser, sdk, line string) (answer string, err error) {
	c.mark = c.sim.printed()
	c.call(who.userID, sdk+" (by POST /sim)", line)
	if answer, err = c.sim.do(ctx, line); err == nil {
		c.answer("%s", answer)
	}
	return answer, err
}

// calls tells of something that a Matrix client does next.
func (c *cloudStory) calls(who *matrixUser, what, body string) {
	c.mark = c.sim.printed()
	c.call(string(who.ID), what, body)
}

// last is the newest message.
func (c *cloudStory) last() *message { return c.lines[len(c.lines)-1] }

// hook checks that a webhook went to timbridge and was answered.
func (c *cloudStory) hook(ctx context.Context, name, about string) error {
	p, err := c.sim.waitPassed(ctx, c.mark, "webhook", name, about)
	if err != nil {
		return err
	}
	return c.check(p.outcome == "OK", "webhook to timbridge: %s (%s): %s", name, p.about, p.outcome)
}

// called checks that timbridge called Tencent and was answered.
func (c *cloudStory) called(ctx context.Context, name, about string) error {
	p, err := c.sim.waitPassed(ctx, c.mark, "call", name, about)
	if err != nil {
		return err
	}
	return c.check(p.outcome == "OK", "Tencent is called: %s (%s): %s", name, p.about, p.outcome)
}

// told waits until the app of a message's sender has been told of these counts.
func (c *cloudStory) told(ctx context.Context, who tencentUser, m *message, read, unread int) error {
	want := fmt.Sprintf("group %s, no. %d: read by %d, not by %d", project, m.seq, read, unread)
	line := "told " + who.userID
	if err := c.sim.waitAnswer(ctx, line, fmt.Sprintf("%q", want), hasLine(want)); err != nil {
		return err
	}
	c.ok("%s's app is told: onRecvMessageReadReceipts, no. %d, readCount %d, unreadCount %d", who.userID, m.seq, read, unread)
	return nil
}

func hasLine(want string) func(answer string) bool {
	return func(answer string) bool { return slices.Contains(strings.Split(answer, "\n"), want) }
}

// shown waits until both Matrix users see a receipt.
func (c *cloudStory) shown(ctx context.Context, reader tencentUser, m *message) error {
	for _, u := range []*matrixUser{c.anna, c.ben} {
		if err := u.waitReceipt(ctx, c.room, reader.mxid, m.event); err != nil {
			return err
		}
		c.ok("%s's /sync: m.read of %s on %s", u.ID.Localpart(), reader.mxid, m.event)
	}
	return nil
}

// tencentSays lets somebody send a message from his app and returns it with its number.
func (c *cloudStory) tencentSays(ctx context.Context, from tencentUser, text string) (*message, error) {
	answer, err := c.act(ctx, from, "sendMessage with needReadReceipt", fmt.Sprintf("send %s %s %s", project, from.userID, text))
	if err != nil {
		return nil, err
	}
	m := &message{group: project, text: text}
	if _, err = fmt.Sscanf(answer, "no. %d, msgID %s", &m.seq, &m.msgID); err != nil {
		return nil, fmt.Errorf("failed to read the answer of timbridge sim: %w", err)
	}
	c.lines = append(c.lines, m)
	return m, nil
}

// appears waits for a message of the group in ben's client.
func (c *cloudStory) appears(ctx context.Context, from tencentUser, m *message) error {
	event, err := c.ben.waitText(ctx, c.room, m.text)
	if err != nil {
		return err
	}
	m.event = event.ID
	return c.check(event.Sender == from.mxid, "ben's /sync: %q of %s as event %s", m.text, from.mxid, event.ID)
}

// matrixSays sends a message from Matrix and sees it arrive in the group.
func (c *cloudStory) matrixSays(ctx context.Context, from *matrixUser, text string) (*message, error) {
	c.calls(from, fmt.Sprintf("PUT /rooms/%s/send/m.room.message", c.room), fmt.Sprintf(`{"msgtype":"m.text","body":%q}`, text))
	event, err := from.SendText(ctx, c.room, text)
	if err != nil {
		return nil, err
	}
	c.answer(`{"event_id":%q}`, event)
	m := &message{group: project, text: text, event: event}
	account := mapping.AccountID(from.ID)
	if err = c.called(ctx, "send_group_msg", project+", "+account); err != nil {
		return nil, err
	}
	list, err := c.sim.messages(ctx, project)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(got groupMessage) bool { return got.text == text })
	if i < 0 {
		return nil, fmt.Errorf("expected that group %q has a message %q", project, text)
	}
	m.seq = list[i].seq
	c.lines = append(c.lines, m)
	return m, c.check(list[i].from == account && list[i].state == "read by 0, not by 3",
		"in the app: no. %d, %q of %s, %s", m.seq, text, list[i].from, list[i].state)
}

// inApp returns a message as the group has it.
func (c *cloudStory) inApp(ctx context.Context, seq uint64) (groupMessage, error) {
	list, err := c.sim.messages(ctx, project)
	if err != nil {
		return groupMessage{}, err
	}
	i := slices.IndexFunc(list, func(got groupMessage) bool { return got.seq == seq })
	if i < 0 {
		return groupMessage{}, fmt.Errorf("expected that group %q has a message no. %d", project, seq)
	}
	return list[i], nil
}

// known lists the messages that timbridge knows, the oldest first.
func (c *cloudStory) known(ctx context.Context) ([]v2tim.GroupMessage, error) {
	root, err := v2timtest.New(c.bridge.api, sdkAppID, c.house.secret, admin)
	if err != nil {
		return nil, err
	}
	root.HTTP = c.house.http
	list, err := root.GetGroupMessages(ctx, v2tim.GetGroupMessagesRequest{GroupId: project})
	slices.Reverse(list.RspMsgList)
	return list.RspMsgList, err
}

// summary compares what timbridge and Tencent have, and that nothing came twice.
func (c *cloudStory) summary(ctx context.Context) error {
	c.plain("", "Summary of part 2: every message, with its event and Tencent's counts (timbridge/get_group_messages)", "")
	c.plain(fmt.Sprintf(summaryRow, "group", "seq", "msgID and event ID", "sender", "read", "unread"))
	ours, err := c.known(ctx)
	if err != nil {
		return err
	}
	theirs, err := c.sim.messages(ctx, project)
	if err != nil {
		return err
	}
	same := len(theirs) == len(ours) && len(theirs) == len(c.lines)
	for i, m := range ours {
		read, unread := fmt.Sprint(m.ReadNum), fmt.Sprint(m.UnreadNum)
		state := fmt.Sprintf("read by %s, not by %s", read, unread)
		if m.IsPlaceMsg != 0 {
			read, unread = "-", "-"
			state += ", recalled"
		}
		same = same && theirs[i].seq == m.MsgSeq && theirs[i].from == m.From_Account &&
			strings.Replace(theirs[i].state, ", edited", "", 1) == state && string(c.lines[i].event) == m.EventId
		c.row(project, m, read, unread)
	}
	c.plain("")
	if err = c.check(same, "Tencent Cloud and timbridge agree on all %d messages and their counts", len(c.lines)); err != nil {
		return err
	}
	texts := 0
	for _, e := range c.anna.sees.Events(c.room) {
		people := e.Sender == c.erin.mxid || e.Sender == c.finn.mxid || e.Sender == c.ben.ID
		if e.Type == "m.room.message" && people && !strings.HasPrefix(e.Body(), "* ") { // an edit is no message of its own
			texts++
		}
	}
	return c.check(texts == len(c.lines), "the room has %d messages of the group, none twice", texts)
}
