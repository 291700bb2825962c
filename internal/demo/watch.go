package main

import (
	"context"
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/v2tim"
)

// watch prints what arrives, on both sides, until ctx ends.
func (st *story) watch(ctx context.Context) error {
	news := []func(){st.matrixNews(st.rooms[team], "part 1"), st.matrixNews(st.cloud.room, "part 2"), st.cloud.news()}
	for _, u := range []*timUser{st.carol, st.dave} {
		news = append(news, st.timNews(u))
	}
	tick := time.NewTicker(4 * pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-st.house.standalone.process.done:
			return fmt.Errorf("timbridge has ended: %v", st.house.standalone.process.err)
		case <-st.house.cloud.process.done:
			return fmt.Errorf("the second timbridge has ended: %v", st.house.cloud.process.err)
		case <-st.house.sim.process.done:
			return fmt.Errorf("timbridge sim has ended: %v", st.house.sim.process.err)
		case <-tick.C:
		}
		for _, show := range news {
			show()
		}
		if err := st.failed(); err != nil {
			return err
		}
	}
}

// matrixNews shows what comes in anna's /sync from now on, each time it is called.
func (st *story) matrixNews(room id.RoomID, name string) func() {
	sees := st.anna.sees
	receipts, events := len(sees.ReceiptLog(room)), len(sees.Events(room))
	return func() {
		log := sees.Events(room)
		for _, e := range log[events:] {
			if e.Type == "m.room.message" {
				st.line("seen", "anna's /sync, %s: %q of %s", name, e.Body(), e.Sender)
			}
		}
		events = len(log)
		all := sees.ReceiptLog(room)
		for _, r := range all[receipts:] {
			st.line("seen", "anna's /sync, %s: %s of %s on %s", name, r.Type, r.User, r.Event)
		}
		receipts = len(all)
	}
}

// news shows the calls and webhooks that pass from now on.
func (c *cloudStory) news() func() {
	printed := c.sim.printed()
	return func() {
		lines := c.sim.since(printed)
		printed += len(lines)
		for _, line := range lines {
			if p, ok := parsePassed(line); ok {
				c.line("seen", "Tencent Cloud: %s %s (%s): %s", p.kind, p.name, p.about, p.outcome)
			}
		}
	}
}

// timNews shows what comes on somebody's WebSocket from now on.
func (st *story) timNews(u *timUser) func() {
	seen := len(u.received())
	return func() {
		events := u.received()
		for _, e := range events[seen:] {
			st.event(u, e)
		}
		seen = len(events)
	}
}

// event prints one event of a WebSocket.
func (st *story) event(u *timUser, e v2tim.Event) {
	switch {
	case e.Message != nil:
		st.line("seen", "%s's WebSocket: %s %s of %s: %q", u.UserID, e.Event, e.Message.MsgID, e.Message.Sender, e.Message.Text)
	case len(e.ReceiptList) > 0:
		for _, r := range e.ReceiptList {
			st.line("seen", "%s's WebSocket: %s %s readCount %d unreadCount %d", u.UserID, e.Event, r.MsgID, r.ReadCount, r.UnreadCount)
		}
	default:
		st.line("seen", "%s's WebSocket: %s", u.UserID, e.Event)
	}
}
