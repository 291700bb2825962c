package matrix

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

func TestSyncFindsOutThatReceiptsArePushed(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	room, alice := b.room(t)
	event := alice.Send(room, "one")
	b.startSync(t)
	require.Equal(t, PushUnknown, b.PushState())
	b.hs.WaitFor("the first sync", func() bool { return b.intake.hasToken() })
	alice.SendReceipt(room, event)
	b.hs.WaitFor("the receipt on both ways", func() bool {
		return b.intake.hasPushed(alice.ID, event) && b.intake.hasSynced(alice.ID, event)
	})
	b.hs.WaitFor("pushes to be known", func() bool { return b.PushState() == PushYes })
	// Now it reads at intervals, and goes on to find what was not pushed.
	second := alice.Send(room, "two")
	b.hs.WaitPushed()
	b.hs.FailTransactions(1)
	alice.SendReceipt(room, second)
	b.hs.WaitFor("the lost receipt", func() bool { return b.intake.hasSynced(alice.ID, second) })
	require.False(t, b.intake.hasPushed(alice.ID, second), "its transaction failed, and Synapse does not send it again")
	require.Equal(t, 1, strings.Count(b.log.String(), "The homeserver pushes receipts"), "logged once")
}

func TestSyncFindsOutThatReceiptsAreNotPushed(t *testing.T) {
	b := newBench(t, matrixtest.Dendrite())
	room, alice := b.room(t)
	b.startSync(t)
	b.hs.WaitFor("the first sync", func() bool { return b.intake.hasToken() })
	for range 3 {
		event := alice.Send(room, "text")
		alice.SendReceipt(room, event)
		b.hs.WaitFor("the receipt", func() bool { return b.intake.hasSynced(alice.ID, event) })
	}
	b.hs.WaitFor("no pushes to be known", func() bool { return b.PushState() == PushNo })
	require.Equal(t, 1, strings.Count(b.log.String(), "does not push receipts"), "logged once")
}

func (r *recorder) hasToken() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.token != ""
}

func TestSyncCarriesThreadsAndNothingPrivate(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	room, alice := b.room(t)
	bob := b.hs.User("bob")
	alice.Invite(room, bob.ID)
	bob.Join(room)
	root := alice.Send(room, "root")
	reply := alice.SendThread(room, root, "reply")
	b.startSync(t)
	b.hs.WaitFor("the first sync", func() bool { return b.intake.hasToken() })
	bob.SendReceipt(room, reply, matrixtest.ReceiptOptions{Private: true})
	bob.SendReceipt(room, reply, matrixtest.ReceiptOptions{Thread: string(root)})
	bob.SendReceipt(room, root, matrixtest.ReceiptOptions{Thread: "main"})
	b.hs.WaitFor("the receipts", func() bool {
		return b.intake.hasSynced(bob.ID, reply) && b.intake.hasSynced(bob.ID, root) && b.intake.hasPushed(bob.ID, root)
	})
	b.hs.WaitPushed()
	b.intake.mu.Lock()
	defer b.intake.mu.Unlock()
	for _, got := range b.intake.synced {
		require.True(t, got.HasThread, "the private receipt was unthreaded: %v", got)
		require.Equal(t, got.ThreadID == "main", got.EventID == root)
	}
	require.Len(t, b.intake.pushed, 2, "one per public receipt")
	for _, got := range b.intake.pushed {
		require.False(t, got.HasThread, "Synapse strips it on this way")
	}
}

func TestSyncGoesOnFromItsToken(t *testing.T) {
	b := newBench(t, matrixtest.Dendrite())
	room, alice := b.room(t)
	stop := b.startSync(t)
	first := alice.Send(room, "one")
	alice.SendReceipt(room, first)
	b.hs.WaitFor("the receipt", func() bool { return b.intake.hasSynced(alice.ID, first) })
	stop()
	bob := b.hs.User("bob")
	alice.Invite(room, bob.ID)
	bob.Join(room)
	bob.SendReceipt(room, first) // while we are away
	_, before := b.intake.count()
	b.startSync(t)
	b.hs.WaitFor("what was missed", func() bool { return b.intake.hasSynced(bob.ID, first) })
	b.intake.mu.Lock()
	defer b.intake.mu.Unlock()
	require.False(t, slices.ContainsFunc(b.intake.synced[before:], func(r Receipt) bool { return r.UserID == alice.ID }),
		"what had been committed does not come again")
}

func TestSyncCommitsTokenAndReceiptsTogether(t *testing.T) {
	b := newBench(t, matrixtest.Dendrite())
	room, alice := b.room(t)
	b.startSync(t)
	b.hs.WaitFor("the first sync", func() bool { return b.intake.hasToken() })
	failures := make(chan struct{}, 100)
	b.intake.setBefore(func(call string) error {
		if call == "sync" && len(failures) < 3 {
			failures <- struct{}{}
			if len(failures) == 2 {
				panic("odd receipt")
			}
			return errDisk
		}
		return nil
	})
	event := alice.Send(room, "one")
	alice.SendReceipt(room, event)
	b.hs.WaitFor("the receipt in spite of failures", func() bool { return b.intake.hasSynced(alice.ID, event) })
	require.Equal(t, 1, strings.Count(b.log.String(), "Failed to take receipts of /sync"), "logged once")
	require.Contains(t, b.log.String(), "Reading /sync works again")
}

func TestSyncSurvives(t *testing.T) {
	for name, tc := range map[string]struct {
		trouble func(*bench)
		log     string
	}{
		"unknown token":  {func(b *bench) { b.hs.FailRequests(matrixtest.Path("/sync"), 4, 401, "M_UNKNOWN_TOKEN", 0) }, "install the registration"},
		"forbidden":      {func(b *bench) { b.hs.FailRequests(matrixtest.Path("/sync"), 4, 403, "M_FORBIDDEN", 0) }, "bot's namespace"},
		"server error":   {func(b *bench) { b.hs.FailRequests(matrixtest.Path("/sync"), 4, 500, "M_UNKNOWN", 0) }, "fails at /sync"},
		"proxy":          {func(b *bench) { b.hs.FailRequests(matrixtest.Path("/sync"), 4, 502, "", 0) }, "fails at /sync"},
		"invalid JSON":   {func(b *bench) { b.hs.FailRequests(matrixtest.Path("/sync"), 4, 200, "", 0) }, "Cannot read /sync"},
		"no connection":  {func(b *bench) { b.hs.FailRequests(matrixtest.Path("/sync"), 4, 0, "", 0) }, "Cannot read /sync"},
		"a proxy's 404":  {func(b *bench) { b.hs.FailRequests(matrixtest.Path("/sync"), 4, 404, "", 0) }, "refuses /sync"},
		"restart":        {func(b *bench) { b.hs.Restart() }, ""},
		"token unknown":  {func(b *bench) { b.hs.ForgetSyncTokens() }, "refused the sync token"},
		"always refused": {func(b *bench) { b.hs.FailRequests(matrixtest.Path("/sync"), 4, 400, "M_INVALID_PARAM", 0) }, "refuses /sync"},
		"outage": {func(b *bench) {
			b.hs.SetOutage(true)
			b.hs.WaitFor("the outage to be seen", func() bool { return strings.Contains(b.log.String(), "Cannot read /sync") })
			b.hs.SetOutage(false)
		}, "Cannot read /sync"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, matrixtest.Dendrite())
			room, alice := b.room(t)
			b.startSync(t)
			b.hs.WaitFor("the first sync", func() bool { return b.intake.hasToken() })
			event := alice.Send(room, "one")
			tc.trouble(b)
			alice.SendReceipt(room, event)
			b.hs.WaitFor("the receipt", func() bool { return b.intake.hasSynced(alice.ID, event) })
			if tc.log != "" { // a restart may fall between two requests
				b.hs.WaitFor("the log", func() bool { return strings.Contains(b.log.String(), tc.log) })
				require.Equal(t, 1, strings.Count(b.log.String(), tc.log), "logged once")
			}
			require.NotContains(t, b.log.String(), b.reg.AppToken)
		})
	}
}

// TestSyncRegistersAForgottenBot: a homeserver set up anew does not know the bot that the state store has.
func TestSyncRegistersAForgottenBot(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	require.NoError(t, b.store.MarkRegistered(context.Background(), b.BotMXID()))
	b.startSync(t)
	b.hs.WaitFor("the first sync", func() bool { return b.intake.hasToken() })
}

func TestSyncRunsOnce(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	b.room(t)
	b.startSync(t)
	b.hs.WaitFor("the first sync", func() bool { return b.intake.hasToken() })
	require.ErrorIs(t, b.Sync(context.Background()), errSyncRuns)
}

func TestSyncNow(t *testing.T) {
	b := newBench(t, matrixtest.Synapse(), func(c *Config) { c.SyncInterval = time.Hour })
	room, alice := b.room(t)
	event := alice.Send(room, "one")
	b.hs.WaitPushed()
	alice.SendReceipt(room, event)
	b.hs.WaitFor("a push", func() bool { return b.PushState() == PushYes })
	b.startSync(t)
	b.hs.WaitFor("the first sync", func() bool { return b.intake.hasSynced(alice.ID, event) })
	second := alice.Send(room, "two")
	b.hs.WaitPushed()
	// A transaction that cannot be stored makes the loop look for its receipts at once.
	b.intake.setBefore(func(call string) error {
		if call == "transaction" {
			return errDisk
		}
		return nil
	})
	alice.SendReceipt(room, second)
	b.hs.WaitFor("the receipt by /sync, long before the interval", func() bool { return b.intake.hasSynced(alice.ID, second) })
	b.intake.setBefore(nil)
	b.hs.WaitPushed()
}

// TestSyncAsksForReceiptsAlone: nothing else of busy rooms is transferred.
func TestSyncAsksForReceiptsAlone(t *testing.T) {
	b := newBench(t, matrixtest.Dendrite())
	room, alice := b.room(t)
	event := alice.Send(room, "secret text")
	alice.SendReceipt(room, event)
	loop := syncLoop{AppService: b.AppService}
	resp, err := loop.readSync(context.Background(), 0)
	require.NoError(t, err)
	require.Equal(t, []Receipt{{RoomID: room, EventID: event, UserID: alice.ID}}, resp.receipts)
}

func TestPushWatch(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	r := func(user string) []Receipt {
		return []Receipt{{RoomID: "!r:x", UserID: id.UserID(user), EventID: "$e"}}
	}
	fresh := func() pushWatch { return newPushWatch(100*time.Millisecond, time.Second) }

	w := fresh()
	require.False(t, w.settle(at(0)))
	require.False(t, w.sawPush(nil, at(0)))
	require.Equal(t, PushUnknown, w.current())

	w.sawSync(r("@a:x"), at(0))
	require.True(t, w.undecided())
	require.False(t, w.settle(at(99)), "within the grace")
	require.True(t, w.sawPush(r("@a:x"), at(99)), "first push")
	require.False(t, w.settle(at(500)))
	require.Equal(t, PushYes, w.current())
	require.False(t, w.sawPush(r("@b:x"), at(500)))
	w.sawSync(r("@b:x"), at(600))
	require.False(t, w.undecided(), "it had been pushed")

	w.sawSync(r("@c:x"), at(700))
	require.True(t, w.settle(at(800)))
	require.Equal(t, PushNo, w.current())
	require.False(t, w.settle(at(900)))
	w.sawSync(r("@d:x"), at(900))
	require.False(t, w.settle(at(2000)), "said once")
	require.True(t, w.sawPush(r("@d:x"), at(2000)), "and back")

	// What was pushed too long ago proves nothing.
	w = fresh()
	w.sawPush(r("@a:x"), at(0))
	w.sawSync(r("@a:x"), at(1500))
	require.True(t, w.settle(at(1700)))

	// More pushes than are remembered are no proof of the contrary.
	w = fresh()
	for i := range maxPushed + 1 {
		w.sawPush([]Receipt{{UserID: "@a:x", EventID: id.EventID(strings.Repeat("$", i%7+1) + time.Duration(i).String())}}, at(0))
	}
	require.LessOrEqual(t, len(w.pushed), maxPushed)
	w.sawSync(r("@z:x"), at(1))
	require.False(t, w.settle(at(500)))
	require.Equal(t, PushYes, w.current())
}
