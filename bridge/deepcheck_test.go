package bridge

import (
	"context"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/deepcheck"
)

// sound looks through the database of a bridge that has stopped: whatever a test did, it must hold together.
func (h *house) sound() {
	h.t.Helper()
	if h.spoilt || h.t.Failed() {
		return
	}
	opts, err := DeepOptions(h.cfg)
	require.NoError(h.t, err)
	opts.Now = h.b.clock()
	var wrong []string
	_, err = deepcheck.Run(context.WithoutCancel(h.ctx), h.db, opts, func(f deepcheck.Finding) {
		if f.Problem != "" {
			wrong = append(wrong, f.Part+": "+f.Problem)
		}
	})
	require.NoError(h.t, err)
	require.Empty(h.t, wrong, "the database does not hold together")
}
