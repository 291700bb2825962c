package tencent

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

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

// BenchmarkWebhookHTTP is the same over the loopback interface, with and without a backend behind us.
func BenchmarkWebhookHTTP(b *testing.B) {
	for _, bench := range []struct {
		name    string
		forward bool
	}{{"direct", false}, {"forward", true}} {
		b.Run(bench.name, func(b *testing.B) {
			w := newWebhooks(b, nothing{true}, func(cfg *WebhooksConfig) {
				if bench.forward {
					backend(b, func(rw http.ResponseWriter, r *http.Request) {
						_, _ = io.Copy(io.Discard, r.Body)
						_, _ = io.WriteString(rw, bodyOK)
					})(cfg)
				}
			})
			server := httptest.NewServer(w)
			defer server.Close()
			address := server.URL + "?SdkAppid=" + strconv.Itoa(testApp) + "&CallbackCommand=" + CommandAfterSendMsg
			body := samples()[3].body
			server.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = 64
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					resp, err := server.Client().Post(address, "application/json", strings.NewReader(body))
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "webhooks/s")
			require.Zero(b, w.Stats().Malformed)
		})
	}
}
