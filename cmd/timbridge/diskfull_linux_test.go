package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/v2tim/v2timtest"
	"github.com/timbridge/timbridge/receipts"
)

// limitFiles sets how large a file the running program may write, as a full disk or `ulimit -f` does: what is beyond fails.
// The signal that comes with it (SIGXFSZ) Go programs do not die of.
func (b *runningBridge) limitFiles(t *testing.T, bytes uint64) {
	t.Helper()
	limit := syscall.Rlimit{Cur: bytes, Max: ^uint64(0)}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(b.cmd.Process.Pid), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 {
		t.Skip("the limit cannot be set here: ", errno)
	}
}

// transaction delivers one message event and returns the status.
func (b *runningBridge) transaction(t *testing.T, event string) int {
	t.Helper()
	body := fmt.Sprintf(`{"events":[{"type":"m.room.message","room_id":"!team:matrix.test","sender":"@ann:matrix.test","event_id":%q,"origin_server_ts":1700000000000,"content":{"msgtype":"m.text","body":"hello"}}]}`, event)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+b.address+"/_matrix/app/v1/transactions/"+event[1:], strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer hs-"+testSecret)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	return resp.StatusCode
}

// TestFullDiskRefusesAndRecovers takes the disk away from a running timbridge, by a limit of the system or, if TIMBRIDGE_SMALL_DISK names
// a folder on one of a few MiB that is for this test alone, by filling it up.
func TestFullDiskRefusesAndRecovers(t *testing.T) {
	t.Run("file size limit", func(t *testing.T) {
		testFullDisk(t, t.TempDir(), func(b *runningBridge) { b.limitFiles(t, 0) }, func(b *runningBridge) {
			select {
			case <-b.exited: // and its limit with it
			default:
				b.limitFiles(t, ^uint64(0))
			}
		})
	})
	t.Run("small disk", func(t *testing.T) {
		disk := os.Getenv("TIMBRIDGE_SMALL_DISK")
		if disk == "" {
			t.Skip("TIMBRIDGE_SMALL_DISK is not set")
		}
		dir, err := os.MkdirTemp(disk, "full-*")
		require.NoError(t, err)
		defer os.RemoveAll(dir)
		filler := filepath.Join(dir, "filler")
		testFullDisk(t, dir, func(*runningBridge) {
			file, err := os.Create(filler)
			require.NoError(t, err)
			defer file.Close()
			for block := make([]byte, 1<<16); len(block) > 0; {
				if n, err := file.Write(block); err != nil {
					require.ErrorIs(t, err, syscall.ENOSPC)
					block = block[:n/2]
				}
			}
		}, func(*runningBridge) { require.NoError(t, os.Remove(filler)) })
	})
}

// testFullDisk gives the disk away and back with full and free.
func testFullDisk(t *testing.T, dir string, full, free func(*runningBridge)) {
	write(t, dir, "config.yaml", testConfig)
	write(t, dir, "in.ndjson", `{"type":"group","group_id":"team","room_id":"!team:matrix.test","seq_source":"own","linked_pos":0}
{"type":"user","user_id":"alice","mxid":"@tim_alice:matrix.test","kind":"ghost"}
{"type":"user","user_id":"bob","mxid":"@tim_bob:matrix.test","kind":"ghost"}
{"type":"member","group_id":"team","user_id":"alice","joined_seq":0,"joined_pos":0}
{"type":"member","group_id":"team","user_id":"bob","joined_seq":0,"joined_pos":0}
{"type":"message","group_id":"team","seq":1,"pos":1,"event_id":"$one","msg_id":"m1","sender":"alice","wants":"yes"}
{"type":"message","group_id":"team","seq":2,"pos":2,"event_id":"$two","msg_id":"m2","sender":"alice","wants":"yes"}
`)
	got := call(t, dir, nil, "import", "in.ndjson")
	require.Equal(t, exitOK, got.code, got.stderr)
	// It lets the bridge do nothing, which is enough for taking transactions.
	homeserver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"errcode":"M_FORBIDDEN","error":"nobody may do anything here"}`))
	}))
	defer homeserver.Close()
	b := startBridgeBeside(t, dir, homeserver.URL)
	client := func(user string) *v2timtest.Client {
		c, err := v2timtest.New("http://"+b.v2tim, 1400000000, testSecret, user)
		require.NoError(t, err)
		return c
	}
	ack := func(msgID string) error {
		return client("bob").SendMessageReadReceipts(context.WithoutCancel(t.Context()), msgID)
	}
	send := func(text string) error {
		_, err := client("alice").SendText(t.Context(), "team", text)
		return err
	}
	refusesAll := func(round string) {
		t.Helper()
		require.NotEqual(t, http.StatusOK, b.transaction(t, round), round)
		for _, err := range []error{ack("m2"), send("refused")} {
			var refused *receipts.Error
			require.ErrorAs(t, err, &refused, round)
			require.Equal(t, receipts.CodeGroupInternalError, refused.Code, round)
		}
	}
	require.Equal(t, http.StatusOK, b.transaction(t, "$taken"))
	require.NoError(t, ack("m1"))

	rounds := []string{"$refused1", "$refused2", "$refused3"}
	for _, event := range rounds {
		full(b)
		refusesAll(event)
		free(b)
		require.Equal(t, http.StatusOK, b.transaction(t, event), "space is back")
	}
	require.NoError(t, send("first"))
	// Stopped while the disk is full, everything that was acknowledged is there afterwards and nothing else.
	full(b)
	require.NotEqual(t, http.StatusOK, b.transaction(t, "$late"))
	require.Error(t, ack("m2"))
	require.NoError(t, b.cmd.Process.Signal(syscall.SIGTERM))
	b.waitExit(t)
	require.NotContains(t, b.output.String(), "goroutine ")
	require.Contains(t, b.output.String(), "the homeserver will send it again")
	free(b)
	got = call(t, dir, nil, "check", "--deep")
	require.Equal(t, exitOK, got.code, got.stdout)
	got = call(t, dir, nil, "export")
	require.Equal(t, exitOK, got.code, got.stderr)
	require.Equal(t, 7, strings.Count(got.stdout, `"type":"message"`), got.stdout)
	for _, event := range append(rounds, "$taken") {
		require.Equal(t, 1, strings.Count(got.stdout, `"event_id":"`+event+`"`), got.stdout)
	}
	require.NotContains(t, got.stdout, "$late")

	b = startBridgeBeside(t, dir, homeserver.URL)
	require.Equal(t, http.StatusOK, b.transaction(t, "$late"))
	require.NoError(t, ack("m2"))
	list, err := client("alice").GetMessageReadReceipts(t.Context(), "m1", "m2")
	require.NoError(t, err)
	require.EqualValues(t, 1, list[0].ReadCount)
	require.EqualValues(t, 1, list[1].ReadCount)
	b.stop(t)
	require.Equal(t, exitOK, call(t, dir, nil, "check", "--deep").code)
}
