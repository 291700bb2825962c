package receipts_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/timbridge/timbridge/receipts"
)

// A set is what a reader has read. Merging the same news again, in any order,
// changes nothing.
func ExampleSet_Union() {
	fromTencent := receipts.SetOf(1, 2, 5)
	fromMatrix := receipts.SetOfRanges(receipts.Range{First: 2, Last: 4})
	all := fromTencent.Union(fromMatrix)
	fmt.Println(all, all.Equal(fromMatrix.Union(fromTencent).Union(all)))
	fmt.Println("new to Tencent:", all.Difference(fromTencent))
	// Output:
	// 1-5 true
	// new to Tencent: 3-4
}

// A Matrix user reads up to an event: this becomes the messages that Tencent is
// told about, and nothing is left once it has been.
func ExampleReader_Expand() {
	alice, bob := receipts.UserKey(1), receipts.UserKey(2)
	messages := []receipts.Message{
		{Seq: 11, Pos: 1, Sender: bob, Wants: receipts.WantsYes},
		{Seq: 12, Pos: 2, Sender: alice, Wants: receipts.WantsYes}, // her own
		{Seq: 13, Pos: 3, Sender: bob, Wants: receipts.WantsNo},
		{Seq: 15, Pos: 4, Sender: bob, Wants: receipts.WantsYes},
		{Seq: 14, Pos: 5, Sender: bob, Wants: receipts.WantsYes}, // came late
	}
	member := receipts.Membership{{JoinedPosKnown: true}}

	var reader receipts.Reader
	reader.Claims, _ = reader.Claims.Raise(receipts.ScopeRoom, 4)
	fmt.Println("read:", reader.Expand(receipts.KindAccount, member, 0, messages))
	acks := reader.PendingAcks(alice, member, messages)
	fmt.Println("to Tencent:", acks)
	reader.AddTencent(receipts.SetOf(acks...))
	fmt.Println("left:", reader.PendingAcks(alice, member, messages))
	// Output:
	// read: 11-13,15
	// to Tencent: [11 15]
	// left: []
}

// A Tencent user acknowledges single messages; his ghost on Matrix has one marker.
func ExampleReader_Marker() {
	now := time.Now()
	var entries []receipts.Entry
	for i := range 3 {
		entries = append(entries, receipts.Entry{Message: receipts.Message{
			Seq: receipts.MsgSeq(i + 1), Pos: receipts.Pos(i + 1), Sender: 2, Wants: receipts.WantsYes, At: now,
		}})
	}
	var reader receipts.Reader
	reader.AddTencent(receipts.SetOf(1, 3))
	reader.Note(entries[0].Message, entries[2].Message)
	reader.Advance(1, entries, receipts.FrontierRules{Now: now, GapAfter: 10 * time.Minute, HoleAfter: 7 * 24 * time.Hour})
	fmt.Println("latest:", reader.Marker(receipts.KindGhost, receipts.PolicyLatest))
	fmt.Println("contiguous:", reader.Marker(receipts.KindGhost, receipts.PolicyContiguous))
	// Output:
	// latest: 3
	// contiguous: 1
}

func ExampleCheck() {
	resolve := map[string]receipts.Resolved{
		"m1": {Group: 1, GroupID: "cats", CallerIsMember: true, Edition: true, Message: receipts.Message{Seq: 7}},
		"m2": {Group: 2, GroupID: "dogs", CallerIsMember: true, Edition: true, Message: receipts.Message{Seq: 7}},
	}
	_, err := receipts.Check(1, []string{"m1", "m2"}, resolve, receipts.CheckLimits{})
	var coded *receipts.Error
	if errors.As(err, &coded) {
		fmt.Println(coded.Code)
		fmt.Println(coded.Desc)
	}
	// Output:
	// 6017 (invalid parameters)
	// messages of 2 groups in one call; all must be of the same group; group "cats": "m1"; group "dogs": "m2"
}
