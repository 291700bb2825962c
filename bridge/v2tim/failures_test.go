package v2tim_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/v2tim"
)

// callFrom makes a call from an address and returns the answer and whether the connection is to be closed.
func callFrom(t *testing.T, s *v2tim.Server, address, query string) (reply, bool) {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, "/v4/v2tim/sendMessageReadReceipts?"+query, strings.NewReader(`{"messageIDList":["m1"]}`))
	req.RemoteAddr = address
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, req)
	return parseReply(t, true, w.Body.Bytes()), w.Header().Get("Connection") == "close"
}

func TestTooManyBadSignaturesFromOneAddress(t *testing.T) {
	now := time.Now()
	b := newBed(t, func(c *v2tim.Config) {
		c.SigFailures = 3
		c.Now = func() time.Time { return now }
	})
	sign := func(app uint64, key, user string, life time.Duration) string {
		sig, err := v2tim.GenUserSig(app, key, user, life)
		require.NoError(t, err)
		return sig
	}
	with := func(sig string) string { return query(t, "alice", map[string]string{"usersig": sig}) }
	good, expired := query(t, "alice", nil), with(sign(appID, secret, "alice", time.Second))
	bad := []string{with("garbage"), with(sign(appID, "other key", "alice", time.Hour)), with(sign(appID, secret, "bob", time.Hour)), with(sign(appID+1, secret, "alice", time.Hour))}
	now = now.Add(5 * time.Second)

	codes := func(address string, queries ...string) (codes []int) {
		for _, q := range queries {
			r, closed := callFrom(t, b.server, address, q)
			require.Equal(t, r.code == 70050, closed)
			codes = append(codes, r.code)
		}
		return codes
	}
	const here = "192.0.2.1:1000"
	require.Equal(t, []int{70001, 70001, 70001, 70001}, codes(here, expired, expired, expired, expired), "these count for nothing")
	require.Equal(t, []int{70003, 70009, 70013, 70050}, codes(here, bad...))
	require.Equal(t, []int{70050, 70050}, codes("192.0.2.1:2000", bad[0], bad[3]), "another port is the same address")
	require.Equal(t, []int{70050}, codes("[::ffff:192.0.2.1]:2000", bad[0]))
	require.Equal(t, []int{0, 70001, 60012, 6014}, codes(here, good, expired, "", query(t, "alice", map[string]string{"usersig": ""})), "only bad signatures are cut short")
	require.Equal(t, []int{70003, 70009, 70013, 70050}, codes("192.0.2.2:1000", bad...), "others have their own")
	require.Equal(t, []int{70003, 70009, 70013, 70050}, codes("[2001:db8::1]:1000", bad...))
	require.Equal(t, []int{70050}, codes("[2001:db8::2]:1000", bad[0]), "of the same 64 bits")
	require.Equal(t, []int{70003}, codes("[2001:db8:0:1::2]:1000", bad[0]))
	now = now.Add(time.Minute)
	require.Equal(t, []int{70003, 70009, 70013, 70050}, codes(here, bad...), "after a minute")
	requireCalls(t, b.core, `ack alice ["m1"]`)
}

// TestFloodOfBadSignaturesIsBounded: what is remembered of addresses has a limit, and each of them its own.
func TestFloodOfBadSignaturesIsBounded(t *testing.T) {
	b := newBed(t, func(c *v2tim.Config) { c.SigFailures = 1 })
	q := query(t, "alice", map[string]string{"usersig": "x"})
	for i := range 50_000 {
		r, _ := callFrom(t, b.server, fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255), q)
		require.Equal(t, 70003, r.code)
	}
	require.LessOrEqual(t, b.server.TrackedAddresses(), 20_000)
}

// TestWhoCallsTooOftenIsNotRead: his body costs nothing, neither bytes nor parsing.
func TestWhoCallsTooOftenIsNotRead(t *testing.T) {
	b := newBed(t, func(c *v2tim.Config) { c.RatePerSecond, c.RateBurst = 0.001, 2 })
	q := query(t, "alice", nil)
	codes := make(map[int]int)
	for range 5 {
		codes[b.ask(http.MethodPost, "/v4/v2tim/sendMessage", q, bytes.NewReader([]byte(`{"broken`))).code]++
	}
	require.Equal(t, map[int]int{60003: 2, 7008: 3}, codes, "malformed calls count too")
	conn := dial(t, b)
	fmt.Fprintf(conn, "POST /v4/v2tim/sendMessage?%s HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\nExpect: 100-continue\r\n\r\n", q)
	require.Equal(t, 7008, readReply(t, conn).code, "his body was not even asked for")
	require.Equal(t, 60003, b.ask(http.MethodPost, "/v4/v2tim/sendMessage", query(t, "bob", nil), bytes.NewReader([]byte(`{"broken`))).code, "others are not hindered")
	require.Empty(t, b.core.took())
}

// TestUnwantedBodiesAreTakenInFromFewAtATime: who is refused and goes on sending holds a place for a while, of which there are so many.
func TestUnwantedBodiesAreTakenInFromFewAtATime(t *testing.T) {
	b := newBed(t)
	q := query(t, "alice", map[string]string{"usersig": "x"})
	begin := func() io.Reader {
		conn := dial(t, b)
		fmt.Fprintf(conn, "POST /v4/v2tim/sendMessage?%s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{", q)
		return conn
	}
	for range v2tim.MaxDrains {
		begin()
	}
	require.Eventually(t, func() bool { return b.server.Draining() == v2tim.MaxDrains }, 10*time.Second, time.Millisecond)
	conn := dial(t, b)
	fmt.Fprintf(conn, "POST /v4/v2tim/sendMessage?%s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{", q)
	require.Equal(t, 70003, readReply(t, conn).code, "one more is answered at once")
	require.NoError(t, b.client("alice").SendMessageReadReceipts(t.Context(), "m1"), "and so is who has a right to ask")
}

// TestEveryCallIsInTheTable: the tests that go over all calls go over what the server has.
func TestEveryCallIsInTheTable(t *testing.T) {
	b := newBed(t)
	var have []string
	for path := range allBodies() {
		have = append(have, strings.TrimPrefix(path, "/v4/"))
	}
	require.ElementsMatch(t, b.server.Commands(), append(have, "v2tim/events"))
}
