package matrix

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

// TestTheTokenIsTakenAsABearerOnly: not from the query, where it would stand in the logs of every proxy on the way, and not in any
// other form; on every path that there is.
func TestTheTokenIsTakenAsABearerOnly(t *testing.T) {
	b := newBench(t, matrixtest.Dendrite())
	token := b.reg.ServerToken
	body := `{"events":[` + goodEvent + `],"ephemeral":[` + pushedReceipt("@a:x") + `]}`
	for _, call := range [][2]string{
		{http.MethodPut, "/_matrix/app/v1/transactions/1"}, {http.MethodGet, "/_matrix/app/v1/users/@tim_x:localhost"},
		{http.MethodGet, "/_matrix/app/v1/rooms/%23tim_x:localhost"}, {http.MethodPost, "/_matrix/app/v1/ping"},
	} {
		for _, try := range []struct{ query, authorization string }{
			{"", ""}, {"?access_token=" + token, ""}, {"?access_token=" + token, "Bearer nope"}, {"?access_token=" + token, "Bearer "},
			{"", token}, {"", "bearer " + token}, {"", "Basic " + token}, {"", "Bearer  " + token}, {"", "Bearer " + token + "x"},
			{"", "Bearer " + token[:len(token)-1]}, {"", "Bearer " + strings.ToUpper(token)}, {"", "Bearer nope, Bearer " + token},
		} {
			status, answer := b.request(t, call[0], call[1]+try.query, try.authorization, body)
			require.Equal(t, http.StatusUnauthorized, status, "%s %s %q: %s", call[1], try.query, try.authorization, answer)
			require.NotContains(t, answer, token)
		}
		status, _ := b.request(t, call[0], call[1], "Bearer "+token, body)
		require.NotEqual(t, http.StatusUnauthorized, status, call[1])
	}
	require.Len(t, b.intake.transactions, 1, "the one with the token")
	require.NotContains(t, b.log.String(), token)
	// The old paths without a version, which took the token from the query, are not there.
	for _, path := range []string{"/transactions/1?access_token=" + token, "/users/@tim_x:localhost?access_token=" + token} {
		status, _ := b.request(t, http.MethodPut, path, "", body)
		require.Contains(t, []int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnauthorized}, status)
	}
	require.Len(t, b.intake.transactions, 1)
}

// TestStrangersAreNotRead: who has no token is told so before he has sent anything.
func TestStrangersAreNotRead(t *testing.T) {
	b := newBench(t, matrixtest.Dendrite())
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	fmt.Fprintf(conn, "PUT /_matrix/app/v1/transactions/1 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", maxTransaction)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode, "not 100 Continue")
	require.NoError(t, resp.Body.Close())
}

// TestOversizedTransactions: what is far beyond what a homeserver sends is taken, or refused, in bounded time, and costs nobody else.
func TestOversizedTransactions(t *testing.T) {
	b := newBench(t, matrixtest.Dendrite())
	good := "Bearer " + b.reg.ServerToken
	long := strings.Repeat("x", 10_000)
	for name, tc := range map[string]struct {
		body   string
		status int
	}{
		"deep content":     {`{"events":[` + deepEvent("$deep", 9000) + `,` + goodEvent + `]}`, 200},
		"too deep":         {`{"events":[` + deepEvent("$deep", 1_000_000) + `,` + goodEvent + `]}`, 200},
		"open brackets":    {strings.Repeat("[", 1<<20), 400},
		"many events":      {`{"events":[` + strings.Repeat(goodEvent+",", 20_000) + goodEvent + `]}`, 200},
		"many nothings":    {`{"events":[` + strings.Repeat("0,", 1_000_000) + `0]}`, 200},
		"many receipts":    {`{"ephemeral":[` + strings.Repeat(pushedReceipt("@a:x")+",", 20_000) + pushedReceipt("@a:x") + `]}`, 200},
		"long ids":         {`{"events":[{"event_id":"$` + long + `","room_id":"!` + long + `","sender":"@` + long + `","type":"m","content":{}}],"ephemeral":[` + pushedReceipt("@"+long) + `]}`, 200},
		"same key a lot":   {`{` + strings.Repeat(`"events":[],`, 100_000) + `"events":[]}`, 200},
		"long transaction": {`{}`, 200},
	} {
		t.Run(name, func(t *testing.T) {
			path := "/_matrix/app/v1/transactions/1"
			if name == "long transaction" {
				path += strings.Repeat("1", 4000)
			}
			status, answer := b.request(t, http.MethodPut, path, good, tc.body)
			require.Equal(t, tc.status, status, answer)
			require.Less(t, len(answer), 1000)
		})
	}
	for _, ev := range b.intake.events {
		checkEvent(t, ev)
	}
	for _, r := range b.intake.pushed {
		checkReceipt(t, r)
	}
	require.Less(t, len(b.log.String()), 300<<20)
}
