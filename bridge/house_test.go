package bridge

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/database"
	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/bridge/v2tim/v2timtest"
	"github.com/timbridge/timbridge/internal/postgres"
	"github.com/timbridge/timbridge/mapping"
)

// server is the PostgreSQL of these tests.
var server postgres.Lazy

func TestMain(m *testing.M) { os.Exit(server.Main(m)) }

// house is a whole bridge between a fake homeserver and V2TIM clients, in one process.
type house struct {
	t     testing.TB
	ctx   context.Context
	cfg   *config.Config
	hs    *matrixtest.Server
	mx    *httptest.Server // the application service API; survives restarts of the bridge
	tim   *httptest.Server // the V2TIM API, likewise
	db    *dbutil.Database
	asked *statements
	b     *Bridge
	now   atomic.Pointer[Bridge] // the same, for the handlers
	root  *v2timtest.Client      // an administrator
	// spoilt: the test damages the database itself, so that it need not hold together at the end.
	spoilt bool
	logTo  io.Writer // where everything is logged to from the next start on; nil: warnings to the test
}

// statements counts what the database is asked, and what of it has failed.
type statements struct {
	dbutil.DatabaseLogger
	n, failed atomic.Int64
}

func (c *statements) QueryTiming(ctx context.Context, method, query string, args []any, nrows int, took time.Duration, err error) {
	c.n.Add(1)
	if err != nil {
		c.failed.Add(1)
	}
	c.DatabaseLogger.QueryTiming(ctx, method, query, args, nrows, took, err)
}

// What the houses have that nobody else may see; long and odd, so that it can be looked for.
const (
	testAppID     = 1400000001
	testSecretKey = "zQ1-secret-key-of-the-app"
	testASToken   = "zQ2-as-token"
	testHSToken   = "zQ3-hs-token"
)

func newHouse(t testing.TB, opts matrixtest.Options, change ...func(*config.Config)) *house {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	h := &house{t: t, ctx: ctx, hs: matrixtest.New(t, opts)}
	t.Cleanup(cancel)
	cfg, err := config.Default()
	require.NoError(t, err)
	cfg.Homeserver.Address, cfg.Homeserver.Domain = h.hs.URL(), h.hs.Name()
	cfg.AppService.ASToken, cfg.AppService.HSToken = testASToken, testHSToken
	cfg.Database = houseDatabase(t)
	cfg.Tencent.SDKAppID, cfg.Tencent.SecretKey, cfg.Tencent.Admins = testAppID, testSecretKey, []string{"administrator"}
	cfg.V2TIM.RateLimit.PerSecond = 0
	cfg.Bridge.MappingWait = 100 * time.Millisecond
	cfg.DoublePuppet.Secrets = map[string]config.Secret{h.hs.Name(): "as_token:puppet-token"}
	for _, fn := range change {
		fn(cfg)
	}
	h.cfg = cfg
	h.mx = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.now.Load().MatrixHandler().ServeHTTP(w, r) }))
	h.tim = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.now.Load().V2TIMHandler().ServeHTTP(w, r) }))
	registration, err := Registration(cfg)
	require.NoError(t, err)
	puppet, err := matrix.NewDoublePuppetRegistration("puppet", h.hs.Name(), "puppet-token")
	require.NoError(t, err)
	h.start()
	registration.URL = h.mx.URL
	h.hs.AddAppService(registration)
	h.hs.AddAppService(puppet)
	h.root = h.client("administrator")
	t.Cleanup(func() {
		h.hs.Close()
		h.stop()
		h.mx.Close()
		h.tim.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return h
}

func (h *house) start() {
	var err error
	log := zerolog.New(zerolog.NewTestWriter(h.t)).Level(zerolog.WarnLevel)
	if h.logTo != nil {
		log = zerolog.New(h.logTo)
	}
	h.db, err = database.Open(log.WithContext(h.ctx), h.cfg.Database)
	require.NoError(h.t, err)
	h.asked = &statements{DatabaseLogger: h.db.Log} // before anything reads Log: a long transaction does so from a goroutine of its own
	h.db.Log = h.asked
	h.b, err = New(h.cfg, h.db, log)
	require.NoError(h.t, err)
	require.NoError(h.t, h.b.Start(h.ctx))
	h.now.Store(h.b)
}

func (h *house) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	require.NoError(h.t, h.b.Stop(ctx))
	h.sound()
	require.NoError(h.t, h.db.Close())
}

// restart stops the bridge, does what is to happen meanwhile, and starts it anew on the same database.
func (h *house) restart(meanwhile func()) {
	h.stop()
	if meanwhile != nil {
		meanwhile()
	}
	h.start()
}

// stopAndChange stops the bridge, changes its database as another program would, and starts it anew.
func (h *house) stopAndChange(change func()) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	require.NoError(h.t, h.b.Stop(ctx))
	change()
	require.NoError(h.t, h.db.Close())
	h.start()
}

func (h *house) client(user string) *v2timtest.Client {
	c, err := v2timtest.New(h.tim.URL, testAppID, testSecretKey, user)
	require.NoError(h.t, err)
	return c
}

func (h *house) listen(c *v2timtest.Client) *v2timtest.Listener {
	l, err := c.Listen(h.ctx, "")
	require.NoError(h.t, err)
	h.t.Cleanup(l.Close)
	return l
}

func (h *house) ghost(user string) id.UserID {
	return mapping.GhostMXID(h.cfg.AppService.GhostPrefix(), user, h.hs.Name())
}

// room makes a public room of owner's, maps group to it with the Tencent members, and waits until their ghosts are in.
func (h *house) room(group string, owner *matrixtest.User, members ...string) id.RoomID {
	room := owner.CreateRoom(matrixtest.RoomOptions{Public: true})
	h.mapGroup(group, room, "", members...)
	return room
}

func (h *house) mapGroup(group string, room id.RoomID, source string, members ...string) {
	h.t.Helper()
	_, err := h.root.MapGroup(h.ctx, v2tim.MapGroupRequest{GroupId: group, RoomId: room.String(), SeqSource: source, MemberList: v2timtest.Accounts(members...)})
	require.NoError(h.t, err)
	for _, m := range members {
		ghost := h.ghost(m)
		h.hs.WaitFor(m+" in "+group, func() bool { return h.hs.Membership(room, ghost) == "join" })
	}
}

// join makes a user join and waits until the bridge knows it.
func (h *house) join(u *matrixtest.User, room id.RoomID) {
	h.t.Helper()
	u.Join(room)
	h.hs.WaitPushed()
}

// messages waits until the group has at least n messages with events and returns them, oldest first.
func (h *house) messages(group string, n int) []v2tim.GroupMessage {
	h.t.Helper()
	var list []v2tim.GroupMessage
	h.wait("messages of "+group, func() bool {
		resp, err := h.root.GetGroupMessages(h.ctx, v2tim.GetGroupMessagesRequest{GroupId: group, ReqMsgNumber: 100})
		require.NoError(h.t, err)
		list = list[:0]
		for i := len(resp.RspMsgList) - 1; i >= 0; i-- {
			if resp.RspMsgList[i].EventId != "" {
				list = append(list, resp.RspMsgList[i])
			}
		}
		return len(list) >= n
	})
	return list
}

// message waits for the message of an event.
func (h *house) message(group string, event id.EventID) (m v2tim.GroupMessage) {
	h.t.Helper()
	h.wait("message of event "+event.String(), func() bool {
		for _, m = range h.messages(group, 0) {
			if m.EventId == event.String() {
				return true
			}
		}
		return false
	})
	return m
}

// event waits for the event of a message sent through the API.
func (h *house) event(group string, msgID string) (event id.EventID) {
	h.t.Helper()
	h.wait("event of message "+msgID, func() bool {
		for _, m := range h.messages(group, 0) {
			if m.MsgId == msgID {
				event = id.EventID(m.EventId)
				return true
			}
		}
		return false
	})
	return event
}

func (h *house) wait(what string, cond func() bool) {
	h.t.Helper()
	require.Eventually(h.t, cond, 15*time.Second, 5*time.Millisecond, what)
}

// waitCounts waits until the sender sees the counts of a message.
func (h *house) waitCounts(c *v2timtest.Client, msgID string, read, unread uint64) {
	h.t.Helper()
	var last []v2tim.MessageReceipt
	h.t.Cleanup(func() {
		if h.t.Failed() {
			h.t.Logf("last counts of %s: %+v, wanted %d/%d", msgID, last, read, unread)
		}
	})
	h.wait("counts of "+msgID, func() bool {
		var err error
		last, err = c.GetMessageReadReceipts(h.ctx, msgID)
		require.NoError(h.t, err)
		return last[0].ReadCount == read && last[0].UnreadCount == unread
	})
}

// counts are the counts of a message as they are now.
func (h *house) counts(c *v2timtest.Client, msgID string) [2]uint64 {
	h.t.Helper()
	list, err := c.GetMessageReadReceipts(h.ctx, msgID)
	require.NoError(h.t, err)
	require.Len(h.t, list, 1)
	return [2]uint64{list[0].ReadCount, list[0].UnreadCount}
}

// settled waits until nothing is on its way to Matrix.
func (h *house) settled() {
	h.t.Helper()
	h.hs.WaitPushed()
	h.wait("all work done", func() bool {
		n, err := h.b.pending(h.ctx)
		require.NoError(h.t, err)
		return n == 0
	})
}

// timeline finds an event as the room shows it now.
func (h *house) timeline(room id.RoomID, event id.EventID) matrixtest.Event {
	h.t.Helper()
	for _, ev := range h.hs.Timeline(room) {
		if ev.ID == event {
			return ev
		}
	}
	require.Fail(h.t, "no such event in the room", event)
	return matrixtest.Event{}
}

func body(ev matrixtest.Event) string {
	var content struct {
		Body string `json:"body"`
	}
	_ = json.Unmarshal(ev.Content, &content)
	return content.Body
}

func testDatabase(path string) config.Database {
	return config.Database{Type: config.DatabaseSQLite, URI: config.Secret(path), MaxOpenConns: 8, MaxIdleConns: 8}
}
