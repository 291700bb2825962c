package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/internal/lab"
	"github.com/timbridge/timbridge/mapping"
)

// link makes a group at Tencent's and joins it with a room of anna's, by a command that she writes there.
func (c *cloudStory) link(ctx context.Context) error {
	c.step("erin makes a group in her app; anna links it with her Matrix room")
	if _, err := c.act(ctx, c.erin, "createGroup", fmt.Sprintf("group create %s erin finn", project)); err != nil {
		return err
	}
	bot := c.bridge.bot()
	c.line("before", "anna has made a room and invited %s; ben is in it too", bot)
	var err error
	if c.room, err = c.newRoom(ctx, bot, c.ben); err != nil {
		return err
	}
	anna := c.anna
	if err = anna.waitMember(ctx, c.room, bot); err != nil {
		return err
	}
	command := "!tim link " + project
	c.calls(anna, fmt.Sprintf("PUT /rooms/%s/send/m.room.message", c.room), fmt.Sprintf(`{"msgtype":"m.text","body":%q}`, command))
	if _, err = anna.SendText(ctx, c.room, command); err != nil {
		return err
	}
	answer, err := anna.waitEvent(ctx, c.room, "an answer of "+string(bot), func(e lab.Event) bool { return e.Type == "m.room.message" && e.Sender == bot })
	if err != nil {
		return err
	}
	if err = c.check(answer.Body() == fmt.Sprintf("This room is linked with group %s.", project), "anna's /sync: %q of %s", answer.Body(), bot); err != nil {
		return err
	}
	for _, u := range []tencentUser{c.erin, c.finn} {
		if err = anna.waitMember(ctx, c.room, u.mxid); err != nil {
			return err
		}
		c.ok("anna's /sync: %s has joined the room", u.mxid)
	}
	for _, u := range []*matrixUser{anna, c.ben} {
		account := mapping.AccountID(u.ID)
		want := fmt.Sprintf("%s  %s", account, u.ID.Localpart())
		if err = c.sim.waitAnswer(ctx, "members "+project, fmt.Sprintf("%q among the members", want), hasLine(want)); err != nil {
			return err
		}
		c.ok("in the app: %s is a member of the group, as %s", u.ID, account)
	}
	return nil
}

func (c *cloudStory) tencentSends(ctx context.Context) error {
	c.step("erin sends a message from her app")
	m, err := c.tencentSays(ctx, c.erin, "Who takes the minutes?")
	if err != nil {
		return err
	}
	if err = c.hook(ctx, "AfterSendMsg", about(c.erin.userID, m)); err != nil {
		return err
	}
	return c.appears(ctx, c.erin, m)
}

func (c *cloudStory) tencentReads(ctx context.Context) error {
	c.step("Tencent -> Matrix: finn acknowledges it in his app")
	return c.reads(ctx, c.finn, c.erin, c.lines[0], 1, 2)
}

// reads lets somebody acknowledge a message of somebody else's in his app. sender's app is told of the counts, if he has one.
func (c *cloudStory) reads(ctx context.Context, reader, sender tencentUser, m *message, read, unread int) error {
	if _, err := c.act(ctx, reader, "sendMessageReadReceipts", fmt.Sprintf("ack %s %s %d", project, reader.userID, m.seq)); err != nil {
		return err
	}
	if sender.userID != "" {
		if err := c.told(ctx, sender, m, read, unread); err != nil {
			return err
		}
	}
	if err := c.hook(ctx, "AfterReadReceipt", about(reader.userID, m)); err != nil {
		return err
	}
	return c.shown(ctx, reader, m)
}

// matrixReads: a receipt of Matrix reaches Tencent as one of the reader's account.
func (c *cloudStory) matrixReads(ctx context.Context) error {
	c.step("Matrix -> Tencent: anna reads it in her Matrix client")
	m := c.lines[0]
	c.calls(c.anna, fmt.Sprintf("POST /rooms/%s/receipt/m.read/%s", c.room, m.event), "")
	if err := c.anna.Receipt(ctx, c.room, m.event); err != nil {
		return err
	}
	if err := c.called(ctx, "group_msg_receipt", about(c.annaID, m)); err != nil {
		return err
	}
	if err := c.told(ctx, c.erin, m, 2, 1); err != nil {
		return err
	}
	line := fmt.Sprintf("receipts %s %d", project, m.seq)
	want := fmt.Sprintf("read by  2  finn %s", c.annaID)
	answer, err := c.sim.do(ctx, line)
	if err != nil {
		return err
	}
	return c.check(hasLine(want)(answer) && hasLine("not by   1  "+c.benID)(answer),
		"in the app: no. %d was read by %s, not by %s", m.seq, c.people([]string{"finn", c.annaID}), c.people([]string{c.benID}))
}

func (c *cloudStory) matrixSends(ctx context.Context) error {
	c.step("ben answers from Matrix, and erin reads it in her app")
	m, err := c.matrixSays(ctx, c.ben, "I do.")
	if err != nil {
		return err
	}
	return c.reads(ctx, c.erin, tencentUser{}, m, 1, 2)
}

// changes: what is taken back, or put right, on one side is so on the other. (A redaction in Matrix is a recall, too, but Dendrite
// 0.15.2 tells application services of none.)
func (c *cloudStory) changes(ctx context.Context) error {
	c.step("erin recalls a message in her app, ben corrects one in Matrix")
	m, err := c.tencentSays(ctx, c.erin, "(wrong chat)")
	if err != nil {
		return err
	}
	if err = c.appears(ctx, c.erin, m); err != nil {
		return err
	}
	if _, err = c.act(ctx, c.erin, "revokeMessage", fmt.Sprintf("recall %s %s %d", project, c.erin.userID, m.seq)); err != nil {
		return err
	}
	redaction, err := c.ben.waitEvent(ctx, c.room, "a redaction of "+string(m.event), redactionOf(m.event))
	if err != nil {
		return err
	}
	c.ok("ben's /sync: m.room.redaction of %s by %s", m.event, redaction.Sender)
	m = c.lines[1]
	m.text = "I do, gladly."
	c.calls(c.ben, fmt.Sprintf("PUT /rooms/%s/send/m.room.message", c.room),
		fmt.Sprintf(`{"msgtype":"m.text","body":"* %[1]s","m.new_content":{"msgtype":"m.text","body":"%[1]s"},"m.relates_to":{"rel_type":"m.replace","event_id":"%[2]s"}}`, m.text, m.event))
	event, err := c.ben.Edit(ctx, c.room, m.event, m.text)
	if err != nil {
		return err
	}
	c.answer(`{"event_id":%q}`, event)
	if err = c.called(ctx, "modify_group_msg", fmt.Sprintf("%s, no. %d", project, m.seq)); err != nil {
		return err
	}
	got, err := c.inApp(ctx, m.seq)
	if err != nil {
		return err
	}
	return c.check(got.text == m.text && strings.HasSuffix(got.state, "edited"), "in the app: no. %d is %q, %s", m.seq, got.text, got.state)
}

// losses: Tencent sends no webhook twice. What is lost is found by the catch-up: at a start, now and then, or, as here, because the
// next message shows that one is missing.
func (c *cloudStory) losses(ctx context.Context) error {
	c.step("Webhooks get lost: timbridge finds out by itself what they would have told")
	if err := c.webhooks(ctx, "off"); err != nil {
		return err
	}
	lost := c.sim.printed()
	missed, err := c.tencentSays(ctx, c.erin, "Then I will.")
	if err != nil {
		return err
	}
	if _, err = c.act(ctx, c.finn, "sendMessageReadReceipts", fmt.Sprintf("ack %s %s %d", project, c.finn.userID, missed.seq)); err != nil {
		return err
	}
	before := c.sim.printed()
	if err = c.webhooks(ctx, "on"); err != nil {
		return err
	}
	next, err := c.tencentSays(ctx, c.erin, "Thank you.")
	if err != nil {
		return err
	}
	if err = c.hook(ctx, "AfterSendMsg", about(c.erin.userID, next)); err != nil {
		return err
	}
	if err = c.appears(ctx, c.erin, next); err != nil {
		return err
	}
	c.line("then", "no. %d is missing before no. %d: 5 seconds later (it might only be late) timbridge asks", missed.seq, next.seq)
	c.mark = before
	if err = c.called(ctx, "group_msg_get_simple", project); err != nil {
		return err
	}
	if err = c.appears(ctx, c.erin, missed); err != nil {
		return err
	}
	if err = c.called(ctx, "get_group_msg_receipt_detail", fmt.Sprintf("%s, no. %d", project, missed.seq)); err != nil {
		return err
	}
	if err = c.shown(ctx, c.finn, missed); err != nil {
		return err
	}
	told := slices.ContainsFunc(c.sim.since(lost), func(line string) bool {
		p, ok := parsePassed(line)
		return ok && p.kind == "webhook" && strings.HasSuffix(p.about, fmt.Sprintf("no. %d", missed.seq))
	})
	return c.check(!told, "no webhook has told of no. %d", missed.seq)
}

// webhooks has Tencent lose webhooks, or not.
func (c *cloudStory) webhooks(ctx context.Context, state string) error {
	line := "webhooks " + state
	c.line("call", "POST /sim")
	c.line("", "%s", line)
	answer, err := c.sim.do(ctx, line)
	if err == nil {
		c.answer("%s", answer)
	}
	return err
}

// about is what sim prints of somebody and one message.
func about(who string, m *message) string { return fmt.Sprintf("%s, %s, no. %d", project, who, m.seq) }

func redactionOf(event id.EventID) func(lab.Event) bool {
	return func(e lab.Event) bool { return e.Type == "m.room.redaction" && e.Redacts == event }
}
