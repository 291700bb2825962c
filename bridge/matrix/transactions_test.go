package matrix

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

// put sends a transaction to the adapter as anybody might.
func (b *bench) put(t *testing.T, authorization, body string) (status int, answer string) {
	t.Helper()
	return b.request(t, http.MethodPut, "/_matrix/app/v1/transactions/1", authorization, body)
}

func (b *bench) request(t *testing.T, method, path, authorization, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequest(method, b.url+path, strings.NewReader(body))
	require.NoError(t, err)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(raw)
}

func TestTransactionAnswers(t *testing.T) {
	b := newBench(t, matrixtest.Dendrite())
	good := "Bearer " + b.reg.ServerToken
	for name, tc := range map[string]struct {
		authorization, body string
		status              int
		errcode             string
	}{
		"taken":                {good, `{"events":[` + goodEvent + `]}`, 200, ""},
		"empty":                {good, `{}`, 200, ""},
		"no token":             {"", `{}`, 401, "M_MISSING_TOKEN"},
		"wrong token":          {"Bearer nope", `{}`, 401, "M_UNKNOWN_TOKEN"},
		"our own token":        {"Bearer " + b.reg.AppToken, `{}`, 401, "M_UNKNOWN_TOKEN"},
		"empty token":          {"Bearer ", `{}`, 401, "M_MISSING_TOKEN"},
		"not JSON":             {good, `{"events":[`, 400, "M_NOT_JSON"},
		"no body":              {good, ``, 400, "M_NOT_JSON"},
		"JSON but no object":   {good, `[]`, 400, "M_BAD_JSON"},
		"too large":            {good, `{"events":["` + strings.Repeat("x", maxTransaction) + `"]}`, 413, "M_TOO_LARGE"},
		"malformed piece only": {good, `{"events":[7]}`, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := b.put(t, tc.authorization, tc.body)
			require.Equal(t, tc.status, status)
			if tc.errcode == "" {
				require.JSONEq(t, `{}`, answer)
			} else {
				require.Contains(t, answer, tc.errcode)
			}
		})
	}
	n, _ := b.intake.count()
	require.Equal(t, 1, n, "only the one with an event reaches the intake")
	require.NotContains(t, b.log.String(), b.reg.ServerToken)
}

func TestOtherPaths(t *testing.T) {
	b := newBench(t, matrixtest.Dendrite())
	good := "Bearer " + b.reg.ServerToken
	status, _ := b.request(t, http.MethodGet, "/_matrix/mau/live", "", "")
	require.Equal(t, 200, status)
	status, _ = b.request(t, http.MethodGet, "/_matrix/mau/ready", "", "")
	require.Equal(t, 500, status)
	b.SetReady(true)
	b.SetLive(false)
	status, _ = b.request(t, http.MethodGet, "/_matrix/mau/ready", "", "")
	require.Equal(t, 200, status)
	status, _ = b.request(t, http.MethodGet, "/_matrix/mau/live", "", "")
	require.Equal(t, 500, status)
	status, _ = b.request(t, http.MethodPost, "/_matrix/app/v1/ping", good, `{"transaction_id":"x"}`)
	require.Equal(t, 200, status)
	status, _ = b.request(t, http.MethodPost, "/_matrix/app/v1/ping", good, `"`+strings.Repeat("x", maxQuery)+`"`)
	require.Equal(t, 400, status)
	status, _ = b.request(t, http.MethodGet, "/_matrix/app/v1/users/@x:localhost", good, "")
	require.Equal(t, 404, status)
	status, _ = b.request(t, http.MethodPost, "/_matrix/app/v1/transactions/1", good, `{}`)
	require.Equal(t, 405, status)
}

func TestTransactionFailures(t *testing.T) {
	b := newBench(t, matrixtest.Dendrite())
	good := "Bearer " + b.reg.ServerToken
	b.intake.setBefore(func(string) error { return errDisk })
	status, answer := b.put(t, good, `{"events":[`+goodEvent+`]}`)
	require.Equal(t, 500, status)
	require.Contains(t, answer, "M_UNKNOWN")
	require.NotContains(t, answer, "disk", "what went wrong inside is for the log")

	b.intake.setBefore(func(string) error { panic("odd event") })
	status, answer = b.put(t, good, `{"events":[`+goodEvent+`]}`)
	require.Equal(t, 500, status)
	require.Contains(t, answer, "M_UNKNOWN")
	require.Contains(t, b.log.String(), "Intake panicked")

	b.intake.setBefore(nil)
	status, _ = b.put(t, good, `{"events":[`+goodEvent+`]}`)
	require.Equal(t, 200, status)
	require.True(t, b.intake.hasEvent("$e"))
}

func TestFailedTransactionComesAgain(t *testing.T) {
	for name, opts := range map[string]matrixtest.Options{"synapse": matrixtest.Synapse(), "dendrite": matrixtest.Dendrite()} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, opts)
			room, alice := b.room(t)
			b.hs.WaitPushed()
			var once sync.Once
			b.intake.setBefore(func(string) (err error) {
				once.Do(func() { err = errDisk })
				return err
			})
			first, second := alice.Send(room, "one"), alice.Send(room, "two")
			b.hs.WaitFor("both events", func() bool { return b.intake.hasEvent(first) && b.intake.hasEvent(second) })
			b.hs.WaitPushed()
			require.Contains(t, b.log.String(), "Failed to handle a transaction")
		})
	}
}

// TestTransactionsOneByOne: Dendrite sends a transaction again while the first request still runs.
func TestTransactionsOneByOne(t *testing.T) {
	b := newBench(t, matrixtest.Dendrite())
	good := "Bearer " + b.reg.ServerToken
	entered, release := make(chan struct{}, 8), make(chan struct{})
	b.intake.setBefore(func(string) error {
		entered <- struct{}{}
		<-release
		return nil
	})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			status, _ := b.put(t, good, `{"events":[`+goodEvent+`]}`)
			if status != 200 {
				t.Errorf("status %d", status)
			}
		})
	}
	<-entered
	for range 4 {
		release <- struct{}{}
	}
	wg.Wait()
	n, _ := b.intake.count()
	require.Equal(t, 4, n)
	require.Zero(t, b.intake.overlaps)
}

// TestRepeatedTransactions: ids mean nothing, the intake gets to see everything that is sent.
func TestRepeatedTransactions(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	room, alice := b.room(t)
	first := alice.Send(room, "one")
	b.hs.WaitPushed()
	require.Equal(t, 200, b.hs.RepeatLast(""))
	require.Equal(t, 200, b.hs.RepeatLast("other-id"))

	b.hs.Restart() // ids begin at 1
	second := alice.Send(room, "two")
	b.hs.WaitFor("an event under an old id", func() bool { return b.intake.hasEvent(second) })
	last := b.hs.Transactions()
	require.Equal(t, "1", last[len(last)-1].ID)
	times := 0
	for _, ev := range b.intake.events {
		if ev.ID == first {
			times++
		}
	}
	require.Equal(t, 3, times)

	b.hs.LoseAnswers(1)
	third := alice.Send(room, "three")
	b.hs.WaitPushed()
	require.True(t, b.intake.hasEvent(third))
	require.Equal(t, 200, b.hs.RepeatLast("", b.hs.EventJSON(first)))
}

// TestWorkGoesOnWithoutTheHomeserver: what began is committed even if the request is gone.
func TestWorkGoesOnWithoutTheHomeserver(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	room, alice := b.room(t)
	b.hs.WaitPushed()
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b.intake.setBefore(func(string) error {
		once.Do(func() {
			entered <- struct{}{}
			<-release
		})
		return nil
	})
	event := alice.Send(room, "one")
	<-entered
	b.hs.SetOutage(true) // the homeserver hangs up
	close(release)
	b.hs.WaitFor("the commit", func() bool { return b.intake.hasEvent(event) })
	b.hs.SetOutage(false)
	b.hs.WaitPushed()
}

// TestTransactionThatOvertakes: once after each time that the homeserver was away, a transaction waits for an earlier one that has not
// come.
func TestTransactionThatOvertakes(t *testing.T) {
	b := newBench(t, matrixtest.Dendrite())
	put := func(txnID string) int {
		status, _ := b.request(t, http.MethodPut, "/_matrix/app/v1/transactions/"+txnID, "Bearer "+b.reg.ServerToken, `{"events":[`+goodEvent+`]}`)
		return status
	}
	away := func() {
		b.hs.FailRequests(matrixtest.Path("/context/"), 1, 0, "", 0)
		_, err := b.Surroundings(t.Context(), "!room:localhost", "$event")
		require.Error(t, err)
	}
	for _, step := range []struct {
		txnID  string
		away   bool
		status int
	}{
		{"5", true, 200}, // the first one tells nothing
		{"6", true, 200},
		{"8", false, 500},
		{"7", false, 200}, // as Synapse goes on
		{"8", false, 200},
		{"10", false, 200}, // the homeserver has not been away since: another application service's was between
		{"12", true, 500},
		{"12", false, 200}, // so it was here
		{"1", true, 200},   // ids begin anew
		{"2000", true, 200},
		{"abc_1", true, 200},
		{"2005", true, 200},
		{"99999999999999999999", true, 200},
	} {
		if step.away {
			away()
		}
		require.Equal(t, step.status, put(step.txnID), "%+v", step)
	}
}
