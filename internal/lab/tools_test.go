package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDir(t *testing.T) {
	t.Setenv("TIMBRIDGE_LAB", "")
	dir, err := Dir()
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(filepath.Dir(dir), "go.mod"))
	require.DirExists(t, filepath.Join(filepath.Dir(dir), "internal", "lab"))
	require.Equal(t, ".lab", filepath.Base(dir))

	t.Setenv("TIMBRIDGE_LAB", "/some where/else")
	dir, err = Dir()
	require.NoError(t, err)
	require.Equal(t, "/some where/else", dir)

	t.Setenv("TIMBRIDGE_LAB", "")
	t.Chdir(t.TempDir())
	_, err = Dir()
	require.ErrorContains(t, err, "TIMBRIDGE_LAB")
}

func TestMissingIsExplained(t *testing.T) {
	lab := t.TempDir()
	t.Setenv("TIMBRIDGE_LAB", lab)
	var missing *MissingError
	require.ErrorAs(t, Available(Synapse), &missing)
	require.Contains(t, missing.Reason, "make lab")

	require.NoError(t, os.WriteFile(filepath.Join(lab, "synapse.missing"), []byte("no mirror has it\n"), 0o600))
	require.EqualError(t, Available(Synapse), "synapse is left out: no mirror has it")
	_, err := Start(t.Context(), Synapse, Options{})
	require.ErrorAs(t, err, &missing)
	_, err = StartJSClient(t.Context(), &User{})
	require.ErrorAs(t, err, &missing)

	require.NoError(t, os.Mkdir(filepath.Join(lab, "dendrite"), 0o700))
	require.Error(t, Available(Dendrite), "half fetched")
	require.NoError(t, os.WriteFile(filepath.Join(lab, "dendrite", "stamp"), nil, 0o600))
	require.NoError(t, Available(Dendrite))

	_, err = Start(t.Context(), "conduit", Options{})
	require.Error(t, err)
}

// noted is a TB that notes how the test ended.
type noted struct {
	TB
	skipped, failed string
}

func (n *noted) Helper()                           {}
func (n *noted) Context() context.Context          { return context.Background() }
func (n *noted) Skipf(format string, args ...any)  { n.skipped = fmt.Sprintf(format, args...) }
func (n *noted) Fatalf(format string, args ...any) { n.failed = fmt.Sprintf(format, args...) }

func TestRequire(t *testing.T) {
	lab := t.TempDir()
	t.Setenv("TIMBRIDGE_LAB", lab)
	require.NoError(t, os.WriteFile(filepath.Join(lab, "synapse.missing"), []byte("no mirror"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(lab, "dendrite.missing"), []byte("no proxy"), 0o600))

	var got noted
	Require(&got, Synapse)
	require.Equal(t, noted{skipped: "LEFT OUT: synapse is left out: no mirror"}, got)

	t.Setenv("CI", "true")
	got = noted{}
	RequireAny(&got)
	require.Contains(t, got.failed, "no mirror")
	require.Contains(t, got.failed, "no proxy")

	t.Setenv("CI", "")
	got = noted{}
	RequireAny(&got)
	require.Empty(t, got.failed)
	require.NotEmpty(t, got.skipped)

	require.NoError(t, os.Remove(filepath.Join(lab, "dendrite.missing")))
	require.NoError(t, os.Mkdir(filepath.Join(lab, "dendrite"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(lab, "dendrite", "stamp"), nil, 0o600))
	t.Setenv("CI", "true")
	got = noted{}
	RequireAny(&got)
	require.Equal(t, noted{}, got, "one is enough")
}
