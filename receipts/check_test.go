package receipts_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/timbridge/timbridge/receipts"
)

// found is what a message id resolves to if nothing is wrong with it.
func found(seq receipts.MsgSeq, change ...func(*receipts.Resolved)) receipts.Resolved {
	r := receipts.Resolved{GroupID: "g1", Group: 1, GroupType: "Public", Members: 5, CallerIsMember: true, Edition: true, Message: wanted(seq, receipts.Pos(seq))}
	for _, c := range change {
		c(&r)
	}
	return r
}

func inGroup2(r *receipts.Resolved)    { r.GroupID, r.Group = "g2", 2 }
func notMember(r *receipts.Resolved)   { r.CallerIsMember = false }
func ownMessage(r *receipts.Resolved)  { r.Message.Sender = account }
func online(r *receipts.Resolved)      { r.Message.OnlineOnly = true }
func recalled(r *receipts.Resolved)    { r.Message.Recalled = true }
func noReceipt(r *receipts.Resolved)   { r.Message.Wants = receipts.WantsNo }
func wishUnknown(r *receipts.Resolved) { r.Message.Wants = receipts.WantsUnknown }

func manyIDs(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("id%d", i))
	}
	return ids
}

func TestCheck(t *testing.T) {
	const caller = account
	noEdition := func(r *receipts.Resolved) { r.Edition = false }
	ofType := func(name string) func(*receipts.Resolved) {
		return func(r *receipts.Resolved) { r.GroupType = name }
	}
	big := func(r *receipts.Resolved) { r.Members = 201 }
	c2c := func(r *receipts.Resolved) { r.C2C, r.Group, r.GroupID = true, 0, "" }
	type resolved = map[string]receipts.Resolved
	tests := map[string]struct {
		ids     []string
		resolve resolved
		lim     receipts.CheckLimits
		want    string // of the set
		code    receipts.Code
		desc    string
	}{
		// What is wrong in several ways answers with the first in the order of checks.
		"empty list":    {code: 6017, desc: "messageIDList is empty"},
		"empty id":      {ids: []string{"a", ""}, code: 6017, desc: "messageIDList[1] is empty"},
		"31 ids":        {ids: manyIDs(31), code: 6017, desc: "messageIDList has more than 30 ids"},
		"configured":    {ids: manyIDs(3), lim: receipts.CheckLimits{MaxIDs: 2}, code: 6017, desc: "messageIDList has more than 2 ids"},
		"unknown":       {ids: []string{"a", "x", "x"}, resolve: resolved{"a": found(1, inGroup2)}, code: 6017, desc: `unknown messages: "x"`},
		"not his group": {ids: []string{"x", "a"}, resolve: resolved{"a": found(1), "x": found(2, inGroup2, notMember, noEdition)}, code: 6017, desc: `unknown messages: "x"`},
		"not his C2C":   {ids: []string{"x"}, resolve: resolved{"x": found(2, c2c, notMember)}, code: 6017, desc: `unknown messages: "x"`},
		"no seq yet":    {ids: []string{"x"}, resolve: resolved{"x": found(0)}, code: 6017, desc: `unknown messages: "x"`},
		"two groups": {ids: []string{"b", "a", "b", "c", "a"}, resolve: resolved{"a": found(1), "b": found(2, inGroup2, noEdition), "c": found(2)}, code: 6017,
			desc: `messages of 2 groups in one call; all must be of the same group; group "g2": "b"; group "g1": "a", "c"`},
		"C2C":               {ids: []string{"a", "p"}, resolve: resolved{"a": found(1), "p": found(0, c2c)}, code: 6017, desc: `C2C messages are not bridged: "p"`},
		"edition":           {ids: []string{"a"}, resolve: resolved{"a": found(1, noEdition, ofType("AVChatRoom"))}, code: 10059},
		"AVChatRoom":        {ids: []string{"a"}, resolve: resolved{"a": found(1, ofType("AVChatRoom"), big)}, lim: receipts.CheckLimits{MaxMembers: 200}, code: 10007},
		"Community":         {ids: []string{"a"}, resolve: resolved{"a": found(1, ofType("Community"))}, code: 10007},
		"too large":         {ids: []string{"a"}, resolve: resolved{"a": found(1, big, noReceipt)}, lim: receipts.CheckLimits{MaxMembers: 200}, code: 10060},
		"no limit":          {ids: []string{"a"}, resolve: resolved{"a": found(1, big)}, want: "1"},
		"just small":        {ids: []string{"a"}, resolve: resolved{"a": found(1, big)}, lim: receipts.CheckLimits{MaxMembers: 201}, want: "1"},
		"own":               {ids: []string{"a"}, resolve: resolved{"a": found(1, ownMessage)}, code: 10062},
		"recalled":          {ids: []string{"a"}, resolve: resolved{"a": found(1, recalled)}, code: 10062},
		"no receipt":        {ids: []string{"a"}, resolve: resolved{"a": found(1, noReceipt)}, code: 10062},
		"online only":       {ids: []string{"a", "b"}, resolve: resolved{"a": found(1, online), "b": found(2, online, noReceipt)}, code: 10061},
		"own online only":   {ids: []string{"a"}, resolve: resolved{"a": found(1, online, ownMessage)}, code: 10061}, // the seed page's sample
		"some online":       {ids: []string{"a", "b"}, resolve: resolved{"a": found(1, online), "b": found(2, ownMessage)}, code: 10062},
		"some online, last": {ids: []string{"b", "a"}, resolve: resolved{"a": found(1, online), "b": found(2, ownMessage)}, code: 10062},
		"skipped":           {ids: []string{"a", "b", "c", "d", "e"}, resolve: resolved{"a": found(1, online), "b": found(2, ownMessage), "c": found(3), "d": found(4, recalled), "e": found(5, noReceipt)}, want: "3"},
		"wish not known":    {ids: []string{"a"}, resolve: resolved{"a": found(1, wishUnknown)}, want: "1"},
		"repeats":           {ids: []string{"b", "a", "b", "c"}, resolve: resolved{"a": found(1), "b": found(2), "c": found(1)}, want: "1-2"},
		"30 ids":            {ids: append(manyIDs(30), "id3", "id4"), resolve: resolveAll(manyIDs(30)), want: "1-30"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			req, err := receipts.Check(caller, test.ids, test.resolve, test.lim)
			if test.code != 0 {
				var coded *receipts.Error
				require.ErrorAs(t, err, &coded)
				require.Equal(t, test.code, coded.Code)
				require.NotEmpty(t, coded.Desc)
				if test.desc != "" {
					require.Equal(t, test.desc, coded.Desc)
				}
				require.Equal(t, receipts.Request{}, req)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, req.Seqs.String())
			require.Len(t, req.Messages, int(req.Seqs.Len()))
			require.EqualValues(t, 1, req.Group)
			require.Equal(t, "g1", req.GroupID)
		})
	}
}

func resolveAll(ids []string) map[string]receipts.Resolved {
	all := make(map[string]receipts.Resolved)
	for i, id := range ids {
		all[id] = found(receipts.MsgSeq(i + 1))
	}
	return all
}

func TestCheckKeepsTheOrderOfIDs(t *testing.T) {
	resolve := map[string]receipts.Resolved{"a": found(1), "b": found(7), "same as b": found(7), "c": found(3)}
	req, err := receipts.Check(account, []string{"b", "c", "same as b", "b", "a"}, resolve, receipts.CheckLimits{})
	require.NoError(t, err)
	require.Equal(t, []receipts.Message{resolve["b"].Message, resolve["c"].Message, resolve["a"].Message}, req.Messages)
	require.Equal(t, "1,3,7", req.Seqs.String())
}

// TestUnknownAndForbiddenAreAlike: nobody learns from an answer whether a message
// exists in a group that he is not in, nor which groups others' messages are of.
func TestUnknownAndForbiddenAreAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := []string{"a", "b", "c", "d"}
		with, without := map[string]receipts.Resolved{}, map[string]receipts.Resolved{}
		hidden := false
		for i, id := range ids {
			switch rapid.IntRange(0, 3).Draw(t, id) {
			case 0:
				r := found(receipts.MsgSeq(i+1), notMember, inGroup2)
				r.Message.OnlineOnly, r.C2C = rapid.Bool().Draw(t, "online"), rapid.Bool().Draw(t, "c2c")
				with[id], hidden = r, true
			case 1:
				hidden = true
			case 2:
				with[id] = found(receipts.MsgSeq(i + 1))
				without[id] = with[id]
			case 3:
				with[id] = found(receipts.MsgSeq(i+1), func(r *receipts.Resolved) { r.GroupID, r.Group = "g3", 3 })
				without[id] = with[id]
			}
		}
		got, err := receipts.Check(account, ids, with, receipts.CheckLimits{})
		want, wantErr := receipts.Check(account, ids, without, receipts.CheckLimits{})
		require.Equal(t, wantErr, err)
		require.Equal(t, want, got)
		if hidden {
			require.ErrorContains(t, err, "6017: unknown messages")
			require.NotContains(t, err.Error(), "g2")
		}
	})
}

func TestDescriptionsAreBounded(t *testing.T) {
	ids := manyIDs(30)
	for i := range ids {
		ids[i] += strings.Repeat("\x00\"x", 100_000)
	}
	_, err := receipts.Check(account, ids, nil, receipts.CheckLimits{})
	require.Error(t, err)
	require.Less(t, len(err.Error()), 30*420)
}

func TestCheckShapeLooksNothingUp(t *testing.T) {
	require.NoError(t, receipts.CheckShape(manyIDs(30), 0))
	require.NoError(t, receipts.CheckShape(append(manyIDs(30), manyIDs(30)...), 30))
	require.Error(t, receipts.CheckShape(manyIDs(31), 30))
	require.NoError(t, receipts.CheckKnown([]string{"a", "a"}, map[string]receipts.Resolved{"a": found(1)}))
	require.EqualError(t, receipts.CheckKnown([]string{"x", "a", "x"}, map[string]receipts.Resolved{"a": found(1, notMember)}), `6017: unknown messages: "x", "a"`)
}

func TestCodes(t *testing.T) {
	require.Equal(t, "10062 (message was not sent with needReadReceipt)", receipts.CodeReceiptNotExist.String())
	require.Equal(t, "12345", receipts.Code(12345).String())
	require.Equal(t, "6017: invalid parameters", receipts.NewError(receipts.CodeInvalidParameters, "").Error())
	// The numbers are Tencent's: [ERR] https://trtc.io/document/34348.
	numbers := []receipts.Code{0, 6014, 6017, 7008, 7013, 10002, 10003, 10004, 10005, 10006, 10007, 10010, 10011, 10012, 10013, 10014, 10015, 10016,
		10017, 10019, 10021, 10023, 10026, 10052, 10059, 10060, 10061, 10062, 20022, 60002, 60003, 60004, 60005, 60006, 60007, 60008, 60009, 60010, 60011,
		60012, 60018, 60019, 60022, 70001, 70002, 70003, 70009, 70013, 70014, 70050, 70107, 80001, 80002}
	known := 0
	for code := receipts.Code(0); code < 100_000; code++ {
		if code.Meaning() != "" {
			require.Equal(t, numbers[known], code)
			known++
		}
	}
	require.Len(t, numbers, known)
}
