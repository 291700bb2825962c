package matrix

import (
	"encoding/json"
	"maps"
	"slices"

	"maunium.net/go/mautrix/id"
)

// dropFunc hears of each piece that was dropped as malformed.
type dropFunc func(what string, err error)

const (
	typeReceipt = "m.receipt"
	receiptRead = "m.read"
)

// parseReceipts reads the content of one m.receipt event:
//
//	{"$event": {"m.read": {"@user": {"ts": 1, "thread_id": "main"}}}}
//
// (https://spec.matrix.org/v1.19/client-server-api/#receipts) and appends what it holds to dst, in a
// stable order. Only m.read is taken: m.read.private must not reach anybody, and Synapse 1.160.0 does
// push those of strangers. ts is not looked at.
func parseReceipts(dst []Receipt, room id.RoomID, raw json.RawMessage, pushed bool, drop dropFunc) []Receipt {
	content, err := parseObject(raw)
	if err != nil {
		drop("receipts of a room", errBadContent)
		return dst
	}
	for _, eventID := range slices.Sorted(maps.Keys(content)) {
		types, err := parseObject(content[eventID])
		if err != nil {
			drop("receipts of an event", errBadReceipt)
			continue
		}
		read, there := types[receiptRead]
		if !there {
			continue
		}
		if !validID(eventID, '$') {
			drop("receipts of an event", errBadEventID)
			continue
		}
		users, err := parseObject(read)
		if err != nil {
			drop("receipts of an event", errBadReceipt)
			continue
		}
		for _, user := range slices.Sorted(maps.Keys(users)) {
			receipt, err := parseReceipt(user, users[user])
			if err != nil {
				drop("receipt of a user", err)
				continue
			}
			receipt.RoomID, receipt.EventID, receipt.Pushed = room, id.EventID(eventID), pushed
			dst = append(dst, receipt)
		}
	}
	return dst
}

func parseReceipt(user string, raw json.RawMessage) (receipt Receipt, err error) {
	if !validID(user, '@') {
		return receipt, errBadUserID
	}
	receipt.UserID = id.UserID(user)
	obj, err := parseObject(raw)
	if err != nil {
		return receipt, errBadReceipt
	}
	if _, there := obj["thread_id"]; there {
		thread, ok := obj.str("thread_id")
		if !ok || (thread != "main" && !validID(thread, '$')) {
			return receipt, errBadThreadID
		}
		receipt.ThreadID, receipt.HasThread = thread, true
	}
	return receipt, nil
}

// transaction is what the bridge takes out of one pushed transaction.
type transaction struct {
	events   []Event
	receipts []Receipt
}

// parseTransaction decodes the body of a transaction. The error tells whether the whole is no JSON
// object; anything else that is malformed is dropped and told to drop.
//
// Synapse from 1.156.0 on sends receipts under the name of the specification and under the older
// one, with the same content, so that only one of them is read.
func parseTransaction(body []byte, drop dropFunc) (txn transaction, err error) {
	obj, err := parseObject(body)
	if tooDeep(err) {
		obj, err = splitObject(body)
	}
	if err != nil {
		return txn, err
	}
	events, _, ok := obj.list("events")
	if !ok {
		drop("events of a transaction", errBadContent)
	}
	txn.events = make([]Event, 0, len(events))
	for _, raw := range events {
		ev, err := parseEvent(raw)
		if err != nil {
			drop("event", err)
			continue
		}
		txn.events = append(txn.events, ev)
	}
	ephemeral, there, ok := obj.list("ephemeral")
	if !there {
		ephemeral, _, ok = obj.list("de.sorunome.msc2409.ephemeral")
	}
	if !ok {
		drop("ephemeral events of a transaction", errBadContent)
	}
	for _, raw := range ephemeral {
		txn.receipts = appendPushed(txn.receipts, raw, drop)
	}
	return txn, nil
}

// appendPushed reads one pushed ephemeral event; typing and presence are passed over.
func appendPushed(dst []Receipt, raw json.RawMessage, drop dropFunc) []Receipt {
	obj, err := parseObject(raw)
	if err != nil {
		drop("ephemeral event", err)
		return dst
	}
	if evType, _ := obj.str("type"); evType != typeReceipt {
		return dst
	}
	room, _ := obj.str("room_id")
	if !validID(room, '!') {
		drop("receipts of a room", errBadRoomID)
		return dst
	}
	return parseReceipts(dst, id.RoomID(room), obj["content"], true, drop)
}

// syncResponse is what the bridge takes out of a /sync response.
type syncResponse struct {
	nextBatch  string
	redactions []Event
	receipts   []Receipt
}

// redactions appends what was redacted in a room, by what /sync says of it.
func (obj object) redactions(dst []Event, room string, drop dropFunc) []Event {
	events, _, ok := obj.child("timeline").list("events")
	if !ok {
		drop("timeline of a room", errBadContent)
	}
	roomID, err := json.Marshal(room)
	if err != nil {
		return dst
	}
	for _, raw := range events {
		ev, err := parseObject(raw)
		if err != nil {
			drop("event", err)
			continue
		}
		ev["room_id"] = roomID // /sync leaves it out
		switch redaction, err := ev.event(); {
		case redaction.Type != "m.room.redaction":
		case err != nil:
			drop("event", err)
		default:
			dst = append(dst, redaction)
		}
	}
	return dst
}

// parseSync decodes a /sync response. The error tells whether it is no such thing at all.
func parseSync(body []byte, drop dropFunc) (resp syncResponse, err error) {
	obj, err := parseObject(body)
	if err != nil {
		return resp, err
	}
	next, _ := obj.str("next_batch")
	if next == "" {
		return resp, errNoNextBatch
	}
	resp.nextBatch = next
	joined := obj.child("rooms").child("join")
	for _, room := range slices.Sorted(maps.Keys(joined)) {
		resp.redactions = joined.child(room).redactions(resp.redactions, room, drop)
		events, _, ok := joined.child(room).child("ephemeral").list("events")
		if !ok {
			drop("ephemeral events of a room", errBadContent)
		}
		for _, raw := range events {
			ev, err := parseObject(raw)
			if err != nil {
				drop("ephemeral event", err)
				continue
			}
			if evType, _ := ev.str("type"); evType != typeReceipt {
				continue
			}
			if !validID(room, '!') {
				drop("receipts of a room", errBadRoomID)
				continue
			}
			resp.receipts = parseReceipts(resp.receipts, id.RoomID(room), ev["content"], false, drop)
		}
	}
	return resp, nil
}
