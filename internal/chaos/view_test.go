package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/bridge/v2tim"
)

// view is a group as both sides show it.
type view struct {
	g         *group
	events    []matrixtest.Event // of the room, in its order, without state
	shown     []matrixtest.Receipt
	changes   []matrixtest.MemberChange
	rows      []v2tim.GroupMessage // as timbridge lists them to apps, rising
	members   map[string]bool      // UserIDs, as timbridge lists them
	read      map[uint64][]string  // who has read, by seq; likewise
	unread    map[uint64][]string
	atTencent []tencenttest.Message
}

func (w *world) look(g *group) (*view, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	v := &view{
		g: g, events: w.hs.Timeline(g.room), shown: w.mats[0].user.ReceiptsOf(g.room), changes: w.hs.MemberChanges(g.room),
		members: make(map[string]bool), read: make(map[uint64][]string), unread: make(map[uint64][]string),
	}
	if w.cloud != nil {
		v.atTencent = w.cloud.Messages(g.id)
	}
	for next := v2tim.Uint(0); ; {
		page, err := w.root.GetGroupMessages(ctx, v2tim.GetGroupMessagesRequest{GroupId: g.id, ReqMsgSeq: next, ReqMsgNumber: 100})
		if err != nil {
			return nil, fmt.Errorf("failed to list messages of %s: %w", g.id, err)
		}
		for _, m := range page.RspMsgList {
			v.rows = append([]v2tim.GroupMessage{m}, v.rows...)
		}
		if page.IsFinished == 1 {
			break
		}
		next = v2tim.Uint(page.Next)
	}
	known, err := w.root.GetGroupMemberInfo(ctx, v2tim.GetGroupMemberInfoRequest{GroupId: g.id, Limit: 200})
	if err != nil {
		return nil, fmt.Errorf("failed to list members of %s: %w", g.id, err)
	}
	for _, m := range known.MemberList {
		v.members[m.Member_Account] = true
	}
	for _, m := range v.rows {
		if m.NeedReadReceipt == nil || !bool(*m.NeedReadReceipt) {
			continue
		}
		for filter, into := range map[int]map[uint64][]string{v2tim.FilterRead: v.read, v2tim.FilterUnread: v.unread} {
			detail, err := w.root.GetGroupMsgReceiptDetail(ctx, g.id, m.MsgSeq, filter, "", 200)
			if err != nil {
				return nil, fmt.Errorf("failed to list readers of message %d of %s: %w", m.MsgSeq, g.id, err)
			}
			into[m.MsgSeq] = detail.Members
		}
	}
	return v, nil
}

// place is where an event stands: the fake homeserver numbers all events as they come.
func place(event id.EventID) int64 {
	n, err := strconv.ParseInt(strings.TrimPrefix(string(event), "$ev"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// body is what a message event says; "" if it was redacted or is none.
func body(ev matrixtest.Event) string {
	var content struct {
		Body string `json:"body"`
	}
	if ev.Type != "m.room.message" || json.Unmarshal(ev.Content, &content) != nil {
		return ""
	}
	return content.Body
}
