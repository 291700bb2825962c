package bridge

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// This file is the flood of TestFlood.

type floodCounts struct{ connections, requests atomic.Int64 }

// flood sends garbage to all ports for a while, from twice as many connections as are allowed and from eight clients at each port.
func flood(t *testing.T, ports [3]string, requests []string, d time.Duration) *floodCounts {
	counts := new(floodCounts)
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var all sync.WaitGroup
	for _, port := range ports {
		address := strings.TrimPrefix(port, "http://")
		for range 4 {
			all.Go(func() { holdConnections(ctx, address, 100, &counts.connections) })
		}
		for i := range 8 {
			all.Go(func() { sendGarbage(ctx, address, rand.New(rand.NewPCG(uint64(i), 1)), requests, counts) })
		}
	}
	all.Wait()
	return counts
}

// holdConnections keeps connections open that say nothing, or begin a request and do not go on.
func holdConnections(ctx context.Context, address string, n int, count *atomic.Int64) {
	held := make([]net.Conn, n)
	defer func() {
		for _, c := range held {
			if c != nil {
				_ = c.Close()
			}
		}
	}()
	var dialer net.Dialer
	for i := 0; ctx.Err() == nil; i++ {
		c, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			continue
		}
		count.Add(1)
		if held[i%n] != nil {
			_ = held[i%n].Close()
		}
		held[i%n] = c
		_, _ = io.WriteString(c, []string{"", "GET", "POST /v4/v2tim/sendMessage?", "PUT /x HTTP/1.1\r\nX-Slow: a", "\x16\x03\x01\x02\x00"}[i%5])
		if i >= n { // they stay for a while
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
}

// garbage are requests that are wrong in some way.
func garbage(t *testing.T) []string {
	random := rand.New(rand.NewPCG(1, 1))
	sig := userSig(t, testAppID, testSecretKey, "mallory", time.Hour)
	noise := make([]byte, 64<<10)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	caller := "?sdkappid=1400000001&identifier=mallory&usersig="
	deep := strings.Repeat("[", 32<<10)
	return []string{
		string(noise[:1000]), "GET / HTTP/1.1\r\n" + strings.Repeat("X-A: "+strings.Repeat("a", 1000)+"\r\n", 64) + "\r\n",
		put("POST", "/v4/v2tim/sendMessage"+caller+base64.StdEncoding.EncodeToString(noise[:300]), "", string(noise)),
		put("POST", "/v4/v2tim/sendMessage"+caller+packed(strings.Repeat("0", 10<<20)), "", "{}"),
		put("POST", "/v4/v2tim/sendMessage"+caller+sig, "", deep), put("POST", "/v4/v2tim/sendMessage"+caller+sig, "", string(noise)),
		put("POST", "/v4/v2tim/sendMessageReadReceipts"+caller+sig, "", `{"messageIDList":["nobody knows this"]}`),
		put("POST", "/v4/timbridge/get_groups"+caller+sig, "", deep), "GET /v4/v2tim/events" + caller + sig + " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
		put("PUT", "/_matrix/app/v1/transactions/1", "nobody's token", deep), put("PUT", "/_matrix/app/v1/transactions/1?access_token="+testHSToken, "", string(noise)),
		put("GET", "/_matrix/app/v1/users/@tim_x:localhost", "", ""), put("GET", "/_matrix/mau/live", "", ""),
		put("POST", "/?SdkAppid=1400000001&CallbackCommand=Group.CallbackAfterSendMsg&Sign=00&RequestTime=1", "", string(noise)),
		put("POST", "/?SdkAppid=1400000001&CallbackCommand=Group.CallbackAfterSendMsg", "no bearer", deep),
	}
}

// sendGarbage makes such requests, one after the other.
func sendGarbage(ctx context.Context, address string, random *rand.Rand, requests []string, counts *floodCounts) {
	var dialer net.Dialer
	buf := make([]byte, 4<<10)
	for ctx.Err() == nil {
		c, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			continue
		}
		counts.connections.Add(1)
		for range 1 + random.IntN(4) {
			_ = c.SetDeadline(time.Now().Add(50 * time.Millisecond))
			if _, err = io.WriteString(c, requests[random.IntN(len(requests))]); err != nil {
				break
			}
			counts.requests.Add(1)
			if _, err = c.Read(buf); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
		}
		_ = c.Close()
	}
}

// put is a request as it goes over the wire.
func put(method, path, bearer, body string) string {
	header := ""
	if bearer != "" {
		header = "Authorization: Bearer " + bearer + "\r\n"
	}
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", method, path, header, len(body), body)
}

// packed is text in the packing of UserSigs: small, and large once unpacked.
func packed(text string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return strings.NewReplacer("+", "*", "/", "-", "=", "_").Replace(base64.StdEncoding.EncodeToString(b.Bytes()))
}
