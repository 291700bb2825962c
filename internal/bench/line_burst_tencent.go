package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
)

// ackCommand is how Tencent is told of receipts.
const ackCommand = "group_msg_receipt"

// measureBurstTencent: 200 Matrix users read 50 messages each at the same moment. Tencent has no receipts in groups of more than 200
// members, the sender among them, so that they are two groups.
func measureBurstTencent(ctx context.Context, s *suite) (err error) {
	const rate = 100 // calls a second: what is allowed, by the config
	runs := min(s.runs, 3)
	t := town{groups: 2, messages: burstMessages * runs, matrixUsers: burstReaders / 2, cloud: true}
	cloud, err := newCloud(t)
	if err != nil {
		return err
	}
	defer cloud.Close()
	b, err := s.newBridge("burst-tencent", setting{people: t.people(), tencent: cloud.URL(), rate: rate})
	if err != nil {
		return err
	}
	if err = t.seed(ctx, b); err != nil {
		return err
	}
	if err = b.begin(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	var calls, share []float64
	for run := range runs {
		last := burstMessages*(run+1) - 1
		body, err := everybodyReads(t, last)
		if err != nil {
			return err
		}
		before := cloud.Calls(ackCommand)
		began := time.Now()
		requests := [][]byte{request("PUT", fmt.Sprintf("/_matrix/app/v1/transactions/burst%d", run), hsToken, body)}
		if _, err = put(ctx, b.matrixPort, requests); err != nil {
			return err
		}
		if err = allRead(ctx, cloud, t, last); err != nil {
			return err
		}
		took := time.Since(began)
		if err = b.quiet(ctx); err != nil { // what comes after counts too
			return err
		}
		made := float64(cloud.Calls(ackCommand) - before)
		calls, share = append(calls, made), append(share, 100*made/took.Seconds()/rate)
	}
	made, used := value("", calls...), value("", share...)
	s.add(Line{
		Name: "burst to Tencent: calls for 10,000 reads", Unit: "", Ours: made, Ceiling: []Value{value("readers", burstReaders)},
		Targets: []Goal{atMost("200 calls", made.Median, burstReaders)},
	})
	s.add(Line{
		Name: "burst to Tencent: share of the allowed rate", Unit: "%", Ours: used, Ceiling: []Value{value("the allowed rate, 100/s", 100)},
		Targets: []Goal{atLeast("≥ 90 %", used.Median, 90)},
	})
	return nil
}

// everybodyReads is a transaction in which all Matrix users of a town have read up to a message.
func everybodyReads(t town, m int) ([]byte, error) {
	var list []map[string]any
	for g := range t.groups {
		read := make(map[id.UserID]map[string]int64)
		for u := range t.matrixUsers {
			read[readerID(u)] = map[string]int64{"ts": firstMS}
		}
		list = append(list, map[string]any{"type": "m.receipt", "room_id": roomID(g), "content": receiptContent{eventID(g, m): {"m.read": read}}})
	}
	return json.Marshal(map[string]any{"events": []any{}, "ephemeral": list})
}

// allRead waits until Tencent knows that everybody has read a message and those before it.
func allRead(ctx context.Context, cloud *tencenttest.Server, t town, m int) error {
	ctx, cancel := context.WithTimeout(ctx, burstWait)
	defer cancel()
	var seqs []uint64
	for seq := m - burstMessages + 2; seq <= m+1; seq++ {
		seqs = append(seqs, uint64(seq))
	}
	for g := range t.groups {
		for u := range t.matrixUsers {
			if err := cloud.Wait(ctx, func() bool { return cloud.HasRead(groupID(g), accountID(u), seqs...) }); err != nil {
				return fmt.Errorf("reader %d of group %d: %w", u, g, err)
			}
		}
	}
	return nil
}
