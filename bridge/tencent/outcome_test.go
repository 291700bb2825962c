package tencent

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOutcome(t *testing.T) {
	t.Parallel()
	code := func(code string) string { return `{"ActionStatus":"FAIL","ErrorCode":` + code + `,"ErrorInfo":""}` }
	for name, tc := range map[string]struct {
		status int
		reply  string
		want   []bool
	}{
		"done":                 {200, okReply, []bool{true}},
		"refused":              {200, code("10007"), []bool{true}},
		"internal error":       {200, code("10002"), []bool{false}},
		"our configuration":    {200, code("70009"), []bool{false}},
		"too often":            {200, code("60007"), nil},
		"too often, a gateway": {429, "", nil},
		"a proxy":              {502, "<html>", []bool{false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told []bool
			c, _ := newCloud(t, func(w http.ResponseWriter, _ string, _ []byte) {
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.reply)
			}, func(cfg *Config) { cfg.Outcome = func(there bool) { told = append(told, there) } })
			_ = ack(c)
			require.Equal(t, tc.want, told)
			told = nil
			_, _ = c.GetGroupInfo(context.Background(), []string{"@TGS#1"})
			if len(tc.want) == 1 && tc.want[0] {
				require.Empty(t, told, "what can be read says nothing of what can be written")
			} else {
				require.Equal(t, tc.want, told)
			}
		})
	}
}
