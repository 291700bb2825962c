package tencent

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tencentyun/tls-sig-api-v2-golang/tencentyun"

	"github.com/timbridge/timbridge/receipts"
)

const (
	testApp    = 1400000001
	testSecret = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e"
	okReply    = `{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":""}`
)

// cloud answers calls as a test says, after it has checked the frame of each.
type cloud struct {
	t     testing.TB
	serve func(w http.ResponseWriter, path string, body []byte)
	conns atomic.Int32

	mu   sync.Mutex
	sigs map[string]int
	rand map[string]bool
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	body, err := io.ReadAll(r.Body)
	random, randErr := strconv.ParseUint(q.Get("random"), 10, 32)
	switch {
	case err != nil:
		c.t.Errorf("body: %v", err)
	case r.Method != http.MethodPost || q.Get("sdkappid") != strconv.Itoa(testApp) || q.Get("identifier") != "admin x" || q.Get("contenttype") != "json" || randErr != nil:
		c.t.Errorf("bad frame: %s %s", r.Method, r.URL)
	case tencentyun.VerifyUserSig(testApp, testSecret, "admin x", q.Get("usersig"), time.Now()) != nil:
		c.t.Errorf("bad usersig")
	case len(body) == 0 || body[0] != '{':
		c.t.Errorf("empty body")
	}
	c.mu.Lock()
	c.sigs[q.Get("usersig")]++
	c.rand[strconv.FormatUint(random, 10)] = true
	c.mu.Unlock()
	c.serve(w, r.URL.Path, body)
}

// newCloud returns a client of a server that answers with serve.
func newCloud(t testing.TB, serve func(w http.ResponseWriter, path string, body []byte), change ...func(*Config)) (*Client, *cloud) {
	c := &cloud{t: t, serve: serve, sigs: make(map[string]int), rand: make(map[string]bool)}
	server := httptest.NewUnstartedServer(c)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			c.conns.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	cfg := Config{SDKAppID: testApp, SecretKey: testSecret, Identifier: "admin x", BaseURL: server.URL, CallsPerSecond: 1e6, AccountCallsPerSecond: 1e6, Rates: map[string]float64{"get_appid_group_list": 1e6}}
	for _, fn := range change {
		fn(&cfg)
	}
	client, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client, c
}

func replyWith(reply string) func(http.ResponseWriter, string, []byte) {
	return func(w http.ResponseWriter, _ string, _ []byte) { _, _ = io.WriteString(w, reply) }
}

func ack(c *Client) error {
	return c.GroupMsgReceipt(context.Background(), "@TGS#1", "jared", []receipts.MsgSeq{1})
}

func TestNewRefusesBadConfig(t *testing.T) {
	good := Config{SDKAppID: testApp, SecretKey: "s", Identifier: "admin", Region: "china"}
	_, err := New(good)
	require.NoError(t, err)
	for name, change := range map[string]func(*Config){
		"no app":         func(c *Config) { c.SDKAppID = 0 },
		"large app":      func(c *Config) { c.SDKAppID = 1 << 40 },
		"no secret":      func(c *Config) { c.SecretKey = "" },
		"no admin":       func(c *Config) { c.Identifier = "" },
		"no region":      func(c *Config) { c.Region = "" },
		"unknown region": func(c *Config) { c.Region = "moon" },
		"bad URL":        func(c *Config) { c.BaseURL = "ftp://x" },
		"URL with query": func(c *Config) { c.BaseURL = "https://x/?a=b" },
		"short sig":      func(c *Config) { c.UserSigLife = time.Second },
		"long sig":       func(c *Config) { c.UserSigLife = 51 * 365 * 24 * time.Hour },
		"unknown rate":   func(c *Config) { c.Rates = map[string]float64{"nope": 1} },
		"zero rate":      func(c *Config) { c.Rates = map[string]float64{"send_group_msg": 0} },
		"negative rate":  func(c *Config) { c.CallsPerSecond = -1 },
		"negative time":  func(c *Config) { c.Timeout = -1 },
	} {
		cfg := good
		change(&cfg)
		_, err = New(cfg)
		require.Error(t, err, name)
	}
}

func TestRegions(t *testing.T) {
	for _, region := range Regions() {
		u, err := RegionURL(region)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(u, "https://"), u)
	}
	u, err := RegionURL("saudi")
	require.NoError(t, err)
	require.Equal(t, "https://adminapiksa.im.qcloud.com", u)
	_, err = RegionURL("mars")
	require.ErrorContains(t, err, "singapore")
}

func TestRates(t *testing.T) {
	c, err := New(Config{SDKAppID: testApp, SecretKey: "s", Identifier: "admin", Region: "japan", Rates: map[string]float64{"send_group_msg": 7}})
	require.NoError(t, err)
	for name, want := range map[string]float64{
		"group_msg_receipt": 100, "portrait_get": 100, "account_check": 50, "multiaccount_import": 50, "get_appid_group_list": 0.5, "send_group_msg": 7, "nope": 0,
	} {
		require.InDelta(t, want, c.Rate(name), 0, name)
	}
	require.Equal(t, "https://adminapijpn.im.qcloud.com/v4/openim/modify_group_msg", c.commands[cmdModifyGroupMsg].url)
}

func TestConnectionsAndUserSigAreKept(t *testing.T) {
	c, server := newCloud(t, replyWith(okReply))
	for range 20 {
		require.NoError(t, ack(c))
	}
	require.EqualValues(t, 1, server.conns.Load())
	require.Len(t, server.sigs, 1)
	require.Greater(t, len(server.rand), 18)
}

func TestUserSigIsRenewed(t *testing.T) {
	var code atomic.Int32
	clock := newClock()
	c, server := newCloud(t, func(w http.ResponseWriter, _ string, _ []byte) {
		_, _ = io.WriteString(w, `{"ActionStatus":"FAIL","ErrorCode":`+strconv.Itoa(int(code.Load()))+`,"ErrorInfo":"no"}`)
	}, func(cfg *Config) { cfg.Now = clock.now })
	made := func() string {
		c.sig.mu.Lock()
		defer c.sig.mu.Unlock()
		return c.sig.value
	}
	require.NoError(t, ack(c))
	first := made()
	require.NotEmpty(t, first)
	clock.advance(12*time.Hour - 1)
	require.NoError(t, ack(c))
	renew := c.sig.renew
	clock.advance(1)
	require.NoError(t, ack(c))
	require.True(t, c.sig.renew.After(renew), "made anew after half of its life")
	code.Store(70001)
	require.ErrorIs(t, ack(c), ErrOurs)
	require.Empty(t, made(), "not used again once refused")
	code.Store(60007)
	require.ErrorIs(t, ack(c), ErrFrequency)
	require.NotEmpty(t, made())
	require.NotEmpty(t, server.sigs)
}

func TestErrorCodeDecides(t *testing.T) {
	for reply, check := range map[string]func(*testing.T, error){
		okReply:                               func(t *testing.T, err error) { require.NoError(t, err) },
		`{"ErrorCode":"0"}`:                   func(t *testing.T, err error) { require.NoError(t, err) },
		`{"ActionStatus":"OK","ErrorCode":0}`: func(t *testing.T, err error) { require.NoError(t, err) },
		`{"ActionStatus":"FAIL","ErrorCode":0,"ErrorInfo":7}`: func(t *testing.T, err error) { require.NoError(t, err) },
		`{"ActionStatus":"OK","ErrorCode":10007,"ErrorInfo":"no"}`: func(t *testing.T, err error) {
			require.ErrorIs(t, err, ErrPerson)
			var refused *APIError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, APIError{Command: "group_msg_receipt", Code: 10007, Info: "no"}, *refused)
		},
		`{"ActionStatus":"FAIL","ErrorCode":"10062","ErrorInfo":["no"]}`: func(t *testing.T, err error) { require.ErrorIs(t, err, ErrMessage) },
		`{"ActionStatus":"OK"}`: unclear, `{}`: unclear, ``: unclear, `<html>`: unclear, `null`: unclear, `{"ErrorCode":"x"}`: unclear,
	} {
		c, _ := newCloud(t, replyWith(reply))
		t.Run(reply, func(t *testing.T) { check(t, ack(c)) })
	}
}

// unclear requires an error after which nobody knows whether the call was carried out.
func unclear(t *testing.T, err error) {
	var temporary *TemporaryError
	require.ErrorAs(t, err, &temporary)
	require.True(t, temporary.Unclear)
}

func TestStatus(t *testing.T) {
	status := func(code int, body string) (*Client, error) {
		c, _ := newCloud(t, func(w http.ResponseWriter, _ string, _ []byte) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		})
		return c, ack(c)
	}
	_, err := status(http.StatusBadGateway, "<html>nginx</html>")
	unclear(t, err)
	_, err = status(http.StatusInternalServerError, `{"ActionStatus":"FAIL","ErrorCode":10010,"ErrorInfo":""}`)
	require.ErrorIs(t, err, ErrGroup, "the code decides")
	_, err = status(http.StatusFound, "")
	unclear(t, err)
	c, err := status(http.StatusTooManyRequests, "slow down")
	require.ErrorIs(t, err, ErrFrequency)
	require.InDelta(t, 5e5, c.Rate("group_msg_receipt"), 1)
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the UserSig went elsewhere") }))
	defer elsewhere.Close()
	c, _ := newCloud(t, func(w http.ResponseWriter, _ string, _ []byte) {
		w.Header().Set("Location", elsewhere.URL)
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	unclear(t, ack(c))
}

func TestNoReply(t *testing.T) {
	t.Run("closed", func(t *testing.T) {
		c, _ := newCloud(t, func(http.ResponseWriter, string, []byte) { panic(http.ErrAbortHandler) })
		unclear(t, ack(c))
	})
	t.Run("too long", func(t *testing.T) {
		c, _ := newCloud(t, func(w http.ResponseWriter, _ string, _ []byte) {
			_, _ = io.WriteString(w, strings.Repeat(" ", maxReply)+okReply)
		})
		unclear(t, ack(c))
	})
	t.Run("too slow", func(t *testing.T) {
		release := make(chan struct{})
		c, _ := newCloud(t, func(http.ResponseWriter, string, []byte) { <-release }, func(cfg *Config) { cfg.Timeout = 20 * time.Millisecond })
		unclear(t, ack(c))
		close(release)
	})
	t.Run("nobody there", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, listener.Close())
		c, err := New(Config{SDKAppID: testApp, SecretKey: testSecret, Identifier: "admin x", BaseURL: "http://" + listener.Addr().String()})
		require.NoError(t, err)
		var temporary *TemporaryError
		err = ack(c)
		require.ErrorAs(t, err, &temporary)
		require.False(t, temporary.Unclear, "nothing was sent")
		require.NotContains(t, err.Error(), "usersig")
	})
	t.Run("given up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		release := make(chan struct{})
		c, _ := newCloud(t, func(http.ResponseWriter, string, []byte) {
			cancel()
			<-release
		})
		_, err := c.GetGroupInfo(ctx, []string{"g"})
		require.ErrorIs(t, err, context.Canceled)
		var temporary *TemporaryError
		require.NotErrorAs(t, err, &temporary)
		close(release)
	})
	t.Run("no turn in time", func(t *testing.T) {
		c, _ := newCloud(t, replyWith(okReply), func(cfg *Config) { cfg.Rates = map[string]float64{"group_msg_receipt": 0.01} })
		require.NoError(t, ack(c))
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		var temporary *TemporaryError
		require.ErrorAs(t, c.GroupMsgReceipt(ctx, "g", "u", []receipts.MsgSeq{1}), &temporary)
		require.False(t, temporary.Unclear)
	})
}

func TestNoSecretInErrors(t *testing.T) {
	// A server that gives back all it was told.
	var address string
	c, server := newCloud(t, nil)
	server.serve = func(w http.ResponseWriter, _ string, _ []byte) {
		sig, err := c.sig.get()
		require.NoError(t, err)
		address = sig
		reply, err := json.Marshal(map[string]any{"ErrorCode": 70009, "ErrorInfo": "bad sig " + sig})
		require.NoError(t, err)
		_, _ = w.Write(reply)
	}
	err := ack(c)
	require.ErrorIs(t, err, ErrOurs)
	require.NotContains(t, err.Error(), address[:20])
	require.NotContains(t, err.Error(), testSecret)
}

func TestFrequencyCodesSlowDown(t *testing.T) {
	for code, slowed := range map[string][2]float64{ // of this command, of another
		"60007": {5e5, 1e6}, "60018": {5e5, 1e6}, "60019": {5e5, 1e6}, "10006": {5e5, 1e6}, "10023": {5e5, 1e6}, "60011": {5e5, 5e5}, "60028": {1e6, 1e6}, "10002": {1e6, 1e6},
	} {
		c, _ := newCloud(t, replyWith(`{"ActionStatus":"FAIL","ErrorCode":`+code+`,"ErrorInfo":""}`))
		var temporary *TemporaryError
		require.ErrorAs(t, ack(c), &temporary, code)
		require.InDelta(t, slowed[0], c.Rate("group_msg_receipt"), 1, code)
		require.InDelta(t, slowed[1], c.Rate("portrait_get"), 1, code)
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	var inFlight, most atomic.Int32
	c, _ := newCloud(t, func(w http.ResponseWriter, _ string, _ []byte) {
		now := inFlight.Add(1)
		for {
			old := most.Load()
			if now <= old || most.CompareAndSwap(old, now) {
				break
			}
		}
		_, _ = io.WriteString(w, okReply)
		inFlight.Add(-1)
	}, func(cfg *Config) { cfg.Concurrency = 3 })
	var wg sync.WaitGroup
	for range 60 {
		wg.Go(func() { require.NoError(t, ack(c)) })
	}
	wg.Wait()
	require.LessOrEqual(t, most.Load(), int32(3))
}

func BenchmarkCall(b *testing.B) {
	c, _ := newCloud(b, replyWith(okReply), func(cfg *Config) { cfg.CallsPerSecond = 1e9 })
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := ack(c); err != nil {
				b.Error(err)
			}
		}
	})
}
