package chaos

import (
	"math/rand/v2"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
)

// kind is one sort of world. Each seed has one, in turn.
type kind struct {
	name     string
	dendrite bool
	policy   string // matrix.policy
	linking  bool   // people are linked and unlinked
	cloud    bool
}

func kinds() []kind {
	return []kind{
		{name: "standalone-synapse", policy: "latest"},
		{name: "cloud-synapse", policy: "latest", cloud: true},
		{name: "standalone-dendrite", policy: "latest", dendrite: true},
		{name: "cloud-dendrite", policy: "latest", dendrite: true, cloud: true},
		{name: "contiguous-synapse", policy: "contiguous"},
		{name: "linking-synapse", policy: "latest", linking: true},
		{name: "contiguous-dendrite", policy: "contiguous", dendrite: true},
		{name: "cloud-contiguous", policy: "contiguous", cloud: true},
	}
}

func (k kind) homeserver() matrixtest.Options {
	if k.dendrite {
		return matrixtest.Dendrite()
	}
	return matrixtest.Synapse()
}

// points are what the app at Tencent Cloud is like where its documentation leaves that open.
func (k kind) points(r *rand.Rand) tencenttest.Points {
	return tencenttest.Points{
		BadAck:           tencenttest.BadAck(r.IntN(3)),
		EchoAcks:         r.IntN(2) == 0,
		WholeMembers:     r.IntN(2) == 0,
		OneSeqPerWebhook: r.IntN(3) == 0,
		EventTimeString:  r.IntN(2) == 0,
		RepeatFires:      r.IntN(2) == 0,
		FlagInWebhook:    r.IntN(3) == 0,
		FlagInHistory:    r.IntN(3) == 0,
		NoMsgID:          r.IntN(4) == 0,
		TipSeqs:          r.IntN(3) == 0,
		HistoryMax:       []int{0, 3}[r.IntN(2)],
	}
}
