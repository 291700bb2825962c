package e2e

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/internal/lab"
)

// What is taken back or changed on one side is so on the other.
func testCloudChanges(t *testing.T, w *world) {
	s := newCloudScene(t, w, sharedCloud)
	ann, ben := s.user("ann"), s.user("ben")
	alice, bob := s.member("alice"), s.member("bob")
	g := s.linked([]*lab.User{ann, ben}, alice, bob)
	said, kept := g.says(alice, "said too soon"), g.says(alice, "kept")
	written, edited := g.writes(ben, "written too soon"), g.writes(ben, "helo")

	require.NoError(t, s.cloud.User(alice).Recall(g.id, said.seq))
	ev, err := g.eyes.WaitEventFunc(s.within(), g.room, "redaction", func(ev lab.Event) bool { return ev.Redacts == said.event })
	require.NoError(t, err)
	require.Equal(t, s.ghostOf(alice), ev.Sender)
	_, err = ben.Redact(s.ctx, g.room, written.event)
	require.NoError(t, err)
	g.appHas("kept", "helo")
	_, err = ben.Edit(s.ctx, g.room, edited.event, "hello")
	require.NoError(t, err)
	g.appHas("kept", "hello")
	m, ok := s.cloud.Message(g.id, edited.seq)
	require.True(t, ok)
	require.Equal(t, "hello", m.Text)
	require.True(t, m.Edited)

	// Nobody but its sender changes a message.
	_, err = ann.Edit(s.ctx, g.room, edited.event, "forged")
	require.NoError(t, err)
	// Receipts go on around it.
	last := g.says(alice, "last")
	g.read(ann, last.event)
	g.hasRead(ann, kept, edited, last)
	g.acks(bob, kept, edited)
	g.ghostRead(bob, edited)
	g.appHas("kept", "hello", "last")
	g.roomHas("kept", "helo", "* hello", "* forged", "last")
	// The owner of the room may take back what others wrote.
	_, err = ann.Redact(s.ctx, g.room, kept.event)
	require.NoError(t, err)
	g.appHas("hello", "last")
}

func testCloudRepliesAndMentions(t *testing.T, w *world) {
	s := newCloudScene(t, w, sharedCloud)
	ann, ben := s.user("ann"), s.user("ben")
	alice, bob := s.member("alice"), s.member("bob")
	g := s.linked([]*lab.User{ann, ben}, alice, bob)
	question := g.says(alice, "who is there?")

	// From Matrix: a reply that mentions bob, and everybody.
	event, err := ben.Send(s.ctx, g.room, "m.room.message", map[string]any{
		"msgtype": "m.text", "body": "me, and bob", "m.mentions": map[string]any{"user_ids": []id.UserID{s.ghostOf(bob)}},
		"m.relates_to": map[string]any{"m.in_reply_to": map[string]any{"event_id": question.event}},
	})
	require.NoError(t, err)
	reply := g.reaches(ben, event, "me, and bob")
	sent, ok := s.cloud.Message(g.id, reply.seq)
	require.True(t, ok)
	var data struct {
		Reply struct {
			MessageID, MessageAbstract string
			MessageSequence            uint64
		} `json:"messageReply"`
	}
	require.NoError(t, json.Unmarshal([]byte(sent.CloudCustomData), &data))
	require.Equal(t, question.msgID, data.Reply.MessageID)
	require.Equal(t, question.seq, data.Reply.MessageSequence)
	require.Equal(t, "who is there?", data.Reply.MessageAbstract)
	require.Equal(t, []string{bob}, g.mentionedIn(reply))

	event, err = ann.Send(s.ctx, g.room, "m.room.message", map[string]any{"msgtype": "m.text", "body": "all of us", "m.mentions": map[string]any{"room": true}})
	require.NoError(t, err)
	require.Equal(t, []string{"everybody"}, g.mentionedIn(g.reaches(ann, event, "all of us")))

	// From the app: the same. The app knows the reply by the ID that it has there.
	answer, err := s.cloud.User(alice).Send(g.id, "hello ben", tencenttest.SendOptions{
		NeedReadReceipt: true, At: []string{account(ben)},
		CloudCustomData: fmt.Sprintf(`{"messageReply":{"messageID":%q,"messageAbstract":"me, and bob","messageSender":"ben","messageType":1,"version":1}}`, sent.MsgID),
	})
	require.NoError(t, err)
	ev, err := g.eyes.WaitEvent(s.within(), g.room, g.shown(answer).event)
	require.NoError(t, err)
	var content struct {
		Mentions struct {
			UserIDs []id.UserID `json:"user_ids"`
		} `json:"m.mentions"`
		RelatesTo struct {
			InReplyTo struct {
				EventID id.EventID `json:"event_id"`
			} `json:"m.in_reply_to"`
		} `json:"m.relates_to"`
	}
	require.NoError(t, json.Unmarshal(ev.Content, &content))
	require.Equal(t, reply.event, content.RelatesTo.InReplyTo.EventID)
	require.Equal(t, []id.UserID{ben.ID}, content.Mentions.UserIDs)
}

// mentionedIn lists whom a message mentions, as the webhook says.
func (g *cloudGroup) mentionedIn(m message) (names []string) {
	g.s.t.Helper()
	for _, hook := range g.cloud.Webhooks(tencenttest.AfterSendMsg) {
		var sent struct {
			GroupID string `json:"GroupId"`
			MsgSeq  uint64
			Info    []struct {
				All     int    `json:"GroupAtAllFlag"`
				Account string `json:"GroupAt_Account"`
			} `json:"GroupAtInfo"`
		}
		require.NoError(g.s.t, json.Unmarshal(hook.Body, &sent))
		if sent.GroupID != g.id || sent.MsgSeq != m.seq {
			continue
		}
		for _, at := range sent.Info {
			if at.All == 1 {
				at.Account = "everybody"
			}
			names = append(names, at.Account)
		}
	}
	return names
}
