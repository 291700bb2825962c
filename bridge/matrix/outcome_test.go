package matrix

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

func TestOutcome(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	room, _ := b.room(t)
	var told []bool
	b.cfg.Outcome = func(there bool) { told = append(told, there) }
	for name, tc := range map[string]struct {
		status  int
		errcode string
		want    []bool
	}{
		"refused":           {403, "M_FORBIDDEN", []bool{true}},
		"server error":      {500, "M_UNKNOWN", []bool{false}},
		"a proxy":           {502, "", []bool{false}},
		"a proxy forbids":   {403, "", []bool{false}},
		"connection closed": {0, "", []bool{false}},
		"token":             {401, "M_UNKNOWN_TOKEN", []bool{false}},
		"too often":         {429, "M_LIMIT_EXCEEDED", nil},
	} {
		told = nil
		b.hs.FailRequests(matrixtest.Path("/send/"), 1, tc.status, tc.errcode, 0)
		_, err := b.SendMessage(background, b.BotMXID(), room, json.RawMessage(`{}`), name, time.Time{})
		require.Error(t, err, name)
		require.Equal(t, tc.want, told, name)
	}
	told = nil
	_, err := b.SendMessage(background, b.BotMXID(), room, json.RawMessage(`{}`), "done", time.Time{})
	require.NoError(t, err)
	require.Equal(t, []bool{true}, told)
	told = nil
	b.IsInRoom(background, b.BotMXID(), room)
	require.Empty(t, told, "what can be read says nothing of what can be written")
}
