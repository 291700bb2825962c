package mappingdb

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Every length of a list is one more statement to prepare and to keep.
func TestListsHaveFewLengths(t *testing.T) {
	t.Parallel()
	lengths := make(map[int]bool)
	for n := 1; n <= maxIn; n++ {
		keys := make([]int, n, n+1)
		for i := range keys {
			keys[i] = i
		}
		after := keys[:n+1]
		after[n] = -1
		all := filled(keys)
		require.Equal(t, keys, all[:n])
		for _, key := range all[n:] {
			require.Equal(t, n-1, key)
		}
		require.Equal(t, -1, after[n], "the caller's memory is his own")
		lengths[len(all)] = true
	}
	require.Equal(t, map[int]bool{1: true, 2: true, 4: true, 8: true, 16: true, 32: true, 64: true, maxIn: true}, lengths)
	require.Empty(t, filled([]int(nil)))
}
