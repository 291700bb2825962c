package tencent

import (
	"context"
	"encoding/json"
	"fmt"
)

const (
	// MaxAccounts is how many accounts MultiaccountImport, AccountCheck and PortraitGet take. [R-MACC]
	// [R-ACHK] [R-PGET]
	MaxAccounts = 100
	// MaxUserID is the length of a UserID in bytes. [R-MACC]
	MaxUserID = 32
)

// Account is an account of the app.
type Account struct {
	UserID  string
	Nick    string `json:",omitempty"`
	FaceUrl string `json:",omitempty"`
}

// AccountImport makes an account, or sets nick and avatar of one that is there. [R-ACC]
func (c *Client) AccountImport(ctx context.Context, account Account) error {
	err := checkUserIDs(1, account.UserID)
	if err == nil {
		err = c.call(ctx, cmdAccountImport, account, nil)
	}
	if err != nil {
		return fmt.Errorf("failed to import account %q: %w", account.UserID, err)
	}
	return nil
}

type importReply struct{ FailAccounts []string }

// MultiaccountImport makes up to [MaxAccounts] accounts, or sets nick and avatar of those that are
// there. It returns which ones failed, also beside an error, of which Tencent does not say why. [R-MACC]
func (c *Client) MultiaccountImport(ctx context.Context, accounts []Account) (failed []string, err error) {
	ids := make([]string, len(accounts))
	for i, account := range accounts {
		ids[i] = account.UserID
	}
	var reply importReply
	err = checkUserIDs(MaxAccounts, ids...)
	if err == nil {
		err = c.call(ctx, cmdMultiaccountImport, struct{ AccountList []Account }{accounts}, &reply)
	}
	if err != nil {
		return reply.FailAccounts, fmt.Errorf("failed to import accounts: %w", err)
	}
	return reply.FailAccounts, nil
}

// AccountStatus says whether an account is there. ResultCode is not 0 where that could not be found
// out. [R-ACHK]
type AccountStatus struct {
	UserID        string
	ResultCode    Uint
	AccountStatus string // Imported or NotImported
}

// Imported tells whether the account is there.
func (s AccountStatus) Imported() bool { return s.ResultCode == 0 && s.AccountStatus == "Imported" }

type checkReply struct{ ResultItem []AccountStatus }

// AccountCheck tells of up to [MaxAccounts] accounts whether they are there. [R-ACHK]
func (c *Client) AccountCheck(ctx context.Context, userIDs []string) ([]AccountStatus, error) {
	var reply checkReply
	err := checkUserIDs(MaxAccounts, userIDs...)
	if err == nil {
		type item struct{ UserID string }
		items := make([]item, len(userIDs))
		for i, userID := range userIDs {
			items[i].UserID = userID
		}
		err = c.call(ctx, cmdAccountCheck, struct{ CheckItem []item }{items}, &reply)
	}
	if err != nil {
		return nil, fmt.Errorf("failed to check accounts: %w", err)
	}
	return reply.ResultItem, nil
}

// The profile fields used here. [R-PSET]
const (
	tagNick  = "Tag_Profile_IM_Nick"
	tagImage = "Tag_Profile_IM_Image"
)

// Profile is how an account appears. ResultCode is not 0 where it could not be read. [R-PGET]
type Profile struct {
	UserID     string
	Nick       string
	FaceURL    string
	ResultCode uint64
}

type profileItem struct {
	Tag   string
	Value json.RawMessage // a number for tags not used here
}

type profileReply struct {
	UserProfileItem []struct {
		To_Account  string
		ResultCode  Uint
		ProfileItem []profileItem
	}
}

func (r profileReply) profiles() []Profile {
	profiles := make([]Profile, 0, len(r.UserProfileItem))
	for _, item := range r.UserProfileItem {
		if !validID(item.To_Account) {
			continue
		}
		p := Profile{UserID: item.To_Account, ResultCode: uint64(item.ResultCode)}
		for _, field := range item.ProfileItem {
			var value string
			if json.Unmarshal(field.Value, &value) != nil {
				continue
			}
			switch field.Tag {
			case tagNick:
				p.Nick = value
			case tagImage:
				p.FaceURL = value
			}
		}
		profiles = append(profiles, p)
	}
	return profiles
}

// PortraitGet reads nick and avatar of up to [MaxAccounts] accounts, which must all be there. [R-PGET]
func (c *Client) PortraitGet(ctx context.Context, userIDs []string) ([]Profile, error) {
	var reply profileReply
	err := checkUserIDs(MaxAccounts, userIDs...)
	if err == nil {
		err = c.call(ctx, cmdPortraitGet, struct{ To_Account, TagList []string }{userIDs, []string{tagNick, tagImage}}, &reply)
	}
	if err != nil {
		return nil, fmt.Errorf("failed to read profiles: %w", err)
	}
	return reply.profiles(), nil
}

// PortraitSet sets nick and avatar (a URL) of an account; nil leaves one as it is. [R-PSET]
func (c *Client) PortraitSet(ctx context.Context, userID string, nick, faceURL *string) error {
	type item struct{ Tag, Value string }
	var items []item
	if nick != nil {
		items = append(items, item{tagNick, *nick})
	}
	if faceURL != nil {
		items = append(items, item{tagImage, *faceURL})
	}
	err := checkUserIDs(1, userID)
	if err == nil && len(items) == 0 {
		err = fmt.Errorf("%w: nothing to set", ErrArgument)
	}
	if err == nil {
		err = c.call(ctx, cmdPortraitSet, struct {
			From_Account string
			ProfileItem  []item
		}{userID, items}, nil)
	}
	if err != nil {
		return fmt.Errorf("failed to set profile of %q: %w", userID, err)
	}
	return nil
}

// checkUserIDs checks what one call about accounts names.
func checkUserIDs(limit int, userIDs ...string) error {
	if err := checkCount("accounts", len(userIDs), limit); err != nil {
		return err
	}
	for _, userID := range userIDs {
		if !validID(userID) || len(userID) > MaxUserID {
			return fmt.Errorf("%w: %.64q cannot be a UserID", ErrArgument, userID)
		}
	}
	return nil
}
