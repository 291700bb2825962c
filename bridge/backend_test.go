package bridge

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/v2tim"
)

// appBackend is an app's backend that is told of readers. It refuses the first posts.
type appBackend struct {
	mu     sync.Mutex
	refuse int
	posts  []v2tim.CallbackAfterReadReceipt
	query  []map[string][]string
}

func (a *appBackend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	var post v2tim.CallbackAfterReadReceipt
	if a.refuse > 0 || json.Unmarshal(body, &post) != nil {
		a.refuse--
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	a.posts, a.query = append(a.posts, post), append(a.query, r.URL.Query())
	_, _ = io.WriteString(w, `{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":""}`)
}

func TestBackendIsToldOfReaders(t *testing.T) {
	t.Parallel()
	app := &appBackend{refuse: 1}
	server := httptest.NewServer(app)
	defer server.Close()
	h := newHouse(t, matrixtest.Synapse(), func(cfg *config.Config) {
		cfg.V2TIM.CallbackURL, cfg.V2TIM.CallbackToken = server.URL+"/hook", "hook-token"
	})
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice", "bob")
	alice := h.client("alice")
	sent, err := alice.SendText(h.ctx, "team", "hello")
	require.NoError(t, err)
	ann.SendReceipt(room, h.event("team", sent.MsgID))
	h.waitCounts(alice, sent.MsgID, 1, 1)
	told := func(readers int) func() bool {
		return func() bool {
			app.mu.Lock()
			defer app.mu.Unlock()
			for _, post := range app.posts {
				for _, item := range post.GroupMsgReceiptList {
					if post.GroupId == "team" && item.MsgSeq == sent.Seq && len(item.ReadReceiptMembers) == readers && item.ReadNum == uint64(readers) {
						return true
					}
				}
			}
			return false
		}
	}
	h.wait("first reader posted, after a refusal", told(1))
	require.NoError(t, h.client("bob").SendMessageReadReceipts(h.ctx, sent.MsgID))
	h.restart(nil)
	h.wait("second reader posted, over a restart", told(2))
	app.mu.Lock()
	defer app.mu.Unlock()
	require.Equal(t, []string{"Group.CallbackAfterReadReceipt"}, app.query[0]["CallbackCommand"])
	require.Len(t, app.query[0]["Sign"], 1)
}
