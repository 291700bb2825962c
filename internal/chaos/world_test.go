package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/bridge/v2tim/v2timtest"
	"github.com/timbridge/timbridge/internal/lab"
	"github.com/timbridge/timbridge/internal/postgres"
	"github.com/timbridge/timbridge/mapping"
)

const (
	domain      = lab.Domain
	botMXID     = "@timbot:" + domain
	sdkAppID    = 1400000001
	secretKey   = "a secret key of the chaos tests 0123456789"
	admin       = "administrator"
	hookToken   = "a webhook token of the chaos tests"
	puppetToken = "puppet-token-of-the-chaos-tests"
	ghostPrefix = "tim_"
)

// world is everything of one seed: a timbridge, the two sides, the ways between them and the people.
type world struct {
	t      *testing.T
	seed   uint64
	kind   kind
	stats  *stats
	ledger ledger

	hs       homeserver
	cloud    *tencenttest.Server // nil in standalone
	toHS     *gate               // from timbridge to the homeserver
	toBridge *gate               // from the homeserver to timbridge
	txns     transactions
	replicas []*replica
	bridge   *lab.Program // the first of them, mostly the only one
	fronts   []*balancer  // before them, if there are several
	disk     disk
	trouble  trouble
	v2tim    string // where apps reach timbridge
	database config.Database
	server   *postgres.Server // that it is on; nil if it is a file
	http     *http.Client     // of the apps
	root     *v2timtest.Client

	groups []*group
	tims   []*person // Tencent users
	mats   []*person // Matrix users; the first of them owns the rooms and stays
	ear    *ear      // of the first Tencent user; nil in cloud, where apps hear from Tencent
	texts  int
	mu     sync.Mutex
}

// person is somebody on one of the sides.
type person struct {
	name   string
	userID string    // at Tencent
	mxid   id.UserID // in Matrix; of a Tencent user his ghost
	app    *v2timtest.Client
	user   *matrixUser // nil for a Tencent user
	cloud  *tencenttest.User
}

type group struct {
	id   string
	room id.RoomID
	mu   sync.Mutex
	seen []listed // messages as last listed by timbridge, newest first
	// relinked: it is parted from its room and joined with it again now and then; linkedAt is when it was, the last time.
	relinked bool
	linkedAt time.Time
}

// rand returns the choices of one of the actors.
func (w *world) rand(actor uint64) *rand.Rand {
	return rand.New(rand.NewPCG(w.seed, actor)) //nolint:gosec // repeatable, no secret
}

func newWorld(t *testing.T, seed uint64, k kind) *world {
	w := &world{t: t, seed: seed, kind: k, stats: &stats{seed: seed, kind: k.name}, http: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 16, DisableKeepAlives: k.replicas > 1}, Timeout: 3 * time.Second,
	}}
	w.txns.taken, w.txns.order, w.txns.tried = make(map[string]time.Time), make(map[string]int), make(map[string]int)
	w.newReplicas(max(k.replicas, 1))
	w.database = w.newDatabase() // or the test is skipped
	w.hs = w.newHomeserver()
	address := w.front(func(r *replica) int { return r.matrix })
	w.v2tim = w.front(func(r *replica) int { return r.v2tim })
	w.toHS = newGate("to homeserver", w.rand(1), w.stats, w.hs.URL)
	w.toBridge = newGate("transactions", w.rand(2), w.stats, func() string { return address })
	w.toBridge.tried, w.toBridge.taken, w.toHS.whole = w.transactionTried, w.transactionTaken, k.real != ""
	w.toBridge.client.Transport.(*http.Transport).DisableKeepAlives = k.replicas > 1 // each request goes to any of them
	if k.cloud {
		opts := tencenttest.Options{
			SDKAppID: sdkAppID, SecretKey: secretKey, Admins: []string{admin}, Seed: seed,
			Hook: tencenttest.Hook{URL: w.front(func(r *replica) int { return r.hooks }), Token: hookToken}, Points: k.points(w.rand(3)),
			Limits: tencenttest.Limits{Group: -1},
		}
		w.cloud = tencenttest.Start(t, opts)
	}
	t.Cleanup(w.close)
	w.install()
	require.NoError(t, w.startAll(t.Context()))
	var err error
	w.root, err = v2timtest.New(w.v2tim, sdkAppID, secretKey, admin)
	require.NoError(t, err)
	w.root.HTTP = w.http
	return w
}

func (w *world) close() {
	if w.ear != nil {
		w.ear.close()
	}
	w.hs.Close()
	if w.cloud != nil {
		w.cloud.Close()
	}
	for _, r := range w.replicas {
		r.Kill()
	}
	for _, b := range w.fronts {
		b.stop()
	}
	w.toHS.stop()
	w.toBridge.stop()
	w.http.CloseIdleConnections()
}

func local(port int) string { return "http://127.0.0.1:" + strconv.Itoa(port) }

func freePort(t *testing.T) int {
	t.Helper()
	port, err := ports.Take()
	require.NoError(t, err)
	return port
}

// waitFor waits until something holds and fails the test if it does not.
func (w *world) waitFor(what string, cond func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(w.kind.patience(20 * time.Second)); !cond(); {
		if !rest(w.t.Context(), 20*time.Millisecond) || time.Now().After(deadline) {
			require.Fail(w.t, "waited in vain for "+what, "timbridge printed:\n%s", w.logTail(40))
		}
	}
}

// populate makes the people and their groups, and waits until everybody is in.
func (w *world) populate(groups, tims, mats int) {
	t, r := w.t, w.rand(4)
	for i := range mats {
		user := w.hs.User(fmt.Sprintf("m%d", i))
		w.mats = append(w.mats, &person{name: fmt.Sprintf("m%d", i), userID: mapping.AccountID(user.ID), mxid: user.ID, user: user})
	}
	for i := range tims {
		p := &person{name: fmt.Sprintf("t%d", i), userID: fmt.Sprintf("t%d", i)}
		p.mxid = mapping.GhostMXID(ghostPrefix, p.userID, domain)
		app, err := v2timtest.New(w.v2tim, sdkAppID, secretKey, p.userID)
		require.NoError(t, err)
		app.HTTP, p.app = w.http, app
		if w.cloud != nil {
			p.cloud = w.cloud.User(p.userID)
		}
		w.tims = append(w.tims, p)
	}
	if w.cloud != nil && w.kind.linking {
		groups++ // one that is parted from its room now and then
	}
	for i := range groups {
		g := &group{id: fmt.Sprintf("group%d", i), relinked: i == 2}
		var err error
		g.room, err = w.mats[0].user.createRoom()
		require.NoError(t, err)
		for _, m := range w.mats[1:] {
			if r.IntN(4) > 0 || w.stays(m) {
				require.NoError(t, m.user.TryJoin(g.room))
			}
		}
		var members []string
		for j, p := range w.tims {
			if j == 0 || r.IntN(4) > 0 || w.stays(p) { // the first owns it at Tencent and stays
				members = append(members, p.userID)
				w.ledger.moved(g, p, true, span{from: time.Now(), to: time.Now()})
			}
		}
		w.groups = append(w.groups, g)
		w.mapGroup(g, members)
	}
	if hs, ok := w.hs.(*realHomeserver); ok {
		hs.begins()
	}
	w.waitFor("all transactions to be taken", func() bool { return w.hs.underWay() == "" })
	if w.cloud == nil {
		w.ear = w.listen(w.tims[0])
	}
}

func (w *world) mapGroup(g *group, members []string) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	req := v2tim.MapGroupRequest{GroupId: g.id, RoomId: g.room.String()}
	if w.cloud != nil {
		w.cloud.Group(w.t, g.id, members...)
	} else {
		req.MemberList = v2timtest.Accounts(members...)
	}
	_, err := w.root.MapGroup(ctx, req)
	require.NoError(w.t, err)
	for _, m := range members {
		ghost := mapping.GhostMXID(ghostPrefix, m, domain)
		w.waitFor(m+" in "+g.id, func() bool { return w.hs.Membership(g.room, ghost) == "join" })
	}
	// Who is in the room is asked for after the mapping; what is said before may concern somebody or not.
	w.waitFor("members of "+g.id, func() bool {
		known, err := w.root.GetGroupMemberInfo(ctx, v2tim.GetGroupMemberInfoRequest{GroupId: g.id, Limit: 200})
		require.NoError(w.t, err)
		return len(known.MemberList) == len(w.hs.Members(g.room))-1 // the bot
	})
}

// text makes what a message says, which no other says.
func (w *world) text(p *person, g *group) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts++
	return strings.Join([]string{"#" + strconv.Itoa(w.texts), "of", p.name, "in", g.id}, " ")
}
