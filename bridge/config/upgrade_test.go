package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/timbridge/timbridge"
)

func TestUpgradeOfExampleChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(timbridge.ExampleConfig()), 0o600))
	output, err := render(path)
	require.NoError(t, err)
	require.Equal(t, timbridge.ExampleConfig(), string(output))
}
