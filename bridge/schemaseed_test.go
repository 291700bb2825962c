package bridge

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// seedTime is when everything in a seeded database happened.
func seedTime() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// seed puts a few rows into every table, as a bridge would: what it writes holds together. Stores that get more to keep
// get more here; then write a new dump (see schema_test.go).
func seed(t testing.TB, ctx context.Context, b *Bridge) {
	t.Helper()
	const team, cloud = id.RoomID("!team:a.test"), id.RoomID("!cloud:a.test")
	at := seedTime()
	must := func(err error) { t.Helper(); require.NoError(t, err) }
	group := func(g mapping.Group) mapping.Group {
		g, err := b.maps.MapGroup(ctx, g)
		must(err)
		return g
	}
	g1 := group(mapping.Group{GroupID: "team", RoomID: team, SeqSource: mapping.SeqSourceOwn, Type: "Public", Name: "The team", LinkedPosKnown: true})
	g2 := group(mapping.Group{GroupID: "@TGS#cloud", RoomID: cloud, SeqSource: mapping.SeqSourceCloud, Type: "Work"})
	group(mapping.Group{GroupID: "roomless", SeqSource: mapping.SeqSourceStamped})
	must(b.maps.SetSwitches(ctx, g2.Key, true, false))
	user := func(userID string, mxid id.UserID, kind receipts.Kind) mapping.User {
		u, err := b.maps.EnsureUser(ctx, mapping.User{UserID: userID, MXID: mxid, Kind: kind})
		must(err)
		return u
	}
	alice, bob := user("alice", "@tim_alice:a.test", receipts.KindGhost), user("bob", "@tim_bob:a.test", receipts.KindGhost)
	ann := user(mapping.AccountID("@ann:a.test"), "@ann:a.test", receipts.KindAccount)
	user(mapping.AccountID("@ben:a.test"), "@ben:a.test", receipts.KindAccount)
	ben, _, err := b.maps.LinkUser(ctx, "ben", "@ben:a.test")
	must(err)
	for _, u := range []mapping.User{alice, bob, ann, ben} {
		_, err = b.maps.Join(ctx, g1.Key, u.Key, 0, 0, true)
		must(err)
	}
	_, err = b.maps.Join(ctx, g2.Key, ann.Key, 0, 0, false)
	must(err)
	events := []mapping.NewEvent{
		{EventID: "$one", At: at}, {EventID: "$FxpdtnR2qX2Gy3eAFbOZZFDT8-8NXYiq7JpyCFWmUNU", At: at}, {EventID: "$three", Thread: "$one", At: at},
		{EventID: "$reaction", At: at}, {EventID: "$late", Gap: true, At: at},
	}
	_, err = b.maps.Append(ctx, team, events)
	must(err)
	_, err = b.maps.Append(ctx, cloud, []mapping.NewEvent{{EventID: "$gap", Gap: true, At: at}})
	must(err)
	message := func(g mapping.Group, seq receipts.MsgSeq, eventID id.EventID, sender mapping.User, wants receipts.Wants) mapping.Message {
		m := mapping.Message{Group: g.Key, RoomID: g.RoomID, Random: uint32(seq), HasRandom: true}
		m.Seq, m.EventID, m.Sender, m.Wants, m.At = seq, eventID.String(), sender.Key, wants, at
		m.MsgID = fmt.Sprintf("144115198244471703-1700000000-%d", 10*int64(g.Key)+int64(seq))
		return m
	}
	recalled, online, third := message(g1, 4, "", bob, receipts.WantsYes), message(g1, 5, "", bob, receipts.WantsNo), message(g1, 3, "$three", ann, receipts.WantsYes)
	recalled.Recalled, online.OnlineOnly, third.Thread = true, true, "$one"
	recalled.MsgID, online.MsgID = "own-words", ""
	_, err = b.maps.PutMessages(ctx, []mapping.Message{
		message(g1, 1, "$one", alice, receipts.WantsYes), message(g1, 2, events[1].EventID, bob, receipts.WantsYes), third, recalled, online,
		message(g2, 7, "", bob, receipts.WantsUnknown),
	})
	must(err)
	_, err = b.maps.Leave(ctx, g1.Key, bob.Key, 5, 5)
	must(err)
	_, err = b.maps.Join(ctx, g1.Key, bob.Key, 5, 5, true)
	must(err)

	claims := func(scope receipts.Scope, pos receipts.Pos) receipts.Claims {
		c, _ := receipts.Claims{}.Raise(scope, pos)
		return c
	}
	set := receipts.SetOf
	main := claims(receipts.ScopeMain, 2)
	main, _ = main.Raise("$one", 3)
	must(b.reads.Save(ctx, []receiptsdb.Row{
		{Group: g1.Key, User: alice.Key, Reader: receipts.Reader{Read: set(2, 3), Tencent: set(2, 3), Latest: 3, Shown: 2, Sent: 3}, Due: at.Add(time.Minute), Attempts: 1},
		{Group: g1.Key, User: bob.Key, Reader: receipts.Reader{Read: set(1), Latest: 1, Shown: 1, Sent: 1}, AckDue: at, AckAttempts: 2},
		{Group: g1.Key, User: ann.Key, Reader: receipts.Reader{Read: set(1, 2, 3), Tencent: set(1), Claims: main, Latest: 3, Shown: 3}},
		{Group: g1.Key, User: ben.Key, Reader: receipts.Reader{Read: set(1, 2), Tencent: set(1, 2), Claims: claims(receipts.ScopeRoom, 2), Latest: 2, Frontier: 2, Solid: 2, Shown: 2, Sent: 2}},
		{Group: g2.Key, User: ann.Key, Reader: receipts.Reader{Read: set(7)}},
	}))
	must(b.reads.Park(ctx,
		receiptsdb.Parked{RoomID: team.String(), UserID: "@ann:a.test", EventID: "$unknown", ThreadID: "main", HasThread: true, Since: at},
		receiptsdb.Parked{RoomID: team.String(), UserID: "@ben:a.test", EventID: "$unknown", Since: at}))
	must(b.reads.PutCallbacks(ctx, []receiptsdb.Callback{{User: alice.Key, Group: g1.Key, Seq: 1, Cursor: 41, At: at}, {User: bob.Key, Group: g1.Key, Seq: 2, Cursor: 42, At: at}}))

	must(b.own.PutFeed(ctx, bridgedb.FeedEntry{Cursor: 40, Group: g1.Key, Seq: 1, At: at, Body: `{"msgID":"m"}`}))
	must(b.own.PutOutgoing(ctx, bridgedb.Outgoing{TxnID: "tim_2_7_2", Group: g2.Key, User: bob.Key, Seq: 7, RoomID: cloud, Content: `{"body":"hello"}`, SentAt: at, Due: at}))
	must(b.own.PutOutgoing(ctx, bridgedb.Outgoing{TxnID: "redact_$three", Group: g1.Key, User: ann.Key, RoomID: team, Redacts: "$three", SentAt: at, Due: at, Attempts: 3}))
	must(b.own.PutRelay(ctx, bridgedb.Relay{EventID: "$gap", Group: g2.Key, User: ann.Key, Pos: 1, Kind: bridgedb.RelaySend, Type: "m.room.message", Content: `{"body":"hi"}`, Parts: `[]`, Random: 99, Tried: true, At: at, Due: at}))
	must(b.own.PutJoin(ctx, bridgedb.Join{Group: g2.Key, User: ann.Key, Wanted: true, Due: at, Attempts: 1}))
	must(b.own.PutJoin(ctx, bridgedb.Join{Group: g2.Key, User: ben.Key, Wanted: true, Joined: true}))
	must(b.own.PutPause(ctx, bridgedb.Pause{Group: g2.Key, Code: receipts.CodeReceiptNotIncluded, Since: at, Until: at.Add(time.Hour)}))
	must(b.own.SetPrivate(ctx, bob.Key, true))
	must(b.own.PutRoomTask(ctx, bridgedb.RoomTask{RoomID: team, User: bob.Key, Due: at}))
	must(b.own.PutEarlyRedaction(ctx, team, "$early", at))
	for key, value := range map[string]string{
		bridgedb.KeySyncToken: "s72594_4483", bridgedb.KeyCursor: "42", bridgedb.KeyCursorFloor: "39", bridgedb.KeyWebhook: "1700000000000", caughtUpKey(g2.Key): "7",
	} {
		must(b.own.SetValue(ctx, key, value))
	}
	must(b.states.MarkRegistered(ctx, alice.MXID))
	must(b.states.SetMembership(ctx, team, alice.MXID, event.MembershipJoin))
}

// view is all that the stores say of a seeded database.
func view(t testing.TB, ctx context.Context, b *Bridge) (lines []string) {
	t.Helper()
	add := func(what string, value any, err error) {
		t.Helper()
		require.NoError(t, err, what)
		lines = append(lines, fmt.Sprintf("%s: %+v", what, value))
	}
	later := seedTime().Add(24 * time.Hour)
	groups, err := b.maps.Groups(ctx, "", 0)
	add("groups", groups, err)
	counts, err := b.maps.Counts(ctx)
	add("counts", counts, err)
	for _, g := range groups {
		members, err := b.maps.Members(ctx, g.Key)
		add("members", members, err)
		messages, err := b.maps.MessagesPage(ctx, g.Key, 0, 0)
		add("messages", messages, err)
		entries, err := b.maps.Entries(ctx, g.Key, 0, 0)
		add("entries", entries, err)
		rows, err := b.reads.AllReaders(ctx, g.Key)
		add("readers", rows, err)
		feed, err := b.own.Feed(ctx, g.Key, 0, 100)
		add("feed", feed, err)
		joins, err := b.own.JoinsOf(ctx, g.Key)
		add("joins", joins, err)
		pause, _, err := b.own.PauseOf(ctx, g.Key)
		add("pause", pause, err)
		value, err := b.own.Value(ctx, caughtUpKey(g.Key))
		add("caught up", value, err)
	}
	users, err := b.maps.UsersByKey(ctx, []mapping.UserKey{1, 2, 3, 4, 5, 6})
	add("users", users, err)
	places, err := b.maps.Places(ctx, []id.EventID{"$one", "$three", "$reaction", "$late", "$gap", "$FxpdtnR2qX2Gy3eAFbOZZFDT8-8NXYiq7JpyCFWmUNU"})
	add("places", places, err)
	parked, err := b.reads.ParkedOlder(ctx, later, 100)
	add("parked", parked, err)
	callbacks, err := b.reads.AllCallbacks(ctx, 0, 100)
	add("callbacks", callbacks, err)
	outgoing, err := b.own.DueOutgoing(ctx, later, 100)
	add("outgoing", outgoing, err)
	relays, err := b.own.DueRelays(ctx, later, 100)
	add("relays", relays, err)
	tasks, err := b.own.DueRoomTasks(ctx, later, 100)
	add("tasks", tasks, err)
	private, err := b.own.Private(ctx)
	add("private", private, err)
	early, err := b.own.EarlyRedactions(ctx, "!team:a.test", []id.EventID{"$early", "$one"})
	add("early", early, err)
	for _, key := range []string{bridgedb.KeySyncToken, bridgedb.KeyCursor, bridgedb.KeyCursorFloor, bridgedb.KeyWebhook} {
		value, err := b.own.Value(ctx, key)
		add(key, value, err)
	}
	registered, err := b.states.IsRegistered(ctx, "@tim_alice:a.test")
	add("registered", registered, err)
	membership, err := b.states.GetMembership(ctx, "!team:a.test", "@tim_alice:a.test")
	add("membership", membership, err)
	return lines
}
