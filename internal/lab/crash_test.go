package lab

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	require.Empty(t, crash(path), "there is no log")
	require.NoError(t, os.WriteFile(path, []byte("ready\nlevel=error msg=\"no panic: all is well\"\n"), 0o600))
	require.Empty(t, crash(path))
	require.NoError(t, os.WriteFile(path, []byte("ready\npanic: cannot start a transaction within a transaction\n\ngoroutine 1 [running]:\n"), 0o600))
	require.Equal(t, "panic: cannot start a transaction within a transaction", crash(path))
}
