package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
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
	bridge   *lab.Program
	disk     disk
	trouble  trouble
	address  string // of timbridge, for the homeserver
	v2tim    string // of timbridge, for apps
	database config.Database
	http     *http.Client // of the apps
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
		Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: 3 * time.Second,
	}}
	w.txns.taken, w.txns.order, w.txns.tried = make(map[string]time.Time), make(map[string]int), make(map[string]int)
	w.hs = w.newHomeserver()
	dir := t.TempDir()
	port, v2timPort, hookPort := freePort(t), freePort(t), freePort(t)
	w.address, w.v2tim = local(port), local(v2timPort)
	w.toHS = newGate("to homeserver", w.rand(1), w.stats, w.hs.URL)
	w.toBridge = newGate("transactions", w.rand(2), w.stats, func() string { return w.address })
	w.toBridge.tried, w.toBridge.taken, w.toHS.whole = w.transactionTried, w.transactionTaken, k.real != ""
	w.bridge = &lab.Program{Binary: binary, Dir: dir, Ready: []string{w.address + "/_matrix/mau/ready", w.v2tim}, HTTP: w.http, Launched: w.disk.launched}
	conf := w.config(port, v2timPort)
	if k.cloud {
		opts := tencenttest.Options{
			SDKAppID: sdkAppID, SecretKey: secretKey, Admins: []string{admin}, Seed: seed,
			Hook: tencenttest.Hook{URL: local(hookPort), Token: hookToken}, Points: k.points(w.rand(3)),
			Limits: tencenttest.Limits{Group: -1},
		}
		w.cloud = tencenttest.Start(t, opts)
		w.bridge.Ready = append(w.bridge.Ready, local(hookPort))
		w.putInCloud(conf, hookPort)
	}
	t.Cleanup(w.close)
	w.install(conf)
	require.NoError(t, w.bridge.Start(t.Context()))
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
	w.bridge.Kill()
	w.toHS.stop()
	w.toBridge.stop()
	w.http.CloseIdleConnections()
}

func local(port int) string { return "http://127.0.0.1:" + strconv.Itoa(port) }

func (w *world) config(port, v2timPort int) map[string]any {
	return map[string]any{
		"homeserver": map[string]any{"address": w.toHS.URL(), "domain": domain, "request_timeout": "3s"},
		"appservice": map[string]any{
			"address": w.toBridge.URL(), "hostname": "127.0.0.1", "port": port, "as_token": "as-token", "hs_token": "hs-token",
			"bot": map[string]any{"username": "timbot"}, "username_template": ghostPrefix + "{{.}}",
		},
		"database":      map[string]any{"uri": "file:" + filepath.Join(w.bridge.Dir, "timbridge.db")},
		"matrix":        map[string]any{"sync_interval": "1s", "policy": w.kind.policy},
		"double_puppet": map[string]any{"secrets": map[string]any{domain: "as_token:" + puppetToken}},
		"tencent":       map[string]any{"sdk_app_id": sdkAppID, "secret_key": secretKey, "admins": []string{admin}},
		"v2tim":         map[string]any{"port": v2timPort, "rate_limit": map[string]any{"per_second": 0}},
		"bridge":        map[string]any{"event_wait": "1s"},
		"logging":       map[string]any{"min_level": "debug", "writers": []any{map[string]any{"type": "stdout", "format": "json"}}},
	}
}

func (w *world) putInCloud(conf map[string]any, hookPort int) {
	t := conf["tencent"].(map[string]any)
	t["mode"], t["base_url"], t["request_timeout"], t["catch_up_interval"] = "cloud", w.cloud.URL(), "1s", "10s"
	t["catch_up_messages"] = 1000
	t["webhook"] = map[string]any{"port": hookPort, "token": hookToken}
}

// install writes the configuration and makes timbridge known to the homeserver.
func (w *world) install(conf map[string]any) {
	text, err := json.Marshal(conf) // YAML takes JSON as it is
	require.NoError(w.t, err)
	require.NoError(w.t, os.WriteFile(w.bridge.Config(), text, 0o600))
	w.database = config.Database{
		Type: config.DatabaseSQLite, URI: config.Secret(filepath.Join(w.bridge.Dir, "timbridge.db")), MaxOpenConns: 1, MaxIdleConns: 1,
	}
	w.register()
}

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
			require.Fail(w.t, "waited in vain for "+what, "timbridge printed:\n%s", w.bridge.LogTail(40))
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
