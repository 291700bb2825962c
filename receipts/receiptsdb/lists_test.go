package receiptsdb

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
)

// Every length of a list is one more statement to prepare and to keep.
func TestListsHaveFewLengths(t *testing.T) {
	t.Parallel()
	s := &Store{db: &dbutil.Database{Dialect: dbutil.SQLite}}
	texts := make(map[string]bool)
	for n := 1; n < maxParams; n++ {
		keys := make([]int, n)
		for i := range keys {
			keys[i] = i
		}
		text, args := in(s, []any{"group"}, keys)
		require.LessOrEqual(t, len(args), maxParams)
		require.Equal(t, "group", args[0])
		for i, arg := range args[1:] {
			require.Equal(t, min(i, n-1), arg)
		}
		require.Equal(t, " IN "+inList(len(args)-1, 1), text)
		texts[text] = true
	}
	require.Len(t, texts, 10)
}
