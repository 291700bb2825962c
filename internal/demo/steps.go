package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/bridge/v2tim/v2timtest"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// The two groups of the demo.
const (
	team  = "team"
	lunch = "lunch"
)

func (st *story) mapGroups(ctx context.Context) error {
	st.step("An administrator maps two groups to two Matrix rooms")
	bot := st.house.standalone.bot()
	st.line("before", "anna has made the rooms and invited %s; ben is in the first one", bot)
	for _, g := range []struct {
		group  string
		guests []*matrixUser
		tim    []*timUser
	}{{team, []*matrixUser{st.ben}, []*timUser{st.carol, st.dave}}, {lunch, nil, []*timUser{st.dave}}} {
		room, err := st.newRoom(ctx, bot, g.guests...)
		if err != nil {
			return err
		}
		st.rooms[g.group] = room
		var userIDs []string
		for _, u := range g.tim {
			userIDs = append(userIDs, u.UserID)
		}
		body := struct {
			GroupId    string
			RoomId     string
			MemberList []v2tim.MemberAccount
		}{g.group, string(st.rooms[g.group]), accounts(userIDs...)}
		if _, err := st.timCall(ctx, st.admin, v2timtest.ServiceBridge, "map_group", body, 0); err != nil {
			return err
		}
		for _, u := range g.tim {
			if err := st.anna.waitMember(ctx, st.rooms[g.group], u.mxid); err != nil {
				return err
			}
			st.ok("anna's /sync: %s has joined the room of %q", u.mxid, g.group)
		}
	}
	return nil
}

// timSays sends a message from an app and sees it arrive in a Matrix room and in another app.
func (st *story) timSays(ctx context.Context, from, other *timUser, group, text string) error {
	body := struct {
		GroupID         string `json:"groupID"`
		Text            string `json:"text"`
		NeedReadReceipt bool   `json:"needReadReceipt"`
	}{group, text, true}
	a, err := st.timCall(ctx, from, v2timtest.ServiceSDK, "sendMessage", body, 0)
	if err != nil {
		return err
	}
	var sent struct {
		Data v2tim.SentMessage `json:"data"`
	}
	if err = json.Unmarshal([]byte(a.raw), &sent); err != nil {
		return fmt.Errorf("failed to read the answer of sendMessage: %w", err)
	}
	event, err := st.ben.waitText(ctx, st.rooms[group], text)
	if err != nil {
		return err
	}
	if err = st.check(event.Sender == from.mxid, "ben's /sync: %q of %s as event %s", text, from.mxid, event.ID); err != nil {
		return err
	}
	got, err := other.waitMessage(ctx, group, text)
	if err != nil {
		return err
	}
	st.lines = append(st.lines, &message{group: group, text: text, msgID: sent.Data.MsgID, seq: sent.Data.Seq, event: event.ID})
	return st.check(got.MsgID == sent.Data.MsgID, "%s's WebSocket: onRecvNewMessage %s of %s", other.UserID, got.MsgID, got.Sender)
}

func (st *story) tencentSends(ctx context.Context) error {
	st.step("carol sends two messages from her V2TIM app")
	for _, text := range []string{"Is the report done?", "I need it by noon."} {
		if err := st.timSays(ctx, st.carol, st.dave, team, text); err != nil {
			return err
		}
	}
	return nil
}

// matrixReads: one receipt of Matrix covers all up to its event; every message of Tencent gets its own count.
func (st *story) matrixReads(ctx context.Context) error {
	st.step("Matrix -> V2TIM: anna reads up to carol's second message in her Matrix client")
	first, second := st.lines[0], st.lines[1]
	st.call(string(st.anna.ID), fmt.Sprintf("POST /rooms/%s/receipt/m.read/%s", st.rooms[team], second.event), "")
	if err := st.anna.Receipt(ctx, st.rooms[team], second.event); err != nil {
		return err
	}
	for _, m := range []*message{first, second} {
		if err := st.carol.waitCounts(ctx, m.msgID, 1, 2); err != nil {
			return err
		}
		st.ok("carol's WebSocket: onRecvMessageReadReceipts %s readCount 1 unreadCount 2", m.msgID)
	}
	if err := st.readers(ctx, st.carol, first, v2tim.FilterRead, mapping.AccountID(st.anna.ID)); err != nil {
		return err
	}
	return st.readers(ctx, st.carol, second, v2tim.FilterUnread, mapping.AccountID(st.ben.ID), "dave")
}

func (st *story) tencentReads(ctx context.Context) error {
	st.step("V2TIM -> Matrix: dave acknowledges both messages in his app")
	first, second := st.lines[0], st.lines[1]
	if _, err := st.timCall(ctx, st.dave, v2timtest.ServiceSDK, "sendMessageReadReceipts", msgIDs(first, second), 0); err != nil {
		return err
	}
	for _, u := range []*matrixUser{st.anna, st.ben} {
		if err := u.waitReceipt(ctx, st.rooms[team], st.dave.mxid, second.event); err != nil {
			return err
		}
		st.ok("%s's /sync: m.read of %s on %s", u.ID.Localpart(), st.dave.mxid, second.event)
	}
	for _, m := range []*message{first, second} {
		if err := st.carol.waitCounts(ctx, m.msgID, 2, 1); err != nil {
			return err
		}
		st.ok("carol's WebSocket: onRecvMessageReadReceipts %s readCount 2 unreadCount 1", m.msgID)
	}
	st.line("again", "the same call once more is answered alike, and nothing happens")
	if _, err := st.timCall(ctx, st.dave, v2timtest.ServiceSDK, "sendMessageReadReceipts", msgIDs(first, second), 0); err != nil {
		return err
	}
	return st.counts(ctx, team, []uint64{first.seq, second.seq}, 2, 1, 2, 1)
}

// matrixSays sends a message from Matrix and sees it arrive in an app.
func (st *story) matrixSays(ctx context.Context, from *matrixUser, to []*timUser, group, text string) error {
	st.call(string(from.ID), fmt.Sprintf("PUT /rooms/%s/send/m.room.message", st.rooms[group]), fmt.Sprintf(`{"msgtype":"m.text","body":%q}`, text))
	event, err := from.SendText(ctx, st.rooms[group], text)
	if err != nil {
		return err
	}
	st.answer(`{"event_id":%q}`, event)
	m := &message{group: group, text: text, event: event}
	for _, u := range to {
		got, err := u.waitMessage(ctx, group, text)
		if err != nil {
			return err
		}
		m.msgID, m.seq = got.MsgID, got.Seq
		sender := mapping.AccountID(from.ID)
		if err = st.check(got.Sender == sender && got.NeedReadReceipt, "%s's WebSocket: onRecvNewMessage %s, seq %d, of %s", u.UserID, m.msgID, m.seq, sender); err != nil {
			return err
		}
	}
	st.lines = append(st.lines, m)
	return nil
}

func (st *story) matrixSends(ctx context.Context) error {
	st.step("anna and ben answer from Matrix")
	if err := st.matrixSays(ctx, st.anna, []*timUser{st.carol, st.dave}, team, "Almost."); err != nil {
		return err
	}
	return st.matrixSays(ctx, st.ben, []*timUser{st.carol, st.dave}, team, "Here it is.")
}

// tencentReadsMany: messages of several senders in one call are one receipt in Matrix, on the newest.
func (st *story) tencentReadsMany(ctx context.Context) error {
	st.step("V2TIM -> Matrix: carol acknowledges both answers, of two senders, in one call")
	annas, bens := st.lines[2], st.lines[3]
	if _, err := st.timCall(ctx, st.carol, v2timtest.ServiceSDK, "sendMessageReadReceipts", msgIDs(annas, bens), 0); err != nil {
		return err
	}
	for _, u := range []*matrixUser{st.anna, st.ben} {
		if err := u.waitReceipt(ctx, st.rooms[team], st.carol.mxid, bens.event); err != nil {
			return err
		}
		st.ok("%s's /sync: m.read of %s on %s", u.ID.Localpart(), st.carol.mxid, bens.event)
	}
	return st.counts(ctx, team, []uint64{annas.seq, bens.seq}, 1, 2, 1, 2)
}

// mixedGroups: the same-group rule. Nothing of a refused call happens, on either side.
func (st *story) mixedGroups(ctx context.Context) error {
	st.step("The same-group rule: dave acknowledges messages of two groups in one call")
	if err := st.matrixSays(ctx, st.anna, []*timUser{st.dave}, lunch, "Noodles?"); err != nil {
		return err
	}
	bens, noodles := st.lines[3], st.lines[4]
	if _, err := st.timCall(ctx, st.dave, v2timtest.ServiceSDK, "sendMessageReadReceipts", msgIDs(bens, noodles), receipts.CodeInvalidParameters); err != nil {
		return err
	}
	st.ok("refused with code %d", int(receipts.CodeInvalidParameters))
	if err := st.counts(ctx, team, []uint64{bens.seq}, 1, 2); err != nil {
		return err
	}
	if err := st.counts(ctx, lunch, []uint64{noodles.seq}, 0, 1); err != nil {
		return err
	}
	_, shown := st.anna.sees.Receipts(st.rooms[lunch])[st.dave.mxid]
	if err := st.check(!shown && st.anna.sees.Receipts(st.rooms[team])[st.dave.mxid] == st.lines[1].event,
		"anna's /sync: dave's receipt in %q stands where it stood, and there is none in %q", team, lunch); err != nil {
		return err
	}
	st.line("then", "one call for each group is what the rule asks for")
	for _, m := range []*message{bens, noodles} {
		if _, err := st.timCall(ctx, st.dave, v2timtest.ServiceSDK, "sendMessageReadReceipts", msgIDs(m), 0); err != nil {
			return err
		}
		if err := st.anna.waitReceipt(ctx, st.rooms[m.group], st.dave.mxid, m.event); err != nil {
			return err
		}
		st.ok("anna's /sync: m.read of %s on %s (%q)", st.dave.mxid, m.event, m.group)
	}
	return nil
}

// ownSample does what the sample on the SDK's page does: send to online users only, and acknowledge one's own message.
func (st *story) ownSample(ctx context.Context) error {
	st.step("The sample on the SDK's page of sendMessageReadReceipts: acknowledge the message just sent")
	body := struct {
		GroupID         string `json:"groupID"`
		CustomData      string `json:"customData"`
		OnlineUserOnly  bool   `json:"onlineUserOnly"`
		NeedReadReceipt bool   `json:"needReadReceipt"`
	}{team, "typing", true, true}
	a, err := st.timCall(ctx, st.carol, v2timtest.ServiceSDK, "sendMessage", body, 0)
	if err != nil {
		return err
	}
	var sent struct {
		Data v2tim.SentMessage `json:"data"`
	}
	if err = json.Unmarshal([]byte(a.raw), &sent); err != nil {
		return fmt.Errorf("failed to read the answer of sendMessage: %w", err)
	}
	const creationID = "createCustomMessage-0"
	st.line("first", "as written there, with the ID that createCustomMessage gave it inside the app:")
	for _, try := range []struct {
		id   string
		code receipts.Code
		why  string
	}{
		{creationID, receipts.CodeInvalidParameters, "no server has ever seen that ID"},
		{sent.Data.MsgID, receipts.CodeReceiptOnlineMessage, "a message to online users only has no receipts (and nobody acknowledges his own)"},
	} {
		if try.code == receipts.CodeReceiptOnlineMessage {
			st.line("then", "with the msgID that sendMessage has answered:")
		}
		if _, err = st.timCall(ctx, st.carol, v2timtest.ServiceSDK, "sendMessageReadReceipts", map[string]any{"messageIDList": []string{try.id}}, try.code); err != nil {
			return err
		}
		st.ok("refused with code %d: %s", int(try.code), try.why)
	}
	return nil
}

const summaryRow = "   %-7s %3s  %-40s %-19s %4s %6s"

// row shows one message in a summary.
func (st *story) row(group string, m v2tim.GroupMessage, read, unread string) {
	sender := m.From_Account
	if name := st.names[sender]; name != "" {
		sender = name
	}
	event := m.EventId
	if event == "" {
		event = "(not sent to Matrix: for online users of the app only)"
	}
	if m.IsPlaceMsg != 0 {
		event += " (recalled)"
	}
	if m.MsgId == "" {
		m.MsgId = "(the history has no msgIDs)"
	}
	st.plain(fmt.Sprintf(summaryRow, group, fmt.Sprint(m.MsgSeq), m.MsgId, sender, read, unread),
		fmt.Sprintf("   %-7s %3s  %s", "", "", event))
}

// summary shows all messages as the admin API has them in the end.
func (st *story) summary(ctx context.Context) error {
	st.plain("", "Summary of part 1: every message, with its event and its counts (timbridge/get_group_messages)", "")
	st.plain(fmt.Sprintf(summaryRow, "group", "seq", "msgID and event ID", "sender", "read", "unread"))
	for _, group := range []string{team, lunch} {
		list, err := st.admin.GetGroupMessages(ctx, v2tim.GetGroupMessagesRequest{GroupId: group})
		if err != nil {
			return err
		}
		for i := len(list.RspMsgList) - 1; i >= 0; i-- {
			m := list.RspMsgList[i]
			read, unread := fmt.Sprint(m.ReadNum), fmt.Sprint(m.UnreadNum)
			if m.NeedReadReceipt != nil && !*m.NeedReadReceipt {
				read, unread = "-", "-"
			}
			st.row(group, m, read, unread)
		}
	}
	want := len(st.lines) + 1 // and the sample's
	total, err := st.admin.GetGroups(ctx, v2tim.GetGroupsRequest{})
	if err != nil {
		return err
	}
	var numbered uint64
	for _, g := range total.GroupList {
		numbered += g.NextMsgSeq - 1
	}
	st.plain("")
	return st.check(numbered == uint64(want), "both groups together have %d messages, none twice", want)
}
