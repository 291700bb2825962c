package lab

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// helperEnv makes this test binary the process of TestNoOrphans.
const helperEnv = "TIMBRIDGE_LAB_HELPER"

// startChildAndPanic starts a child as the lab does, names it, and panics when told.
func startChildAndPanic() {
	p, err := startProcess(exec.Command("sleep", "600"))
	if err != nil {
		panic(err)
	}
	fmt.Println("child", p.os.Pid)
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	panic("a test went wrong")
}

func TestNoOrphans(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ties a child's life to ours")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"=panic")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	pid := 0
	lines := bufio.NewScanner(stdout)
	for pid == 0 && lines.Scan() {
		if _, number, ok := strings.Cut(lines.Text(), "child "); ok {
			pid, err = strconv.Atoi(number)
			require.NoError(t, err)
		}
	}
	require.NotZero(t, pid)
	require.True(t, alive(pid))
	_, err = fmt.Fprintln(stdin)
	require.NoError(t, err)
	for lines.Scan() { // to the end of its output
	}
	require.Error(t, cmd.Wait(), "it panicked")
	require.Eventually(t, func() bool { return !alive(pid) }, 10*time.Second, 10*time.Millisecond)
}

// alive tells whether a process runs; a zombie that nobody collects does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

func TestStopKillsWhatDoesNotListen(t *testing.T) {
	ready := make(chan string, 1)
	out, in, err := os.Pipe()
	require.NoError(t, err)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		ready <- line
	}()
	cmd := exec.Command("sh", "-c", `trap "" TERM; echo ready; while :; do sleep 1; done`)
	cmd.Stdout = in
	p, err := startProcess(cmd)
	require.NoError(t, err)
	require.NoError(t, in.Close())
	require.Equal(t, "ready\n", <-ready)
	require.ErrorContains(t, p.stop(t.Context(), 10*time.Millisecond), "killed it")
	require.True(t, p.ended())
	require.NoError(t, p.kill(), "ended already")
	require.NoError(t, p.stop(t.Context(), time.Second), "ended already")
	require.NoError(t, out.Close())
}

func TestStopIsInOrder(t *testing.T) {
	p, err := startProcess(exec.Command("sleep", "600"))
	require.NoError(t, err)
	require.NoError(t, p.stop(t.Context(), time.Minute))
	var exit *exec.ExitError
	require.ErrorAs(t, p.err, &exit)
	require.Equal(t, syscall.SIGTERM, exit.Sys().(syscall.WaitStatus).Signal())
}

func TestStartProcessFails(t *testing.T) {
	_, err := startProcess(exec.Command("/nothing/here"))
	require.ErrorContains(t, err, "failed to start /nothing/here")
}
