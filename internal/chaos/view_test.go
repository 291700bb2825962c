package chaos

import (
	"context"
	"encoding/json"
	"fmt"
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
	if hs, ok := w.hs.(*realHomeserver); ok {
		if err := hs.fetch(ctx, g.room); err != nil {
			return nil, err
		}
	}
	v := &view{
		g: g, events: w.hs.Timeline(g.room), shown: w.hs.Receipts(g.room), changes: w.hs.MemberChanges(g.room),
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

// relation is what an event says of how it belongs to another one.
type relation struct {
	Type  string     `json:"rel_type"`
	Event id.EventID `json:"event_id"`
}

func relationOf(ev matrixtest.Event) relation {
	var content struct {
		Relation relation `json:"m.relates_to"`
	}
	_ = json.Unmarshal(ev.Content, &content) // what cannot be read has none
	return content.Relation
}

// threadOf is the root of the thread that an event says to be in, "" for none.
func threadOf(ev matrixtest.Event) id.EventID {
	if r := relationOf(ev); r.Type == "m.thread" {
		return r.Event
	}
	return ""
}

// scopeOf is what a receipt that is about more than nothing and less than the room is about, at this event.
func scopeOf(ev matrixtest.Event) string {
	if root := threadOf(ev); root != "" {
		return string(root)
	}
	return "main"
}

// body is what a message event says; "" if it was redacted, is none or changes another one.
func body(ev matrixtest.Event) string {
	var content struct {
		Body string `json:"body"`
	}
	if ev.Type != "m.room.message" || json.Unmarshal(ev.Content, &content) != nil || relationOf(ev).Type == "m.replace" {
		return ""
	}
	return content.Body
}

// edited is the event that an event changes and what it is to say then; "" for none.
func edited(ev matrixtest.Event) (target id.EventID, text string) {
	var content struct {
		New struct {
			Body string `json:"body"`
		} `json:"m.new_content"`
	}
	r := relationOf(ev)
	if r.Type != "m.replace" || json.Unmarshal(ev.Content, &content) != nil {
		return "", ""
	}
	return r.Event, content.New.Body
}
