package lab

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRestartKeepsEverything(t *testing.T) {
	onEach(t, func(t *testing.T, kind Kind) {
		ctx := t.Context()
		hs := Run(t, kind, Options{})
		url := hs.URL()
		alice, bob, aliceSees, bobSees, room := twoInARoom(t, hs)
		first, err := alice.SendText(ctx, room, "before")
		require.NoError(t, err)
		require.NoError(t, bob.Receipt(ctx, room, first))
		_, err = aliceSees.WaitReceipt(ctx, room, bob.ID, first)
		require.NoError(t, err)
		require.Positive(t, hs.MemoryBytes())
		t.Logf("%s uses %d MB", kind, hs.MemoryBytes()>>20)

		// In order, and stopped for a while.
		require.NoError(t, hs.Stop(ctx))
		require.NoError(t, hs.Stop(ctx), "stopped already")
		require.False(t, hs.Running())
		_, err = alice.SendText(ctx, room, "nobody there")
		require.Error(t, err)
		require.NoError(t, hs.Restart(ctx))
		require.True(t, hs.Running())
		require.Equal(t, url, hs.URL())
		_, err = alice.SendText(ctx, room, "after")
		require.NoError(t, err)
		_, err = bobSees.WaitText(ctx, room, "after") // the watcher from before goes on
		require.NoError(t, err)

		// While it runs, and after a power cut.
		require.NoError(t, hs.Restart(ctx))
		require.NoError(t, hs.Kill())
		require.False(t, hs.Running())
		require.NoError(t, hs.Restart(ctx))
		last, err := alice.SendText(ctx, room, "after the power cut")
		require.NoError(t, err)
		_, err = bobSees.WaitText(ctx, room, "after the power cut")
		require.NoError(t, err)
		require.NoError(t, bob.Receipt(ctx, room, last))
		_, err = aliceSees.WaitReceipt(ctx, room, bob.ID, last)
		require.NoError(t, err)
		fresh := NewWatcher(t, alice)
		require.Equal(t, last, fresh.Receipts(room)[bob.ID])
	})
}

// A folder that is named by the caller is kept and can be used again, even with a space in its name.
func TestOwnFolder(t *testing.T) {
	onEach(t, func(t *testing.T, kind Kind) {
		dir := filepath.Join(t.TempDir(), "a folder")
		hs := Run(t, kind, Options{Dir: dir})
		alice := NewUser(t, hs, "alice")
		require.NoError(t, hs.Close())
		require.NoError(t, hs.Close(), "closed already")
		require.FileExists(t, hs.LogPath())

		again := Run(t, kind, Options{Dir: dir})
		back, err := again.Login(t.Context(), "alice", alice.Password)
		require.NoError(t, err)
		require.Equal(t, alice.ID, back.ID)
	})
}

func TestTemporaryFolderGoes(t *testing.T) {
	onEach(t, func(t *testing.T, kind Kind) {
		hs := Run(t, kind, Options{})
		require.DirExists(t, hs.Dir())
		require.NoError(t, hs.Close())
		require.NoDirExists(t, hs.Dir())
	})
}

// Somebody may hold the port for a moment: the start goes on until it is free.
func TestPortTakenForAMoment(t *testing.T) {
	Require(t, Dendrite) // the code is the same for both; this one starts fast
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	dir := t.TempDir()
	freed := make(chan error, 1)
	go func() {
		for {
			log, _ := os.ReadFile(filepath.Join(dir, "homeserver.log"))
			if strings.Contains(string(log), "address already in use") || sleep(t.Context(), pollInterval) != nil {
				freed <- l.Close()
				return
			}
		}
	}()
	hs := Run(t, Dendrite, Options{Dir: dir, Port: number})
	require.NoError(t, <-freed)
	require.Equal(t, "http://127.0.0.1:"+port, hs.URL())
}

// A homeserver that cannot start says why at once.
func TestBadRegistration(t *testing.T) {
	onEach(t, func(t *testing.T, kind Kind) {
		path := filepath.Join(t.TempDir(), "registration.yaml")
		require.NoError(t, os.WriteFile(path, []byte("id: [this is no registration"), 0o600))
		_, err := Start(t.Context(), kind, Options{AppServices: []string{path}})
		require.ErrorContains(t, err, "failed to start "+string(kind))
		require.ErrorContains(t, err, "it printed")
	})
}
