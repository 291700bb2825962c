package postgres

import (
	"os"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestServerKeepsWhatItHasAndIsGoneAfterwards(t *testing.T) {
	ctx := t.Context()
	s := Own(t, Options{})
	uri, err := s.Create(ctx, "a b")
	require.NoError(t, err)
	do := func(statement string) {
		t.Helper()
		conn, err := pgx.Connect(ctx, uri)
		require.NoError(t, err)
		_, err = conn.Exec(ctx, statement)
		require.NoError(t, err)
		require.NoError(t, conn.Close(ctx))
	}
	do("CREATE TABLE t (n INT)")
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		require.NoError(t, s.Shut(sig))
		_, err = pgx.Connect(ctx, uri)
		require.Error(t, err)
		require.NotContains(t, err.Error(), Password)
		require.NoError(t, s.Run(ctx))
		do("SELECT n FROM t")
	}
	// Who ends without a word takes the server along.
	folder := s.folder
	require.NoError(t, s.wait())
	require.NoDirExists(t, folder)
	require.NoError(t, os.RemoveAll(folder))
}
