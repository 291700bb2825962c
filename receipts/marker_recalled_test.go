package receipts_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/receipts"
)

// A marker was sent whose fate is not known, and its message is recalled before it can be sent again. It must not wait for the next
// message: what was sent is true still. (Found by the simulation of the bridge.)
func TestMarkerOfRecalledMessage(t *testing.T) {
	now := time.Now()
	message := func(seq receipts.MsgSeq, pos receipts.Pos) receipts.Message {
		return receipts.Message{Seq: seq, Pos: pos, Sender: 9, Wants: receipts.WantsYes, At: now}
	}
	entries := []receipts.Entry{{Message: message(1, 11)}, {Message: message(2, 12)}}
	rules := receipts.FrontierRules{Now: now, GapAfter: time.Minute, HoleAfter: time.Hour}
	for name, kind := range map[string]receipts.Kind{"ghost": receipts.KindGhost, "linked user": receipts.KindLinked} {
		t.Run(name, func(t *testing.T) {
			var r receipts.Reader
			r.AddTencent(receipts.SetOf(1, 2))
			r.Advance(1, entries, rules)
			at, pending := r.MarkerPending(kind, receipts.PolicyContiguous)
			require.True(t, pending)
			require.EqualValues(t, 12, at)
			r.Sent = at // and no answer

			// That it wants a receipt turns out once more, and by then it is recalled.
			recalled := message(2, 12)
			recalled.Recalled = true
			r.Lower(12)
			at, pending = r.MarkerPending(kind, receipts.PolicyContiguous)
			require.False(t, pending, "what is below the frontier is not known to be read, and %d would move it back", at)
			r.Advance(1, []receipts.Entry{{Message: recalled}}, rules)
			r.Settle([]receipts.Message{recalled, message(1, 11)})
			at, pending = r.MarkerPending(kind, receipts.PolicyContiguous)
			require.True(t, pending)
			require.EqualValues(t, 12, at)

			// Once it is shown there is no more to do.
			r.Shown = 12
			_, pending = r.MarkerPending(kind, receipts.PolicyContiguous)
			require.False(t, pending)
		})
	}
}
