package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"maunium.net/go/mautrix/id"

	"github.com/rs/zerolog"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// people remembers whose account and profile have been brought over since the start: doing it again does no harm. It is safe for
// concurrent use.
type people struct {
	mu       sync.Mutex
	accounts map[mapping.UserKey]struct{}        // of Matrix users, imported to Tencent
	profiles map[mapping.UserKey]tencent.Profile // of ghosts, as set at the homeserver
}

func newPeople() *people {
	return &people{accounts: make(map[mapping.UserKey]struct{}), profiles: make(map[mapping.UserKey]tencent.Profile)}
}

func (p *people) hasAccount(user mapping.UserKey) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.accounts[user]
	return ok
}

func (p *people) imported(user mapping.UserKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accounts[user] = struct{}{}
}

// forget has an account imported anew at the next occasion: it is missing at Tencent, or has another name now.
func (p *people) forget(user mapping.UserKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.accounts, user)
}

func (p *people) profile(user mapping.UserKey) (tencent.Profile, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	profile, ok := p.profiles[user]
	return profile, ok
}

func (p *people) setProfile(user mapping.UserKey, profile tencent.Profile) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.profiles[user] = profile
}

// maxNick is the longest name that an account is given, in bytes. Tencent allows 500.
const maxNick = 100

// ensureAccounts sees to it that Matrix users have accounts at Tencent, with their names. It returns those whose account could not be
// made. Others than Matrix users have accounts of their own.
func (c *cloud) ensureAccounts(ctx context.Context, users []mapping.User) (failed map[mapping.UserKey]bool, err error) {
	failed = make(map[mapping.UserKey]bool)
	var missing []mapping.User
	for _, u := range users {
		if u.Kind == receipts.KindAccount && u.MXID != "" && !c.people.hasAccount(u.Key) {
			missing = append(missing, u)
		}
	}
	for page := range slices.Chunk(missing, tencent.MaxAccounts) {
		accounts := make([]tencent.Account, len(page))
		for i, u := range page {
			accounts[i] = c.account(ctx, u)
		}
		refused, err := c.client.MultiaccountImport(ctx, accounts)
		if err != nil && len(refused) == 0 {
			return failed, err
		}
		for _, u := range page {
			if slices.Contains(refused, u.UserID) {
				failed[u.Key] = true
			} else {
				c.people.imported(u.Key)
			}
		}
	}
	return failed, nil
}

// profileOf brings a Matrix user's name and picture over after the commit, if he has an account: his member event may say new ones.
func (s *session) profileOf(ctx context.Context, g *mapping.Group, u mapping.User) error {
	c := s.b.cloud
	if c == nil || !inCloud(g) || u.Kind != receipts.KindAccount {
		return nil
	}
	if !c.people.hasAccount(u.Key) { // nor perhaps had he one before the start
		if j, err := s.b.own.JoinOf(ctx, g.Key, u.Key); err != nil || !j.Joined {
			return err
		}
	}
	s.after = append(s.after, func() {
		c.people.forget(u.Key)
		c.b.background(fmt.Sprint("account ", u.Key), func(ctx context.Context) error {
			_, err := c.ensureAccounts(ctx, []mapping.User{u})
			return err
		})
	})
	return nil
}

// account is how a Matrix user appears at Tencent.
func (c *cloud) account(ctx context.Context, u mapping.User) tencent.Account {
	a := tencent.Account{UserID: u.UserID}
	name, avatar, err := c.b.hs.Profile(ctx, u.MXID)
	if err != nil {
		zerolog.Ctx(ctx).Debug().Err(err).Stringer("user_id", u.MXID).Msg("Failed to read profile, the account gets the user's ID for a name")
	}
	if a.Nick = strings.ToValidUTF8(name, ""); a.Nick == "" {
		a.Nick = u.MXID.String()
	}
	for len(a.Nick) > maxNick {
		runes := []rune(a.Nick)
		a.Nick = string(runes[:len(runes)-1])
	}
	a.FaceUrl = c.mediaURL(avatar)
	return a
}

// mediaURL is where apps find what is in Matrix's media repository; "" if relay.media_url does not say.
func (c *cloud) mediaURL(uri id.ContentURI) string {
	template := c.b.cfg.Relay.MediaURL
	if template == "" || uri.IsEmpty() {
		return ""
	}
	return strings.NewReplacer("{server}", uri.Homeserver, "{media}", uri.FileID).Replace(template)
}

// profileGhosts gives the group's ghosts the names and pictures that their users have at Tencent, in the background.
func (c *cloud) profileGhosts(group mapping.GroupKey) {
	c.b.background(fmt.Sprint("profiles ", group), func(ctx context.Context) error { return c.setProfiles(ctx, group) })
}

func (c *cloud) setProfiles(ctx context.Context, group mapping.GroupKey) error {
	members, err := c.b.maps.Members(ctx, group)
	if err != nil {
		return err
	}
	ghosts := make(map[string]mapping.User)
	var ids []string
	for _, m := range members {
		if m.User.Kind == receipts.KindGhost && m.Membership.IsMember() {
			ghosts[m.User.UserID] = m.User
			ids = append(ids, m.User.UserID)
		}
	}
	for page := range slices.Chunk(ids, tencent.MaxAccounts) {
		profiles, err := c.client.PortraitGet(ctx, page)
		if err != nil {
			return err
		}
		for _, p := range profiles {
			u, ok := ghosts[p.UserID]
			if !ok || p.ResultCode != 0 {
				continue
			}
			if err = c.setProfile(ctx, u, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// setProfile gives one ghost his name and picture, where they are not what they were.
func (c *cloud) setProfile(ctx context.Context, u mapping.User, p tencent.Profile) error {
	before, known := c.people.profile(u.Key)
	if !known { // since the start
		value, err := c.b.own.Value(ctx, profileKey(u.Key))
		if err != nil {
			return err
		}
		known = json.Unmarshal([]byte(value), &before) == nil
	}
	if known && before == p {
		c.people.setProfile(u.Key, p)
		return nil
	}
	name := p.Nick
	if name == "" {
		name = u.UserID
	}
	var avatar id.ContentURIString
	if p.FaceURL != before.FaceURL || !known {
		avatar = c.fetchAvatar(ctx, p)
	}
	if err := c.b.hs.EnsureRegistered(ctx, u.MXID); err != nil {
		return err
	}
	if err := c.b.hs.SetProfile(ctx, u.MXID, name, avatar); err != nil {
		return fmt.Errorf("failed to set profile of ghost: %w", err)
	}
	c.people.setProfile(u.Key, p)
	value, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("failed to marshal profile: %w", err)
	}
	return c.b.commits.do(ctx, func(ctx context.Context, _ *session) error {
		return c.b.own.SetValue(ctx, profileKey(u.Key), string(value))
	})
}

// profileKey is where is kept what a ghost looks like, so that a start does not bring all names and pictures over again.
func profileKey(user mapping.UserKey) string { return fmt.Sprint(bridgedb.KeyProfile, user) }

// fetchAvatar brings a picture over to Matrix; "" (which leaves the ghost's as it is) where there is none or it cannot be had.
func (c *cloud) fetchAvatar(ctx context.Context, p tencent.Profile) id.ContentURIString {
	if c.avatars == nil || p.FaceURL == "" {
		return ""
	}
	picture, err := c.avatars.Fetch(ctx, p.FaceURL)
	if err == nil {
		var uri id.ContentURI
		if uri, err = c.b.hs.UploadMedia(ctx, picture.Data, picture.ContentType, "avatar"); err == nil {
			return uri.CUString()
		}
	}
	zerolog.Ctx(ctx).Debug().Err(err).Str("account", p.UserID).Msg("Failed to bring a picture over")
	return ""
}
