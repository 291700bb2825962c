package matrix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

func TestSendReceipt(t *testing.T) {
	for name, opts := range map[string]matrixtest.Options{"synapse": matrixtest.Synapse(), "dendrite": matrixtest.Dendrite()} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, opts)
			room, alice := b.room(t)
			carl := b.ghost("carl")
			require.NoError(t, b.EnsureJoined(background, carl, room))
			event := alice.Send(room, "one")
			require.NoError(t, b.SendReceipt(background, carl, room, event))
			alice.WaitReceipt(room, carl, event)
			require.Empty(t, b.hs.FullyRead(room, carl), "unread numbers are nobody else's business")
			require.Len(t, alice.ReceiptsOf(room), 1)
			sent := b.hs.Requests(matrixtest.Path("/receipt/m.read/"))
			require.Len(t, sent, 1)
			require.JSONEq(t, `{}`, string(sent[0].Body))
		})
	}
}

func TestSendEvent(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	room, _ := b.room(t)
	carl := b.ghost("carl")
	require.NoError(t, b.EnsureJoined(background, carl, room))
	ts := time.UnixMilli(1700000000123)
	content := json.RawMessage(`{"msgtype":"m.text","body":"<hello> & 你好"}`)
	first, err := b.SendMessage(background, carl, room, content, "g1-7-carl", ts)
	require.NoError(t, err)
	again, err := b.SendMessage(background, carl, room, content, "g1-7-carl", ts)
	require.NoError(t, err)
	require.Equal(t, first, again)
	timeline := b.hs.Timeline(room)
	require.Len(t, timeline, 1)
	require.Equal(t, ts.UnixMilli(), timeline[0].TS)
	require.Equal(t, carl, timeline[0].Sender)
	require.JSONEq(t, string(content), string(timeline[0].Content))

	_, err = b.SendEvent(background, carl, room, "m.sticker", json.RawMessage(`{"body":"x"}`), "g1/8 carl", time.Time{})
	require.NoError(t, err)
	require.Equal(t, "m.sticker", b.hs.Timeline(room)[1].Type)
	require.InDelta(t, time.Now().UnixMilli(), b.hs.Timeline(room)[1].TS, 60_000)

	for _, bad := range []string{``, `[]`, `{`, `null`} {
		_, err = b.SendMessage(background, carl, room, json.RawMessage(bad), "x", ts)
		require.ErrorIs(t, err, errBadJSON)
	}
	_, err = b.SendMessage(background, carl, room, content, "", ts)
	require.ErrorIs(t, err, errNoTxnID)
	_, err = b.SendMessage(background, b.ghost("nobody"), room, content, "x", ts)
	require.ErrorIs(t, err, ErrForbidden)
	require.NotContains(t, b.log.String(), "hello")
}

func TestNothingOfRequestsIsLogged(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	room, _ := b.room(t)
	ctx := zerolog.New(b.log).Level(zerolog.TraceLevel).WithContext(background)
	_, err := b.SendMessage(ctx, b.BotMXID(), room, json.RawMessage(`{"body":"secret"}`), "x", time.Time{})
	require.NoError(t, err)
	b.hs.FailRequests(matrixtest.Path("/send/"), 1, 500, "", 0)
	_, err = b.SendMessage(ctx, b.BotMXID(), room, json.RawMessage(`{"body":"secret"}`), "y", time.Time{})
	require.Error(t, err)
	require.NotContains(t, b.log.String(), "secret")
	require.NotContains(t, err.Error(), "http://")
}

func TestErrors(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	room, alice := b.room(t)
	event := alice.Send(room, "one")
	for name, tc := range map[string]struct {
		status     int
		errcode    string
		retryAfter time.Duration
		is         error
		temporary  bool
	}{
		"forbidden":          {403, "M_FORBIDDEN", 0, ErrForbidden, false},
		"not found":          {404, "M_NOT_FOUND", 0, ErrNotFound, false},
		"no such call":       {404, "M_UNRECOGNIZED", 0, ErrUnsupported, false},
		"token":              {401, "M_UNKNOWN_TOKEN", 0, ErrUnknownToken, true},
		"rate limit":         {429, "M_LIMIT_EXCEEDED", 7 * time.Second, nil, true},
		"rate limit as 400":  {400, "M_LIMIT_EXCEEDED", 0, nil, true},
		"server error":       {500, "M_UNKNOWN", 0, nil, true},
		"server error, 403":  {503, "M_FORBIDDEN", 0, nil, true},
		"proxy error":        {502, "", 0, nil, true},
		"proxy forbids":      {403, "", 0, nil, true},
		"proxy lost its way": {404, "", 0, nil, true},
		"connection closed":  {0, "", 0, nil, true},
		"absurd wait":        {429, "M_LIMIT_EXCEEDED", 1000 * time.Hour, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			b.hs.FailRequests(matrixtest.Path("/receipt/"), 1, tc.status, tc.errcode, tc.retryAfter)
			err := b.SendReceipt(background, b.BotMXID(), room, event)
			require.Error(t, err)
			var temporary *TemporaryError
			require.Equal(t, tc.temporary, errors.As(err, &temporary), err)
			if tc.is != nil {
				require.ErrorIs(t, err, tc.is)
			}
			if tc.temporary {
				require.Equal(t, min(tc.retryAfter, maxRetryAfter), temporary.RetryAfter)
			}
			require.Len(t, b.hs.Requests(matrixtest.Path("/receipt/")), 1, "no retries of our own")
			b.hs.ClearLog()
		})
	}
	b.hs.FailRequests(matrixtest.Path("/receipt/"), 1, 400, "M_INVALID_PARAM", 0)
	var refused *RequestError
	require.ErrorAs(t, b.SendReceipt(background, b.BotMXID(), room, event), &refused)
	require.Equal(t, "M_INVALID_PARAM", refused.Code)
	require.Equal(t, 400, refused.Status)
}

// silent is a homeserver that never answers.
func silent(t *testing.T) string {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { close(release); server.Close() })
	return server.URL
}

func TestTimeouts(t *testing.T) {
	url := silent(t)
	b := newBench(t, matrixtest.Synapse(), func(c *Config) {
		c.HomeserverURL = url
		c.RequestTimeout = 30 * time.Millisecond
		c.Concurrency = 1
	})
	var temporary *TemporaryError
	require.ErrorAs(t, b.SendReceipt(background, b.BotMXID(), "!r:x", "$e"), &temporary)

	ctx, cancel := context.WithTimeout(background, time.Millisecond)
	defer cancel()
	require.ErrorAs(t, b.SendReceipt(ctx, b.BotMXID(), "!r:x", "$e"), &temporary, "a deadline is a timeout too")

	canceled, cancel := context.WithCancel(background)
	cancel()
	err := b.SendReceipt(canceled, b.BotMXID(), "!r:x", "$e")
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorAs(t, err, &temporary, "the caller gave up, there is nothing to try again")
}

func TestConcurrencyIsBounded(t *testing.T) {
	running, most := make(chan struct{}, 100), 0
	gate := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		running <- struct{}{}
		<-gate
		<-running
		_, _ = w.Write([]byte(`{}`))
	}))
	t.Cleanup(server.Close)
	b := newBench(t, matrixtest.Synapse(), func(c *Config) { c.HomeserverURL = server.URL; c.Concurrency = 3 })
	done := make(chan error, 10)
	for i := range 10 {
		go func() { done <- b.SendReceipt(background, b.ghost(fmt.Sprint(i)), "!r:x", "$e") }()
	}
	for range 10 {
		most = max(most, len(running))
		gate <- struct{}{}
	}
	for range 10 {
		require.NoError(t, <-done)
	}
	require.LessOrEqual(t, most, 3)
}

func TestDoublePuppet(t *testing.T) {
	b := newBench(t, matrixtest.Synapse(), func(c *Config) {
		c.DoublePuppet = map[string]string{c.Domain: "as_token:puppet-token", "far.example": "as_token:x"}
	})
	reg, err := NewDoublePuppetRegistration("puppet", b.hs.Name(), "puppet-token")
	require.NoError(t, err)
	b.hs.AddAppService(reg)
	room, alice := b.room(t)
	bob := b.hs.User("bob")
	alice.Invite(room, bob.ID)
	bob.Join(room)
	event := alice.Send(room, "one")
	require.NoError(t, b.SendReceipt(background, bob.ID, room, event))
	alice.WaitReceipt(room, bob.ID, event)
	require.True(t, b.CanActAs(bob.ID))
	require.True(t, b.CanActAs(b.ghost("carl")))
	require.True(t, b.CanActAs(b.BotMXID()))
	require.False(t, b.CanActAs("@eve:elsewhere"))
	require.ErrorIs(t, b.SendReceipt(background, "@eve:elsewhere", room, event), ErrNoPuppet)
	require.ErrorIs(t, b.SendReceipt(background, "@eve:far.example", room, event), ErrNoPuppet, "its URL is not known")
	require.ErrorIs(t, b.SendReceipt(background, "eve", room, event), ErrNoPuppet)
}

func TestContext(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	room, alice := b.room(t)
	one, two, three := alice.Send(room, "1"), alice.React(room, "$x", "+"), alice.Send(room, "3")
	before, after, err := b.Context(background, room, two)
	require.NoError(t, err)
	require.Equal(t, one, before[0], "nearest first")
	require.Equal(t, []id.EventID{three}, after)
	around, err := b.Surroundings(background, room, two)
	require.NoError(t, err)
	require.Equal(t, "m.reaction", around.Event.Type)

	other := alice.CreateRoom(matrixtest.RoomOptions{})
	foreign := alice.Send(other, "elsewhere")
	_, _, err = b.Context(background, room, foreign)
	require.ErrorIs(t, err, ErrNotFound)
	_, _, err = b.Context(background, other, foreign)
	require.ErrorIs(t, err, ErrForbidden)
}

func TestParseSurroundings(t *testing.T) {
	const other = `{"event_id":"$o","room_id":"!other:x","sender":"@a:x","type":"t","content":{}}`
	var dropped drops
	around, err := parseSurroundings([]byte(`{"event":`+goodEvent+`,"events_before":[`+other+`,7,`+goodEvent+`],"events_after":{}}`), "!r:x", "$e", dropped.add)
	require.NoError(t, err)
	require.Len(t, around.Before, 1)
	require.Empty(t, around.After)
	require.Len(t, dropped, 3)
	_, err = parseSurroundings([]byte(`{"event":`+other+`}`), "!r:x", "$o", dropped.add)
	require.ErrorIs(t, err, ErrNotFound, "an event of another room counts for nothing")
	_, err = parseSurroundings([]byte(`{"event":`+goodEvent+`}`), "!r:x", "$wanted", dropped.add)
	require.ErrorIs(t, err, ErrNotFound)
	var temporary *TemporaryError
	_, err = parseSurroundings([]byte(`{}`), "!r:x", "$e", dropped.add)
	require.ErrorAs(t, err, &temporary)
}

func TestPing(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	require.NoError(t, b.Ping(background))
	b.hs.SetASURL(b.reg.ID, "")
	var refused *RequestError
	require.ErrorAs(t, b.Ping(background), &refused)
	require.Equal(t, "M_URL_NOT_SET", refused.Code)
	b.hs.FailRequests(matrixtest.Path("/ping"), 1, 404, "", 0)
	require.ErrorIs(t, b.Ping(background), ErrUnsupported)

	b = newBench(t, matrixtest.Dendrite())
	require.ErrorIs(t, b.Ping(background), ErrUnsupported)
}

func TestNewRefuses(t *testing.T) {
	store := mautrix.NewMemoryStateStore().(appservice.StateStore)
	good := func() Config {
		reg, err := NewRegistration(RegistrationConfig{Domain: "x", BotLocalpart: "tim", GhostPrefix: "tim_"})
		require.NoError(t, err)
		return Config{Registration: reg, HomeserverURL: "http://x", Domain: "x", BotLocalpart: "tim", GhostPrefix: "tim_"}
	}
	_, err := New(good(), store, nil, zerolog.Nop())
	require.NoError(t, err)
	for name, spoil := range map[string]func(*Config){
		"no registration":    func(c *Config) { c.Registration = nil },
		"no as_token":        func(c *Config) { c.Registration.AppToken = "" },
		"no hs_token":        func(c *Config) { c.Registration.ServerToken = "" },
		"no domain":          func(c *Config) { c.Domain = "" },
		"no URL":             func(c *Config) { c.HomeserverURL = "" },
		"bot is a ghost":     func(c *Config) { c.BotLocalpart = "tim_bot" },
		"bot is the sender":  func(c *Config) { c.Registration.SenderLocalpart = "tim" },
		"bot is no name":     func(c *Config) { c.BotLocalpart = "T im" },
		"prefix is empty":    func(c *Config) { c.GhostPrefix = "" },
		"puppet is no token": func(c *Config) { c.DoublePuppet = map[string]string{"x": "secret"} },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good()
			spoil(&cfg)
			_, err := New(cfg, store, nil, zerolog.Nop())
			require.Error(t, err)
		})
	}
}
