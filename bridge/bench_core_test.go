package bridge

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/mapping"
)

// sideBySide has 64 goroutines call fn with 0 to n-1, and reports what a call costs of the processor's time and of statements: both say
// something on a busy machine too.
func sideBySide(b *testing.B, h *house, fn func(i int) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	before, asked := processorTime(b), h.asked.n.Load()
	b.ResetTimer()
	for range 64 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < b.N; i = int(next.Add(1)) - 1 {
				if err := fn(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/call")
	b.ReportMetric(float64(h.asked.n.Load()-asked)/float64(b.N), "statements/call")
}

func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkCore is BenchmarkSendMessageReadReceipts and BenchmarkWebhooks with 64 callers and without HTTP.
func BenchmarkCore(b *testing.B) {
	const users, messages = 90, 2000
	b.Run("v2tim", func(b *testing.B) {
		tn := newTown(b, 4, users, messages)
		for g := range tn.groups {
			require.NoError(b, tn.b.maps.SetSwitches(tn.ctx, mapping.GroupKey(g+1), false, true))
		}
		sideBySide(b, tn.house, func(i int) error {
			u, rest := i%users, i/users
			return service{tn.b}.SendMessageReadReceipts(tn.ctx, fmt.Sprintf("app%d", u), []string{tn.msgID(rest%4, rest/4%messages)})
		})
	})
	b.Run("webhook", func(b *testing.B) {
		h := newCloudHouse(b, matrixtest.Dendrite(), tencenttest.Options{}, func(cfg *config.Config) { cfg.Tencent.CatchUpInterval = time.Hour })
		benchGroups(b, h, 4, users, messages)
		sideBySide(b, h.house, func(i int) error {
			u, rest := i%users, i/users
			e := &tencent.ReadReceipt{GroupMsgReceiptList: []tencent.ReadMsg{{
				MsgSeq: tencent.Uint(rest/4%messages + 1), ReadReceiptMembers: tencent.Accounts{fmt.Sprintf("app%d", u)},
			}}}
			e.GroupId = fmt.Sprintf("bench%d", rest%4)
			return h.b.cloud.HandleEvent(h.ctx, e)
		})
	})
}
