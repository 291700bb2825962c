package tencent

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/receipts"
)

func TestMultiaccountImportTellsWhoFailedBesideAnError(t *testing.T) {
	c, _ := newCloud(t, replyWith(`{"ActionStatus":"FAIL","ErrorCode":70398,"ErrorInfo":"","FailAccounts":["b"]}`))
	failed, err := c.MultiaccountImport(context.Background(), []Account{{UserID: "a"}, {UserID: "b"}})
	require.ErrorIs(t, err, ErrGroup)
	require.Equal(t, []string{"b"}, failed)
}

func TestArgumentsAreChecked(t *testing.T) {
	c, _ := newCloud(t, func(http.ResponseWriter, string, []byte) { t.Error("nothing may go out") })
	ctx := context.Background()
	seqs := func(n int) []receipts.MsgSeq {
		list := make([]receipts.MsgSeq, n)
		for i := range list {
			list[i] = receipts.MsgSeq(i + 1)
		}
		return list
	}
	names := func(n int) []string { return strings.Split(strings.Repeat("a,", n)+"a", ",")[:n] }
	accounts := make([]Account, 101)
	for i := range accounts {
		accounts[i].UserID = "a"
	}
	for name, call := range map[string]func() error{
		"no seqs":          func() error { return c.GroupMsgReceipt(ctx, "g", "u", nil) },
		"51 seqs":          func() error { return c.GroupMsgReceipt(ctx, "g", "u", seqs(51)) },
		"seq 0":            func() error { return c.GroupMsgReceipt(ctx, "g", "u", []receipts.MsgSeq{0}) },
		"51 counts":        func() error { _, err := c.GetGroupMsgReceipt(ctx, "g", seqs(51)); return err },
		"201 details":      func() error { _, err := c.GetGroupMsgReceiptDetail(ctx, "g", 1, 0, "", 201); return err },
		"0 details":        func() error { _, err := c.GetGroupMsgReceiptDetail(ctx, "g", 1, 0, "", 0); return err },
		"details of 0":     func() error { _, err := c.GetGroupMsgReceiptDetail(ctx, "g", 0, 0, "", 1); return err },
		"11 recalls":       func() error { _, err := c.GroupMsgRecall(ctx, "g", seqs(11), ""); return err },
		"long reason":      func() error { _, err := c.GroupMsgRecall(ctx, "g", seqs(1), strings.Repeat("x", 101)); return err },
		"nothing modified": func() error { return c.ModifyGroupMsg(ctx, "g", 1, nil, nil) },
		"modify 0":         func() error { return c.ModifyGroupMsg(ctx, "g", 0, []MsgElem{}, nil) },
		"21 of history":    func() error { _, err := c.GroupMsgGetSimple(ctx, "g", 0, 21); return err },
		"51 groups":        func() error { _, err := c.GetGroupInfo(ctx, names(51)); return err },
		"201 members":      func() error { _, err := c.GetGroupMemberInfo(ctx, "g", 201, 0); return err },
		"21 new members":   func() error { _, err := c.AddGroupMember(ctx, "g", names(21), true); return err },
		"101 removed":      func() error { return c.DeleteGroupMember(ctx, "g", names(101), true, "") },
		"10001 groups":     func() error { _, err := c.GetAppidGroupList(ctx, 10001, 0, ""); return err },
		"no account":       func() error { return c.AccountImport(ctx, Account{}) },
		"long account":     func() error { return c.AccountImport(ctx, Account{UserID: strings.Repeat("x", 33)}) },
		"101 accounts":     func() error { _, err := c.MultiaccountImport(ctx, accounts); return err },
		"101 checks":       func() error { _, err := c.AccountCheck(ctx, names(101)); return err },
		"101 profiles":     func() error { _, err := c.PortraitGet(ctx, names(101)); return err },
		"nothing set":      func() error { return c.PortraitSet(ctx, "a", nil, nil) },
	} {
		require.ErrorIs(t, call(), ErrArgument, name)
	}
	require.True(t, AccountStatus{AccountStatus: "Imported"}.Imported())
	require.False(t, AccountStatus{AccountStatus: "Imported", ResultCode: 1}.Imported())
}

// FuzzReply gives any answer to every decoder: nothing panics, success needs an ErrorCode of 0, and
// what pages forward does so.
func FuzzReply(f *testing.F) {
	for _, test := range callTests() {
		f.Add([]byte(test.reply))
	}
	for _, s := range []string{``, `null`, `{}`, `[]`, `{"ErrorCode":"x"}`, `{"ErrorCode":10007}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, into := range []any{
			nil, new(receiptReply), new(detailReply), new(sendReply), new(recallReply), new(historyReply), new(groupInfoReply),
			new(MemberPage), new(addReply), new(groupListReply), new(importReply), new(checkReply), new(profileReply),
		} {
			err := decodeReply("x", body, into)
			var reply struct{ ErrorCode any }
			if err == nil {
				require.NoError(t, json.Unmarshal(body, &reply))
				require.NotNil(t, reply.ErrorCode)
			}
			switch r := into.(type) {
			case *detailReply:
				page := r.page(FilterRead, "c")
				require.True(t, page.Finished || page.Cursor != "" && page.Cursor != "c")
			case *historyReply:
				h := r.history()
				for _, m := range h.Messages {
					require.True(t, h.Next == 0 || uint64(h.Next) < uint64(m.MsgSeq))
				}
			case *groupListReply:
				r.page()
			case *profileReply:
				r.profiles()
			}
		}
	})
}
