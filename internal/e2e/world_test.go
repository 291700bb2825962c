package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/internal/lab"
)

// What every timbridge here is configured with.
const (
	sdkAppID    = 1400000001
	secretKey   = "a secret key of the end-to-end tests 0123456789"
	admin       = "administrator"
	puppetToken = "puppet-token-of-the-end-to-end-tests"
)

// world is a real homeserver with timbridges on it.
type world struct {
	t       *testing.T // of all cases together
	hs      *lab.Homeserver
	bridges map[string]*timbridge
	proxies map[string]*proxy
	apps    map[string]*cloudApp
	http    *http.Client
	names   atomic.Int64 // makes names that no other case has
}

// newWorld starts a homeserver that knows a timbridge of each of these names, none of which runs yet. One whose name begins
// with "proxied" is reached by the homeserver through a proxy, one whose name begins with "cloud" has its groups in Tencent Cloud.
func newWorld(t *testing.T, kind lab.Kind, names ...string) *world {
	t.Helper()
	lab.Require(t, kind)
	dir := t.TempDir()
	w := &world{
		t: t, bridges: map[string]*timbridge{}, proxies: map[string]*proxy{}, apps: map[string]*cloudApp{},
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}},
	}
	t.Cleanup(w.http.CloseIdleConnections)
	port := freePort(t)
	puppet, err := matrix.NewDoublePuppetRegistration("puppet", lab.Domain, puppetToken)
	require.NoError(t, err)
	text, err := puppet.YAML()
	require.NoError(t, err)
	text = strings.Replace(text, `url: ""`, "url: null", 1) // with "" Synapse tries to push
	registrations := []string{filepath.Join(dir, "puppet.yaml")}
	require.NoError(t, os.WriteFile(registrations[0], []byte(text), 0o600))
	for _, name := range names {
		b := w.newBridge(t, filepath.Join(dir, name), name, port)
		registrations = append(registrations, b.registration())
	}
	w.hs = lab.Run(t, kind, lab.Options{AppServices: registrations, Port: port})
	t.Cleanup(func() { // before the homeserver ends
		for _, b := range w.bridges {
			b.stop(t)
		}
	})
	return w
}

// newBridge writes the configuration of a timbridge and lets it make its tokens and its registration.
func (w *world) newBridge(t *testing.T, dir, name string, homeserver int) *timbridge {
	t.Helper()
	v2tim := freePort(t)
	b := &timbridge{Program: lab.Program{Binary: binary, Dir: dir, HTTP: w.http}, name: name, port: freePort(t), v2tim: "http://127.0.0.1:" + itoa(v2tim)}
	w.bridges[name] = b
	address := b.address()
	if strings.HasPrefix(name, "proxied") {
		w.proxies[name] = newProxy(t, address)
		address = w.proxies[name].server.URL
	}
	config := map[string]any{
		"homeserver": map[string]any{"address": "http://127.0.0.1:" + itoa(homeserver), "domain": lab.Domain},
		"appservice": map[string]any{
			"address": address, "hostname": "127.0.0.1", "port": b.port, "id": name,
			"bot": map[string]any{"username": b.bot()}, "username_template": b.ghostTemplate(),
		},
		"database":      map[string]any{"uri": "file:timbridge.db"},
		"matrix":        map[string]any{"sync_interval": "2s"},
		"double_puppet": map[string]any{"secrets": map[string]any{lab.Domain: "as_token:" + puppetToken}},
		"tencent":       map[string]any{"sdk_app_id": sdkAppID, "secret_key": secretKey, "admins": []string{admin}},
		"v2tim":         map[string]any{"port": v2tim, "rate_limit": map[string]any{"per_second": 0}},
		"mapping":       map[string]any{"stamp_senders": []string{"@stamper*:" + lab.Domain}},
		"bridge":        map[string]any{"event_wait": "1s"},
		"logging":       map[string]any{"min_level": "debug", "writers": []any{map[string]any{"type": "stdout", "format": "json"}}},
	}
	if strings.HasPrefix(name, "cloud") {
		w.apps[name] = b.putInCloud(t, config)
	}
	text, err := json.Marshal(config) // YAML takes JSON as it is
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.WriteFile(b.Config(), text, 0o600))
	made := b.run(t, "-g", "-r", b.registration())
	require.Zero(t, made.code, made.stderr)
	require.Contains(t, made.stdout, "saved its tokens")
	return b
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := ports.Take()
	require.NoError(t, err)
	return port
}

// The homeservers and their cases. Each case runs on both.
func TestOnSynapse(t *testing.T)  { testOn(t, lab.Synapse) }
func TestOnDendrite(t *testing.T) { testOn(t, lab.Dendrite) }

func testOn(t *testing.T, kind lab.Kind) {
	t.Parallel()
	w := newWorld(t, kind, shared, "stopped", "killed", "proxied1", "proxied2", "checked", "imported")
	w.bridges[shared].start(t)
	w.run(t, cases())
}

// run runs cases on this homeserver, many at a time.
func (w *world) run(t *testing.T, cases []testCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w.parallel(t)
			c.run(t, w)
		})
	}
}

// parallel is t.Parallel where the homeserver can bear it. Dendrite on SQLite gives up ("database is locked", in the end a panic) when
// it has much to do at a time.
func (w *world) parallel(t *testing.T) {
	if w.hs.Kind != lab.Dendrite {
		t.Parallel()
	}
}

// shared is the timbridge that is never stopped, for all cases that need none of their own.
const shared = "shared"

// testCase is something that has to be so on every homeserver.
type testCase struct {
	name string
	run  func(t *testing.T, w *world)
}

func cases() []testCase {
	return []testCase{
		{"ReceiptFromV2TIM", testReceiptFromV2TIM},
		{"ReceiptFromMatrix", testReceiptFromMatrix},
		{"ManyMessagesAtOnce", testManyMessagesAtOnce},
		{"ReadUpTo", testReadUpTo},
		{"MixedGroups", testMixedGroups},
		{"ForeignEvent", testForeignEvent},
		{"PrivateReceipt", testPrivateReceipt},
		{"ReactionLast", testReactionLast},
		{"SeqOrderDiffersFromRoomOrder", testSeqOrderDiffersFromRoomOrder},
		{"Threads", testThreads},
		{"LateJoiner", testLateJoiner},
		{"MemberComesBack", testMemberComesBack},
		{"BotComesBack", testBotComesBack},
		{"LinkedUser", testLinkedUser},
		{"UnlinkAndRelink", testUnlinkAndRelink},
		{"ReceiptReachesJSClient", testReceiptReachesJSClient},
		{"ReceiptOfJSClient", testReceiptOfJSClient},
		{"Check", testCheck},
		{"ImportAndExport", testImportAndExport},
		{"Stopped", testStopped},
		{"Killed", testKilled},
		{"FailedTransaction", testFailedTransaction},
		{"RepeatedTransactions", testRepeatedTransactions},
	}
}
