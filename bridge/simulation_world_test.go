package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/bridge/v2tim/v2timtest"
	"github.com/timbridge/timbridge/mapping"
)

// simulation is one machine on which a bridge runs between a homeserver, Tencent Cloud and apps, all in virtual time. Everything that
// happens to it is a step (simulation_steps_test.go), and what must hold in the end is the model's (simulation_model_test.go).
type simulation struct {
	t     *simT
	kind  simKind
	rand  *rand.Rand // for what no step decides; repeatable
	wires *simWires
	disk  *simDisk
	cfg   *config.Config
	hs    *matrixtest.Server
	cloud *tencenttest.Server // nil in standalone
	root  *v2timtest.Client
	began time.Time
	calls sync.WaitGroup // what people wait for an answer to
	logTo io.Writer

	b      *Bridge // nil: it is down
	power  *simPower
	offset atomic.Int64 // how wrong the machine's clock is
	// sending counts the messages that apps have under way, and may send twice. The same Random means the same message for five
	// minutes, by the clock, so that is left alone meanwhile.
	sending atomic.Int32

	groups []*simGroup
	tims   []*simPerson // Tencent users; the first owns the groups and stays
	mats   []*simPerson // Matrix users; the first owns the rooms and stays
	simLedger
	simStats
	told []string // what has happened, for people
}

// note keeps what has happened.
func (s *simulation) note(format string, args ...any) {
	line := fmt.Sprintf("%11s  ", time.Since(s.began).Round(time.Millisecond)) + fmt.Sprintf(format, args...)
	s.change(func() { s.told = append(s.told, line) })
}

// simKind is one sort of simulation.
type simKind struct {
	cloud, dendrite, contiguous bool
}

func (k simKind) String() string {
	name := map[bool]string{false: "standalone", true: "cloud"}[k.cloud] + "-" + map[bool]string{false: "synapse", true: "dendrite"}[k.dendrite]
	if k.contiguous {
		name += "-contiguous"
	}
	return name
}

type simGroup struct {
	id   string
	room id.RoomID
}

// simPerson is somebody on one of the sides.
type simPerson struct {
	name   string
	userID string    // at Tencent
	mxid   id.UserID // in Matrix; of a Tencent user his ghost
	app    *v2timtest.Client
	user   *matrixtest.User // nil for a Tencent user
	cloud  *tencenttest.User
}

// simStats is what has happened in a simulation.
type simStats struct {
	steps, restarts, jumps int
}

// simT takes what the fakes complain about. A simulation that fails is run again with fewer steps, so it must not fail the test at once.
type simT struct {
	testing.TB
	mu       sync.Mutex
	problems []string
}

func (t *simT) Helper()        {}
func (t *simT) Cleanup(func()) {} // the simulation closes what it opens, in its order

// Errorf implements testing.TB.
func (t *simT) Errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.problems = append(t.problems, fmt.Sprintf(format, args...))
}

// Fatalf implements testing.TB.
func (t *simT) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	t.FailNow()
}

// FailNow implements testing.TB.
func (t *simT) FailNow() { panic(simFailed{}) }

// simFailed ends a run that cannot go on.
type simFailed struct{}

const (
	simHomeserver = "localhost"
	simTencent    = "tencent.invalid"
	simBridge     = "bridge"
	simHooks      = "hooks"
	simAPI        = "v2tim"
)

// simConfig is the configuration of the simulated bridge.
func simConfig(k simKind) (*config.Config, error) {
	cfg, err := config.Default()
	if err != nil {
		return nil, err
	}
	cfg.Homeserver.Address, cfg.Homeserver.Domain = "http://"+simHomeserver, "localhost"
	cfg.AppService.Address = "http://" + simBridge
	cfg.AppService.ASToken, cfg.AppService.HSToken = testASToken, testHSToken
	cfg.Tencent.SDKAppID, cfg.Tencent.SecretKey, cfg.Tencent.Admins = testAppID, testSecretKey, []string{"administrator"}
	cfg.V2TIM.RateLimit.PerSecond = 0
	cfg.Matrix.SyncInterval = time.Minute
	if k.contiguous {
		cfg.Matrix.Policy = config.PolicyContiguous
	}
	if k.cloud {
		cfg.Tencent.Mode, cfg.Tencent.BaseURL = config.ModeCloud, "http://"+simTencent
		cfg.Tencent.Webhook.Token = testHookToken
		cfg.Tencent.CatchUpInterval = 4 * time.Minute
	}
	return cfg, nil
}

// newSimulation makes the two sides, a machine with an empty database, and starts the bridge. It is called within a bubble.
func newSimulation(t testing.TB, k simKind, seed uint64, disk simTemplate) *simulation {
	s := &simulation{
		t: &simT{TB: t}, kind: k, cfg: disk.cfg, rand: rand.New(rand.NewPCG(seed, 1)), wires: newSimWires(), began: time.Now(), logTo: io.Discard,
	}
	var err error
	opts := matrixtest.Synapse()
	if k.dendrite {
		opts = matrixtest.Dendrite()
	}
	opts.Transport, opts.RetryPause = simWire{simWires: s.wires}, 300*time.Millisecond
	s.hs = matrixtest.New(s.t, opts)
	s.wires.plug(simHomeserver, s.hs.Handler(), nil)
	if k.cloud {
		s.cloud, err = tencenttest.New(tencenttest.Options{
			Transport: simWire{simWires: s.wires}, SDKAppID: testAppID, SecretKey: testSecretKey, Admins: []string{"administrator"}, Seed: seed,
			Hook: tencenttest.Hook{URL: "http://" + simHooks, Token: testHookToken}, Points: simPoints(s.rand), Limits: tencenttest.Limits{Group: -1},
		})
		require.NoError(t, err)
		s.wires.plug(simTencent, s.cloud.Handler(), nil)
	}
	s.disk = newSimDisk(t, disk.content)
	s.start()
	registration, err := Registration(s.cfg)
	require.NoError(t, err)
	s.hs.AddAppService(registration)
	s.root = s.client("administrator")
	return s
}

// simPoints are what the app at Tencent Cloud is like where its documentation leaves that open.
func simPoints(r *rand.Rand) tencenttest.Points {
	return tencenttest.Points{
		BadAck: tencenttest.BadAck(r.IntN(3)), EchoAcks: r.IntN(2) == 0, WholeMembers: r.IntN(2) == 0, OneSeqPerWebhook: r.IntN(3) == 0,
		RepeatFires: r.IntN(2) == 0, FlagInWebhook: r.IntN(3) == 0, FlagInHistory: r.IntN(3) == 0, NoMsgID: r.IntN(4) == 0,
		TipSeqs: r.IntN(3) == 0, HistoryMax: []int{0, 3}[r.IntN(2)], WebhookWorkers: 2,
	}
}

func (s *simulation) client(user string) *v2timtest.Client {
	c, err := v2timtest.New("http://"+simAPI, testAppID, testSecretKey, user)
	require.NoError(s.t, err)
	c.HTTP = &http.Client{Transport: simWire{simWires: s.wires}, Timeout: 20 * time.Second}
	return c
}

// start starts a bridge on what the one before has left.
func (s *simulation) start() {
	s.power = newSimPower()
	db := s.disk.open(s.t, s.power)
	log := zerolog.New(s.logTo)
	db.Log = dbutil.NoopLogger
	b, err := New(s.cfg, db, log, WithTransport(simWire{s.wires, s.power}), func(b *Bridge) {
		b.clock = func() time.Time { return time.Now().Add(time.Duration(s.offset.Load())) }
	})
	require.NoError(s.t, err)
	require.NoError(s.t, b.Start(context.Background()))
	s.b = b
	s.note("the bridge is up")
	s.wires.plug(simBridge, s.noting(b.MatrixHandler()), s.power)
	s.wires.plug(simAPI, b.V2TIMHandler(), s.power)
	if s.cloud != nil {
		s.wires.plug(simHooks, b.WebhookHandler(), s.power)
	}
}

// stop ends the bridge: in order, or by cutting its power, after which nothing of it reaches anybody.
func (s *simulation) stop(crash bool) {
	if s.b == nil {
		return
	}
	if crash {
		s.power.cutAfter(1)
		_ = s.power.use()
	}
	for _, host := range []string{simBridge, simAPI, simHooks} {
		s.wires.plug(host, nil, nil)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := s.b.Stop(ctx)
	if !s.power.isCut() {
		require.NoError(s.t, err)
	}
	_ = s.b.db.Close()
	s.b = nil
	s.restarts++
	s.note("the bridge is down (crash: %t)", crash)
}

// close ends everything, so that nothing is left in the bubble.
func (s *simulation) close() {
	s.wires.stopFailing()
	s.stop(true)
	s.hs.Close()
	if s.cloud != nil {
		s.cloud.Close()
	}
	s.calls.Wait()
	s.disk.close()
}

// populate makes people and groups, and waits until everybody is in.
func (s *simulation) populate(groups, tims, mats int) {
	for i := range mats {
		user := s.hs.User(fmt.Sprint("m", i))
		s.mats = append(s.mats, &simPerson{name: fmt.Sprint("m", i), userID: mapping.AccountID(user.ID), mxid: user.ID, user: user})
	}
	for i := range tims {
		name := fmt.Sprint("t", i)
		p := &simPerson{name: name, userID: name, mxid: mapping.GhostMXID(s.cfg.AppService.GhostPrefix(), name, "localhost"), app: s.client(name)}
		if s.cloud != nil {
			p.cloud = s.cloud.User(name)
		}
		s.tims = append(s.tims, p)
	}
	for i := range groups {
		g := &simGroup{id: fmt.Sprint("g", i), room: s.mats[0].user.CreateRoom(matrixtest.RoomOptions{Public: true})}
		s.groups = append(s.groups, g)
		var members []string
		for j, p := range s.tims {
			if j == 0 || s.rand.IntN(4) > 0 {
				members = append(members, p.userID)
				s.moved(g, p, true, simSpan{s.began, time.Now()})
			}
		}
		for _, p := range s.mats[1:] {
			if s.rand.IntN(4) > 0 {
				p.user.Join(g.room)
			}
		}
		req := v2tim.MapGroupRequest{GroupId: g.id, RoomId: g.room.String()}
		if s.cloud != nil {
			s.cloud.Group(s.t, g.id, members...)
		} else {
			req.MemberList = v2timtest.Accounts(members...)
		}
		_, err := s.root.MapGroup(context.Background(), req)
		require.NoError(s.t, err)
	}
	for _, g := range s.groups {
		s.hs.WaitFor("everybody in "+g.id, func() bool {
			known, err := s.root.GetGroupMemberInfo(context.Background(), v2tim.GetGroupMemberInfoRequest{GroupId: g.id, Limit: 100})
			return err == nil && len(known.MemberList) == len(s.hs.Members(g.room))-1 && s.inRoom(g) // the bot
		})
	}
	s.hs.WaitPushed()
}

// inRoom tells whether all Tencent members' ghosts are in the room.
func (s *simulation) inRoom(g *simGroup) bool {
	for _, p := range s.tims {
		if s.isMember(g, p) != (s.hs.Membership(g.room, p.mxid) == "join") {
			return false
		}
	}
	return true
}

// noting notes which events the bridge has taken.
func (s *simulation) noting(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/transactions/") {
			handler.ServeHTTP(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, r)
		if rec.Code == http.StatusOK {
			var txn struct {
				Events []struct {
					ID id.EventID `json:"event_id"`
				} `json:"events"`
			}
			_ = json.Unmarshal(body, &txn)
			s.change(func() {
				for _, ev := range txn.Events {
					if _, known := s.taken[ev.ID]; !known {
						s.taken[ev.ID] = time.Now()
					}
				}
			})
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
}
