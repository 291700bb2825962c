package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

// fakeHomeserver is the strict one inside the test, which can fail in ways of its own.
type fakeHomeserver struct {
	*matrixtest.Server
	w    *world
	http *http.Client
	txns atomic.Int64
}

func (hs *fakeHomeserver) User(localpart string) *matrixUser {
	u := hs.Server.User(localpart)
	return &matrixUser{ID: u.ID, matrixClient: &fakeUser{u, hs}}
}

// Receipts are what the first user sees, who is in all rooms.
func (hs *fakeHomeserver) Receipts(room id.RoomID) []matrixtest.Receipt {
	return hs.Server.User("m0").ReceiptsOf(room)
}

// place: it numbers all events as they come.
func (hs *fakeHomeserver) place(event id.EventID) int64 {
	n, err := strconv.ParseInt(strings.TrimPrefix(string(event), "$ev"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (hs *fakeHomeserver) places(event id.EventID) []int64 { return []int64{hs.place(event)} }

func (hs *fakeHomeserver) tooLate(id.EventID) bool { return false }

func (hs *fakeHomeserver) underWay() string {
	if !hs.AllPushed() {
		return "transactions"
	}
	return ""
}

func (hs *fakeHomeserver) repair() {
	hs.StopFailing()
	hs.SetOutage(false)
}

func (hs *fakeHomeserver) faults() []faultKind {
	return []faultKind{{700 * time.Millisecond, hs.fail}}
}

// fail has the homeserver, and the ways to it and from it, fail now and then.
func (hs *fakeHomeserver) fail(a *actor) {
	switch a.rand.IntN(8) {
	case 0:
		a.stats.fault("homeserver: outage")
		hs.SetOutage(true)
		a.rest(time.Duration(100+a.rand.IntN(1500)) * time.Millisecond)
		hs.SetOutage(false)
	case 1:
		a.stats.fault("homeserver: restart")
		hs.Restart()
	case 2:
		a.stats.fault("homeserver: 502")
		hs.FailRequests(matrixtest.Path("/"), 1+a.rand.IntN(10), http.StatusBadGateway, "", 0)
	case 3:
		a.stats.fault("homeserver: 429")
		hs.FailRequests(matrixtest.Path("/receipt/"), 1+a.rand.IntN(5), http.StatusTooManyRequests, "M_LIMIT_EXCEEDED", 300*time.Millisecond)
	case 4:
		a.stats.fault("transactions: not delivered")
		hs.FailTransactions(1 + a.rand.IntN(4))
	case 5:
		a.stats.fault("transactions: answer not heard")
		hs.LoseAnswers(1 + a.rand.IntN(4))
	case 6:
		a.storm(a.toHS)
	case 7:
		a.storm(a.toBridge)
	}
}

type fakeUser struct {
	*matrixtest.User
	hs *fakeHomeserver
}

func (u *fakeUser) createRoom() (id.RoomID, error) {
	return u.CreateRoom(matrixtest.RoomOptions{Public: true}), nil
}

// trySend sends plain texts past all faults, as most people are on no network of the bridge's; what has relations goes by HTTP.
func (u *fakeUser) trySend(room id.RoomID, content map[string]any) (id.EventID, error) {
	if content["m.relates_to"] == nil {
		return u.TrySend(room, content["body"].(string))
	}
	body, err := json.Marshal(content)
	if err != nil {
		return "", err
	}
	path := fmt.Sprintf("/_matrix/client/v3/rooms/%s/send/m.room.message/chaos-%d", url.PathEscape(string(room)), u.hs.txns.Add(1))
	req, err := http.NewRequestWithContext(u.hs.w.t.Context(), http.MethodPut, u.hs.URL()+path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+u.Token)
	resp, err := u.hs.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var sent struct {
		EventID id.EventID `json:"event_id"`
	}
	err = json.NewDecoder(resp.Body).Decode(&sent)
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("HTTP %d", resp.StatusCode)
	}
	return sent.EventID, err
}
