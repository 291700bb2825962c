package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds every wait of these tests.
const patience = 20 * time.Second

// syncBuffer is a buffer that may be read while a program writes to it.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(data)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// freePorts finds ports that nobody listens on.
func freePorts(t *testing.T, count int) (ports []int) {
	t.Helper()
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// runningBridge is a timbridge that is up.
type runningBridge struct {
	cmd     *exec.Cmd
	output  *syncBuffer
	address string
	v2tim   string
	exited  chan struct{}
}

func startBridge(t *testing.T, dir string, args ...string) *runningBridge {
	t.Helper()
	return startBridgeBeside(t, dir, deadHomeserver, args...)
}

// startBridgeBeside starts it with a homeserver at an address.
func startBridgeBeside(t *testing.T, dir, homeserver string, args ...string) *runningBridge {
	t.Helper()
	ports := freePorts(t, 2)
	write(t, dir, "config.yaml", strings.Replace(testConfig, deadHomeserver, homeserver, 1)+fmt.Sprintf(
		"appservice: {port: %d, as_token: as-%s, hs_token: hs-%s}\nv2tim: {port: %d}\nlogging: {min_level: debug, writers: [{type: stdout, format: json}]}\n",
		ports[0], testSecret, testSecret, ports[1]))
	b := &runningBridge{cmd: exec.Command(binary, args...), output: &syncBuffer{}, address: fmt.Sprintf("127.0.0.1:%d", ports[0]), v2tim: fmt.Sprintf("127.0.0.1:%d", ports[1]), exited: make(chan struct{})}
	b.cmd.Dir, b.cmd.Env, b.cmd.Stdout, b.cmd.Stderr = dir, []string{}, b.output, b.output
	require.NoError(t, b.cmd.Start())
	go func() {
		_ = b.cmd.Wait()
		close(b.exited)
	}()
	t.Cleanup(func() {
		_ = b.cmd.Process.Kill()
		<-b.exited
	})
	require.Eventually(t, func() bool {
		resp, err := http.Get("http://" + b.address + "/_matrix/mau/live")
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	}, patience, 20*time.Millisecond, "output: %s", b.output)
	return b
}

// waitExit waits for the end and returns the exit code.
func (b *runningBridge) waitExit(t *testing.T) int {
	t.Helper()
	select {
	case <-b.exited:
		return b.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		require.Fail(t, "does not end", b.output.String())
		return -1
	}
}

func TestRunStopsInOrderOnSignals(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			dir := t.TempDir()
			b := startBridge(t, dir)
			require.Contains(t, read(t, dir, "config.yaml"), "# timbridge: group read receipts", "rewritten in the newest layout")
			require.NoError(t, b.cmd.Process.Signal(signal))
			require.Equal(t, exitOK, b.waitExit(t), b.output)
			require.NotContains(t, b.output.String(), testSecret)
			require.NotContains(t, b.output.String(), "goroutine ")
			lines := strings.Split(strings.TrimSpace(b.output.String()), "\n")
			require.Contains(t, lines[len(lines)-1], `"message":"Stopped"`)
		})
	}
}

func TestSecondSignalStopsAtOnce(t *testing.T) {
	b := startBridge(t, t.TempDir())
	// A request that never ends keeps the orderly stop waiting.
	conn, err := net.Dial("tcp", b.address)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("PUT /_matrix/app/v1/transactions/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer hs-" + testSecret + "\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"))
	require.NoError(t, err)
	// It asks for the body: the request is being handled.
	answer, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, answer, "100 Continue")
	require.NoError(t, b.cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool { return strings.Contains(b.output.String(), `"Stopping"`) }, patience, 10*time.Millisecond)
	select {
	case <-b.exited:
		require.Fail(t, "did not wait for the request", b.output.String())
	default:
	}
	require.NoError(t, b.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, exitUsage, b.waitExit(t))
	require.Contains(t, b.output.String(), "second signal")
}

func TestOnlyOneRunsOnADatabase(t *testing.T) {
	dir := t.TempDir()
	b := startBridge(t, dir)
	got := call(t, dir, nil, "-n")
	require.Equal(t, exitDatabase, got.code)
	require.Contains(t, got.stderr, "another timbridge is running on this database")
	require.Contains(t, got.stderr, fmt.Sprintf("(process %d)", b.cmd.Process.Pid))
	write(t, dir, "in.ndjson", "")
	require.Equal(t, exitDatabase, call(t, dir, nil, "import", "in.ndjson").code)
	require.Equal(t, exitOK, call(t, dir, nil, "export").code, "reading is allowed")
}

func TestRunFailures(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	cases := map[string]struct {
		config string
		code   int
		says   string
	}{
		"folder of the database": {"database: {uri: missing/x.db}\n", exitDatabase, "missing is missing"},
		"not a database":         {"database: {uri: config.yaml}\n", exitDamagedDatabase, "not a SQLite database"},
		"port in use":            {fmt.Sprintf("v2tim: {port: %d}\n", port), exitStart, fmt.Sprintf("failed to listen for V2TIM on 127.0.0.1:%d", port)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			appservice := fmt.Sprintf("appservice: {port: %d, as_token: as-%s, hs_token: hs-%s}\n", freePorts(t, 1)[0], testSecret, testSecret)
			write(t, dir, "config.yaml", testConfig+appservice+tc.config)
			got := call(t, dir, nil, "-n")
			require.Equal(t, tc.code, got.code, got.stderr)
			require.Contains(t, got.stderr, tc.says)
			require.NotContains(t, got.stdout+got.stderr, testSecret)
		})
	}
}

func TestCheckWithoutHomeserver(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "config.yaml", testConfig+testTokens)
	got := call(t, dir, nil, "check")
	require.Equal(t, exitCheck, got.code, got.stdout)
	require.Contains(t, got.stdout, "ok    config       config.yaml\n")
	require.Contains(t, got.stdout, "FAIL  homeserver   ")
	require.Contains(t, got.stdout, "see homeserver.address")
	require.NotContains(t, got.stdout+got.stderr, testSecret)

	write(t, dir, "config.yaml", testConfig+testTokens+"database: {uri: config.yaml}\n")
	got = call(t, dir, nil, "check")
	require.Equal(t, exitCheck, got.code)
	require.Contains(t, got.stdout, "FAIL  database     failed to open database")
}
