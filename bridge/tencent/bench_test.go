package tencent

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// nothing is an intake that stores nothing, so that what is left is the cost of the endpoint.
type nothing struct{ linked bool }

func (n nothing) Linked(string) bool                       { return n.linked }
func (n nothing) HandleEvent(context.Context, Event) error { return nil }

// discard is a ResponseWriter for benchmarks.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkWebhook is one webhook through the handler: admission by Sign, decoding, the intake.
func BenchmarkWebhook(b *testing.B) {
	read := `{"CallbackCommand":"Group.CallbackAfterReadReceipt","GroupId":"@TGS#2TTV7VSII","Type":"Public","GroupMsgReceiptList":[` +
		strings.TrimSuffix(strings.Repeat(`{"MsgSeq":1,"ReadNum":1,"UnreadNum":6,"ReadReceiptMembers":[{"Member_Account":"user0"}]},`, 10), ",") + `],"EventTime":"1670574414123"}`
	for _, bench := range []struct {
		name, command, body string
		linked              bool
	}{
		{"receipt", CommandAfterReadReceipt, read, true},
		{"receipt unlinked", CommandAfterReadReceipt, read, false},
		{"message", CommandAfterSendMsg, samples()[3].body, true},
		{"message unlinked", CommandAfterSendMsg, samples()[3].body, false},
		{"ignored", "Group.CallbackBeforeSendMsg", samples()[3].body, true},
	} {
		b.Run(bench.name, func(b *testing.B) {
			w := newWebhooks(b, nothing{bench.linked}, func(cfg *WebhooksConfig) { cfg.BearerToken = "tee" })
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				r := request(bench.command, "")
				r.Header.Set("Authorization", "Bearer tee")
				rw := discard{make(http.Header)}
				for pb.Next() {
					r.Body = io.NopCloser(strings.NewReader(bench.body))
					w.ServeHTTP(rw, r)
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "webhooks/s")
		})
	}
}

// BenchmarkWebhookHTTP is the same over the loopback interface, sender included, with and without a
// backend behind us, by so many senders at a time.
func BenchmarkWebhookHTTP(b *testing.B) {
	answers := backend(b, func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(rw, bodyOK)
	})
	for _, forward := range []bool{false, true} {
		for _, senders := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("forward=%t/senders=%d", forward, senders), func(b *testing.B) {
				w := newWebhooks(b, nothing{true}, func(cfg *WebhooksConfig) {
					if forward {
						answers(cfg)
					}
				})
				server := httptest.NewServer(w)
				defer server.Close()
				took := send(b, server, senders)
				slices.Sort(took)
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "webhooks/s")
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
				require.Zero(b, w.Stats().Malformed+w.Stats().ForwardFailed)
			})
		}
	}
}

// send posts b.N webhooks to server and returns how long each took.
func send(b *testing.B, server *httptest.Server, senders int) []time.Duration {
	address := server.URL + "?SdkAppid=" + strconv.Itoa(testApp) + "&CallbackCommand=" + CommandAfterSendMsg
	body := samples()[3].body
	transport := &http.Transport{MaxIdleConnsPerHost: senders}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range senders {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				began := time.Now()
				resp, err := client.Post(address, "application/json", strings.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				took[i] = time.Since(began)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	return took
}
