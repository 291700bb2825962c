package chaos

import (
	"net/http"
	"time"

	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/receipts"
)

// breakTencent has Tencent Cloud and its webhooks fail now and then.
func (a *actor) breakTencent() {
	switch a.rand.IntN(4) {
	case 0:
		a.stats.fault("tencent: outage")
		a.cloud.SetOutage(true)
		a.rest(time.Duration(100+a.rand.IntN(1500)) * time.Millisecond)
		a.cloud.SetOutage(false)
	case 1:
		a.stats.fault("tencent: slow")
		a.cloud.SetLatency(time.Duration(a.rand.IntN(300)) * time.Millisecond)
		a.rest(time.Duration(100+a.rand.IntN(1000)) * time.Millisecond)
		a.cloud.SetLatency(0)
	default:
		a.failCalls()
	}
}

func (a *actor) failCalls() {
	commands := []string{"", "group_msg_receipt", "send_group_msg", "add_group_member", "get_group_msg_receipt", "group_msg_get_simple",
		"get_group_member_info", "group_msg_recall", "multiaccount_import", "delete_group_member", "get_group_msg_receipt_detail", "get_group_info"}
	command := commands[a.rand.IntN(len(commands))]
	faults := []struct {
		name  string
		fault tencenttest.Fault
	}{
		{"503", tencenttest.Fault{Status: http.StatusServiceUnavailable}},
		{"time-out", tencenttest.Fault{Hang: true}},
		{"half answer", tencenttest.Fault{Half: true, Acted: true}},
		{"no answer", tencenttest.Fault{Drop: true}},
		{"done, no answer", tencenttest.Fault{Drop: true, Acted: true}},
		{"done, 502", tencenttest.Fault{Status: http.StatusBadGateway, Acted: true}},
		{"done, time-out", tencenttest.Fault{Hang: true, Acted: true}},
		{"60007 frequency", tencenttest.Fault{Code: receipts.Code(60007)}},
		{"10023 frequency", tencenttest.Fault{Code: receipts.Code(10023)}},
		{"10002 internal", tencenttest.Fault{Code: receipts.CodeGroupInternalError}},
	}
	f := faults[a.rand.IntN(len(faults))]
	a.stats.fault("tencent: " + f.name)
	a.cloud.FailNext(command, 1+a.rand.IntN(4), f.fault)
}

// breakWebhooks has webhooks lost, doubled, late and out of order for a while.
func (a *actor) breakWebhooks() {
	seed := a.rand.Uint64()
	switch a.rand.IntN(4) {
	case 0:
		a.stats.fault("webhooks: lost")
		a.cloud.Deliver(tencenttest.Lossy(seed, 0.1+0.6*a.rand.Float64()))
	case 1:
		a.stats.fault("webhooks: doubled")
		a.cloud.Deliver(tencenttest.Twice)
	case 2:
		a.stats.fault("webhooks: late, out of order")
		a.cloud.Deliver(tencenttest.Shuffled(seed, time.Duration(200+a.rand.IntN(3000))*time.Millisecond))
	case 3:
		a.stats.fault("webhooks: none")
		a.cloud.Deliver(tencenttest.Nothing)
	}
	a.rest(time.Duration(200+a.rand.IntN(2000)) * time.Millisecond)
	a.cloud.Deliver(nil)
}
