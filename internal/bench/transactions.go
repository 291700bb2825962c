package main

import (
	"context"
	"encoding/json"
	"fmt"

	"maunium.net/go/mautrix/id"
)

// perTransaction is how many receipts a homeserver puts into one transaction here.
const perTransaction = 100

// walk counts the receipts of a town: for each message, in each group, of each reader. Every receipt moves its reader one message on.
type walk struct {
	town
	next int // receipts so far
	sent int // transactions so far
}

// transactions are the next n, as whole requests. They are built before the clock runs.
func (w *walk) transactions(n int, token string) (requests [][]byte, err error) {
	for range n {
		body, err := w.body()
		if err != nil {
			return nil, err
		}
		w.sent++
		requests = append(requests, request("PUT", fmt.Sprintf("/_matrix/app/v1/transactions/bench%d", w.sent), token, body))
	}
	return requests, nil
}

type receiptContent map[id.EventID]map[string]map[id.UserID]map[string]int64

func (w *walk) body() ([]byte, error) {
	edus := make(map[int]receiptContent)
	var order []int
	for range perTransaction {
		u, rest := w.next%w.matrixUsers, w.next/w.matrixUsers
		g, m := rest%w.groups, rest/w.groups
		if m >= w.messages {
			return nil, fmt.Errorf("failed to make transaction: all %d receipts of the town have been sent", w.next)
		}
		w.next++
		if edus[g] == nil {
			edus[g] = make(receiptContent)
			order = append(order, g)
		}
		event := eventID(g, m)
		if edus[g][event] == nil {
			edus[g][event] = map[string]map[id.UserID]map[string]int64{"m.read": {}}
		}
		edus[g][event]["m.read"][readerID(u)] = map[string]int64{"ts": firstMS + int64(m)*1000}
	}
	list := make([]map[string]any, len(order))
	for i, g := range order {
		list[i] = map[string]any{"type": "m.receipt", "room_id": roomID(g), "content": edus[g]}
	}
	return json.Marshal(map[string]any{"events": []any{}, "ephemeral": list})
}

// put sends transactions one after the other, as homeservers do.
func put(ctx context.Context, port int, requests [][]byte) (loadResult, error) {
	return load(ctx, loopback(port), 1, len(requests), func(i int) []byte { return requests[i] }, func([]byte) error { return nil })
}
