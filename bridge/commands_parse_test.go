package bridge

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseCommand(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]commandRequest{
		"":                         {verb: verbHelp},
		"help":                     {verb: verbHelp},
		"HELP":                     {verb: verbHelp},
		" status ":                 {verb: verbStatus},
		"unlink":                   {verb: verbUnlink},
		"link @TGS#1":              {verb: verbLink, groupID: "@TGS#1"},
		"link my  group 1 ":        {verb: verbLink, groupID: "my  group 1"},
		"Link 群 组":                 {verb: verbLink, groupID: "群 组"},
		"receipts on":              {verb: verbReceipts, on: true, toMatrix: true, toTencent: true},
		"receipts off":             {verb: verbReceipts, toMatrix: true, toTencent: true},
		"receipts OFF  to-Tencent": {verb: verbReceipts, toTencent: true},
		"receipts on to-matrix":    {verb: verbReceipts, on: true, toMatrix: true},
		"my-receipts on":           {verb: verbMyReceipts, on: true},
		"my-receipts\toff":         {verb: verbMyReceipts},
	} {
		got, ok := parseCommand(text)
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
	}
	for text, verb := range map[string]string{
		"dance":                 "",
		"statuses":              "",
		"help me":               verbHelp,
		"status of what":        verbStatus,
		"unlink @TGS#1":         verbUnlink,
		"link":                  verbLink,
		"receipts":              verbReceipts,
		"receipts maybe":        verbReceipts,
		"receipts on to-mars":   verbReceipts,
		"receipts to-matrix on": verbReceipts,
		"my-receipts":           verbMyReceipts,
		"my-receipts on off":    verbMyReceipts,
	} {
		got, ok := parseCommand(text)
		require.False(t, ok, text)
		require.Equal(t, verb, got.verb, text)
	}
}

func TestCommandText(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"!tim":                   "",
		"!tim  status":           "status",
		"!tim\u3000status":       "status",
		"!tim link a b\nfoo":     "link a b",
		"!tim \r\nstatus":        "",
		"!tim link \u202eevil x": "link \u202eevil x",
	} {
		content, err := json.Marshal(map[string]string{"msgtype": "m.text", "body": body})
		require.NoError(t, err)
		got, ok := commandText(" !tim ", content)
		require.True(t, ok, body)
		require.Equal(t, want, got, body)
	}
}

func TestCommandUsage(t *testing.T) {
	t.Parallel()
	help := commandUsage("!tim", verbHelp)
	for _, line := range commandLines() {
		require.Contains(t, help, "!tim "+line.verb)
		if line.verb != verbHelp {
			require.True(t, strings.HasPrefix(commandUsage("!tim", line.verb), "That is written: !tim "+line.verb))
		}
		_, ok := parseCommand(strings.NewReplacer("on|off", "on", "[to-tencent|to-matrix]", "to-matrix").Replace(line.verb + " " + line.args))
		require.True(t, ok, "what the help says is understood")
	}
}

func FuzzCommand(f *testing.F) {
	for _, seed := range []string{"!tim", "!tim link a b", "!tim receipts on to-matrix", "!tim my-receipts off\nx", "!timber", "!tim \u3000", "!tim link\u2028x", "!tim \xff\xfe"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		content, err := json.Marshal(map[string]string{"msgtype": "m.text", "body": body})
		require.NoError(t, err)
		text, ok := commandText("!tim", content)
		if !ok {
			require.Empty(t, text)
			return
		}
		require.True(t, strings.HasPrefix(body, "!tim"))
		require.NotContains(t, text, "\n")
		req, ok := parseCommand(text)
		require.Equal(t, strings.TrimSpace(req.groupID), req.groupID)
		switch {
		case ok && req.verb == verbLink:
			require.NotEmpty(t, req.groupID)
		case ok:
			require.Contains(t, []string{verbHelp, verbStatus, verbUnlink, verbReceipts, verbMyReceipts}, req.verb)
		default:
			require.NotEmpty(t, commandUsage("!tim", req.verb))
		}
	})
}
