package v2tim_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/v2tim"
)

// idle is a core that does nothing: what is left is the cost of the API itself.
type idle struct{ v2tim.Service }

func (idle) SendMessageReadReceipts(context.Context, string, []string) error { return nil }

func idleServer(b *testing.B) *v2tim.Server {
	s, err := v2tim.New(v2tim.Config{SDKAppID: appID, SecretKey: secret, RatePerSecond: 1e9}, idle{}, nil, nil)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close(context.Background())) })
	return s
}

// body of ten IDs as long as Tencent's.
func ackBody() string {
	ids := make([]string, 10)
	for i := range ids {
		ids[i] = fmt.Sprintf(`"144115233406643804-1727580296-%d"`, 4026038328+i)
	}
	return `{"messageIDList":[` + strings.Join(ids, ",") + `]}`
}

// BenchmarkHandler is the ceiling of sendMessageReadReceipts: everything but the
// core and the network.
func BenchmarkHandler(b *testing.B) {
	s := idleServer(b)
	h, target, body := s.Handler(), "/v4/v2tim/sendMessageReadReceipts?"+query(b, "alice", nil), ackBody()
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, target, strings.NewReader(body)))
		if !strings.HasPrefix(w.Body.String(), `{"code":0`) {
			b.Fatal(w.Body.String())
		}
	}
}

// BenchmarkLoopback is the same over HTTP on loopback, by n callers at once.
func BenchmarkLoopback(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			srv := httptest.NewServer(idleServer(b).Handler())
			defer srv.Close()
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
			defer client.CloseIdleConnections()
			target, body := srv.URL+"/v4/v2tim/sendMessageReadReceipts?"+query(b, "alice", nil), ackBody()
			b.SetParallelism(callers)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					resp, err := client.Post(target, "application/json", strings.NewReader(body))
					if err != nil {
						b.Error(err)
						return
					}
					resp.Body.Close()
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

// BenchmarkVerifyUserSig tells whether remembering verified UserSigs would pay.
func BenchmarkVerifyUserSig(b *testing.B) {
	stored, err := v2tim.GenUserSig(appID, secret, "alice", time.Hour)
	require.NoError(b, err)
	now := time.Now()
	for name, sig := range map[string]string{"stored": stored, "compressed": pack(b, unpack(b, stored), 9)} {
		b.Run(name, func(b *testing.B) {
			verify := v2tim.VerifierForBenchmark(appID, secret)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := verify("alice", sig, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
