package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timbridge/timbridge/internal/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output is what a demo has printed so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// build builds timbridge, and lets the folders of demos be made where the test can see what is left of them.
func build(t *testing.T) (binary, folders string) {
	lab.Require(t, lab.Dendrite)
	binary = filepath.Join(t.TempDir(), "timbridge")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/timbridge")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	printed, err := cmd.CombinedOutput()
	require.NoError(t, err, string(printed))
	folders = t.TempDir()
	t.Setenv("TMPDIR", folders)
	return binary, folders
}

func requireEmpty(t *testing.T, dir string) {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries, "something was left behind")
}

func TestDemo(t *testing.T) {
	binary, folders := build(t)
	out := &output{}
	require.NoError(t, run(t.Context(), newShow(out), options{binary: binary}), out)
	require.Contains(t, out.String(), "All is well: 68 things")
	for line := range strings.Lines(out.String()) {
		require.LessOrEqual(t, len(line)-1, lineWidth, line)
	}
	requireEmpty(t, folders)
}

// With KEEP=1 the commands that are printed work as they are, and Ctrl-C leaves nothing behind.
func TestKeep(t *testing.T) {
	for _, tool := range []string{"sh", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("LEFT OUT: %s is not here", tool)
		}
	}
	binary, folders := build(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out := &output{}
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, newShow(out), options{binary: binary, keep: true}) }()
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "Ctrl-C ends it all") || len(ended) > 0 }, 2*time.Minute, 50*time.Millisecond, out)

	_, printed, _ := strings.Cut(out.String(), "KEEP=1:")
	var script, later strings.Builder
	commands := 0
	for line := range strings.Lines(printed) {
		if strings.HasPrefix(line, "     cloud") {
			later.WriteString(line)
		} else if strings.HasPrefix(line, "     ") {
			script.WriteString(line)
			if strings.HasPrefix(line, "     curl") {
				commands++
			}
			if !strings.HasSuffix(line, "\\\n") {
				script.WriteString("echo\n")
			}
		}
	}
	require.Equal(t, 12, commands)
	answers := shell(t, script.String())
	require.Equal(t, 3, strings.Count(answers, `"code":0`), answers)
	require.Equal(t, 1, strings.Count(answers, `"ErrorCode":0`), answers)
	require.Equal(t, 1, strings.Count(answers, `"event_id"`), answers)
	require.NotContains(t, answers, "errcode")
	require.Eventually(t, func() bool {
		shown := strings.Join(strings.Fields(out.String()), " ")
		return strings.Contains(shown, `of carol: "hello"`) && strings.Contains(shown, "part 1: m.read of @ben:localhost") &&
			strings.Contains(shown, `part 2: "hello from the app" of @cloud_erin:localhost`) &&
			strings.Contains(shown, "part 2: m.read of @anna:localhost") && strings.Contains(shown, "Tencent Cloud: call group_msg_receipt (project")
	}, time.Minute, 50*time.Millisecond, out)
	for _, answer := range []string{"no. 6, msgID", "group project, no. 5: read by 1, not by 2", "not by   ", "lose them"} {
		require.Contains(t, answers, answer)
	}

	sourced, _, _ := strings.Cut(script.String(), "\n")
	answers = shell(t, sourced+"\n"+later.String())
	require.Contains(t, answers, "Group project has no room now.")
	require.Contains(t, answers, "Linked group project")
	readme, calls := readmeScript(t)
	answers = shell(t, sourced+"\n"+readme)
	fine := strings.Count(answers, `"code":0,`) + strings.Count(answers, `"ErrorCode":0`)
	require.Equal(t, calls-2, fine, answers)
	for _, code := range []string{"6017", "10061"} { // the two answers to the sample of the SDK's page
		require.Equal(t, 1, strings.Count(answers, `"code":`+code), answers)
	}

	interrupt()
	require.NoError(t, <-ended, out)
	requireEmpty(t, folders)
}

// shell runs commands as somebody would type them, with the errors they end with.
func shell(t *testing.T, script string) string {
	cmd := exec.CommandContext(t.Context(), "sh", "-eu")
	cmd.Dir = t.TempDir()
	cmd.Stdin = strings.NewReader("RANDOM=1\n" + script) // not every sh has it
	answers, err := cmd.CombinedOutput()
	require.NoError(t, err, string(answers))
	return string(answers)
}

// readmeScript returns the calls of README.md as they stand there, and how many they are. What they need has been set by env.sh,
// whose tim is that of README.md.
func readmeScript(t *testing.T) (script string, calls int) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	require.Contains(t, strings.ReplaceAll(string(readme), "\n    ", "\n"), strings.ReplaceAll(timFunction, "\t", "    "))
	for line := range strings.Lines(string(readme)) {
		line, code := strings.CutPrefix(line, "    ")
		call := strings.HasPrefix(line, "tim ")
		if code && (call || strings.HasPrefix(line, "MSG=")) {
			script += line
		}
		if code && call {
			calls++
		}
	}
	require.Equal(t, 11, calls)
	return script, calls
}

// Ctrl-C in the middle is no failure, and leaves nothing behind either.
func TestInterrupt(t *testing.T) {
	binary, folders := build(t)
	for _, after := range []string{"Starting", "Dendrite answers", "2. carol sends", "timbridge sim plays", "15. Webhooks get lost"} {
		ctx, interrupt := context.WithCancel(t.Context())
		out := &output{}
		ended := make(chan error, 1)
		go func() { ended <- run(ctx, newShow(out), options{binary: binary}) }()
		require.Eventually(t, func() bool { return strings.Contains(out.String(), after) }, 2*time.Minute, time.Millisecond)
		interrupt()
		require.ErrorIs(t, <-ended, errInterrupted, out)
		require.Contains(t, out.String(), "Interrupted.")
		requireEmpty(t, folders)
	}
}

// A timbridge that does not do its work makes the demo fail, and it says where.
func TestFailure(t *testing.T) {
	real, folders := build(t)
	binary := filepath.Join(t.TempDir(), "timbridge")
	script := "#!/bin/sh\n[ \"$1\" != -g ] || exec '" + real + "' \"$@\"\necho 'no use today'\nexit 15\n"
	require.NoError(t, os.WriteFile(binary, []byte(script), 0o700))
	out := &output{}
	err := run(t.Context(), newShow(out), options{binary: binary})
	require.ErrorContains(t, err, "timbridge ended")
	require.Contains(t, out.String(), "no use today", "the log's end")
	require.Contains(t, out.String(), "The demo FAILED in step 0")
	requireEmpty(t, folders)

	// It is the second part that fails: what ran until then is ended all the same.
	script = "#!/bin/sh\n[ \"$1\" != sim ] || { echo 'no cloud today'; exit 15; }\nexec '" + real + "' \"$@\"\n"
	require.NoError(t, os.WriteFile(binary, []byte(script), 0o700))
	out = &output{}
	require.ErrorContains(t, run(t.Context(), newShow(out), options{binary: binary}), "timbridge sim ended")
	require.Contains(t, out.String(), "no cloud today")
	require.Contains(t, out.String(), "The demo FAILED in step 8")
	requireEmpty(t, folders)

	require.Error(t, run(t.Context(), newShow(&output{}), options{binary: binary + ".missing"}))
	requireEmpty(t, folders)
}

func TestParsePassed(t *testing.T) {
	for line, want := range map[string]passed{
		"10:04:07  webhook  AfterSendMsg  team, alice, no. 1: OK":                 {"webhook", "AfterSendMsg", "team, alice, no. 1", "OK"},
		"10:04:07  webhook  AfterSendMsg  team: not delivered: dial tcp: refused": {"webhook", "AfterSendMsg", "team", "not delivered: dial tcp: refused"},
		"10:04:31  call     get_appid_group_list: 60010":                          {"call", "get_appid_group_list", "", "60010"},
	} {
		got, ok := parsePassed(line)
		require.True(t, ok, line)
		require.Equal(t, want, got)
	}
	for _, line := range []string{"", "A stand-in for Tencent Cloud Chat, for trying timbridge out", `"help" lists what there is`} {
		_, ok := parsePassed(line)
		require.False(t, ok, line)
	}
}

func TestWrap(t *testing.T) {
	require.Equal(t, []string{""}, wrap("", 10))
	require.Equal(t, []string{"123456", "78901"}, wrap("123456 78901", 10))
	require.Equal(t, []string{"1234567890"}, wrap("1234567890", 10))
	require.Equal(t, []string{"1234567890", "1"}, wrap("12345678901", 10), "no place to break")
	require.Equal(t, []string{`{"a":1,`, `"b":2,`, `"c":3}`}, wrap(`{"a":1,"b":2,"c":3}`, 9))
	require.Equal(t, []string{"1 234567890", "12"}, wrap("1 23456789012", 11), "not at a space that leaves half the line empty")
	require.Equal(t, []string{"a", "b"}, wrap("a\nb", 10))
}

// A reader who leaves ends the demo.
func TestClosedOutput(t *testing.T) {
	s := newShow(closed{})
	require.NoError(t, s.failed())
	s.plain("text")
	require.ErrorContains(t, s.failed(), "closed")
}

type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, fmt.Errorf("closed") }
