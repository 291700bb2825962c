package matrix

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

func TestProfile(t *testing.T) {
	b := newBench(t, matrixtest.Synapse())
	alice := b.hs.User("alice")
	require.NoError(t, b.EnsureBot(background))
	name, avatar, err := b.Profile(background, alice.ID)
	require.NoError(t, err)
	require.Empty(t, name)
	require.True(t, avatar.IsEmpty())

	for uri, want := range map[string]id.ContentURI{
		"mxc://x/y":         {Homeserver: "x", FileID: "y"},
		"https://evil/x":    {},
		"mxc:///y":          {},
		"mxc://x/":          {},
		"mxc://x/../../y":   {},
		"mxc://x/y?a=b":     {},
		"mxc://x/%2e%2e%2f": {},
	} {
		alice.SetProfile("Alice 爱丽丝\x00", uri)
		name, avatar, err = b.Profile(background, alice.ID)
		require.NoError(t, err)
		require.Equal(t, "Alice 爱丽丝", name)
		require.Equal(t, want, avatar, uri)
	}
	alice.SetProfile(strings.Repeat("名", 1000), "")
	name, _, err = b.Profile(background, alice.ID)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("名", maxDisplayName/3), name)

	_, _, err = b.Profile(background, "@nobody:localhost")
	require.ErrorIs(t, err, ErrNotFound)
	b.hs.FailRequests(matrixtest.Path("/profile/"), 1, 502, "", 0)
	var temporary *TemporaryError
	_, _, err = b.Profile(background, alice.ID)
	require.ErrorAs(t, err, &temporary)
}

func TestUploadMedia(t *testing.T) {
	opts := matrixtest.Synapse()
	opts.MaxUpload = 100
	b := newBench(t, opts)
	require.NoError(t, b.EnsureBot(background))
	uri, err := b.UploadMedia(background, []byte("GIF89a…"), "image/gif", "my cat & dog.gif")
	require.NoError(t, err)
	media := b.hs.Media(uri)
	require.Equal(t, &matrixtest.Media{Owner: b.BotMXID(), ContentType: "image/gif", Name: "my cat & dog.gif", Data: []byte("GIF89a…")}, media)
	_, err = b.UploadMedia(background, []byte("x"), "image/gif", "")
	require.NoError(t, err)
	require.Equal(t, b.BotMXID(), b.hs.Requests(matrixtest.Path("/upload"))[1].User)

	_, err = b.UploadMedia(background, bytes.Repeat([]byte("x"), 101), "image/gif", "")
	require.ErrorIs(t, err, ErrTooLarge, "says the homeserver")
	asked := len(b.hs.Requests(matrixtest.Path("/upload")))
	_, err = b.UploadMedia(background, make([]byte, MaxMedia+1), "image/gif", "")
	require.ErrorIs(t, err, ErrTooLarge, "says we")
	for _, contentType := range []string{"", "image/gif\r\nX: y"} {
		_, err = b.UploadMedia(background, []byte("x"), contentType, "")
		require.ErrorIs(t, err, ErrInvalid)
	}
	_, err = b.UploadMedia(background, nil, "image/gif", "")
	require.ErrorIs(t, err, ErrInvalid)
	require.Len(t, b.hs.Requests(matrixtest.Path("/upload")), asked, "nothing was sent")
	b.hs.FailRequests(matrixtest.Path("/upload"), 1, 502, "", 0)
	var temporary *TemporaryError
	_, err = b.UploadMedia(background, []byte("x"), "image/gif", "")
	require.ErrorAs(t, err, &temporary)
}
