package bridge

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
)

// TestCloudRecallOnTheWay: a message that is recalled while the homeserver is being given it is redacted there.
func TestCloudRecallOnTheWay(t *testing.T) {
	t.Parallel()
	h := plainCloud(t, tencenttest.Points{})
	ann := h.hs.User("ann")
	h.link("team", ann, "alice")
	recalled := false
	h.hs.FailRequests(func(method, path string, user id.UserID) bool {
		if method == http.MethodPut && strings.Contains(path, "/send/m.room.message/") && user == h.ghost("alice") && !recalled {
			recalled = true
			assert.NoError(t, h.cloud.User("alice").Recall("team", h.cloud.LastSeq("team")))
			assert.NoError(t, h.cloud.WaitDelivered(h.ctx))
		}
		return false // the request goes on
	}, 1, http.StatusInternalServerError, "", 0)
	_, err := h.cloud.User("alice").Send("team", "oops", tencenttest.SendOptions{NeedReadReceipt: true})
	require.NoError(t, err)
	redactions := func() int { return len(h.hs.Requests(matrixtest.Path("/redact/"))) }
	h.hs.WaitFor("a redaction", func() bool { return redactions() > 0 })
	h.quiet()
	require.Equal(t, 1, redactions())
}
