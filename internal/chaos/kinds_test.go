package chaos

import (
	"math/rand/v2"
	"time"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/internal/lab"
)

// kind is one sort of world. Each seed has one, in turn.
type kind struct {
	name     string
	dendrite bool
	policy   string // matrix.policy
	linking  bool   // people are linked and unlinked
	cloud    bool
	real     lab.Kind // a real homeserver in place of the fake one
	postgres bool     // the database is a PostgreSQL server
	replicas int      // how many timbridges there are on it; 0 is one
}

// kinds lists them all. Those with real homeservers come last: a short run leaves them out.
func kinds() []kind {
	return []kind{
		{name: "standalone-synapse", policy: "latest"},
		{name: "cloud-synapse", policy: "latest", cloud: true},
		{name: "replicas", policy: "latest", postgres: true, replicas: 3},
		{name: "standalone-dendrite", policy: "latest", dendrite: true},
		{name: "cloud-dendrite", policy: "latest", dendrite: true, cloud: true},
		{name: "contiguous-synapse", policy: "contiguous"},
		{name: "linking-synapse", policy: "latest", linking: true},
		{name: "contiguous-dendrite", policy: "contiguous", dendrite: true},
		{name: "cloud-contiguous", policy: "contiguous", cloud: true},
		{name: "cloud-linking", policy: "latest", linking: true, cloud: true},
		{name: "postgres", policy: "latest", postgres: true},
		{name: "cloud-replicas", policy: "latest", cloud: true, postgres: true, replicas: 3},
		{name: "real-synapse", policy: "latest", real: lab.Synapse},
		{name: "real-dendrite", policy: "latest", dendrite: true, real: lab.Dendrite},
		{name: "real-synapse-cloud", policy: "latest", cloud: true, real: lab.Synapse},
		{name: "real-dendrite-cloud", policy: "latest", dendrite: true, cloud: true, real: lab.Dendrite},
	}
}

// is tells whether a name means it: its own, or that of the real homeserver in it.
func (k kind) is(name string) bool { return name == "" || name == k.name || name == string(k.real) }

// pace is how fast everybody acts and how long timbridge runs, in place of d: as much as the homeserver bears on a small machine.
func (k kind) pace(d time.Duration) time.Duration {
	switch k.real {
	case lab.Synapse:
		return 4 * d
	case lab.Dendrite:
		return 6 * d
	}
	return d
}

// patience is how long something may take, in place of d. Real homeservers wait longer and longer before they push again.
func (k kind) patience(d time.Duration) time.Duration {
	if k.real != "" {
		return 3 * d
	}
	return d
}

// settles is how long everything may take to come right once nothing breaks any more. Timbridge's own pauses are the longest: it asks
// again after a minute what it could not learn, and after the long load on a real homeserver they have grown to ten.
func (k kind) settles() time.Duration {
	if k.real != "" {
		return 12 * time.Minute
	}
	return 100 * time.Second
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
		NumberTransient:  r.IntN(3) == 0,
		HistoryMax:       []int{0, 3}[r.IntN(2)],
	}
}
