package bridge

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// TestAFullDiskIsNoReasonToHammerTheHomeserver: what was done but could not be written down is not done again at once, for ever.
func TestAFullDiskIsNoReasonToHammerTheHomeserver(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	h.room("team", h.hs.User("ann"), "alice")
	h.settled()
	h.sqliteOnly()
	for _, table := range []string{"tim_outbox", "tim_room_task"} {
		for _, action := range []string{"DELETE", "UPDATE"} {
			_, err := h.db.Exec(h.ctx, fmt.Sprintf("CREATE TRIGGER full_%s_%s BEFORE %s ON %s BEGIN SELECT RAISE(ABORT, 'disk full'); END", table, action, action, table))
			require.NoError(t, err)
		}
	}
	h.hs.FailTransactions(1_000_000)
	_, err := h.client("alice").SendText(h.ctx, "team", "hello")
	require.NoError(t, err)
	_, err = h.root.AddGroupMember(h.ctx, "team", "bob")
	require.NoError(t, err)
	sending := matrixtest.Path("/send/")
	h.wait("a try", func() bool { return len(h.hs.Requests(sending)) > 0 })
	time.Sleep(500 * time.Millisecond) // that nothing more happens can only be seen by waiting
	require.LessOrEqual(t, len(h.hs.Requests(sending)), 2)
	h.hs.StopFailing()
}

// TestALookAtARoomIsNotLost: who asks while one is under way gets another afterwards.
func TestALookAtARoomIsNotLost(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	began, finish := make(chan struct{}, 10), make(chan struct{})
	fn := func(ctx context.Context) error {
		began <- struct{}{}
		select {
		case <-finish:
		case <-ctx.Done():
		}
		return nil
	}
	h.b.background("look", fn)
	<-began
	h.b.background("look", fn)
	h.b.background("look", fn)
	finish <- struct{}{}
	select {
	case <-began:
	case <-time.After(5 * time.Second):
		require.Fail(t, "no second look")
	}
	finish <- struct{}{}
	h.wait("the end", func() bool { h.b.mu.Lock(); defer h.b.mu.Unlock(); return len(h.b.running) == 0 })
	require.Empty(t, began, "one for all who asked meanwhile")
}

// TestSyncDoesNotWaitForManyRooms: receipts are read while the bridge still looks who is where.
func TestSyncDoesNotWaitForManyRooms(t *testing.T) {
	t.Parallel()
	var hangs atomic.Bool
	h := newHouse(t, matrixtest.Dendrite(), func(cfg *config.Config) {
		target, err := url.Parse(cfg.Homeserver.Address)
		require.NoError(t, err)
		proxy := httputil.NewSingleHostReverseProxy(target)
		proxy.ErrorLog = log.New(io.Discard, "", 0)
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if hangs.Load() && strings.HasSuffix(r.URL.Path, "/joined_members") {
				<-r.Context().Done()
				return
			}
			proxy.ServeHTTP(w, r)
		}))
		t.Cleanup(front.Close)
		cfg.Homeserver.Address = front.URL
	})
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	sent, err := h.client("alice").SendText(h.ctx, "team", "hello")
	require.NoError(t, err)
	event := h.event("team", sent.MsgID)
	h.settled()
	h.restart(func() {
		ann.SendReceipt(room, event)
		hangs.Store(true)
	})
	h.waitCounts(h.client("alice"), sent.MsgID, 1, 0)
}

// TestFailuresAreNoEvidence: that a marker could not be sent for a while does not make its first 200 a proof that it is shown.
func TestFailuresAreNoEvidence(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	ben := h.hs.User("ben")
	room := h.room("team", ann, "alice")
	h.join(ben, room)
	m := h.message("team", ben.Send(room, "hello"))
	h.settled()
	h.hs.FailTransactions(1_000_000)
	var refused atomic.Int64
	h.hs.FailRequests(func(method, path string, user id.UserID) bool {
		sync := matrixtest.Path("/sync")(method, path, user)
		if sync {
			refused.Add(1)
		}
		return sync
	}, 1_000_000, 502, "", 0)
	ann.SendReceipt(room, id.EventID(m.EventId)) // ends the request to /sync that may be open already
	h.wait("the last of /sync", func() bool { h.b.hs.SyncNow(); return refused.Load() > 0 })
	h.hs.FailRequests(matrixtest.Path("/receipt/"), 2, 502, "", 0)
	require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, m.MsgId))
	ann.WaitReceipt(room, h.ghost("alice"), id.EventID(m.EventId))
	var row receiptsdb.Row
	h.wait("the answer written down", func() bool {
		rows, err := h.b.reads.Due(h.ctx, h.b.clock().Add(time.Hour), 10)
		require.NoError(t, err)
		if len(rows) != 1 || rows[0].Attempts != 1 {
			return false
		}
		row = rows[0]
		return true
	})
	require.Zero(t, row.Shown)
	h.hs.StopFailing()
	h.settled()
}
