package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timbridge/timbridge"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "timbridge-cmd-test-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "timbridge")
	build := exec.Command("go", "build", "-ldflags", "-X main.Tag=v0.1.0 -X main.Commit=0123456789abcdef0123456789abcdef01234567 -X main.BuildTime=2026-01-02T03:04:05Z", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "failed to build: %v\n%s", err, output)
		return 1
	}
	code := m.Run()
	if err := server.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// outcome is what a call of the program did.
type outcome struct {
	code           int
	stdout, stderr string
}

// call runs the program in a folder of its own.
func call(t *testing.T, dir string, environ []string, args ...string) outcome {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir, cmd.Env = dir, environ
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	require.NotContains(t, stdout.String()+stderr.String(), "goroutine ", "a crash")
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// Secrets of the tests; none of them may ever be printed.
const (
	testSecret = "s3cr3t-hunter2-0123456789-abcdefghijkl"
	// deadHomeserver is where nobody listens.
	deadHomeserver = "http://127.0.0.1:1"
	testTokens     = "appservice: {as_token: as-" + testSecret + ", hs_token: hs-" + testSecret + "}\n"
	testConfig     = "homeserver: {address: '" + deadHomeserver + "', domain: matrix.test}\n" +
		"tencent: {sdk_app_id: 1400000000, secret_key: " + testSecret + "}\n"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	return string(text)
}

func TestExitCodesAndTexts(t *testing.T) {
	cases := map[string]struct {
		config string // of config.yaml; empty = there is none
		env    []string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		"help":                  {args: []string{"--help"}, stdout: "usersig USER"},
		"help shows defaults":   {args: []string{"-h"}, stdout: `--config path`},
		"version":               {args: []string{"-v"}, stdout: "timbridge v0.1.0 (built at Fri, 02 Jan 2026 03:04:05 UTC with go"},
		"version wins":          {args: []string{"-vg"}, stdout: "timbridge v0.1.0"},
		"version json":          {args: []string{"--version-json"}, stdout: `"FormattedVersion":"v0.1.0"`},
		"unknown flag":          {args: []string{"--foo"}, code: 1, stderr: "unknown flag: --foo (timbridge --help"},
		"flag without value":    {args: []string{"-c"}, code: 1, stderr: "flag needs an argument"},
		"empty path":            {args: []string{"-c", ""}, code: 1, stderr: "--config needs a path"},
		"empty argument":        {args: []string{""}, code: 1, stderr: "empty argument"},
		"unknown command":       {args: []string{"launch"}, code: 1, stderr: `there is no command "launch", only check, link, unlink, usersig, import, export, move-database, sim`},
		"usersig without user":  {args: []string{"usersig"}, code: 1, stderr: "usage: timbridge usersig USER"},
		"too many arguments":    {args: []string{"check", "x"}, code: 1, stderr: "usage: timbridge check"},
		"expire elsewhere":      {args: []string{"check", "--expire", "1h"}, code: 1, stderr: "--expire belongs to usersig"},
		"bad expire":            {args: []string{"usersig", "a", "--expire", "soon"}, code: 1, stderr: `"soon" is no time`},
		"-g with a command":     {args: []string{"-g", "check"}, code: 1, stderr: "-g and -e do not go with check"},
		"no config":             {code: 10, stderr: "there is no file config.yaml (write one with -e"},
		"broken config":         {config: "a: [", code: 10, stderr: "failed to parse config"},
		"wrong type":            {config: "appservice: {port: x}", code: 10, stderr: "appservice.port"},
		"bad environment":       {config: testConfig, env: []string{"TIMBRIDGE_APPSERVICE__PORT=x"}, code: 10, stderr: "TIMBRIDGE_APPSERVICE__PORT"},
		"incomplete config":     {config: testConfig, code: 11, stderr: "appservice.as_token: is not set: generate the registration"},
		"all problems at once":  {config: "matrix: {concurrency: 0}", code: 11, stderr: "7 problems"},
		"bad logging":           {config: testConfig + testTokens + "logging: {writers: [{type: pigeon}]}", code: 12, stderr: "logging"},
		"-g without config":     {args: []string{"-g"}, code: 10, stderr: "there is no file config.yaml"},
		"-g with -n":            {config: testConfig, args: []string{"-gn"}, code: 5, stderr: "--no-update does not go with"},
		"-g, example domain":    {config: "tencent: {sdk_app_id: 1}", args: []string{"-g"}, code: 20, stderr: "homeserver.domain in config.yaml is still that of the example"},
		"-g, bad value":         {config: "homeserver: {domain: matrix.test, address: x}", args: []string{"-g"}, code: 11, stderr: "homeserver.address"},
		"-g, no folder":         {config: testConfig, args: []string{"-g", "-r", "missing/r.yaml"}, code: 21, stderr: "missing/r.yaml"},
		"-g, unknown key":       {config: testConfig + "mistyped: 1\n", args: []string{"-g"}, code: 22, stderr: "keys that timbridge does not know"},
		"usersig, no key":       {config: "tencent: {sdk_app_id: 1}", args: []string{"usersig", "a"}, code: 11, stderr: "tencent.secret_key: is not set"},
		"usersig, bad user":     {config: testConfig, args: []string{"usersig", strings.Repeat("a", 33)}, code: 1, stderr: "1 to 32 bytes"},
		"check without config":  {args: []string{"check"}, code: 10, stdout: "FAIL  config       failed to read config"},
		"check with bad config": {config: testConfig, args: []string{"check"}, code: 11, stdout: "FAIL  config       2 problems"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if tc.config != "" {
				write(t, dir, "config.yaml", tc.config)
			}
			got := call(t, dir, tc.env, tc.args...)
			require.Equal(t, tc.code, got.code, "%s%s", got.stdout, got.stderr)
			require.Contains(t, got.stdout, tc.stdout)
			require.Contains(t, got.stderr, tc.stderr)
			require.NotContains(t, got.stdout+got.stderr, testSecret)
			if tc.code == 0 {
				require.Empty(t, got.stderr)
			}
		})
	}
}

func TestExampleConfig(t *testing.T) {
	dir := t.TempDir()
	got := call(t, dir, nil, "-e")
	require.Equal(t, exitOK, got.code, got.stderr)
	require.Equal(t, timbridge.ExampleConfig(), read(t, dir, "config.yaml"))
	info, err := os.Stat(filepath.Join(dir, "config.yaml"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	write(t, dir, "config.yaml", "mine")
	got = call(t, dir, nil, "-e")
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.stderr, "config.yaml exists already")
	require.Equal(t, "mine", read(t, dir, "config.yaml"))

	got = call(t, dir, nil, "-e", "-c", "Sub Folder.yaml")
	require.Equal(t, exitOK, got.code)
	require.FileExists(t, filepath.Join(dir, "Sub Folder.yaml"), "names keep their capitals")

	got = call(t, dir, nil, "-ec", "-")
	require.Equal(t, exitOK, got.code)
	require.Equal(t, timbridge.ExampleConfig(), got.stdout)
}

func TestFlagForms(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "My Config.yaml", testConfig)
	for _, args := range [][]string{
		{"-c", "My Config.yaml", "usersig", "a"}, {"-cMy Config.yaml", "usersig", "a"}, {"-c=My Config.yaml", "usersig", "a"},
		{"--config", "My Config.yaml", "usersig", "a"}, {"--config=My Config.yaml", "usersig", "a"},
		{"usersig", "a", "-c", "My Config.yaml"}, {"usersig", "-nc", "My Config.yaml", "--", "a"},
	} {
		got := call(t, dir, nil, args...)
		require.Equal(t, exitOK, got.code, "%q: %s", args, got.stderr)
	}
}
