package matrix

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// maxDisplayName bounds what is kept of a display name in bytes. Synapse allows 256 characters.
const maxDisplayName = 1024

// Profile asks for a user's global display name and avatar. What he has not set, or what is malformed, is empty.
// ErrNotFound: there is no such user; ErrForbidden: his homeserver does not tell.
func (a *AppService) Profile(ctx context.Context, user id.UserID) (displayName string, avatar id.ContentURI, err error) {
	var raw json.RawMessage
	err = a.call(ctx, a.bot, request{method: http.MethodGet, path: mautrix.ClientURLPath{"v3", "profile", user}}, &raw)
	var profile object
	if err == nil {
		if profile, err = parseObject(raw); err != nil {
			err = &TemporaryError{Err: fmt.Errorf("answer is no profile: %w", err)}
		}
	}
	if err != nil {
		return "", id.ContentURI{}, fmt.Errorf("failed to look up profile: %w", err)
	}
	displayName, _ = profile.str("displayname")
	displayName = strings.ReplaceAll(strings.ToValidUTF8(cut(displayName, maxDisplayName), ""), "\x00", "")
	uri, _ := profile.str("avatar_url")
	if avatar, err = parseMXC(uri); err != nil {
		avatar = id.ContentURI{}
	}
	return displayName, avatar, nil
}

// parseMXC reads an mxc:// URI; both parts of it go into paths of URLs.
func parseMXC(uri string) (id.ContentURI, error) {
	parsed, err := id.ParseContentURI(uri)
	if err == nil && (parsed.Homeserver == "" || len(uri) > maxID || strings.ContainsAny(parsed.FileID, "/?#%\x00")) {
		err = id.ErrInvalidContentURI
	}
	return parsed, err
}

// MaxMedia is the largest file that UploadMedia takes, in bytes. Dendrite's own limit is the same unless configured
// otherwise, Synapse's is 50 MiB.
const MaxMedia = 10 << 20

// UploadMedia stores a file on the homeserver, as the bot, and returns where it is. The same file twice is stored twice.
// name is what the file is called when it is saved and may be empty. ErrTooLarge tells that it is larger than MaxMedia or
// than the homeserver takes.
func (a *AppService) UploadMedia(ctx context.Context, data []byte, contentType, name string) (id.ContentURI, error) {
	if len(data) > MaxMedia {
		return id.ContentURI{}, fmt.Errorf("failed to upload media: %w: more than %d bytes", ErrTooLarge, MaxMedia)
	}
	if len(data) == 0 || contentType == "" || strings.ContainsAny(contentType, "\r\n\x00") {
		return id.ContentURI{}, fmt.Errorf("failed to upload media: %w: no data or no type", ErrInvalid)
	}
	query := url.Values{}
	if name != "" {
		query.Set("filename", roomText(name))
	}
	var answer struct {
		URI string `json:"content_uri"`
	}
	err := a.call(ctx, a.bot, request{
		method:      http.MethodPost,
		path:        mautrix.MediaURLPath{"v3", "upload"},
		query:       query,
		raw:         data,
		contentType: contentType,
	}, &answer)
	var uri id.ContentURI
	if err == nil {
		if uri, err = parseMXC(answer.URI); err != nil || answer.URI == "" {
			err = &TemporaryError{Err: errNoURI}
		}
	}
	if err != nil {
		return id.ContentURI{}, fmt.Errorf("failed to upload media: %w", err)
	}
	return uri, nil
}
