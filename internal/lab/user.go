package lab

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"

	"maunium.net/go/mautrix/id"
)

// sharedSecret allows the registration of users on a homeserver of this package.
const sharedSecret = "lab-secret"

// User is an ordinary Matrix user (or, from [Homeserver.AppServiceUser], one that an application service acts as) with
// the calls of the client-server API that tests need. Its methods send one request each, never twice, and return a
// *[HTTPError] for a refusal. It is safe for concurrent use.
type User struct {
	ID       id.UserID
	Token    string
	Password string      // empty where there is none
	DeviceID id.DeviceID // empty where there is none

	hs    *Homeserver
	query url.Values // added to every request
}

// RegisterUser makes a user with this localpart, logged in, whose password is [User.Password].
func (hs *Homeserver) RegisterUser(ctx context.Context, localpart string) (*User, error) {
	// The endpoint is Synapse's (https://element-hq.github.io/synapse/latest/admin_api/register_api.html); Dendrite has it too.
	const path = "/_synapse/admin/v1/register"
	var nonce struct {
		Nonce string `json:"nonce"`
	}
	if err := hs.request(ctx, "", http.MethodGet, path, nil, nil, &nonce); err != nil {
		return nil, fmt.Errorf("failed to get nonce to register %s: %w", localpart, err)
	}
	password := localpart + "-password"
	mac := hmac.New(sha1.New, []byte(sharedSecret))
	fmt.Fprintf(mac, "%s\x00%s\x00%s\x00notadmin", nonce.Nonce, localpart, password)
	body := map[string]any{
		"nonce": nonce.Nonce, "username": localpart, "password": password, "admin": false,
		"mac": hex.EncodeToString(mac.Sum(nil)),
	}
	user := &User{hs: hs, Password: password}
	if err := hs.request(ctx, "", http.MethodPost, path, nil, body, user.session()); err != nil {
		return nil, fmt.Errorf("failed to register %s: %w", localpart, err)
	}
	return user, nil
}

// session is what a registration or a login answers.
type session struct {
	UserID      *id.UserID   `json:"user_id"`
	AccessToken *string      `json:"access_token"`
	DeviceID    *id.DeviceID `json:"device_id"`
}

func (u *User) session() *session { return &session{&u.ID, &u.Token, &u.DeviceID} }

// Login logs a user in again: another device of his.
func (hs *Homeserver) Login(ctx context.Context, localpart, password string) (*User, error) {
	user := &User{hs: hs, Password: password}
	body := map[string]any{
		"type": "m.login.password", "password": password,
		"identifier": map[string]any{"type": "m.id.user", "user": localpart},
	}
	if err := hs.request(ctx, "", http.MethodPost, "/_matrix/client/v3/login", nil, body, user.session()); err != nil {
		return nil, fmt.Errorf("failed to log %s in: %w", localpart, err)
	}
	return user, nil
}

// AppServiceUser returns a user that the application service with this as_token acts as. For its own bot leave userID
// empty. Nothing is asked of the homeserver yet: see [User.RegisterGhost].
func (hs *Homeserver) AppServiceUser(asToken string, userID id.UserID) *User {
	user := &User{hs: hs, ID: userID, Token: asToken}
	if userID != "" {
		user.query = url.Values{"user_id": {string(userID)}}
	}
	return user
}

// RegisterGhost registers a user of an application service by his localpart.
func (u *User) RegisterGhost(ctx context.Context, localpart string) error {
	body := map[string]any{"type": "m.login.application_service", "username": localpart}
	// Sent as the service itself: the ghost cannot be acted as before it exists.
	return u.hs.request(ctx, u.Token, http.MethodPost, "/_matrix/client/v3/register", nil, body, nil)
}

// Homeserver returns the user's homeserver.
func (u *User) Homeserver() *Homeserver { return u.hs }

// Do sends any request as this user: path is everything after the port, escaped; body and out may be nil.
func (u *User) Do(ctx context.Context, method, path string, query url.Values, body, out any) error {
	all := url.Values{}
	for _, values := range []url.Values{u.query, query} {
		for key, value := range values {
			all[key] = value
		}
	}
	return u.hs.request(ctx, u.Token, method, path, all, body, out)
}
