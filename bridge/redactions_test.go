package bridge

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
)

// TestRedactionRecalls: also where the homeserver pushes no redactions, as Dendrite does not.
func TestRedactionRecalls(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts)
		ann := h.hs.User("ann")
		room := h.room("team", ann, "alice")
		event := ann.Send(room, "taken back")
		h.message("team", event)
		ann.Redact(room, event)
		h.wait("the recall", func() bool { return h.messages("team", 1)[0].IsPlaceMsg == 2 })
	})
}

// TestRedactionReachesTencent, of what was made while timbridge was away too.
func TestRedactionReachesTencent(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newCloudHouse(t, opts, tencenttest.Options{})
		ann := h.hs.User("ann")
		room := h.link("team", ann, "alice")
		first, second := ann.Send(room, "one"), ann.Send(room, "two")
		one, two := h.arrived("team", first), h.arrived("team", second)
		ann.Redact(room, first)
		h.cloud.WaitFor(t, "the recall", func() bool { m, _ := h.cloud.Message("team", one.Seq); return m.Recalled })
		h.restart(func() { ann.Redact(room, second) })
		h.cloud.WaitFor(t, "the second recall", func() bool { m, _ := h.cloud.Message("team", two.Seq); return m.Recalled })
		h.settled()
		require.Equal(t, 2, h.cloud.Calls("group_msg_recall"))
	})
}
