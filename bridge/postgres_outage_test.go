package bridge

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/standby"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/internal/postgres"
	"github.com/timbridge/timbridge/receipts"
)

// These are the tests of a PostgreSQL server that goes away, or whose answers do: what was acknowledged is there, once, and what
// was not comes when it is tried again.

// serverHouse is a house on a server of its own, perhaps behind a proxy.
func serverHouse(t *testing.T, uri func(s *postgres.Server) string) (*house, *postgres.Server) {
	s := postgres.Own(t, postgres.Options{})
	_, err := s.Create(t.Context(), "house")
	require.NoError(t, err)
	h := newHouse(t, matrixtest.Synapse(), func(cfg *config.Config) {
		cfg.Database = config.Database{Type: config.DatabasePostgres, URI: config.Secret(uri(s)), MaxOpenConns: 8, MaxIdleConns: 8}
	})
	return h, s
}

func TestServerRestartsWhileReceiptsCome(t *testing.T) {
	t.Parallel()
	h, s := serverHouse(t, func(s *postgres.Server) string { return s.URI("house") })
	h.room("team", h.hs.User("ann"), "alice", "bob")
	alice, bob := h.client("alice"), h.client("bob")
	var acknowledged []string
	const rounds = 4
	for round := range rounds {
		var mu sync.Mutex
		var group sync.WaitGroup
		stop := make(chan struct{})
		for worker := range 3 {
			group.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					random := uint32(1 + round*1_000_000 + worker*100_000 + n)
					msg := v2tim.OutgoingMessage{GroupID: "team", Text: fmt.Sprint(random), NeedReadReceipt: true, Random: random, HasRandom: true}
					sent, err := alice.SendMessage(h.ctx, msg)
					if err == nil && n%3 == 0 {
						err = bob.SendMessageReadReceipts(h.ctx, sent.MsgID)
					}
					if err == nil && n%3 == 0 {
						mu.Lock()
						acknowledged = append(acknowledged, sent.MsgID)
						mu.Unlock()
					}
				}
			})
		}
		enough := func() bool { mu.Lock(); defer mu.Unlock(); return len(acknowledged) > 5*(round+1) }
		h.wait("some get through", enough)
		require.NoError(t, s.Shut([]syscall.Signal{syscall.SIGINT, syscall.SIGQUIT}[round%2]))
		_, err := alice.SendText(h.ctx, "team", "refused")
		requireCode(t, receipts.CodeGroupInternalError, err)
		require.NoError(t, s.Run(h.ctx))
		h.wait("some get through again", func() bool { return bob.SendMessageReadReceipts(h.ctx, acknowledged[0]) == nil })
		close(stop)
		group.Wait()
	}
	h.wait("nothing is left to do", func() bool {
		n, err := h.b.reads.Pending(h.ctx, time.Now().Add(time.Minute))
		return err == nil && n == 0
	})
	row := h.row("team", "bob")
	stored, err := h.b.maps.MessagesByMsgID(h.ctx, acknowledged)
	require.NoError(t, err)
	require.Len(t, stored, len(acknowledged))
	for _, m := range stored {
		require.True(t, row.Read.Contains(m.Seq), "what was acknowledged is there")
	}
	h.settled()
}

// proxiedHouse is a house whose database is behind a proxy.
func proxiedHouse(t *testing.T) (h *house, proxy *postgres.Proxy) {
	t.Helper()
	h, _ = serverHouse(t, func(s *postgres.Server) string {
		var folder string
		proxy, folder = postgres.NewProxy(t, s)
		return s.URIAt("house", folder)
	})
	return h, proxy
}

func TestLostAnswerToACommit(t *testing.T) {
	t.Parallel()
	h, proxy := proxiedHouse(t)
	ann := h.hs.User("ann")
	h.room("team", ann, "alice", "bob")
	h.settled()
	alice := h.client("alice")
	set := func(value string) error {
		return h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error {
			n, err := h.b.own.Value(ctx, "n")
			if err != nil {
				return err
			}
			return h.b.own.SetValue(ctx, "n", n+value)
		})
	}
	value := func() string {
		n, err := h.b.own.Value(h.ctx, "n")
		require.NoError(t, err)
		return n
	}
	proxy.CutNext(postgres.CutAfter)
	require.NoError(t, set("a"), "it went through, and that is found out")
	require.Equal(t, "a", value())
	proxy.CutNext(postgres.CutBefore)
	require.Error(t, set("b"), "it did not")
	require.Equal(t, "a", value())
	require.NoError(t, set("c"))
	require.Equal(t, "ac", value())

	// Many in one batch: it is not done again, neither as a whole nor one by one.
	gate, held := make(chan struct{}), make(chan struct{})
	go func() {
		_ = h.b.commits.do(h.ctx, func(context.Context, *session) error { close(held); <-gate; return nil })
	}()
	<-held
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() { require.NoError(t, set("d")) })
	}
	h.wait("all queued", func() bool { return len(h.b.commits.queue) >= 5 })
	proxy.CutNext(postgres.CutNever)
	close(gate)
	h.wait("the gate is through", func() bool { return len(h.b.commits.queue) < 5 })
	proxy.CutNext(postgres.CutAfter)
	group.Wait()
	require.Equal(t, "acddddd", value())
	proxy.CutNext(postgres.CutNever)

	// As long as nobody can tell, nobody is told that it is done; and nothing is written before it is known.
	h.b.commits.fence.patience = 50 * time.Millisecond
	for _, cut := range []postgres.Cut{postgres.CutAfter, postgres.CutBefore} {
		before := value()
		inside := make(chan struct{})
		err := h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error {
			proxy.CutNext(cut)
			go func() { <-inside; proxy.Refuse(true) }()
			n, err := h.b.own.Value(ctx, "n")
			if err == nil {
				err = h.b.own.SetValue(ctx, "n", n+"e")
			}
			close(inside)
			return err
		})
		require.Error(t, err)
		_, err = alice.SendText(h.ctx, "team", "refused")
		requireCode(t, receipts.CodeGroupInternalError, err)
		proxy.Refuse(false)
		h.wait("it recovers", func() bool { return set("f") == nil })
		require.Contains(t, []string{before + "f", before + "ef"}, value())
	}
	_, err := alice.SendText(h.ctx, "team", "taken")
	require.NoError(t, err)
	h.settled()
}

// TestAnotherTimbridgeTakesOver: the lock is lost, another one starts and writes; ours must write no more, whatever its connections.
func TestAnotherTimbridgeTakesOver(t *testing.T) {
	t.Parallel()
	cfg := config.Database{Type: config.DatabasePostgres, URI: config.Secret(server.Database(t)), MaxOpenConns: 8, MaxIdleConns: 8}
	h := newHouse(t, matrixtest.Synapse(), func(c *config.Config) { c.Database = cfg })
	h.spoilt = true
	h.room("team", h.hs.User("ann"), "alice")
	h.settled()
	ended := make(chan error, 1)
	h.cfg.AppService.Port, h.cfg.V2TIM.Port = 0, 0
	go func() { ended <- h.b.listen(h.ctx) }()
	admin, err := pgx.Connect(h.ctx, string(cfg.URI))
	require.NoError(t, err)
	_, err = admin.Exec(h.ctx, "UPDATE tim_state SET value = 'another 1' WHERE key = 'commit'")
	require.NoError(t, err)
	require.NoError(t, admin.Close(h.ctx))
	write := func() error {
		return h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error { return h.b.own.SetValue(ctx, "x", "y") })
	}
	require.ErrorIs(t, write(), errTakenOver)
	require.ErrorIs(t, write(), errTakenOver)
	require.ErrorIs(t, <-ended, errTakenOver)
	value, err := h.b.own.Value(h.ctx, "x")
	require.NoError(t, err)
	require.Empty(t, value)
}

// TestAReplacedLeaderStepsDownAtOnce: one that hears that another leads does not go on trying to write down what it has done: until it
// stands by it answers nobody. (Found by the fault harness, seed 313 of replicas.)
func TestAReplacedLeaderStepsDownAtOnce(t *testing.T) {
	t.Parallel()
	h, proxy := proxiedHouse(t)
	h.settled()
	h.spoilt = true
	ctx, replace := context.WithCancelCause(h.ctx)
	ended := make(chan error, 1)
	h.cfg.AppService.Port, h.cfg.V2TIM.Port = 0, 0
	go func() { ended <- h.b.listen(ctx) }()
	proxy.Refuse(true)
	tried := make(chan struct{}, recordTries)
	recorded := make(chan error, 1)
	go func() {
		err := h.b.commits.do(h.ctx, func(context.Context, *session) error { return nil })
		require.Error(t, err)
		tried <- struct{}{}
		recorded <- h.b.commits.record(h.ctx, func(context.Context, *session) error { return nil })
	}()
	<-tried
	replace(standby.ErrReplaced)
	require.ErrorIs(t, <-recorded, errTakenOver)
	require.NoError(t, <-ended)
	proxy.Refuse(false)
}

// TestConflictedTransactionsAreBegunAgain: what another writes in between is seen at the second try.
func TestConflictedTransactionsAreBegunAgain(t *testing.T) {
	t.Parallel()
	cfg := config.Database{Type: config.DatabasePostgres, URI: config.Secret(server.Database(t)), MaxOpenConns: 8, MaxIdleConns: 8}
	h := newHouse(t, matrixtest.Synapse(), func(c *config.Config) { c.Database = cfg })
	require.NoError(t, h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error { return h.b.own.SetValue(ctx, "n", "1") }))
	admin, err := pgx.Connect(h.ctx, string(cfg.URI))
	require.NoError(t, err)
	tries := 0
	err = h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error {
		tries++
		n, err := h.b.own.Value(ctx, "n")
		if err == nil && tries == 1 {
			_, err = admin.Exec(ctx, "UPDATE tim_state SET value = '2' WHERE key = 'n'")
		}
		if err != nil {
			return err
		}
		return h.b.own.SetValue(ctx, "n", n+"x")
	})
	require.NoError(t, err)
	require.Equal(t, 2, tries)
	value, err := h.b.own.Value(h.ctx, "n")
	require.NoError(t, err)
	require.Equal(t, "2x", value)
	require.NoError(t, admin.Close(h.ctx))
}
