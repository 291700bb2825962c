package lab

import (
	"encoding/json"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"
)

// syncAnswer is what a watcher reads of an answer to /sync.
type syncAnswer struct {
	NextBatch string `json:"next_batch"`
	Rooms     struct {
		Join   map[id.RoomID]syncRoom `json:"join"`
		Leave  map[id.RoomID]syncRoom `json:"leave"`
		Invite map[id.RoomID]struct {
			State eventList `json:"invite_state"`
		} `json:"invite"`
	} `json:"rooms"`
}

type syncRoom struct {
	State       eventList `json:"state"`
	Timeline    eventList `json:"timeline"`
	Ephemeral   eventList `json:"ephemeral"`
	AccountData eventList `json:"account_data"`
	Unread      *struct {
		Notifications int `json:"notification_count"`
	} `json:"unread_notifications"`
}

type eventList struct {
	Events []Event `json:"events"`
}

// take takes in an answer. The lock must be held.
func (w *Watcher) take(answer syncAnswer) {
	for room, news := range answer.Rooms.Invite {
		w.room(room).takeState(news.State.Events)
	}
	for room, news := range answer.Rooms.Leave {
		w.room(room).take(news)
	}
	for room, news := range answer.Rooms.Join {
		w.room(room).take(news)
	}
}

func (r *watchedRoom) take(news syncRoom) {
	r.takeState(news.State.Events)
	r.takeState(news.Timeline.Events)
	r.events = append(r.events, news.Timeline.Events...)
	for _, e := range news.Ephemeral.Events {
		if e.Type == "m.receipt" {
			r.receipts = append(r.receipts, parseReceipts(e.Content)...)
		}
	}
	for _, e := range news.AccountData.Events {
		r.accountData[e.Type] = e.Content
	}
	if news.Unread != nil {
		r.unread = news.Unread.Notifications
	}
}

func (r *watchedRoom) takeState(events []Event) {
	for _, e := range events {
		if e.Type != "m.room.member" || e.StateKey == nil {
			continue
		}
		var content struct {
			Membership string `json:"membership"`
		}
		_ = json.Unmarshal(e.Content, &content) // a strange content is no membership
		r.members[id.UserID(*e.StateKey)] = content.Membership
	}
}

// parseReceipts returns the receipts of one m.receipt event by their time: within one event they have no order.
func parseReceipts(content json.RawMessage) []Receipt {
	var byEvent map[id.EventID]map[string]map[id.UserID]struct {
		TS     float64 `json:"ts"`
		Thread string  `json:"thread_id"`
	}
	_ = json.Unmarshal(content, &byEvent) // a homeserver that breaks the format shows in the tests' waits
	var receipts []Receipt
	for event, byType := range byEvent {
		for kind, byUser := range byType {
			for user, r := range byUser {
				at := time.UnixMilli(int64(r.TS))
				receipts = append(receipts, Receipt{User: user, Event: event, Type: kind, Thread: r.Thread, At: at})
			}
		}
	}
	slices.SortFunc(receipts, func(a, b Receipt) int { return a.At.Compare(b.At) })
	return receipts
}
